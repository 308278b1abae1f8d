// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

const (
	pullAhead = 32                     // messages that one pull asks for
	quickPull = 100 * time.Millisecond // least time of a pull without messages
)

// reader pulls a queue ahead of Poll, on a goroutine of its own.
type reader struct {
	c       *PullConsumer
	queue   Queue
	cancel  context.CancelFunc
	ended   chan struct{}
	room    chan struct{} // capacity 1: it may be time to pull
	storing chan struct{} // capacity 1: full while an offset is being stored
	from    int64         // broker id to pull from; the goroutine's own

	// Guarded by c.mu:
	filter  Filter
	version int64
	pos     *position
	abort   context.CancelFunc // ends the pull under way; nil: none
}

// wake has the reader look at its pos again.
func (r *reader) wake() {
	select {
	case r.room <- struct{}{}:
	default:
	}
}

// restart ends the pull under way; c.mu is held.
func (r *reader) restart() {
	if r.abort != nil {
		r.abort()
	}
	r.wake()
}

// take begins with a queue; c.turn is held.
func (c *PullConsumer) take(q Queue, s *pullSubscription) {
	ctx, cancel := context.WithCancel(c.ctx)
	r := &reader{
		c: c, queue: q, filter: s.filter, version: s.version, cancel: cancel,
		ended: make(chan struct{}), room: make(chan struct{}, 1), storing: make(chan struct{}, 1), pos: newPosition(),
	}
	c.mu.Lock()
	c.readers[q] = r
	c.sortQueues()
	c.mu.Unlock()
	c.running.Go(func() {
		defer close(r.ended)
		r.run(ctx)
	})
}

// refilter goes on by another filter, with what was not polled; c.mu is held.
func (r *reader) refilter(s *pullSubscription) {
	r.filter, r.version = s.filter, s.version
	r.pos.again()
	r.restart()
}

// run pulls until ctx ends.
func (r *reader) run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := r.once(ctx); err != nil && ctx.Err() == nil {
			r.c.fail(r.queue, err)
			r.from = 0
			wait(ctx, retryPeriod)
		}
	}
}

// fail tells Polls, or the log, of a failure.
func (c *PullConsumer) fail(q Queue, err error) {
	c.mu.Lock()
	tell := refused(err) || errors.Is(err, ErrNoRoute)
	c.failed.note(q, err, tell)
	if tell {
		c.told()
	}
	c.mu.Unlock()
	c.log.Warn("client: not pulled, trying again", "queue", q, "err", err)
}

// once looks up where to begin, waits for room, or pulls.
func (r *reader) once(ctx context.Context) error {
	c := r.c
	c.mu.Lock()
	known, full, next, era := r.pos.known, r.pos.full(c.cfg.limits()), r.pos.next, r.pos.era
	by := pullSubscription{r.filter, r.version}
	var one context.Context
	if known && !full {
		one, r.abort = c.link.held(ctx, c.hold)
		defer r.abort()
	}
	c.mu.Unlock()
	switch {
	case !known:
		return r.locate(ctx)
	case full:
		select {
		case <-r.room:
		case <-ctx.Done():
		}
		return nil
	}
	began := time.Now()
	msgs, end, err := r.pull(one, &by, next)
	c.mu.Lock()
	r.abort = nil
	moved := r.pos.era != era
	if err == nil && r.pos.feed(era, msgs, end) {
		c.failed.clear(r.queue)
		if len(msgs) > 0 {
			c.told()
		}
	}
	c.mu.Unlock()
	if moved {
		return nil
	}
	if err == nil && end == next && time.Since(began) < quickPull {
		wait(ctx, quickPull) // a broker that does not hold pulls
	}
	return err
}

// locate finds out where to begin.
func (r *reader) locate(ctx context.Context) error {
	begun := time.Now()
	next, ok, err := r.c.offsets.stored(ctx, r.queue)
	if err == nil && !ok {
		next, err = r.c.shares.beginning(ctx, r.queue)
	}
	if err != nil {
		r.c.shares.miss(begun, r.queue)
		return err
	}
	if !ok {
		r.keepBeginning(ctx, next)
	}
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	r.pos.begin(next)
	if ok {
		r.pos.stored = next
	}
	return nil
}

// pull asks once, and gives messages and where the next pull begins.
func (r *reader) pull(ctx context.Context, by *pullSubscription, offset int64) ([]*message.Received, int64, error) {
	c, q := r.c, r.queue
	route, err := c.link.route(ctx, q.Topic, false)
	if err != nil {
		return nil, 0, err
	}
	addr, _, ok := route.ReadAddr(q.Broker, r.from)
	if !ok {
		return nil, 0, fmt.Errorf("%w: %s", ErrNotReadable, q)
	}
	h := &header.PullRequest{
		ConsumerGroup: []byte(c.group), Topic: []byte(q.Topic), QueueID: q.ID, QueueOffset: offset, MaxMsgNums: pullAhead,
		SysFlag: header.PullSuspend | header.PullSubscription | header.PullLite, SuspendTimeoutMillis: c.hold.Milliseconds(),
		Subscription: []byte(by.filter.String()), ExpressionType: []byte(by.filter.expressionType()),
	}
	if by.filter.kind == sqlExpression {
		h.SubVersion = by.version
	}
	conn, err := c.link.greetedConn(ctx, addr) // tools see who pulls
	if err != nil {
		return nil, 0, fmt.Errorf("client: reaching broker %s: %w", q.Broker, public(err))
	}
	got, err := rpc.Pull(ctx, connCaller{conn}, addr, h)
	if err != nil {
		return nil, 0, fmt.Errorf("client: pulling %s: %w", q, public(err))
	}
	r.from = got.Header.SuggestWhichBrokerID
	switch got.Code {
	case wire.Success:
	case wire.PullOffsetMoved:
		c.log.Warn("client: the queue does not have the offset", "queue", q, "offset", offset, "next", got.Header.NextBeginOffset)
		return nil, got.Header.NextBeginOffset, nil
	default:
		return nil, max(got.Header.NextBeginOffset, offset), nil
	}
	next := got.Header.NextBeginOffset
	all, err := readPulled(c.log, q, got.Records, message.DecodeReceived, &next)
	if err != nil {
		return nil, 0, err
	}
	msgs := all[:0]
	for _, m := range all {
		m.BrokerName = q.Broker
		if !by.filter.wants(m) {
			continue
		}
		if err := Decompress(m, MaxBody); err != nil {
			c.log.Warn("client: body as it is", "message", m.ID(), "err", err)
		}
		msgs = append(msgs, m)
	}
	return msgs, next, nil
}
