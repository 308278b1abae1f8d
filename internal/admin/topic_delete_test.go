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
)

// A topic is looked for in one cluster alone, with its messages there.
func TestTopicIn(t *testing.T) {
	w := newWorld(t, names1)
	w.broker("C", "a", addrA, 0)
	w.broker("D", "b", addrB, 0)
	route := func(brokers ...string) *body.TopicRouteData {
		d := &body.TopicRouteData{}
		for _, name := range brokers {
			d.QueueDatas = append(d.QueueDatas, body.QueueData{BrokerName: name, ReadQueueNums: 1, WriteQueueNums: 1, Perm: 6})
			d.BrokerDatas = append(d.BrokerDatas, w.clusters.BrokerAddrTable[name])
		}
		return d
	}
	w.routes = map[string]*body.TopicRouteData{"both": route("a", "b"), "there": route("b"), "gone": route("a")}
	w.inspect = func(addr string, r *remoting.Request) *wire.Response {
		topic, _ := r.Ext.Get("topic")
		if r.Code != wire.ReqGetTopicStatsInfo || string(topic) == "gone" {
			return &wire.Response{Code: wire.TopicNotExist, Remark: "no such topic"}
		}
		return &wire.Response{Body: body.Marshal(&body.TopicStatsTable{OffsetTable: map[body.MessageQueue]body.TopicOffset{
			{Topic: string(topic), BrokerName: addr}: {MinOffset: 5, MaxOffset: 12}, {Topic: string(topic), BrokerName: addr, QueueID: 1}: {MaxOffset: 1},
		}})}
	}
	a := New(w.client, []string{names1})
	got, err := a.TopicIn(t.Context(), "both", "C")
	if err != nil || got.Cluster != "C" || !slices.Equal(got.Brokers, []string{"a"}) || got.Messages != 8 {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err = a.TopicIn(t.Context(), "gone", "C"); err != nil || !slices.Equal(got.Brokers, []string{"a"}) || got.Messages != 0 {
		t.Errorf("deleted, but for the route: %+v, %v", got, err)
	}
	for _, name := range []string{"there", "nowhere"} {
		if _, err := a.TopicIn(t.Context(), name, "C"); !errors.Is(err, ErrNoTopic) || !strings.Contains(err.Error(), name+" in cluster C") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := a.TopicIn(t.Context(), "both", ""); !errors.Is(err, ErrCluster) {
		t.Errorf("of two clusters none is named: %v", err)
	}
}
