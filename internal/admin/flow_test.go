// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
)

// Flows are sums over the brokers of a topic; what a broker has not counted yet
// counts nothing.
func TestFlows(t *testing.T) {
	w, a, _ := newTopic(t)
	groups := []string{"g2", "g1"}
	answer := w.inspect
	w.inspect = func(addr string, r *remoting.Request) *wire.Response {
		switch r.Code {
		case wire.ReqQueryTopicConsumeByWho:
			return &wire.Response{Body: body.Marshal(&body.GroupList{GroupList: groups})}
		case wire.ReqViewBrokerStatsData:
			var h header.BrokerStatsRequest
			if err := h.DecodeExt(r.Ext); err != nil {
				t.Error(err)
			}
			switch {
			case h.StatsName == "TOPIC_PUT_NUMS" && h.StatsKey == "T":
				return &wire.Response{Body: body.Marshal(&body.BrokerStatsData{StatsMinute: body.BrokerStatsItem{Sum: 60, Tps: 1.5}, StatsDay: body.BrokerStatsItem{Sum: 100}})}
			case h.StatsName == "GROUP_GET_NUMS" && h.StatsKey == "T@g1" && addr == addrA:
				return &wire.Response{Body: body.Marshal(&body.BrokerStatsData{StatsMinute: body.BrokerStatsItem{Sum: 7, Tps: 0.5}})}
			}
			return &wire.Response{Code: wire.SystemError, Remark: "nothing was counted"}
		case wire.ReqGetConsumeStats:
			return &wire.Response{Body: body.Marshal(&body.ConsumeStats{OffsetTable: map[body.MessageQueue]body.OffsetWrapper{
				{Topic: "T", BrokerName: "a", QueueID: 0}: {BrokerOffset: 10, ConsumerOffset: 4}, {Topic: "T", BrokerName: "a", QueueID: 1}: {BrokerOffset: 1, ConsumerOffset: 5},
			}})}
		}
		return answer(addr, r)
	}
	all, err := a.Flows(t.Context(), "T")
	want := []Flow{{"T", "g1", 12, 3, 0.5, 200, 7}, {"T", "g2", 12, 3, 0, 200, 0}}
	if err != nil || !slices.Equal(all, want) {
		t.Errorf("%+v, %v, want %+v", all, err, want)
	}
	w.refusing = addrB
	all, err = a.Flows(t.Context(), "T")
	if err == nil || !strings.Contains(err.Error(), "broker b: ") || len(all) != 2 || all[0].Backlog != 6 {
		t.Errorf("%+v, %v", all, err)
	}
	w.refusing, groups = "", []string{}
	if all, err = a.Flows(t.Context(), "T"); err != nil || !slices.Equal(all, []Flow{{Topic: "T", In: 3, InDay: 200}}) {
		t.Errorf("%+v, %v", all, err)
	}
}

func TestQueueEntries(t *testing.T) {
	w, a, _ := newTopic(t)
	w.inspect = func(addr string, r *remoting.Request) *wire.Response {
		var h header.ConsumeQueueRequest
		if err := h.DecodeExt(r.Ext); err != nil || addr != addrB || h != (header.ConsumeQueueRequest{Topic: "T", QueueID: 3, Index: 7, Count: 2, ConsumerGroup: "g"}) {
			t.Errorf("%s: %+v, %v", addr, h, err)
		}
		return &wire.Response{Body: body.Marshal(&body.QueryConsumeQueueResponseBody{MaxQueueIndex: 9})}
	}
	if b, err := a.QueueEntries(t.Context(), "T", "b", 3, 7, 2, "g"); err != nil || b.MaxQueueIndex != 9 {
		t.Errorf("%+v, %v", b, err)
	}
	if _, err := a.QueueEntries(t.Context(), "T", "c", 0, 0, 1, ""); !errors.Is(err, ErrNoBroker) {
		t.Error(err)
	}
}

func TestBacklogs(t *testing.T) {
	queue := func(topic string, id int32) body.MessageQueue {
		return body.MessageQueue{Topic: topic, BrokerName: "a", QueueID: id}
	}
	list := &body.ConsumeStatsList{ConsumeStatsList: []map[string][]body.ConsumeStats{
		{"g2": {{OffsetTable: map[body.MessageQueue]body.OffsetWrapper{queue("T", 0): {BrokerOffset: 5, ConsumerOffset: 1}, queue("T", 1): {BrokerOffset: 1, ConsumerOffset: 3}}, ConsumeTps: 2}}},
		{"g1": {{OffsetTable: map[body.MessageQueue]body.OffsetWrapper{queue("U", 0): {BrokerOffset: 9}}}, {OffsetTable: map[body.MessageQueue]body.OffsetWrapper{}}, {OffsetTable: map[body.MessageQueue]body.OffsetWrapper{queue("T", 0): {}}}}},
	}}
	a, _ := newServers(t, map[int32]map[string]*wire.Response{wire.ReqGetBrokerConsumeStats: {addrA: {Body: body.Marshal(list)}}})
	all, err := a.Backlogs(t.Context(), Node{"C", "a", 0, addrA})
	if err != nil || !slices.Equal(all, []Backlog{{"g1", "T", 0, 0}, {"g1", "U", 9, 0}, {"g2", "T", 4, 2}}) {
		t.Errorf("%+v, %v", all, err)
	}
	if _, err = a.Backlogs(t.Context(), Node{"D", "b", 0, addrB}); err == nil || !strings.Contains(err.Error(), "broker b: ") {
		t.Error(err)
	}
}
