// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"slices"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
)

// Subscribers are the consumers that are online.
type Subscribers interface {
	Subscriptions
	Subscribers(topic string) []string // their groups
}

// ConsumptionLog is what telling who consumes what needs of the store.
type ConsumptionLog interface {
	QueueLog
	Entries(dst []store.Entry, q *store.Queue, from int64, n int) ([]store.Entry, error)
}

// ConsumedOffsets is what it needs of the consumer offsets.
type ConsumedOffsets interface {
	Query(group, topic string, queue int32) (int64, bool)
	Topics(group string) []string
	Groups(topic string) []string
}

// Consumption serves what operators ask about who consumes what, and where the queues
// are: 300, 303, 321, 343 and 345.
type Consumption struct {
	Log       ConsumptionLog
	Topics    Topics
	Subs      Subscribers
	Offsets   ConsumedOffsets
	NowMillis func() int64
	Broker    string // its name
	Address   string // as advertised
}

// Groups serves QUERY_TOPIC_CONSUME_BY_WHO: the groups that are online for a topic, and
// those that have offsets in it.
func (c *Consumption) Groups(r *remoting.Request) {
	var h header.TopicRequest
	if !decode(r, &h) {
		return
	}
	groups := slices.Concat(c.Subs.Subscribers(h.Topic), c.Offsets.Groups(h.Topic))
	slices.Sort(groups)
	succeedBody(r, &body.GroupList{GroupList: slices.Compact(groups)})
}

// GroupTopics serves QUERY_TOPICS_BY_CONSUMER: the topics in which a group has offsets.
func (c *Consumption) GroupTopics(r *remoting.Request) {
	var h header.GroupRequest
	if !decode(r, &h) {
		return
	}
	topics := slices.Sorted(slices.Values(c.Offsets.Topics(h.Group)))
	succeedBody(r, &body.TopicList{TopicList: topics, BrokerAddr: c.Address})
}

// Subscription serves QUERY_SUBSCRIPTION_BY_CONSUMER. A group that is offline has none.
func (c *Consumption) Subscription(r *remoting.Request) {
	var h header.SubscriptionRequest
	if !decode(r, &h) {
		return
	}
	sub, _, _ := c.Subs.Subscription(h.Group, h.Topic)
	succeedBody(r, &body.QuerySubscriptionResponseBody{Group: h.Group, Topic: h.Topic, SubscriptionData: sub})
}

// TimeSpan serves QUERY_CONSUME_TIME_SPAN: for each queue that is written to, when its
// first and last message were stored and the last one that the group consumed, -1
// where there is none; and how long ago the next one was.
func (c *Consumption) TimeSpan(r *remoting.Request) {
	var h header.ConsumeTimeSpanRequest
	if !decode(r, &h) {
		return
	}
	t, ok := c.Topics.Get(h.Topic)
	if !ok {
		fail(r, wire.TopicNotExist, "topic[%s] not exist", h.Topic)
		return
	}
	var res body.QueryConsumeTimeSpanBody
	for id := range t.WriteQueueNums {
		span := c.span(h.Group, h.Topic, id)
		span.MessageQueue = &body.MessageQueue{Topic: h.Topic, BrokerName: c.Broker, QueueID: id}
		res.ConsumeTimeSpanSet = append(res.ConsumeTimeSpanSet, span)
	}
	succeedBody(r, &res)
}

// span is that of one queue.
func (c *Consumption) span(group, topic string, id int32) body.QueueTimeSpan {
	q := c.Log.LookupQueue(topic, id)
	if q == nil {
		return body.QueueTimeSpan{MinTimeStamp: -1, MaxTimeStamp: -1, ConsumeTimeStamp: -1}
	}
	at := func(offset int64) int64 {
		if ts, err := c.Log.StoreTimeAt(q, offset); err == nil {
			return ts
		}
		return -1
	}
	first, next := q.Min(), q.Max()
	span := body.QueueTimeSpan{MinTimeStamp: at(first), MaxTimeStamp: at(next - 1)}
	span.ConsumeTimeStamp = span.MinTimeStamp
	consumed, _ := c.Offsets.Query(group, topic, id)
	if consumed > 0 {
		span.ConsumeTimeStamp = at(consumed - 1)
	}
	if ts := at(max(consumed, first)); ts >= 0 {
		span.DelayTime = max(c.NowMillis()-ts, 0)
	}
	return span
}

// maxEntries is how many entries of a queue one answer has.
const maxEntries = 10_000

// Entries serves QUERY_CONSUME_QUEUE: entries of a queue as they stand on disk. As in
// RocketMQ it is a success without entries where there are none; the remark says so.
// An entry whose record is gone has the size 0.
func (c *Consumption) Entries(r *remoting.Request) {
	var h header.ConsumeQueueRequest
	if !decode(r, &h) {
		return
	}
	q := c.Log.LookupQueue(h.Topic, h.QueueID)
	if q == nil {
		fail(r, wire.SystemError, "%d@%s is not exist!", h.QueueID, h.Topic)
		return
	}
	res := body.QueryConsumeQueueResponseBody{MinQueueIndex: q.Min(), MaxQueueIndex: q.Max()}
	if h.ConsumerGroup != "" {
		if res.SubscriptionData, _, _ = c.Subs.Subscription(h.ConsumerGroup, h.Topic); res.SubscriptionData == nil {
			res.FilterData = h.ConsumerGroup + "@" + h.Topic + " is not online!"
		}
	}
	answer := &wire.Response{Code: wire.Success}
	if h.Index < res.MinQueueIndex || h.Index >= res.MaxQueueIndex {
		answer.Remark = "Index " + itoa(h.Index) + " of " + itoa(int64(h.QueueID)) + "@" + h.Topic + " is not exist!"
	} else {
		entries, err := c.Log.Entries(nil, q, h.Index, int(min(max(h.Count, 0), maxEntries)))
		if err != nil {
			fail(r, wire.SystemError, "the entries of %d@%s can't be read: %s", h.QueueID, h.Topic, err)
			return
		}
		for _, e := range entries {
			res.QueueData = append(res.QueueData, body.ConsumeQueueData{PhysicOffset: e.PhysicalOffset, PhysicSize: e.Size, TagsCode: e.TagsCode})
		}
	}
	answer.Body = body.Marshal(&res)
	r.Reply(answer)
}
