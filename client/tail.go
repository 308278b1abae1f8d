// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/twostage/twostage/internal/lifecycle"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/message"
)

// Sizes and times of a tail.
const (
	tailPull  = 64 // messages in a pull
	tailRetry = time.Second
)

// TailOptions says what to show of a topic.
type TailOptions struct {
	// FromStart begins with the first message of each queue, else Last messages
	// before the end.
	FromStart bool
	// Since begins with the first message of each queue that was stored then, in
	// whole milliseconds, or later; the zero time is none.
	Since time.Time
	// Last is how many of the messages that are there are shown, without FromStart
	// and Since.
	Last int
	// Follow goes on with what comes, until ctx ends.
	Follow bool
}

// Tail calls fn for messages of all queues of a topic, one at a time: first for
// those that are there, in the order in which they were stored, then, with
// Follow, for those that come. Bodies are decompressed where that is possible.
// With Follow it goes on through failures of brokers, and finds new queues
// within 30 s. It returns the error of fn, or with Follow that of ctx.
func (p *Puller) Tail(ctx context.Context, topic string, o TailOptions, fn func(*message.Received) error) error {
	queues, err := p.queues(ctx, topic, 0)
	if err != nil {
		return err
	}
	all := make([]*cursor, 0, len(queues))
	for _, q := range queues {
		c := &cursor{queue: q}
		if c.end, err = p.Max(ctx, q); err != nil {
			return err
		}
		if c.next, err = p.Min(ctx, q); err != nil {
			return err
		}
		switch {
		case !o.Since.IsZero():
			at, err := p.offset(ctx, q, func(ctx context.Context, c rpc.Caller, addr, topic string, queue int32) (int64, error) {
				return rpc.SearchOffset(ctx, c, addr, topic, queue, max(o.Since.UnixMilli(), 0))
			})
			if err != nil {
				return err
			}
			c.next = max(c.next, at)
		case !o.FromStart:
			c.next = max(c.next, c.end-int64(max(o.Last, 0)))
		}
		all = append(all, c)
	}
	if err := p.history(ctx, all, o, fn); err != nil || !o.Follow {
		return err
	}
	return p.follow(ctx, topic, all, fn)
}

// cursor is a place in a queue.
type cursor struct {
	queue  Queue
	next   int64 // offset of the next pull
	end    int64 // history goes up to here
	pulled []*message.Received
}

// fill pulls until the cursor has a message or its history is over.
func (c *cursor) fill(ctx context.Context, p *Puller) error {
	for len(c.pulled) == 0 && c.next < c.end {
		got, err := p.Pull(ctx, c.queue, c.next, int(min(tailPull, c.end-c.next)), false)
		if err != nil {
			return err
		}
		if got.Next <= c.next { // the queue was shortened or emptied
			c.end = c.next
			return nil
		}
		c.pulled, c.next = got.Messages, got.Next
	}
	return nil
}

// history shows what is there, merged by store time.
func (p *Puller) history(ctx context.Context, all []*cursor, o TailOptions, fn func(*message.Received) error) error {
	var last []*message.Received // with FromStart and Since unused
	for {
		var first *cursor
		for _, c := range all {
			if err := c.fill(ctx, p); err != nil {
				return err
			}
			if len(c.pulled) > 0 && (first == nil || c.pulled[0].StoreTime.Before(first.pulled[0].StoreTime)) {
				first = c
			}
		}
		if first == nil {
			break
		}
		m := first.pulled[0]
		first.pulled = first.pulled[1:]
		if m.StoreTime.UnixMilli() < o.Since.UnixMilli() { // brokers of 4.9 give the nearest
			continue
		}
		if !o.FromStart && o.Since.IsZero() {
			if last = append(last, m); len(last) > o.Last {
				last = last[1:]
			}
			continue
		}
		if err := p.show(m, fn); err != nil {
			return err
		}
	}
	for _, m := range last {
		if err := p.show(m, fn); err != nil {
			return err
		}
	}
	return nil
}

func (p *Puller) show(m *message.Received, fn func(*message.Received) error) error {
	if err := Decompress(m, MaxBody); err != nil {
		p.log.Warn("client: body shown as it is", "message", m.ID(), "err", err)
	}
	return fn(m)
}

// follower shows what comes.
type follower struct {
	*Puller
	group *lifecycle.Group
	fail  context.CancelCauseFunc

	mu sync.Mutex // fn is called under it
	fn func(*message.Received) error
}

func (p *Puller) follow(ctx context.Context, topic string, all []*cursor, fn func(*message.Received) error) error {
	shown, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	f := &follower{Puller: p, group: lifecycle.NewGroup(shown, p.log), fail: cancel, fn: fn}
	f.group.Go("new queues", func(ctx context.Context) error { return f.discover(ctx, topic, all) })
	for _, c := range all {
		f.group.Go(c.queue.String(), func(ctx context.Context) error { return f.read(ctx, c) })
	}
	if err := f.group.Wait(); err != nil {
		return err
	}
	if cause := context.Cause(shown); ctx.Err() == nil || !errors.Is(cause, context.Cause(ctx)) {
		return cause
	}
	return ended(ctx)
}

// read shows what comes to one queue.
func (f *follower) read(ctx context.Context, c *cursor) error {
	for {
		began := time.Now()
		got, err := f.Pull(ctx, c.queue, c.next, tailPull, true)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ErrClosed):
			f.fail(ErrClosed)
			return nil
		case err != nil:
			f.log.Warn("client: trying again", "queue", c.queue, "err", err)
			if !wait(ctx, tailRetry) {
				return nil
			}
			continue
		}
		if got.Next == c.next && time.Since(began) < quickPull {
			wait(ctx, quickPull) // a broker that does not hold pulls
		}
		c.next = got.Next
		for _, m := range got.Messages {
			if err := f.one(m); err != nil {
				f.fail(err)
				return nil
			}
		}
	}
}

func (f *follower) one(m *message.Received) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.show(m, f.fn)
}

// discover begins to read queues that the topic did not have before, from their
// first message.
func (f *follower) discover(ctx context.Context, topic string, all []*cursor) error {
	known := make(map[Queue]bool, len(all))
	for _, c := range all {
		known[c.queue] = true
	}
	for wait(ctx, routeAge) {
		queues, err := f.queues(ctx, topic, 0)
		if err != nil && ctx.Err() == nil {
			f.log.Warn("client: queues not looked up", "topic", topic, "err", err)
		}
		for _, q := range queues {
			if known[q] {
				continue
			}
			known[q] = true
			f.group.Go(q.String(), func(ctx context.Context) error { return f.read(ctx, &cursor{queue: q}) })
		}
	}
	return nil
}

// wait reports false when ctx ended first.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
