// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"strings"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// QueueLog is what the offset requests need of the store.
type QueueLog interface {
	LookupQueue(topic string, id int32) *store.Queue
	OffsetByTime(q *store.Queue, ts int64, b store.Boundary) (int64, error)
	StoreTimeAt(q *store.Queue, offset int64) (int64, error)
}

// Offset serves the requests about offsets: those of consumers (14, 15) and
// those of queues (29 to 32).
type Offset struct {
	Log     QueueLog
	Topics  Topics
	Offsets ConsumerOffsets
	Groups  KnownGroups
	// NewGroups bounds for how many groups that don't exist an address may store offsets.
	NewGroups Quota
}

// ConsumerOffsets are the consumers' offsets with what resetting makes of them.
type ConsumerOffsets interface {
	Offsets
	// Has says whether the group has an offset in the topic.
	Has(group, topic string) bool
	// Asked says that somebody was told an offset.
	Asked(group, topic string, queue int32)
	// IsReset: commits are dropped until a consumer knows of the reset.
	IsReset(group, topic string, queue int32) bool
}

// Query serves QUERY_CONSUMER_OFFSET. A group without an offset begins at 0
// while the queue's first message is still there; else it is told that there is
// none, and begins where it was configured to.
func (o *Offset) Query(r *remoting.Request) {
	var h header.QueryConsumerOffsetRequest
	if !decode(r, &h) {
		return
	}
	if off, ok := o.Offsets.Query(h.ConsumerGroup, h.Topic, h.QueueID); ok && off >= 0 {
		o.Offsets.Asked(h.ConsumerGroup, h.Topic, h.QueueID)
		succeed(r, &header.OffsetResponse{Offset: off})
		return
	}
	minOffset := int64(0)
	if q := o.Log.LookupQueue(h.Topic, h.QueueID); q != nil {
		minOffset = q.Min()
	}
	if minOffset <= 0 && !h.KeepNotFound {
		succeed(r, &header.OffsetResponse{})
		return
	}
	r.Reply(&wire.Response{Code: wire.QueryNotFound, Remark: "Not found, V3_0_6_SNAPSHOT maybe this group consumer boot first", Header: header.Empty{}})
}

// Update serves UPDATE_CONSUMER_OFFSET. After a reset that the consumer does not
// know of, the answer is RocketMQ's: success, with a remark.
func (o *Offset) Update(r *remoting.Request) {
	var h header.UpdateConsumerOffsetRequest
	if !decode(r, &h) {
		return
	}
	if _, ok := o.Topics.Get(h.Topic); !ok {
		fail(r, wire.TopicNotExist, "topic[%s] not exist: no offset of group %s was stored", h.Topic, h.ConsumerGroup)
		return
	}
	if h.ConsumerGroup == message.GroupTransCheck {
		fail(r, wire.NoPermission, "the offsets of group %s are the broker's own: no offset was stored", h.ConsumerGroup)
		return
	}
	if h.QueueID < 0 || h.CommitOffset < 0 {
		fail(r, wire.SystemError, "queueId %d and commitOffset %d must not be negative", h.QueueID, h.CommitOffset)
		return
	}
	if err := o.commit(r, &h); err != nil {
		fail(r, wire.SystemBusy, "no offset was stored: %s", err)
		return
	}
	if o.Offsets.IsReset(h.ConsumerGroup, h.Topic, h.QueueID) {
		r.Reply(&wire.Response{Code: wire.Success, Remark: "Offset has been previously reset", Header: header.Empty{}})
		return
	}
	succeed(r, header.Empty{})
}

// commit counts the first offset in a topic of a group that does not exist: nothing
// else bounds for how many of them a client has offsets kept.
func (o *Offset) commit(r *remoting.Request, h *header.UpdateConsumerOffsetRequest) error {
	_, known := o.Groups.Get(h.ConsumerGroup)
	known = known || o.Offsets.Has(h.ConsumerGroup, h.Topic)
	from := r.Conn.RemoteAddr().Addr()
	if !known {
		if err := o.NewGroups.Take(from, 1); err != nil {
			return err
		}
	}
	o.Offsets.Commit(h.ConsumerGroup, h.Topic, h.QueueID, h.CommitOffset)
	if !known && !o.Offsets.Has(h.ConsumerGroup, h.Topic) {
		o.NewGroups.GiveBack(from, 1)
	}
	return nil
}

// Max serves GET_MAX_OFFSET.
func (o *Offset) Max(r *remoting.Request) {
	var h header.MaxOffsetRequest
	if decode(r, &h) {
		o.answer(r, h.Topic, h.QueueID, (*store.Queue).Max)
	}
}

// Min serves GET_MIN_OFFSET.
func (o *Offset) Min(r *remoting.Request) {
	var h header.MinOffsetRequest
	if decode(r, &h) {
		o.answer(r, h.Topic, h.QueueID, (*store.Queue).Min)
	}
}

// Search serves SEARCH_OFFSET_BY_TIMESTAMP.
func (o *Offset) Search(r *remoting.Request) {
	var h header.SearchOffsetRequest
	if !decode(r, &h) {
		return
	}
	var res header.OffsetResponse
	if q := o.Log.LookupQueue(h.Topic, h.QueueID); q != nil {
		var err error
		if res.Offset, err = o.Log.OffsetByTime(q, h.Timestamp, boundary(h.BoundaryType, r.Version)); err != nil {
			fail(r, wire.SystemError, "%s", err)
			return
		}
	}
	succeed(r, &res)
}

// boundary is what a client means by a time. It reads boundaryType as RocketMQ 5
// does: what is not upper, in any case of letters, is lower. Clients that do not
// say it get what the brokers of their own age give: LOWER from 5.0 on, before
// that the nearest.
func boundary(boundaryType string, version int32) store.Boundary {
	switch {
	case strings.EqualFold(boundaryType, "upper"):
		return store.Upper
	case boundaryType != "" || version >= wire.VersionV500:
		return store.Lower
	}
	return store.Nearest
}

// answer gives an offset of a queue, 0 for a queue that nothing was sent to.
func (o *Offset) answer(r *remoting.Request, topic string, id int32, of func(*store.Queue) int64) {
	var res header.OffsetResponse
	if q := o.Log.LookupQueue(topic, id); q != nil {
		res.Offset = of(q)
	}
	succeed(r, &res)
}

// Earliest serves GET_EARLIEST_MSG_STORETIME: -1 for an empty queue.
func (o *Offset) Earliest(r *remoting.Request) {
	var h header.EarliestStoreTimeRequest
	if !decode(r, &h) {
		return
	}
	res := header.StoreTimeResponse{Timestamp: -1}
	if q := o.Log.LookupQueue(h.Topic, h.QueueID); q != nil && q.Max() > q.Min() {
		if ts, err := o.Log.StoreTimeAt(q, q.Min()); err == nil {
			res.Timestamp = ts
		}
	}
	succeed(r, &res)
}
