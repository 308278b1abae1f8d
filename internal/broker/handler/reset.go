// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"fmt"
	"log/slog"

	"github.com/twostage/twostage/internal/broker/offset"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/session"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// versionTakesReset is V3_0_7_SNAPSHOT, from which clients take
// RESET_CONSUMER_CLIENT_OFFSET and GET_CONSUMER_STATUS_FROM_CLIENT.
const versionTakesReset = 28

// ResetOffsets is what resetting needs of the consumer offsets.
type ResetOffsets interface {
	Query(group, topic string, queue int32) (int64, bool)
	Reset(group, topic string, queue int32, offset int64) error
}

// Putter sets offsets of a group, by topic and queue, with set for each, so that
// pops do not move them back, and makes them last.
type Putter interface {
	Put(group string, offsets map[string]map[int32]int64, set func(group, topic string, queue int32, offset int64) error) error
}

// ConsumerGroups are the consumer groups that are online.
type ConsumerGroups interface {
	Consumers(group string) (session.Group, bool)
}

// KnownGroups finds the configuration of consumer groups, and makes none.
type KnownGroups interface {
	Get(name string) (*body.SubscriptionGroupConfig, bool)
}

// Reset serves INVOKE_BROKER_TO_RESET_OFFSET: to a time, to the end (timestamp
// -1) or to an offset, of one queue or of all.
//
// As brokers of 5.x (useServerSideResetOffset) the broker sets the offsets itself, whether the
// group is online or not, and its consumers learn of it with their next pull. As
// brokers of 4.9 it tells the consumers, who commit; consumers that broadcast, of
// which each has its own offsets, are told in any case.
type Reset struct {
	Log     QueueLog
	Topics  Topics
	Groups  KnownGroups
	Online  ConsumerGroups
	Offsets ResetOffsets
	Pops    Putter
	// LetGo ends the holds of pulls at queues of a topic.
	LetGo    func(topic string, queues map[int32]int64)
	Settings Settings
	Broker   string // its name
	Logger   *slog.Logger
}

// Handle serves one reset. What it answers is on disk, where the broker sets it.
func (s *Reset) Handle(r *remoting.Request) {
	var h header.ResetOffsetRequest
	if !decode(r, &h) {
		return
	}
	t, ok := s.Topics.Get(h.Topic)
	switch {
	case !ok:
		fail(r, wire.TopicNotExist, "[reset-offset] reset offset failed, no topic in this broker. topic=%s", h.Topic)
		return
	case h.Group == message.GroupTransCheck:
		fail(r, wire.NoPermission, "the offsets of group %s are the broker's own: nothing was reset", h.Group)
		return
	case h.HasQueueID && h.QueueID >= t.ReadQueueNums:
		fail(r, wire.SystemError, "queueId[%d] is illegal, topic:[%s] topicConfig.readQueueNums:[%d]", h.QueueID, h.Topic, t.ReadQueueNums)
		return
	}
	g, _ := s.Online.Consumers(h.Group)
	if s.Settings().Groups.ServerSideReset && g.Info.MessageModel != body.Broadcasting {
		s.here(r, &h, t)
		return
	}
	s.atConsumers(r, &h, t, g)
}

// here sets the offsets.
func (s *Reset) here(r *remoting.Request, h *header.ResetOffsetRequest, t *body.TopicConfig) {
	if _, ok := s.Groups.Get(h.Group); !ok {
		fail(r, wire.SubscriptionGroupNotExist, "Group %s does not exist", h.Group)
		return
	}
	queues, err := s.targets(r, h, t)
	if err != nil {
		fail(r, wire.SystemError, "%s", err)
		return
	}
	err = s.Pops.Put(h.Group, map[string]map[int32]int64{h.Topic: queues}, s.Offsets.Reset)
	s.LetGo(h.Topic, queues)
	if err != nil {
		fail(r, wire.SystemError, "not all offsets of group %s in topic %s were reset: %s; reset them again", h.Group, h.Topic, err)
		return
	}
	s.Logger.Info("consumer offsets were reset", "group", h.Group, "topic", h.Topic, "offsets", queues, "by", r.Conn.RemoteAddr(), "request", r.ID())
	succeedBody(r, s.body(h.Topic, queues))
}

