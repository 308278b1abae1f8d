// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"fmt"
	"time"

	"github.com/twostage/twostage/internal/rpc"
)

// at calls fn for a queue of the consumer with c.mu held.
func (c *PullConsumer) at(q Queue, fn func(r *reader)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.readers[q]
	if r == nil {
		return fmt.Errorf("%w: %s", ErrNotAssigned, q)
	}
	fn(r)
	return nil
}

// Seek goes on with an offset of a queue: the next Poll gives the message there, or
// if it is outside of the queue the one that the broker has go on with. What was
// pulled of the queue and not polled is dropped. The offset is committed as one that a
// message before it was polled of, once the broker has answered a pull from there: what
// is outside of the queue is not.
func (c *PullConsumer) Seek(q Queue, offset int64) error {
	if offset < 0 {
		return fmt.Errorf("client: seeking offset %d of %s", offset, q)
	}
	return c.moveTo(q, offset, true)
}

// moveTo goes on with an offset; blindly: the broker was not asked for it.
func (c *PullConsumer) moveTo(q Queue, offset int64, blindly bool) error {
	return c.at(q, func(r *reader) {
		r.pos.seek(offset, blindly)
		r.restart()
	})
}

// SeekTime goes on with the first message of a queue that was stored at a time, in
// whole milliseconds, or later. Brokers of 4.9 give the one nearest to it.
func (c *PullConsumer) SeekTime(ctx context.Context, q Queue, t time.Time) error {
	return c.seek(ctx, q, func(ctx context.Context, l rpc.Caller, addr, topic string, queue int32) (int64, error) {
		return rpc.SearchOffset(ctx, l, addr, topic, queue, max(t.UnixMilli(), 0))
	})
}

// SeekStart goes on with the first message that queues have.
func (c *PullConsumer) SeekStart(ctx context.Context, queues ...Queue) error {
	return c.seekAll(ctx, queues, rpc.MinOffset)
}

// SeekEnd goes on with the next message that queues get.
func (c *PullConsumer) SeekEnd(ctx context.Context, queues ...Queue) error {
	return c.seekAll(ctx, queues, rpc.MaxOffset)
}

type askOffset func(ctx context.Context, c rpc.Caller, addr, topic string, queue int32) (int64, error)

func (c *PullConsumer) seekAll(ctx context.Context, queues []Queue, ask askOffset) error {
	for _, q := range queues {
		if err := c.seek(ctx, q, ask); err != nil {
			return err
		}
	}
	return nil
}

func (c *PullConsumer) seek(ctx context.Context, q Queue, ask askOffset) error {
	if err := c.at(q, func(*reader) {}); err != nil {
		return err
	}
	addr, err := c.link.readAddr(ctx, q)
	if err != nil {
		return err
	}
	one, cancel := c.link.request(ctx)
	defer cancel()
	offset, err := ask(one, c.link.net, addr, q.Topic, q.ID)
	if err != nil {
		return fmt.Errorf("client: seeking in %s: %w", q, c.link.public(err))
	}
	return c.moveTo(q, offset, false)
}

// Position is the offset in a queue that the next Poll gives from; known is false
// while it is not looked up.
func (c *PullConsumer) Position(q Queue) (offset int64, known bool, err error) {
	err = c.at(q, func(r *reader) { offset, known = r.pos.at, r.pos.known })
	return offset, known, err
}

// Committed is the offset of a queue that the group goes on with; ok is false when it
// has none. The queue need not be the consumer's.
func (c *PullConsumer) Committed(ctx context.Context, q Queue) (offset int64, ok bool, err error) {
	return c.offsets.stored(ctx, q)
}
