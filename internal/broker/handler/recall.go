// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"

	"github.com/twostage/twostage/internal/broker/timer"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// refuseWaiting tells a sender that its message can't wait.
func (s *Send) refuseWaiting(r *remoting.Request, err error) {
	code := wire.MessageIllegal
	if errors.Is(err, timer.ErrNotEnabled) {
		code = wire.SystemError
	}
	s.refuse(r, code, err.Error())
}

// recallHandle is the handle of a message that waits with these properties: nil
// for one without unique key, and for a retry.
func (s *Send) recallHandle(topic string, props []byte) []byte {
	out, _ := message.Property(props, message.PropertyTimerOut)
	unique, ok := message.Property(props, message.PropertyUniqueKey)
	ms, err := strconv.ParseInt(string(out), 10, 64)
	if !ok || err != nil || strings.HasPrefix(topic, message.RetryPrefix) {
		return nil
	}
	h := message.RecallHandle{Topic: topic, Broker: s.Broker, Time: ms + 1, UniqueKey: string(unique)} // a time in the slot
	return []byte(h.String())
}

// recallTag is the tag of the messages that take others back.
const recallTag = "_RECALL_TAG_"

// Recall serves RECALL_MESSAGE: a message that waits for its time of delivery is
// taken back. It stores a message in the same slot of the timer wheel that takes
// away the other one.
type Recall struct {
	Log      Log
	Topics   SendTopics
	Delays   Delays
	Settings Settings
	Writable func() bool
	Broker   string
	Region   string
	Host     netip.AddrPort // of the record
	MaxDelay int64          // ms
	Now      func() int64   // ms since 1970
}

// Handle serves one recall. It is answered when the recall is in the log, and with
// SYNC_FLUSH on disk. A message whose second has begun, or begins meanwhile, can't
// be taken back.
func (s *Recall) Handle(r *remoting.Request) {
	answer := func(code int32, remark, id string) {
		r.Reply(&wire.Response{Code: code, Remark: remark, Header: &header.RecallResponse{MsgID: id, Region: s.Region}})
	}
	var h header.RecallRequest
	if !decode(r, &h) {
		return
	}
	if !s.Settings().Timers.Recall {
		answer(wire.NoPermission, "recall failed, operation is forbidden (recallMessageEnable=false)", "")
		return
	}
	if !s.Writable() && !s.Settings().Timers.RecallAlways {
		answer(wire.ServiceNotAvailable, "recall failed, broker service not available (brokerPermission)", "")
		return
	}
	if _, ok := s.Topics.Find([]byte(h.Topic)); !ok {
		answer(wire.TopicNotExist, "recall failed, the topic["+h.Topic+"] not exist", "")
		return
	}
	handle, err := message.ParseRecallHandle(h.RecallHandle)
	left := handle.Time - s.Now()
	switch {
	case err != nil:
		answer(wire.IllegalOperation, "recall handle is invalid", "")
		return
	case handle.Topic != h.Topic:
		answer(wire.IllegalOperation, "recall failed, topic not match: the handle is for a message of "+handle.Topic, "")
		return
	case handle.Broker != s.Broker:
		answer(wire.IllegalOperation, "recall failed, broker service not available: the handle is for the broker "+handle.Broker, "")
		return
	case left <= 0 || left >= s.MaxDelay:
		answer(wire.IllegalOperation, "recall failed, timestamp invalid: the message has been delivered, or is about to be", "")
		return
	}
	end, err := s.store(r, &h, &handle)
	if err != nil {
		answer(wire.SystemError, "recall failed, execute error: "+err.Error(), "")
		return
	}
	if !s.Log.SyncFlush() {
		answer(wire.Success, "", handle.UniqueKey)
		return
	}
	ticket := r.Ticket()
	s.Log.WhenFlushed(end, func(err error) {
		resp := &wire.Response{Code: wire.Success, Header: &header.RecallResponse{MsgID: handle.UniqueKey, Region: s.Region}}
		if err != nil {
			resp.Code, resp.Remark = storeFailure(err)
		}
		ticket.Reply(resp)
	})
}

// store puts the message that takes another one back into the log, and returns the
// offset behind it.
func (s *Recall) store(r *remoting.Request, h *header.RecallRequest, handle *message.RecallHandle) (end int64, err error) {
	now := s.Now()
	p := message.AppendProperty(nil, message.PropertyTags, recallTag)
	p = message.AppendProperty(p, message.PropertyTimerDeleteKey, handle.Topic+"+"+handle.UniqueKey)
	p = message.AppendProperty(p, message.PropertyUniqueKey, handle.UniqueKey)
	p = message.AppendProperty(p, message.PropertyTimerDeliver, itoa(handle.Time))
	p = message.AppendProperty(p, message.PropertyBornTimestamp, itoa(now))
	if h.ProducerGroup != "" {
		p = message.AppendProperty(p, message.PropertyProducerGroup, h.ProducerGroup)
	}
	q, props, ok, err := s.Delays.Rewrite(handle.Topic, 0, p, nil)
	switch {
	case err != nil:
		return 0, err
	case !ok:
		return 0, errors.New("its time has come")
	}
	rec := message.Record{Body: []byte("0"), Properties: props, BornTimestamp: now, BornHost: r.Conn.RemoteAddr(), StoreHost: s.Host}
	var b store.Batch
	if err := b.Add(q, &rec); err != nil {
		return 0, err
	}
	if err := s.Log.Append(&b); err != nil {
		return 0, err
	}
	if _, _, ok, err := s.Delays.Rewrite(handle.Topic, 0, p, nil); err != nil || !ok {
		return 0, errors.New("its time has come meanwhile: it may have been delivered")
	}
	at := b.Result(0)
	return at.PhysicalOffset + int64(at.Size), nil
}
