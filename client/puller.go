// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// pullerConfig is what options say of pullers.
type pullerConfig struct {
	group   string
	suspend time.Duration
}

func newPullerConfig() pullerConfig {
	return pullerConfig{group: message.GroupTools, suspend: 15 * time.Second}
}

func (c *pullerConfig) check() error {
	if err := message.CheckGroup(c.group); err != nil {
		return fmt.Errorf("client: consumer group: %w", err)
	}
	if c.suspend <= 0 {
		return fmt.Errorf("client: suspend %v is not above 0", c.suspend)
	}
	return nil
}

// WithGroup names the consumer group that a puller pulls for; no offset of it is
// stored. Default: RocketMQ's group for tools, which every broker has.
func WithGroup(name string) Option {
	return Option{"WithGroup", pullers, func(c *config) { c.puller.group = name }}
}

// WithSuspend says how long a broker may hold a pull or a pop until there is a
// message. Default 15 s.
func WithSuspend(d time.Duration) Option {
	return Option{"WithSuspend", pullers | pullConsumers | popConsumers, func(c *config) { c.puller.suspend = d }}
}

// Puller reads the queues of topics by offset. NewPuller makes one.
type Puller struct {
	cfg  pullerConfig
	log  *slog.Logger
	link *link
}

// NewPuller makes a puller. It connects with the first call.
func NewPuller(opts ...Option) (*Puller, error) {
	cfg, err := configure(pullers, opts)
	if err != nil {
		return nil, err
	}
	p := &Puller{cfg: cfg.puller, log: cfg.log, link: newLink(&cfg.common, nil)}
	p.link.forget = true
	return p, nil
}

// Close ends the puller. Calls under way fail.
func (p *Puller) Close() error { return p.link.close() }

// Queues are the queues of a topic that can be read, sorted by broker and id.
func (p *Puller) Queues(ctx context.Context, topic string) ([]Queue, error) {
	return p.queues(ctx, topic, routeAge)
}

// queues are those of a route that is at most so old.
func (p *Puller) queues(ctx context.Context, topic string, age time.Duration) ([]Queue, error) {
	r, err := p.link.routeSince(ctx, topic, time.Now().Add(-age), false)
	if err != nil {
		return nil, err
	}
	return readable(r), nil
}

// Min is the offset of the first message of a queue.
func (p *Puller) Min(ctx context.Context, q Queue) (int64, error) {
	return p.offset(ctx, q, rpc.MinOffset)
}

// Max is the offset that the next message of a queue will get.
func (p *Puller) Max(ctx context.Context, q Queue) (int64, error) {
	return p.offset(ctx, q, rpc.MaxOffset)
}

func (p *Puller) offset(ctx context.Context, q Queue, ask func(ctx context.Context, c rpc.Caller, addr, topic string, queue int32) (int64, error)) (int64, error) {
	addr, err := p.link.readAddr(ctx, q)
	if err != nil {
		return 0, err
	}
	ctx, cancel := p.link.request(ctx)
	defer cancel()
	n, err := ask(ctx, p.link.net, addr, q.Topic, q.ID)
	if err != nil {
		return 0, fmt.Errorf("client: offsets of %s: %w", q, p.link.public(err))
	}
	return n, nil
}

// Pulled is what a pull brought.
type Pulled struct {
	// Messages have their bodies as stored: see Decompress.
	Messages []*message.Received
	// Next is the offset to pull from next, also when there are no messages.
	Next     int64
	Min, Max int64 // of the queue
	// Moved says that the queue has no such offset, and Next is where it has one.
	Moved bool
}

// Pull reads at most limit messages of a queue from an offset on. When there are
// none the broker holds the request, for up to the time of WithSuspend; hold false
// has it answer at once. A message whose body does not match its CRC is left out, with
// an error in the log.
func (p *Puller) Pull(ctx context.Context, q Queue, offset int64, limit int, hold bool) (*Pulled, error) {
	if limit < 1 || limit > 1<<16 {
		return nil, fmt.Errorf("client: %d messages in a pull: at least 1, at most %d", limit, 1<<16)
	}
	addr, err := p.link.readAddr(ctx, q)
	if err != nil {
		return nil, err
	}
	h := &header.PullRequest{
		ConsumerGroup: []byte(p.cfg.group), Topic: []byte(q.Topic), QueueID: q.ID, QueueOffset: offset, MaxMsgNums: int32(limit),
		SysFlag: header.PullSubscription, Subscription: []byte("*"),
	}
	if hold {
		h.SysFlag |= header.PullSuspend
		h.SuspendTimeoutMillis = p.cfg.suspend.Milliseconds()
	}
	one, cancel := p.link.held(ctx, time.Duration(h.SuspendTimeoutMillis)*time.Millisecond)
	defer cancel()
	got, err := rpc.Pull(one, p.link.net, addr, h)
	if err != nil {
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			err = ended(ctx) // which the held pull does not tell
		}
		return nil, fmt.Errorf("client: pulling %s: %w", q, p.link.public(err))
	}
	res := &Pulled{
		Next: got.Header.NextBeginOffset, Min: got.Header.MinOffset, Max: got.Header.MaxOffset,
		Moved: got.Code == wire.PullOffsetMoved,
	}
	if got.Code != wire.Success {
		return res, nil
	}
	if res.Messages, err = readPulled(p.log, q, got.Records, message.DecodeReceived, &res.Next); err != nil {
		return nil, err
	}
	for _, m := range res.Messages {
		m.BrokerName = q.Broker
	}
	return res, nil
}
