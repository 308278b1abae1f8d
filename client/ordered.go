// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"fmt"
	"maps"

	"github.com/twostage/twostage/internal/route"
	"github.com/twostage/twostage/message"
)

// SendOrdered sends a message to the queue that its key belongs to, so that an
// orderly consumer gets the messages of one key in the order in which they were
// stored. It tries once, and returns when the message is stored: who sends the
// messages of a key one after the other keeps their order. key becomes the
// message's sharding key.
//
// A key keeps its queue while the topic keeps its queues, and Java's
// SelectMessageQueueByHash finds the same one. For an order that holds while
// brokers are away the topic needs an order configuration. Errors are those of
// Send.
func (p *Producer) SendOrdered(ctx context.Context, key string, m *message.Message) (res *SendResult, err error) {
	if m.ShardingKey() != key {
		keyed := *m
		keyed.Properties = maps.Clone(m.Properties)
		keyed.SetShardingKey(key)
		m = &keyed
	}
	m, done := p.traced(ctx, m)
	res, err = p.sendTo(ctx, m, func(r *route.Snapshot) (Queue, error) {
		queues := r.WriteQueues()
		if len(queues) == 0 {
			return Queue{}, fmt.Errorf("%w: %q", ErrNotWritable, r.Topic())
		}
		q := queues[queueOf(key, len(queues))]
		return Queue{Topic: m.Topic, Broker: q.BrokerName, ID: q.QueueID}, nil
	})
	if done != nil {
		done(res, err)
	}
	return res, err
}

// queueOf is the index of a key's queue, as Java's SelectMessageQueueByHash has it.
func queueOf(key string, queues int) int {
	at := int(message.HashCode(key)) % queues
	if at < 0 {
		at = -at
	}
	return at
}
