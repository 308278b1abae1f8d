// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"maps"
	"slices"

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
		c.running.Go(func() {
			steer(c.ctx, c.kick, c.rebalance(c.ctx), func(bool) bool { return c.rebalance(c.ctx) })
		})
	}
	if c.cfg.autoCommit > 0 {
		c.running.Go(c.commitRounds)
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
	for q, r := range c.readers {
		if s := subs[q.Topic]; s != nil && s.version != r.version {
			r.refilter(s)
		}
	}
	c.mu.Unlock()
	settled = true
	var share []Queue
	for topic := range subs {
		mine, err := c.shares.of(ctx, topic, routeAge)
		if err != nil {
			if ctx.Err() == nil {
				c.fail(topicItself(topic), err)
			}
			settled = false
			for _, q := range have {
				if q.Topic == topic {
					share = append(share, q)
				}
			}
			continue
		}
		share = append(share, mine...)
		c.mu.Lock()
		c.failed.clear(topicItself(topic))
		c.mu.Unlock()
	}
	if ctx.Err() != nil {
		return false
	}
	slices.SortFunc(share, cmpQueues)
	give, take := changes(have, share)
	if err := c.giveUp(give); err != nil {
		c.log.Warn("client: queues were given up without their offsets", "err", err)
	}
	for _, q := range take {
		c.take(q, subs[q.Topic])
	}
	return settled
}

// topicItself stands for what fails for a topic and not for one queue.
func topicItself(topic string) Queue { return Queue{Topic: topic, ID: anyQueue} }
