// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"github.com/twostage/twostage/internal/broker/stats"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
)

// Counters tells what was counted.
type Counters interface {
	View(name, key string) (stats.View, error)
	TopicPerSecond(topic string) float64
}

// Stats serves the requests for what a broker has counted: GET_BROKER_RUNTIME_INFO,
// GET_TOPIC_STATS_INFO and VIEW_BROKER_STATS_DATA.
type Stats struct {
	Log      QueueLog
	Topics   Topics
	Counters Counters
	Runtime  func() map[string]string // the broker's figures
	Broker   string                   // its name
}

// RuntimeInfo serves GET_BROKER_RUNTIME_INFO.
func (s *Stats) RuntimeInfo(r *remoting.Request) {
	succeedBody(r, &body.KVTable{Table: s.Runtime()})
}

// Topic serves GET_TOPIC_STATS_INFO: the ends of a topic's queues, those that can be
// read as well as those that can be written.
func (s *Stats) Topic(r *remoting.Request) {
	var h header.TopicRequest
	if !decode(r, &h) {
		return
	}
	t, ok := s.Topics.Get(h.Topic)
	if !ok {
		fail(r, wire.TopicNotExist, "topic[%s] not exist", h.Topic)
		return
	}
	res := body.TopicStatsTable{OffsetTable: map[body.MessageQueue]body.TopicOffset{}}
	if r.Version >= wire.VersionV500 {
		res.TopicPutTps = s.Counters.TopicPerSecond(t.TopicName)
	}
	for id := range max(t.ReadQueueNums, t.WriteQueueNums) {
		res.OffsetTable[body.MessageQueue{Topic: t.TopicName, BrokerName: s.Broker, QueueID: id}] = s.ends(t.TopicName, id)
	}
	succeedBody(r, &res)
}

// ends are those of a queue. The time is that of its last message, 0 where that is
// gone.
func (s *Stats) ends(topic string, id int32) (o body.TopicOffset) {
	q := s.Log.LookupQueue(topic, id)
	if q == nil {
		return o
	}
	o.MinOffset, o.MaxOffset = q.Min(), q.Max()
	if o.MaxOffset > o.MinOffset {
		if at, err := s.Log.StoreTimeAt(q, o.MaxOffset-1); err == nil {
			o.LastUpdateTimestamp = max(at, 0)
		}
	}
	return o
}

// Counter serves VIEW_BROKER_STATS_DATA: one counter by name and key.
func (s *Stats) Counter(r *remoting.Request) {
	var h header.BrokerStatsRequest
	if !decode(r, &h) {
		return
	}
	v, err := s.Counters.View(h.StatsName, h.StatsKey)
	if err != nil {
		fail(r, wire.SystemError, "%s", err)
		return
	}
	item := func(s stats.Span) body.BrokerStatsItem {
		return body.BrokerStatsItem{Sum: s.Sum, Tps: s.PerSecond, Avgpt: s.Average}
	}
	succeedBody(r, &body.BrokerStatsData{StatsMinute: item(v.Minute), StatsHour: item(v.Hour), StatsDay: item(v.Day)})
}
