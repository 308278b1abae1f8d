// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"strconv"
	"strings"

	"github.com/twostage/twostage/internal/broker/stats"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
)

// Counters tells what was counted.
type Counters interface {
	View(name, key string) (stats.View, error)
	TopicPerSecond(topic string) float64
}

// StatsLog is what the requests for statistics need of the store.
type StatsLog interface {
	QueueLog
	Entries(dst []store.Entry, q *store.Queue, from int64, n int) ([]store.Entry, error)
	MaxPhysical() int64
}

// Stats serves the requests for what a broker has counted: GET_BROKER_RUNTIME_INFO,
// GET_TOPIC_STATS_INFO and VIEW_BROKER_STATS_DATA.
type Stats struct {
	Log      StatsLog
	Topics   Topics
	Counters Counters
	Offsets  interface {
		Query(group, topic string, queue int32) (int64, bool)
	}
	Runtime   func() map[string]string // the broker's figures
	Broker    string                   // its name
	NowMillis func() int64
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
	if strings.HasPrefix(h.StatsName, "GROUP_GET_FALL_") {
		s.fallBehind(r, &h)
		return
	}
	v, err := s.Counters.View(h.StatsName, h.StatsKey)
	if err != nil {
		fail(r, wire.SystemError, "The %s", err) // as RocketMQ's remark begins
		return
	}
	item := func(s stats.Span) body.BrokerStatsItem {
		return body.BrokerStatsItem{Sum: s.Sum, Tps: s.PerSecond, Avgpt: s.Average}
	}
	succeedBody(r, &body.BrokerStatsData{StatsMinute: item(v.Minute), StatsHour: item(v.Hour), StatsDay: item(v.Day)})
}

// fallBehind answers how far a group is behind in a queue, as queue@topic@group, in
// bytes of the log or in milliseconds. RocketMQ notes that at each pull that reads
// from the disk; here it is of now, in every window.
func (s *Stats) fallBehind(r *remoting.Request, h *header.BrokerStatsRequest) {
	id, rest, _ := strings.Cut(h.StatsKey, "@")
	topic, group, _ := strings.Cut(rest, "@")
	queue, err := strconv.ParseInt(id, 10, 32)
	offset, there := s.Offsets.Query(group, topic, int32(queue))
	q := s.Log.LookupQueue(topic, int32(queue))
	if err != nil || !there || q == nil || h.StatsName != "GROUP_GET_FALL_SIZE" && h.StatsName != "GROUP_GET_FALL_TIME" {
		fail(r, wire.SystemError, "The stats <%s> <%s> not exist: GROUP_GET_FALL_SIZE and GROUP_GET_FALL_TIME are by queue@topic@group, of groups that have an offset there",
			h.StatsName, h.StatsKey)
		return
	}
	var item body.BrokerStatsItem
	if offset = max(offset, q.Min()); offset < q.Max() {
		if item.Sum, err = s.behind(q, offset, h.StatsName == "GROUP_GET_FALL_TIME"); err != nil {
			fail(r, wire.SystemError, "%s", err)
			return
		}
	}
	succeedBody(r, &body.BrokerStatsData{StatsMinute: item, StatsHour: item, StatsDay: item})
}

// behind is how far the end of the log is from an entry of a queue, or now from its
// store time.
func (s *Stats) behind(q *store.Queue, offset int64, inTime bool) (int64, error) {
	if inTime {
		at, err := s.Log.StoreTimeAt(q, offset)
		return max(s.NowMillis()-at, 0), err
	}
	entries, err := s.Log.Entries(nil, q, offset, 1)
	if err == nil && (len(entries) == 0 || entries[0].Size == 0) {
		err = store.ErrNotFound
	}
	if err != nil {
		return 0, err
	}
	return max(s.Log.MaxPhysical()-entries[0].PhysicalOffset, 0), nil
}
