// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twostage/twostage/internal/route"
	"github.com/twostage/twostage/internal/rpc"
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

// steer rebalances every 20 s, when a broker says that the group has changed, and
// soon again while something is amiss.
func (c *PushConsumer) steer(ctx context.Context, settled bool) error {
	period := rebalancePeriod
	for {
		switch {
		case settled:
			period = rebalancePeriod
		case period == rebalancePeriod:
			period = retryPeriod
		default:
			period = min(2*period, rebalancePeriod)
		}
		t := time.NewTimer(period)
		select {
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-t.C:
			settled = c.rebalance(ctx, 0)
		case <-c.kick:
			t.Stop()
			settled = c.rebalance(ctx, routeAge)
		}
	}
}

// rebalance works out the consumer's share, gives up what is not in it, and then
// takes what is. Of a topic whose share cannot be told everything stays. Routes are at
// most so old, if a name server answers. It reports whether the consumer has what it
// should.
func (c *PushConsumer) rebalance(ctx context.Context, age time.Duration) (settled bool) {
	c.turn.Lock()
	defer c.turn.Unlock()
	settled = true
	var share []Queue
	kept := map[string]bool{} // topics that stay as they are
	subs := map[string]*subscription{}
	for _, s := range c.subscriptions() {
		subs[s.topic] = s
		queues, err := c.share(ctx, s, age)
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
	for _, q := range append(give, take...) {
		if a := at[q]; a != nil && !c.left(ctx, a) {
			settled = false
			take = slices.DeleteFunc(take, func(t Queue) bool { return t == q })
		}
	}
	return c.takeAll(ctx, take, subs) && settled
}

// left waits a while until a queue is given up.
func (c *PushConsumer) left(ctx context.Context, a *assigned) bool {
	t := time.NewTimer(handOver + c.link.cfg.timeout)
	defer t.Stop()
	select {
	case <-a.gone:
		return true
	case <-ctx.Done():
	case <-t.C:
	}
	return false
}

// share gives the consumer's queues of a topic by a route that is at most so old.
func (c *PushConsumer) share(ctx context.Context, s *subscription, age time.Duration) ([]Queue, error) {
	r, err := c.link.routeSince(ctx, s.topic, time.Now().Add(-age), false)
	if err != nil {
		if errors.Is(err, ErrNoRoute) && s.known == nil {
			s.known = map[Queue]bool{} // whatever queues it gets are young
		}
		return nil, err
	}
	s.found.Store(true)
	all := make([]Queue, 0, len(r.ReadQueues()))
	for _, q := range r.ReadQueues() {
		all = append(all, Queue{Topic: s.topic, Broker: q.BrokerName, ID: q.QueueID})
	}
	slices.SortFunc(all, cmpQueues)
	if s.known == nil {
		s.known = make(map[Queue]bool, len(all))
		for _, q := range all {
			s.known[q] = true
		}
	}
	if c.cfg.broadcast {
		return all, nil
	}
	members, err := c.link.members(ctx, r, c.group)
	if err != nil {
		return nil, err
	}
	share := slices.Clone(c.cfg.allocation(all, members, c.link.id))
	return slices.DeleteFunc(share, func(q Queue) bool { return !slices.Contains(all, q) }), nil
}

// members are the client ids of a group as a broker of a topic knows them, sorted.
// The client is one of them.
func (l *link) members(ctx context.Context, r *route.Snapshot, group string) ([]string, error) {
	var errs []error
	for _, b := range r.Brokers() {
		addr, _, ok := r.ReadAddr(b.Name, 0)
		if !ok {
			continue
		}
		all, err := l.membersAt(ctx, addr, group)
		switch {
		case err == nil && slices.Contains(all, l.id):
			slices.Sort(all)
			return slices.Compact(all), nil
		case err == nil:
			l.forgetGreetings()
			err = fmt.Errorf("client: broker %s does not have this client in its group", addr)
		}
		errs = append(errs, err)
	}
	if errs == nil {
		return nil, fmt.Errorf("%w: %q has no broker", ErrNotReadable, r.Topic())
	}
	return nil, errors.Join(errs...)
}

func (l *link) membersAt(ctx context.Context, addr, group string) ([]string, error) {
	ctx, cancel := l.request(ctx)
	defer cancel()
	conn, err := l.greetedConn(ctx, addr)
	if err != nil {
		return nil, public(err)
	}
	all, err := rpc.ConsumerList(ctx, connCaller{conn}, addr, group)
	return all, public(err)
}

// takeAll takes queues; false when one could not be.
func (c *PushConsumer) takeAll(ctx context.Context, take []Queue, subs map[string]*subscription) (all bool) {
	all = true
	granted := map[Queue]time.Time{}
	if c.locks() && len(take) > 0 {
		granted = c.lock(ctx, take)
	}
	for _, q := range take {
		locked := granted[q]
		if c.locks() && locked.IsZero() {
			all = false // another member has not given it up yet
			continue
		}
		next, told, err := c.beginning(ctx, subs[q.Topic], q)
		if err != nil {
			if ctx.Err() == nil {
				c.log.Warn("client: queue not taken", "queue", q, "err", err)
			}
			all = false
			continue
		}
		c.keep(q, subs[q.Topic], next, told, locked)
	}
	return all
}

// beginning is the offset from which on a queue is consumed: the stored one, or
// that of WithStart, which is stored then, so that it is chosen only once.
func (c *PushConsumer) beginning(ctx context.Context, s *subscription, q Queue) (next, told int64, err error) {
	next, ok, err := c.kept.stored(ctx, q)
	if err != nil || ok {
		return next, next, err
	}
	if next, err = c.link.beginAt(ctx, q, c.cfg.start, !s.known[q]); err != nil {
		return 0, 0, err
	}
	if err := c.kept.commit(ctx, q, next, true); err != nil {
		c.log.Warn("client: offset not stored", "err", err)
		return next, -1, nil
	}
	return next, next, nil
}
