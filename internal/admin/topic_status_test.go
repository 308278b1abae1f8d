// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
)

// newTopic is topic T on brokers a (of 5.x) and b (of 4.9, which knows no request
// for one topic), with what changes of it.
func newTopic(t *testing.T) (w *world, a *Admin, changes map[string][]header.CreateTopicRequest) {
	w = newWorld(t, names1)
	w.broker("C", "a", addrA, 0)
	w.broker("C", "b", addrB, 0)
	for _, addr := range []string{addrA, addrB} {
		w.created[addr] = []header.CreateTopicRequest{{}}
	}
	config := body.NewTopicConfig("T")
	config.ReadQueueNums, config.WriteQueueNums, config.TopicSysFlag = 4, 3, 1
	changes = map[string][]header.CreateTopicRequest{}
	order := ""
	keep := func(r *remoting.Request) *wire.Response { // the name server's order of T
		value, _ := r.Ext.Get("value")
		switch {
		case r.Code == wire.ReqPutKVConfig:
			order = string(value)
		case r.Code == wire.ReqDeleteKVConfig:
			order = ""
		case r.Code != wire.ReqGetKVConfig:
			return &wire.Response{Code: wire.RequestCodeNotSupported}
		case order == "":
			return &wire.Response{Code: wire.QueryNotFound}
		}
		return &wire.Response{Header: &header.GetKVResponse{Value: order}}
	}
	w.inspect = func(addr string, r *remoting.Request) *wire.Response {
		switch r.Code {
		case wire.ReqGetTopicConfig:
			if addr == addrA {
				return &wire.Response{Body: body.Marshal(&config)}
			}
		case wire.ReqGetAllTopicConfig:
			if addr == addrB {
				return &wire.Response{Body: body.Marshal(&body.TopicConfigSerializeWrapper{TopicConfigTable: map[string]body.TopicConfig{"T": config}})}
			}
		case wire.ReqGetTopicStatsInfo:
			ends := map[body.MessageQueue]body.TopicOffset{{Topic: "T", BrokerName: "?", QueueID: 10}: {MinOffset: 3, MaxOffset: 10, LastUpdateTimestamp: 1700000000000}, {Topic: "T", BrokerName: "?", QueueID: 2}: {}}
			return &wire.Response{Body: body.Marshal(&body.TopicStatsTable{OffsetTable: ends})}
		case wire.ReqQueryTopicConsumeByWho:
			return &wire.Response{Body: body.Marshal(&body.GroupList{GroupList: []string{"g2", "g1"}})}
		case wire.ReqUpdateAndCreateTopic:
			var h header.CreateTopicRequest
			if err := h.DecodeExt(r.Ext); err != nil {
				t.Error(err)
			}
			changes[addr] = append(changes[addr], h)
			return &wire.Response{}
		}
		return keep(r)
	}
	return w, New(w.client, []string{names1}), changes
}

func TestTopicStatus(t *testing.T) {
	w, a, _ := newTopic(t)
	s, err := a.TopicStatus(t.Context(), "T")
	if err != nil {
		t.Fatal(err)
	}
	last := time.UnixMilli(1700000000000)
	if !slices.Equal(s.Queues, []QueueEnds{{"a", 2, 0, 0, time.Time{}}, {"a", 10, 3, 10, last}, {"b", 2, 0, 0, time.Time{}}, {"b", 10, 3, 10, last}}) {
		t.Errorf("queues %+v", s.Queues)
	}
	if s.Messages != 14 || !slices.Equal(s.Groups, []string{"g1", "g2"}) || len(s.Brokers) != 2 || s.Brokers[1].ReadQueueNums != 4 {
		t.Errorf("%+v", s)
	}
	w.refusing = addrA
	if s, err = a.TopicStatus(t.Context(), "T"); err == nil || !strings.Contains(err.Error(), "broker a: ") || len(s.Brokers) != 1 || len(s.Queues) != 2 {
		t.Errorf("%+v, %v", s, err)
	}
	w.delay = 1
	if _, err = a.TopicStatus(t.Context(), "T"); !errors.Is(err, ErrNoTopic) {
		t.Error(err)
	}
}

