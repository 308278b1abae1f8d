// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"errors"
	"net"

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

// MayRead says why the sender of a request may not read records of a topic. nil, the
// function, lets everybody.
type MayRead func(r *remoting.Request, topic []byte) error

// allows answers a request whose sender may not read the topic, and gives false.
func (m MayRead) allows(r *remoting.Request, topic []byte) bool {
	if m == nil {
		return true
	}
	err := m(r, topic)
	if err != nil {
		fail(r, wire.NoPermission, "%s", err)
	}
	return err == nil
}

// ByKey serves QUERY_MESSAGE. A query by UNIQ_KEY ignores the time window: not
// every client's keys tell when they were made, and a key is unique anyway.
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
	if q.MayRead != nil {
		var read message.Record
		if _, err := message.DecodeRecord(rec, &read, false); err != nil {
			release()
			fail(r, wire.SystemError, "look message by offset failed, %d: %s", h.Offset, err)
			return
		}
		if !q.MayRead.allows(r, read.Topic) {
			release()
			return
		}
	}
	r.ReplyBody(&wire.Response{Code: wire.Success}, net.Buffers{rec}, release)
}
