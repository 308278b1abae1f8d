// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// Commit stores, with the brokers, that everything is consumed that Polls have given.
// It waits for commits under way: none of them comes after it. The error joins those
// of all queues, and says so when a queue that Polls gave messages of is not the
// consumer's any more (ErrNotAssigned, once: the group gets them again), or when an
// offset was given to Seek that the broker has not been asked for. Commit may then be
// called again.
func (c *PullConsumer) Commit(ctx context.Context) error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return ErrClosed
	}
	var errs []error
	for _, q := range slices.SortedFunc(maps.Keys(c.missed), cmpQueues) {
		errs = append(errs, fmt.Errorf("client: not committed: %w: %s", ErrNotAssigned, q))
	}
	clear(c.missed)
	for _, q := range c.order {
		p := c.readers[q].pos
		p.done = p.at
		if p.sought {
			errs = append(errs, fmt.Errorf("client: not committed: whether %s has the offset %d is not known yet: poll first", q, p.at))
		}
	}
	all := slices.Collect(maps.Values(c.readers))
	c.mu.Unlock()
	return errors.Join(append(errs, each(all, func(r *reader) error { return r.store(ctx) }))...)
}

// each calls fn for readers, all at the same time: a broker that is silent does not
// hold up the others.
func each(readers []*reader, fn func(*reader) error) error {
	errs := make([]error, len(readers))
	var all sync.WaitGroup
	for i, r := range readers {
		all.Go(func() { errs[i] = fn(r) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// store commits what is due of a queue that is the consumer's, as soon as no other
// commit of it is under way: no older offset is stored after a newer one, and none
// over that of the group's next owner.
func (r *reader) store(ctx context.Context) error {
	if err := r.lock(ctx); err != nil {
		return err
	}
	defer r.unlock()
	r.c.mu.Lock()
	next, due := r.pos.due()
	mine, closed := r.c.readers[r.queue] == r, r.c.closed
	r.c.mu.Unlock()
	switch {
	case !due:
		return nil
	case mine:
		return r.send(ctx, next)
	case closed:
		return ErrClosed
	}
	return fmt.Errorf("client: not committed: %w: %s", ErrNotAssigned, r.queue)
}

// leave is the last commit of a queue, where there are any by themselves.
func (r *reader) leave(ctx context.Context) error {
	if err := r.lock(ctx); err != nil {
		return err
	}
	defer r.unlock()
	r.c.mu.Lock()
	next, due := r.pos.due()
	r.c.mu.Unlock()
	if !due || r.c.cfg.autoCommit <= 0 {
		return nil
	}
	return r.send(ctx, next)
}

// send stores an offset; r is locked.
func (r *reader) send(ctx context.Context, next int64) error {
	err := r.c.offsets.commit(ctx, r.queue, next, true)
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	if r.pos.stored = next; err != nil {
		r.pos.stored = -1
	}
	return err
}

// lock waits until no commit of the queue is under way.
func (r *reader) lock(ctx context.Context) error {
	select {
	case r.storing <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("client: committing in %s: the commit before is not answered: %w", r.queue, ended(ctx))
	}
}

func (r *reader) unlock() { <-r.storing }

// commitRounds commits what is due.
func (c *PullConsumer) commitRounds() {
	for wait(c.ctx, c.cfg.autoCommit) {
		c.mu.Lock()
		all := make([]*reader, 0, len(c.readers))
		for _, r := range c.readers {
			if _, due := r.pos.due(); due {
				all = append(all, r)
			}
		}
		c.mu.Unlock()
		if err := each(all, func(r *reader) error { return r.store(c.stores) }); err != nil && c.ctx.Err() == nil {
			c.log.Warn("client: offsets not committed, trying again", "err", err)
		}
	}
}

// giveUp ends with queues, with WithAutoCommit commits what is due of them, and waits
// for commits of them that are under way; c.turn is held.
func (c *PullConsumer) giveUp(queues []Queue) error {
	if len(queues) == 0 {
		return nil
	}
	all := make([]*reader, 0, len(queues))
	c.mu.Lock()
	for _, q := range queues {
		r := c.readers[q]
		r.cancel()
		all = append(all, r)
		delete(c.readers, q)
	}
	c.sortQueues()
	c.mu.Unlock()
	for _, r := range all {
		<-r.ended
	}
	ctx, cancel := context.WithTimeout(context.Background(), farewellTimeout)
	defer cancel()
	err := each(all, func(r *reader) error { return r.leave(ctx) })
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range all {
		c.failed.clear(r.queue)
		if r.pos.given > r.pos.stored {
			c.missed[r.queue] = true
		}
	}
	return err
}

// keepBeginning stores where the group begins in a queue, unless a seek has done
// otherwise, so that it is chosen only once.
func (r *reader) keepBeginning(ctx context.Context, next int64) {
	if r.lock(ctx) != nil {
		return // given up
	}
	defer r.unlock()
	r.c.mu.Lock()
	sought := r.pos.known
	r.c.mu.Unlock()
	if sought {
		return
	}
	if err := r.send(ctx, next); err != nil && ctx.Err() == nil {
		r.c.log.Warn("client: offset not stored", "err", err)
	}
}
