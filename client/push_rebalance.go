// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

func cmpTopics(a, b string) int { return cmp.Compare(a, b) }

// changes tells what to give up and what to take to come from the queues that a
// member has to its share. Both are sorted.
func changes(have, share []Queue) (give, take []Queue) {
	in := make(map[Queue]bool, len(share))
	for _, q := range share {
		in[q] = true
	}
	for _, q := range have {
		if !in[q] {
			give = append(give, q)
		}
		in[q] = false
	}
	for q, missing := range in {
		if missing {
			take = append(take, q)
		}
	}
	slices.SortFunc(give, cmpQueues)
	slices.SortFunc(take, cmpQueues)
	return give, take
}

func cmpQueues(a, b Queue) int {
	return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Broker, b.Broker), cmp.Compare(a.ID, b.ID))
}

// rebalance works out the consumer's share, gives up what is not in it, and then
// takes what is. Of a topic whose share cannot be told everything stays. Routes are at
// most so old, if a name server answers. It reports whether the consumer has what it
// should.
func (c *PushConsumer) rebalance(ctx context.Context, age time.Duration) (settled bool) {
	c.turn.Lock()
	defer c.turn.Unlock()
	return c.rebalanceNow(ctx, age)
}

// rebalanceNow is rebalance; c.turn is held.
func (c *PushConsumer) rebalanceNow(ctx context.Context, age time.Duration) (settled bool) {
	settled = true
	var share []Queue
	kept := map[string]bool{} // topics that stay as they are
	subs := map[string]*subscription{}
	for _, s := range c.subscriptions() {
		subs[s.topic] = s
		queues, err := c.shares.of(ctx, s.topic, age)
		if err != nil {
			if !s.retry || !errors.Is(err, ErrNoRoute) {
				c.log.Warn("client: share of a topic not known", "topic", s.topic, "err", err)
			}
			settled, kept[s.topic] = false, true
		}
		share = append(share, queues...)
	}
	var have []Queue
	at := map[Queue]*assigned{}
	for _, a := range c.assignments() {
		switch {
		case subs[a.queue.Topic] != a.sub: // unsubscribed, or to be read anew
			a.stop()
			at[a.queue] = a
		case a.leaving.Load(): // slowly
			at[a.queue] = a
		case !kept[a.queue.Topic]:
			have, at[a.queue] = append(have, a.queue), a
		}
	}
	give, take := changes(have, share)
	for _, q := range give {
		at[q].stop()
	}
	patience, cancel := context.WithTimeout(ctx, handOver+c.link.cfg.timeout)
	defer cancel()
	for _, q := range append(give, take...) {
		if a := at[q]; a != nil && !a.left(patience) {
			settled = false
			take = slices.DeleteFunc(take, func(t Queue) bool { return t == q })
		}
	}
	return c.takeAll(ctx, take, subs) && settled
}

// left waits until the queue is given up, as long as ctx says; false when it is not.
func (a *assigned) left(ctx context.Context) bool {
	select {
	case <-a.gone:
		return true
	case <-ctx.Done():
	}
	select {
	case <-a.gone:
		return true
	default:
		return false
	}
}

// takeAll takes queues, of all brokers side by side; false when one could not be. Those
// of a broker that does not know the client, since it is silent, are not asked for.
func (c *PushConsumer) takeAll(ctx context.Context, take []Queue, subs map[string]*subscription) (all bool) {
	byBroker := map[string][]Queue{}
	var missing atomic.Bool
	for _, q := range take {
		addr, err := c.link.readAddr(ctx, q)
		if err != nil || !c.link.knows(addr) {
			c.shares.miss(time.Now(), q)
			missing.Store(true)
			continue
		}
		byBroker[addr] = append(byBroker[addr], q)
	}
	var brokers sync.WaitGroup
	for _, queues := range byBroker {
		brokers.Go(func() {
			if !c.takeOf(ctx, queues, subs) {
				missing.Store(true)
			}
		})
	}
	brokers.Wait()
	return !missing.Load()
}

// takeOf is takeAll for queues of one broker. One that does not answer is not asked for
// the rest.
func (c *PushConsumer) takeOf(ctx context.Context, take []Queue, subs map[string]*subscription) (all bool) {
	all = true
	granted := map[Queue]time.Time{}
	if c.locks() {
		granted = c.lock(ctx, take)
		maps.DeleteFunc(granted, func(_ Queue, at time.Time) bool { return at.IsZero() })
	}
	for i, q := range take {
		locked, ok := granted[q]
		if c.locks() && !ok {
			all = false // another member has not given it up yet, or nobody knows
			c.shares.miss(time.Now(), q)
			continue
		}
		next, told, err := c.beginning(ctx, q)
		if err == nil && c.keep(q, subs[q.Topic], next, told, locked) {
			delete(granted, q)
			continue
		}
		all = false
		c.shares.miss(time.Now(), q)
		if err != nil && ctx.Err() == nil {
			c.log.Warn("client: queue not taken", "queue", q, "err", err)
		}
		if _, answered := errors.AsType[*AnswerError](err); !answered {
			c.shares.miss(time.Now(), take[i+1:]...)
			break
		}
	}
	if ctx.Err() != nil || c.open.Err() != nil { // else they are taken soon
		c.unlock(slices.Collect(maps.Keys(granted))...)
	}
	return all
}

// beginning is the offset from which on a queue is consumed: the stored one, or
// that of WithStart, which is stored then, so that it is chosen only once.
func (c *PushConsumer) beginning(ctx context.Context, q Queue) (next, told int64, err error) {
	next, ok, err := c.kept.stored(ctx, q)
	if err != nil || ok {
		return next, next, err
	}
	if next, err = c.shares.beginning(ctx, q); err != nil {
		return 0, 0, err
	}
	if err := c.kept.commit(ctx, q, next, true); err != nil {
		c.log.Warn("client: offset not stored", "err", err)
		return next, -1, nil
	}
	return next, next, nil
}
