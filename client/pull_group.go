// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
)

// sortQueues sets order; c.mu is held.
func (c *PullConsumer) sortQueues() {
	c.order = slices.SortedFunc(maps.Keys(c.readers), cmpQueues)
}

// wake has the queues shared out soon.
func (c *PullConsumer) wake() {
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

// routes serves what brokers ask: that the group has changed.
func (c *PullConsumer) routes() func(code int32) (remoting.Route, bool) {
	changed := remoting.Route{Handler: func(r *remoting.Request) {
		var h header.ConsumerIDsChangedRequest
		if err := h.DecodeExt(r.Ext); err == nil && h.ConsumerGroup == c.group {
			c.wake()
		}
	}}
	return func(code int32) (remoting.Route, bool) { return changed, code == wire.ReqNotifyConsumerIDsChanged }
}

func (c *PullConsumer) heartbeat() *body.HeartbeatData {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := body.ConsumerData{
		GroupName: c.group, ConsumeType: body.ConsumeActively, MessageModel: body.Clustering, ConsumeFromWhere: c.cfg.start.where,
		SubscriptionDataSet: []body.SubscriptionData{},
	}
	for topic, s := range c.subs {
		d.SubscriptionDataSet = append(d.SubscriptionDataSet, s.filter.data(topic, s.version))
	}
	return &body.HeartbeatData{ClientID: c.link.id, ProducerDataSet: []body.ProducerData{}, ConsumerDataSet: []body.ConsumerData{d}}
}

// rounds begins what is done from time to time.
func (c *PullConsumer) rounds() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.link.begin()
	if !c.manual {
		c.running.Go(c.steer)
	}
	if c.cfg.autoCommit > 0 {
		c.running.Go(c.commitRounds)
	}
}

// commitRounds commits what is due.
func (c *PullConsumer) commitRounds() {
	for wait(c.ctx, c.cfg.autoCommit) {
		due := map[Queue]int64{}
		c.mu.Lock()
		for q, r := range c.readers {
			if next, ok := r.pos.due(); ok {
				due[q] = next
			}
		}
		c.mu.Unlock()
		if err := c.commit(c.ctx, due); err != nil && c.ctx.Err() == nil {
			c.log.Warn("client: offsets not committed, trying again", "err", err)
		}
	}
}

// steer shares queues out every 20 s, when a broker says that the group has changed,
// and sooner while that fails.
func (c *PullConsumer) steer() {
	for c.ctx.Err() == nil {
		period := rebalancePeriod
		if !c.rebalance(c.ctx) {
			period = retryPeriod
		}
		t := time.NewTimer(period)
		select {
		case <-t.C:
		case <-c.kick:
		case <-c.ctx.Done():
		}
		t.Stop()
	}
}

// rebalance gives up what is not in the consumer's share, and then takes what is. Of
// a topic whose share can't be told everything stays; then it is false.
func (c *PullConsumer) rebalance(ctx context.Context) (settled bool) {
	c.turn.Lock()
	defer c.turn.Unlock()
	c.mu.Lock()
	subs := maps.Clone(c.subs)
	have := slices.Clone(c.order)
	stale := map[Queue]bool{} // read by another filter than subscribed
	for q, r := range c.readers {
		if s := subs[q.Topic]; s == nil || s.version != r.version {
			stale[q] = true
		}
	}
	c.mu.Unlock()
	settled = true
	var share []Queue
	for topic, s := range subs {
		mine, err := c.share(ctx, topic, s)
		if err != nil {
			if ctx.Err() == nil {
				c.fail(Queue{Topic: topic}, err)
			}
			settled = false
			for _, q := range have {
				if q.Topic == topic && !stale[q] {
					share = append(share, q)
				}
			}
			continue
		}
		share = append(share, mine...)
	}
	if ctx.Err() != nil {
		return false
	}
	slices.SortFunc(share, cmpQueues)
	give, take := changes(slices.DeleteFunc(slices.Clone(have), func(q Queue) bool { return stale[q] }), share)
	for q := range stale {
		give = append(give, q)
	}
	c.giveUp(give)
	for _, q := range take {
		s := subs[q.Topic]
		c.take(q, s.filter, s.version, !s.known[q])
	}
	return settled
}

// share is the consumer's queues of a topic.
func (c *PullConsumer) share(ctx context.Context, topic string, s *pullSubscription) ([]Queue, error) {
	r, err := c.link.route(ctx, topic, false, false)
	if err != nil {
		return nil, err
	}
	all, err := c.Queues(ctx, topic)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, cmpQueues)
	if s.known == nil {
		s.known = make(map[Queue]bool, len(all))
		for _, q := range all {
			s.known[q] = true
		}
	}
	members, err := c.link.members(ctx, r, c.group)
	if err != nil {
		return nil, err
	}
	share := slices.Clone(c.cfg.allocation(all, members, c.link.id))
	return slices.DeleteFunc(share, func(q Queue) bool { return !slices.Contains(all, q) }), nil
}