// What is not named stays, at each broker what it is there.
func TestUpdateTopic(t *testing.T) {
	w, a, changes := newTopic(t)
	want := header.CreateTopicRequest{Topic: "T", DefaultTopic: "TBW102", ReadQueueNums: 4, WriteQueueNums: 9, Perm: 6, TopicFilterType: "SINGLE_TAG", TopicSysFlag: 1}
	nine, four, yes := int32(9), int32(4), true
	done, err := a.UpdateTopic(t.Context(), "T", TopicChange{Write: &nine})
	if err != nil || len(done) != 2 || !slices.Equal(changes[addrA], []header.CreateTopicRequest{want}) || !slices.Equal(changes[addrB], []header.CreateTopicRequest{want}) {
		t.Errorf("%+v, %v, %+v", done, err, changes)
	}
	want.WriteQueueNums, want.Perm, want.Order = 3, 4, true
	done, err = a.UpdateTopic(t.Context(), "T", TopicChange{Perm: &four, Order: &yes, Broker: "b"})
	if err != nil || len(done) != 1 || done[0].Broker != "b" || done[0].Perm != 4 || len(changes[addrA]) != 1 || changes[addrB][1] != want {
		t.Errorf("%+v, %v, %+v", done, err, changes)
	}
	if _, err = a.UpdateTopic(t.Context(), "T", TopicChange{Perm: &four, Broker: "c"}); !errors.Is(err, ErrNoBroker) || !strings.Contains(err.Error(), "c has no topic T") {
		t.Error(err)
	}
	w.refusing = addrA
	if done, err = a.UpdateTopic(t.Context(), "T", TopicChange{Perm: &four}); err == nil || len(done) != 1 || done[0].Broker != "b" {
		t.Errorf("%+v, %v", done, err)
	}
}

// Queue 10 is among those that are not read any more where there were 11.
func TestUnread(t *testing.T) {
	w, a, _ := newTopic(t)
	answer := w.inspect
	w.inspect = func(addr string, r *remoting.Request) *wire.Response {
		if r.Code == wire.ReqGetTopicConfig && addr == addrA {
			config := body.NewTopicConfig("T")
			config.ReadQueueNums = 11
			return &wire.Response{Body: body.Marshal(&config)}
		}
		return answer(addr, r)
	}
	four, eleven := int32(4), int32(11)
	for _, c := range []struct {
		change TopicChange
		want   int64
	}{{TopicChange{Read: &four}, 7}, {TopicChange{Read: &four, Broker: "a"}, 7}, {TopicChange{Read: &four, Broker: "b"}, 0}, {TopicChange{Read: &eleven}, 0}, {TopicChange{Write: &four}, 0}} {
		if got, err := a.Unread(t.Context(), "T", c.change); err != nil || got != c.want {
			t.Errorf("%+v: %d, %v, want %d", c.change, got, err, c.want)
		}
	}
}

// Name servers' order of a topic follows its queues: what is not in it, clients do
// not see.
func TestUpdateTopicKeepsOrder(t *testing.T) {
	_, a, _ := newTopic(t)
	four, nine, yes, no := int32(4), int32(9), true, false
	for _, c := range []struct {
		change TopicChange
		want   string
	}{
		{TopicChange{Write: &four}, ""},
		{TopicChange{Order: &yes}, "a:3;b:3"},
		{TopicChange{Write: &nine, Broker: "b"}, "a:3;b:9"},
		{TopicChange{Perm: &four}, "a:3;b:9"},
		{TopicChange{Order: &no}, ""},
	} {
		if _, err := a.UpdateTopic(t.Context(), "T", c.change); err != nil {
			t.Fatal(err)
		}
		text, err := a.Value(t.Context(), OrderNamespace, "T")
		if text != c.want || (c.want == "") != errors.Is(err, ErrNoKey) {
			t.Errorf("%+v: %q, %v, want %q", c.change, text, err, c.want)
		}
	}
}

func TestSetOrder(t *testing.T) {
	w, a, _ := newTopic(t)
	var kept []string
	w.inspect = func(addr string, r *remoting.Request) *wire.Response {
		var h header.PutKVRequest
		if err := h.DecodeExt(r.Ext); err != nil || r.Code != wire.ReqPutKVConfig {
			t.Error(r.Code, err)
		}
		kept = append(kept, h.Namespace+" "+h.Key+" "+h.Value)
		return &wire.Response{}
	}
	text, err := a.SetOrder(t.Context(), "T", map[string]int32{"b": 4, "a": 8})
	if err != nil || text != "a:8;b:4" || !slices.Equal(kept, []string{"ORDER_TOPIC_CONFIG T a:8;b:4"}) {
		t.Errorf("%s, %v, %q", text, err, kept)
	}
	for _, bad := range []map[string]int32{{}, {"a:b": 1}, {"a": 0}, {"": 1}, {"a;b": 1}, nil} { // the route of this world has no queues to write
		if text, err := a.SetOrder(t.Context(), "T", bad); err == nil || len(kept) != 1 {
			t.Errorf("%v: %s", bad, text)
		}
	}
}
