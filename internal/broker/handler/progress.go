// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"maps"
	"slices"
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
	// Range calls fn with the offsets of each group in each topic, by queue.
	Range(fn func(group, topic string, queues map[int32]int64))
}

// ProgressGroups lists the consumer groups.
type ProgressGroups interface {
	All() (map[string]body.SubscriptionGroupConfig, body.DataVersion)
}

// Progress serves GET_CONSUME_STATS, how far a group has come in its topics, and
// GET_BROKER_CONSUME_STATS, how far all have.
type Progress struct {
	Log     QueueLog
	Topics  Topics
	Groups  ProgressGroups
	Subs    Subscriptions
	Offsets ProgressOffsets
	// PerSecond is how many messages a second a group was given of a topic lately.
	PerSecond func(group, topic string) float64
	Broker    string // its name
	Addr      string // host:port that clients know
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
		if t := p.topic(h.ConsumerGroup, name); t != nil {
			p.add(&res, h.ConsumerGroup, t, r.Version)
		}
	}
	succeedBody(r, &res)
}

// All serves GET_BROKER_CONSUME_STATS: each group with what Handle would say of each
// of its topics, or of those of ordered messages.
func (p *Progress) All(r *remoting.Request) {
	var h header.BrokerConsumeStatsRequest
	if !decode(r, &h) {
		return
	}
	groups, _ := p.Groups.All()
	topics := make(map[string][]string, len(groups))
	p.Offsets.Range(func(group, topic string, _ map[int32]int64) { topics[group] = append(topics[group], topic) })
	res := body.ConsumeStatsList{ConsumeStatsList: []map[string][]body.ConsumeStats{}, BrokerAddr: p.Addr}
	for _, group := range slices.Sorted(maps.Keys(groups)) {
		list := []body.ConsumeStats{}
		slices.Sort(topics[group])
		for _, name := range topics[group] {
			t := p.topic(group, name)
			if t == nil || h.Order && !t.Order {
				continue
			}
			one := body.ConsumeStats{OffsetTable: map[body.MessageQueue]body.OffsetWrapper{}}
			p.add(&one, group, t, r.Version)
			for _, w := range one.OffsetTable {
				res.TotalDiff += w.BrokerOffset - w.ConsumerOffset
			}
			list = append(list, one)
		}
		res.ConsumeStatsList = append(res.ConsumeStatsList, map[string][]body.ConsumeStats{group: list})
	}
	succeedBody(r, &res)
}

// topic is one whose queues count for a group, nil for others.
func (p *Progress) topic(group, name string) *body.TopicConfig {
	t, ok := p.Topics.Get(name)
	if !ok {
		return nil
	}
	if sub, online, _ := p.Subs.Subscription(group, name); online && sub == nil {
		return nil
	}
	return t
}

// add adds the queues of a topic.
func (p *Progress) add(res *body.ConsumeStats, group string, t *body.TopicConfig, version int32) {
	for id := range t.ReadQueueNums {
		w := p.queue(group, t.TopicName, id)
		if version >= wire.VersionV500 {
			w.PullOffset = w.ConsumerOffset
		}
		res.OffsetTable[body.MessageQueue{Topic: t.TopicName, BrokerName: p.Broker, QueueID: id}] = w
	}
	res.ConsumeTps += p.PerSecond(group, t.TopicName)
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
