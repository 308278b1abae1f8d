// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"errors"
	"fmt"
	"time"

	"github.com/twostage/twostage/internal/wire/body"
)

// consumerConfig is what options say of consumers.
type consumerConfig struct {
	orderly        bool
	broadcast      bool
	offsetDir      string // of broadcast; empty: no file
	concurrency    int
	prefetch       limits // of one queue
	attempts       int    // 0: the standard
	start          Start
	allocation     Strategy
	closeTimeout   time.Duration
	handlerTimeout time.Duration
	autoCommit     time.Duration // 0: never
}

func newConsumerConfig() consumerConfig {
	return consumerConfig{
		concurrency: 20, prefetch: limits{messages: 1000, bytes: 100 << 20}, start: StartLatest, allocation: Averagely,
		closeTimeout: 30 * time.Second, handlerTimeout: 15 * time.Minute, autoCommit: autoCommitPeriod,
	}
}

func (c *consumerConfig) check() error {
	switch {
	case c.concurrency < 1:
		return fmt.Errorf("client: concurrency %d, at least 1", c.concurrency)
	case c.prefetch.messages < 1 || c.prefetch.bytes < 1:
		return fmt.Errorf("client: prefetch of %d messages and %d bytes, at least 1 of each", c.prefetch.messages, c.prefetch.bytes)
	case c.attempts < 0:
		return fmt.Errorf("client: %d attempts to consume a message, at least 1, or 0 for the standard", c.attempts)
	case c.allocation == nil:
		return errors.New("client: the strategy of WithAllocation is nil")
	case c.autoCommit < 0:
		return fmt.Errorf("client: auto commit every %v is negative; 0 is never", c.autoCommit)
	case c.closeTimeout < 0:
		return fmt.Errorf("client: close timeout %v is negative", c.closeTimeout)
	case c.handlerTimeout < time.Second:
		return fmt.Errorf("client: handler timeout %v, at least 1s", c.handlerTimeout)
	}
	return nil
}

// span is how far a concurrent consumer goes beyond the first message that is not
// consumed, in messages, for each that it prefetches.
const spanFactor = 2

// limits bound what is held of a queue. In order there is no message behind
// another that is not consumed.
func (c *consumerConfig) limits() limits {
	l := c.prefetch
	if !c.orderly {
		l.span = spanFactor * int64(l.messages)
	}
	return l
}

// Start says where a group begins in a queue that it has no offset for.
type Start struct {
	where body.ConsumeFromWhere
	at    time.Time
}

var (
	// StartLatest begins behind the messages that are there when a consumer of the
	// group begins for the first time. Brokers of 4.9 begin with the first message
	// of a queue that is young. Queues that the topic did not have then, or whose
	// broker had not registered, are young to a push or pull consumer: it begins with
	// their first message. Those whose broker cannot be asked then begin with what it
	// stored since. It goes by its own clock: as much as that is behind this machine's is
	// left out, as much as it is ahead is given besides. A broker of 4.9 may give one
	// message from before.
	StartLatest = Start{where: body.ConsumeFromLastOffset}
	// StartEarliest begins with the first message there is.
	StartEarliest = Start{where: body.ConsumeFromFirstOffset}
)

// StartAt begins with the first message that was stored at a time, in whole
// milliseconds, or later.
func StartAt(t time.Time) Start { return Start{where: body.ConsumeFromTimestamp, at: t} }

// WithOrderly consumes the messages of each queue one after the other, in their
// order: the group locks queues, a message that fails is tried again after a
// second, and holds up its queue until it is consumed or given up. A pop consumer
// gets the next ones of a queue when those before are acked. All members of the
// group must be orderly.
func WithOrderly() Option {
	return Option{"WithOrderly", pushConsumers | popConsumers, func(c *config) { c.consumer.orderly = true }}
}

// WithBroadcast gives every member of the group all messages. Offsets are kept in
// the file offsets.json in a directory of dir with the group's name, which belongs
// to this member alone; with an empty dir they are kept nowhere, and each start is
// one for the first time. A message that fails is not delivered again; with
// WithOrderly it is tried again, until WithMaxAttempts, and then left out.
func WithBroadcast(dir string) Option {
	return Option{"WithBroadcast", pushConsumers, func(c *config) { c.consumer.broadcast, c.consumer.offsetDir = true, dir }}
}

// WithConcurrency says how many handlers run at a time, besides two at most out of
// turn, since a tool has a broker ask for that. Default 20.
func WithConcurrency(n int) Option {
	return Option{"WithConcurrency", pushConsumers, func(c *config) { c.consumer.concurrency = n }}
}

// WithPrefetch says how many messages, and how many bytes of them, are held of each
// queue before no more are pulled: a pull may go beyond by what it brings. Default
// 1000 and 100 MiB. A concurrent consumer goes no further than twice as many
// messages beyond the first one that is not consumed.
func WithPrefetch(messages int, bytes int64) Option {
	return Option{"WithPrefetch", pushConsumers | pullConsumers, func(c *config) { c.consumer.prefetch = limits{messages: messages, bytes: bytes} }}
}

// WithMaxAttempts says how often a message is given to a handler before it becomes
// a dead letter. Default 17, which is RocketMQ's 16 times again; for an orderly
// consumer no limit.
func WithMaxAttempts(n int) Option {
	return Option{"WithMaxAttempts", pushConsumers, func(c *config) { c.consumer.attempts = n }}
}

// WithStart says where the group begins when it has no offset. Default StartLatest.
func WithStart(s Start) Option {
	return Option{"WithStart", anyConsumer, func(c *config) { c.consumer.start = s }}
}

// WithAllocation says how the group shares queues out. Default Averagely. A panic of s
// ends the process.
func WithAllocation(s Strategy) Option {
	return Option{"WithAllocation", pushConsumers | pullConsumers, func(c *config) { c.consumer.allocation = s }}
}

// WithCloseTimeout says how long Close waits for handlers that run before it ends
// their ctx; 10 s later it leaves them behind. Default 30 s.
func WithCloseTimeout(d time.Duration) Option {
	return Option{"WithCloseTimeout", pushConsumers, func(c *config) { c.consumer.closeTimeout = d }}
}

// WithHandlerTimeout says how long a handler may run, to the second: then its ctx
// ends, and, but for an orderly consumer, its message is delivered again. Default
// 15 min.
func WithHandlerTimeout(d time.Duration) Option {
	return Option{"WithHandlerTimeout", pushConsumers, func(c *config) { c.consumer.handlerTimeout = d }}
}
