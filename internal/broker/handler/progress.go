// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"strings"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
)

// ProgressOffsets is what telling a group's progress needs of the consumer
// offsets.
type ProgressOffsets interface {
	Query(group, topic string, queue int32) (int64, bool)
	Topics(group string) []string
}

// Progress serves GET_CONSUME_STATS: how far a group has come in its topics.
type Progress struct {
	Log     QueueLog
	Topics  Topics
	Subs    Subscriptions
	Offsets ProgressOffsets
	// PerSecond is how many messages a second a group was given of a topic lately.
	PerSecond func(group, topic string) float64
	Broker    string // its name
}

// Handle serves one request. As in RocketMQ, topics that a group which is online
// does not subscribe to any more are left out, and so are those that are gone.
func (p *Progress) Handle(r *remoting.Request) {
	var h header.ConsumeStatsRequest
	if !decode(r, &h) {
		return
	}
	res := body.ConsumeStats{OffsetTable: map[body.MessageQueue]body.OffsetWrapper{}}
	for _, name := range p.topics(&h) {
		t, ok := p.Topics.Get(name)
		if !ok {
			continue
		}
		if sub, online, _ := p.Subs.Subscription(h.ConsumerGroup, name); online && sub == nil {
			continue
		}
		for id := range t.ReadQueueNums {
			w := p.queue(h.ConsumerGroup, name, id)
			if r.Version >= wire.VersionV500 {
				w.PullOffset = w.ConsumerOffset
			}
			res.OffsetTable[body.MessageQueue{Topic: name, BrokerName: p.Broker, QueueID: id}] = w
		}
		res.ConsumeTps += p.PerSecond(h.ConsumerGroup, name)
	}
	succeedBody(r, &res)
}

// topics are those that the request asks for.
func (p *Progress) topics(h *header.ConsumeStatsRequest) []string {
	switch {
	case strings.Trim(h.TopicList, "; ") != "":
		return strings.FieldsFunc(h.TopicList, func(c rune) bool { return c == ';' || c == ' ' })
	case strings.TrimSpace(h.Topic) != "":
		return []string{h.Topic}
	}
	return p.Offsets.Topics(h.ConsumerGroup)
}

// queue is a group's place in a queue. The time is that of the last message that
// it has consumed, 0 where that is gone.
func (p *Progress) queue(group, topic string, id int32) (w body.OffsetWrapper) {
	w.ConsumerOffset, _ = p.Offsets.Query(group, topic, id)
	q := p.Log.LookupQueue(topic, id)
	if q == nil {
		return w
	}
	w.BrokerOffset = q.Max()
	if w.ConsumerOffset > q.Min() {
		if at, err := p.Log.StoreTimeAt(q, w.ConsumerOffset-1); err == nil {
			w.LastTimestamp = max(at, 0)
		}
	}
	return w
}
