// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"
	"sync"
	"testing"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// fakeTopics is a broker whose queues give at once what is sent to them, also to
// pulls that are held; these it holds until it ends. It does wrong what a test has
// it do.
type fakeTopics struct {
	t      *testing.T
	times  func(i int) int // how often message i, from 0 on, is given [once]
	unheld bool            // pulls are not held

	mu         sync.Mutex
	sends      int
	properties string // of the last send
	queues     map[string]*fakeTopic
	heartbeats map[string]int                       // by client id
	members    map[string]map[*remoting.Conn]string // by group
	codes      map[int32]int
}

type fakeTopic struct {
	records [][]byte
	held    []fakeHold
}

type fakeHold struct {
	ticket remoting.Ticket
	from   int64
}

func (f *fakeTopics) start(t *testing.T) Target {
	f.t, f.queues, f.heartbeats, f.members, f.codes = t, map[string]*fakeTopic{}, map[string]int{}, map[string]map[*remoting.Conn]string{}, map[int32]int{}
	handlers := map[int32]remoting.Handler{
		wire.ReqSendMessage: f.send, wire.ReqSendMessageV2: f.send, wire.ReqPullMessage: f.pull, wire.ReqGetMaxOffset: f.max, wire.ReqHeartBeat: f.heartbeat,
	}
	for _, code := range []int32{wire.ReqGetAllTopicConfig, wire.ReqGetAllSubscriptionGroupConfig} {
		handlers[code] = func(r *remoting.Request) {
			f.mu.Lock()
			f.codes[code]++
			f.mu.Unlock()
			r.Reply(&wire.Response{Body: []byte("{}")})
		}
	}
	return Target{Addr: startCodes(t, handlers), Broker: "b", Queues: 2}
}

// queue is a topic's queue. mu is held.
func (f *fakeTopics) queue(topic []byte, id int32) *fakeTopic {
	key := fmt.Sprintf("%s %d", topic, id)
	if f.queues[key] == nil {
		f.queues[key] = &fakeTopic{}
	}
	return f.queues[key]
}

func (f *fakeTopics) send(r *remoting.Request) {
	var h header.SendRequest
	if err := h.Decode(r.Code, r.Ext); err != nil {
		f.t.Error(err)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	r.Reply(&wire.Response{Header: &header.SendResponse{MsgID: message.AppendOffsetID(nil, fakeHost, 0)}})
	n := 1
	if f.times != nil {
		n = f.times(f.sends)
	}
	f.sends++
	f.properties = string(h.Properties)
	q := f.queue(h.Topic, h.QueueID)
	for range n {
		q.records = append(q.records, message.AppendRecord(nil, &message.Record{
			Topic: h.Topic, QueueID: h.QueueID, QueueOffset: int64(len(q.records)), Body: r.Body, Properties: h.Properties, BornHost: fakeHost, StoreHost: fakeHost,
		}))
	}
	held := q.held
	q.held = nil
	for _, hold := range held {
		q.answer(hold, hold.ticket.Reply)
	}
}

// answer gives what there is from the hold's offset on, or holds it on.
func (q *fakeTopic) answer(h fakeHold, reply func(*wire.Response)) {
	if h.from >= int64(len(q.records)) {
		q.held = append(q.held, h)
		return
	}
	var body []byte
	for _, r := range q.records[h.from:] {
		body = append(body, r...)
	}
	end := int64(len(q.records))
	reply(&wire.Response{Header: &header.PullResponse{MaxOffset: end, NextBeginOffset: end}, Body: body})
}

func (f *fakeTopics) pull(r *remoting.Request) {
	var h header.PullRequest
	if err := h.DecodeExt(r.Ext); err != nil || h.SysFlag != header.PullSubscription|header.PullSuspend {
		f.t.Errorf("%+v, %v", h, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	q := f.queue(h.Topic, h.QueueID)
	if f.unheld && h.QueueOffset >= int64(len(q.records)) {
		r.Reply(&wire.Response{Code: wire.PullNotFound, Header: &header.PullResponse{NextBeginOffset: h.QueueOffset, MaxOffset: h.QueueOffset}})
		return
	}
	ticket := r.Ticket()
	q.answer(fakeHold{ticket, h.QueueOffset}, ticket.Reply)
}

func (f *fakeTopics) max(r *remoting.Request) {
	var h header.MaxOffsetRequest
	if err := h.DecodeExt(r.Ext); err != nil {
		f.t.Error(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	r.Reply(&wire.Response{Header: &header.OffsetResponse{Offset: int64(len(f.queue([]byte(h.Topic), h.QueueID).records))}})
}

func (f *fakeTopics) heartbeat(r *remoting.Request) {
	var h body.HeartbeatData
	if err := body.Unmarshal(r.Body, &h); err != nil || len(h.ConsumerDataSet) != 1 || len(h.ConsumerDataSet[0].SubscriptionDataSet) != 2 {
		f.t.Errorf("%+v, %v", h, err)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.heartbeats[h.ClientID]++
	group := h.ConsumerDataSet[0].GroupName
	if f.members[group] == nil {
		f.members[group] = map[*remoting.Conn]string{}
	}
	if other := f.members[group][r.Conn]; other != "" && other != h.ClientID {
		f.t.Errorf("%s and %s of group %s are on one connection", other, h.ClientID, group)
	}
	f.members[group][r.Conn] = h.ClientID
	r.Reply(&wire.Response{})
}