// atConsumers has the consumers of an online group reset themselves.
func (s *Reset) atConsumers(r *remoting.Request, h *header.ResetOffsetRequest, t *body.TopicConfig, g session.Group) {
	if len(g.Clients) == 0 {
		fail(r, wire.ConsumerNotOnline, "Consumer not online, so can not reset offset, Group: %s Topic: %s Timestamp: %d", h.Group, h.Topic, h.Timestamp)
		return
	}
	for _, c := range g.Clients {
		if c.Version < versionTakesReset {
			fail(r, wire.SystemError, "the client does not support this feature. version=%d, client %s: nothing was reset", c.Version, c.ID)
			return
		}
	}
	queues, err := s.targets(r, h, t)
	if err != nil {
		fail(r, wire.SystemError, "%s", err)
		return
	}
	req := wire.Request{Code: wire.ReqResetConsumerClientOffset, OneWay: true,
		Header: &header.ResetOffsetRequest{Topic: h.Topic, Group: h.Group, Timestamp: h.Timestamp}}
	table := body.Marshal(s.body(h.Topic, queues))
	list := body.Marshal(s.list(h.Topic, queues))
	told := 0
	for _, c := range g.Clients {
		if req.Body = table; r.Language == wire.LanguageCPP || c.Language == wire.LanguageCPP {
			req.Body = list
		}
		if err = c.Conn.Push(&req); err != nil {
			s.Logger.Warn("a consumer was not told that its offsets are reset", "group", h.Group, "topic", h.Topic, "client", c.ID, "error", err)
			continue
		}
		told++
	}
	if told < len(g.Clients) {
		fail(r, wire.SystemError, "%d of the %d consumers of group %s were not told to reset (the last: %s): reset again", len(g.Clients)-told, len(g.Clients), h.Group, err)
		return
	}
	s.Logger.Info("consumers were told to reset their offsets", "group", h.Group, "topic", h.Topic, "offsets", queues, "by", r.Conn.RemoteAddr(), "request", r.ID())
	r.Reply(&wire.Response{Code: wire.Success, Body: table})
}

// targets are the offsets to go to. Without force no queue goes forward: that would
// pass over messages. An offset that is named is taken as it is.
func (s *Reset) targets(r *remoting.Request, h *header.ResetOffsetRequest, t *body.TopicConfig) (map[int32]int64, error) {
	first, last := int32(0), t.ReadQueueNums-1
	if h.HasQueueID && h.QueueID >= 0 {
		first, last = h.QueueID, h.QueueID
		if h.HasOffset && h.Offset != -1 {
			return s.named(h)
		}
	}
	queues := make(map[int32]int64, last-first+1)
	for id := first; id <= last; id++ {
		to, err := s.at(r, h, id)
		if err != nil {
			return nil, err
		}
		now, ok := s.Offsets.Query(h.Group, h.Topic, id)
		if !ok && !s.Settings().Groups.ServerSideReset {
			return nil, fmt.Errorf("THe consumer group <%s> not exist: it has no offset in queue %d of topic %s", h.Group, id, h.Topic)
		}
		if ok && !h.Force && to > now {
			to = now
		}
		queues[id] = to
	}
	return queues, nil
}

// named checks an offset of one queue.
func (s *Reset) named(h *header.ResetOffsetRequest) (map[int32]int64, error) {
	low, high := int64(0), int64(0)
	if q := s.Log.LookupQueue(h.Topic, h.QueueID); q != nil {
		low, high = q.Min(), q.Max()
	}
	if err := offset.Check(h.QueueID, h.Offset); err != nil || h.Offset < low || h.Offset > high {
		return nil, fmt.Errorf("target offset %d not in consume queue range [%d-%d]", h.Offset, low, high)
	}
	return map[int32]int64{h.QueueID: h.Offset}, nil
}

// at is the offset of the request's time in a queue.
func (s *Reset) at(r *remoting.Request, h *header.ResetOffsetRequest, id int32) (int64, error) {
	q := s.Log.LookupQueue(h.Topic, id)
	switch {
	case q == nil:
		return 0, nil
	case h.Timestamp < 0:
		return q.Max(), nil
	}
	to, err := s.Log.OffsetByTime(q, h.Timestamp, boundary("", r.Version))
	return max(to, 0), err
}

func (s *Reset) body(topic string, queues map[int32]int64) *body.ResetOffsetBody {
	b := &body.ResetOffsetBody{OffsetTable: make(map[body.MessageQueue]int64, len(queues))}
	for id, to := range queues {
		b.OffsetTable[body.MessageQueue{Topic: topic, BrokerName: s.Broker, QueueID: id}] = to
	}
	return b
}

func (s *Reset) list(topic string, queues map[int32]int64) *body.ResetOffsetBodyForC {
	b := &body.ResetOffsetBodyForC{OffsetTable: []body.MessageQueueForC{}}
	for id, to := range queues {
		b.OffsetTable = append(b.OffsetTable, body.MessageQueueForC{Topic: topic, BrokerName: s.Broker, QueueID: id, Offset: to})
	}
	return b
}
