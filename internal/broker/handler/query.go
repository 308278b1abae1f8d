// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"errors"
	"net"
	"slices"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// QueryLog is what queries need of the store.
type QueryLog interface {
	Query(topic, key string, max int, begin, end int64) (store.QueryResult, error)
	Record(physicalOffset int64) (rec []byte, release func(), err error)
}

// Query serves QUERY_MESSAGE and VIEW_MESSAGE_BY_ID.
type Query struct {
	Log      QueryLog
	Settings Settings
	MayRead  MayRead
}

// MayRead says whether the sender of a request may read a record of a topic, and
// answers the request if not. realTopic is the topic that a record in one of the
// broker's own topics is meant for, empty where it names none. nil, the function, lets
// everybody.
type MayRead func(r *remoting.Request, topic, realTopic []byte) bool

// allows says whether the sender may read the record; if not, it has answered.
func (m MayRead) allows(r *remoting.Request, rec *message.Record) bool {
	if m == nil {
		return true
	}
	realTopic, _ := message.Property(rec.Properties, message.PropertyRealTopic)
	return m(r, rec.Topic, realTopic)
}

// allowsStored is allows for a record as it is stored.
func (m MayRead) allowsStored(r *remoting.Request, stored []byte) bool {
	if m == nil {
		return true
	}
	var rec message.Record
	if _, err := message.DecodeRecord(stored, &rec, false); err != nil {
		fail(r, wire.SystemError, "the stored message can't be read, so nobody knows who may have it: %s", err)
		return false
	}
	return m.allows(r, &rec)
}

// ByKey serves QUERY_MESSAGE. A query by UNIQ_KEY ignores the time window: not
// every client's keys tell when they were made, and a key is unique anyway. The index
// knows hashes only: records of another topic are left out, since its reader may have
// no business with them. Strangers of the same topic are for the client to see.
func (q *Query) ByKey(r *remoting.Request) {
	var h header.QueryMessageRequest
	if !decode(r, &h) {
		return
	}
	begin, end, most := h.BeginTimestamp, h.EndTimestamp, min(int(max(h.MaxNum, 1)), q.Settings().Query.MaxMessages)
	if h.UniqueKey {
		begin, end, most = 0, 1<<62, q.Settings().Query.MaxByUniqueKey
	}
	res, err := q.Log.Query(h.Topic, h.Key, most, begin, end)
	if err != nil {
		fail(r, wire.SystemError, "%s", err)
		return
	}
	res.Records = slices.DeleteFunc(res.Records, func(rec []byte) bool {
		var read message.Record
		_, err := message.DecodeRecord(rec, &read, false)
		return err != nil || string(read.Topic) != h.Topic
	})
	head := &header.QueryMessageResponse{IndexLastUpdateTimestamp: res.LastTimestamp, IndexLastUpdatePhyOffset: res.LastPhysical}
	if len(res.Records) == 0 {
		res.Release()
		r.Reply(&wire.Response{Code: wire.QueryNotFound, Remark: "can not find message, maybe time range not correct", Header: head})
		return
	}
	r.ReplyBody(&wire.Response{Code: wire.Success, Header: head}, net.Buffers(res.Records), res.Release)
}

// ByOffset serves VIEW_MESSAGE_BY_ID: one record by its offset in the log.
func (q *Query) ByOffset(r *remoting.Request) {
	var h header.ViewMessageRequest
	if !decode(r, &h) {
		return
	}
	rec, release, err := q.Log.Record(h.Offset)
	if err != nil {
		if errors.Is(err, store.ErrNotFound) {
			fail(r, wire.SystemError, "can not find message by the offset, %d", h.Offset)
			return
		}
		fail(r, wire.SystemError, "%s", err)
		return
	}
	if !q.MayRead.allowsStored(r, rec) {
		release()
		return
	}
	r.ReplyBody(&wire.Response{Code: wire.Success}, net.Buffers{rec}, release)
}
