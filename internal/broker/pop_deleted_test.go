// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/broker/pop"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

func (c *client) deleteTopic(name string) {
	c.w.t.Helper()
	if cmd := c.answer(wire.ReqDeleteTopicInBroker, &header.DeleteTopicRequest{Topic: name}, nil); cmd.Code != wire.Success {
		c.w.t.Fatalf("%d %s", cmd.Code, cmd.Remark)
	}
}

// TestDeletedTopicTakesItsRetries: with a topic go the topics in which its messages
// are given again, and what is in flight; but not a topic that only has such a name.
func TestDeletedTopicTakesItsRetries(t *testing.T) {
	var now atomic.Int64
	w := walled(t, vfs.NewMem(), &now)
	c := w.client()
	c.heartbeat("c", "g", "T", "*")
	c.heartbeat("c2", "g_U", "T", "*") // its retry topic could be that of group g and topic U
	c.send(sendHeader("T"), "m0")
	c.send(sendHeader("U"), "u0")
	w.stored("U", 0)
	for _, name := range []string{"T", "U"} {
		if p := c.popSoon(popRequest(name, 0)); len(p.list) != 1 {
			t.Fatalf("%+v", p)
		}
	}
	now.Add(60_000)
	if p := c.popSoon(popRequest("T", 0)); p.bodies() != "m0" {
		t.Fatalf("%+v", p)
	}
	if _, err := w.topics.Ensure("%RETRY%g_U", 1, 6, 0); err != nil {
		t.Fatal(err)
	}
	c.deleteTopic("T")
	c.deleteTopic("U")
	for name, want := range map[string]bool{"T": false, "%RETRY%g_T": false, "U": false, "%RETRY%g_U": true} {
		if _, there := w.topics.Get(name); there != want {
			t.Errorf("%s is there: %v", name, there)
		}
	}
	if q := w.store.LookupQueue("%RETRY%g_T", 0); q != nil {
		t.Errorf("the retry topic has a queue up to %d", q.Max())
	}
	if s := w.pops.Stats(); s.Open != 0 {
		t.Errorf("%+v", s)
	}
	c.send(sendHeader("T"), "new")
	if p := c.popSoon(popRequest("T", 0)); p.bodies() != "new" {
		t.Errorf("of the new topic comes %+v", p)
	}
}

// TestHeldPopOfADeletedGroup: who waits for a group that is deleted is told.
func TestHeldPopOfADeletedGroup(t *testing.T) {
	w := start(t, vfs.NewMem(), "autoCreateSubscriptionGroup", "false")
	c := w.client()
	if cmd := c.answer(wire.ReqUpdateAndCreateSubscriptionGroup, nil, body.Marshal(&body.SubscriptionGroupConfig{GroupName: "g", ConsumeEnable: true, RetryQueueNums: 1, RetryMaxTimes: 16})); cmd.Code != wire.Success {
		t.Fatalf("%d %s", cmd.Code, cmd.Remark)
	}
	c.send(sendHeader("T"), "x")
	h := popRequest("T", 0)
	if p := c.popSoon(h); p.bodies() != "x" {
		t.Fatalf("%+v", p)
	}
	h.PollTime = time.Minute.Milliseconds()
	popped := make(chan int32, 1)
	go func() {
		cmd, err := c.Invoke(w.ctx, w.addr, &wire.Request{Code: wire.ReqPopMessage, Header: h})
		if err != nil {
			popped <- -1
			return
		}
		popped <- cmd.Code
	}()
	asked := c.notifications(1, "T", 0, time.Minute)
	w.heldPops(1, 1)
	if cmd := c.answer(wire.ReqDeleteSubscriptionGroup, &header.DeleteGroupRequest{GroupName: "g", RemoveOffset: true}, nil); cmd.Code != wire.Success {
		t.Fatalf("%d %s", cmd.Code, cmd.Remark)
	}
	if code := <-popped; code != wire.SubscriptionGroupNotExist {
		t.Errorf("the pop is answered %d", code)
	}
	if got := <-asked; got != wire.ResponseName(wire.SubscriptionGroupNotExist) {
		t.Errorf("the notification is answered %s", got)
	}
	if s := w.pops.Stats(); s.Open != 0 {
		t.Errorf("%+v", s)
	}
	if off, known := w.offsets.Query("g", "T", 0); known {
		t.Errorf("the group has the offset %d", off)
	}
}

// TestMoveOfLongProperties: a message that leaves no room for where it comes from is
// moved without that, and keeps no other from it.
func TestMoveOfLongProperties(t *testing.T) {
	w := start(t, vfs.NewMem())
	c := w.client()
	c.send(sendHeader("T"), "x")
	c.heartbeat("c", "g", "T", "*", "%RETRY%g", "*")
	if _, err := w.topics.Ensure("%RETRY%g_T", 1, 6, 0); err != nil {
		t.Fatal(err)
	}
	var b store.Batch
	for _, props := range []string{"k\x01" + strings.Repeat("v", message.MaxPropertiesLength-3) + "\x02", ""} {
		rec := &message.Record{BornHost: w.advertised, StoreHost: w.advertised, Body: []byte("m"), Properties: []byte(props)}
		if err := b.Add(w.store.Queue("%RETRY%g_T", 0), rec); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.store.Append(&b); err != nil {
		t.Fatal(err)
	}
	w.stored("%RETRY%g_T", 0)
	c.mode("T", "g", body.RequestPull)
	m := &mover{b: w.Broker, pop: w.pops, failed: map[string]bool{}}
	m.round(context.Background())
	for w.pops.Stats().Acked != 2 { // the broker's own mover may be at it
		if w.ctx.Err() != nil {
			t.Fatalf("failed %v, %+v", m.failed, w.pops.Stats())
		}
		runtime.Gosched()
	}
	w.wantBodies("%RETRY%g", 0, "m m")
	if len(m.failed) != 0 {
		t.Errorf("failed %v", m.failed)
	}
}

// broken is a popper that panics for one topic.
type broken struct{ *pop.Service }

func (b broken) Pop(req pop.Request) (pop.Result, error) {
	if req.Topic == "%RETRY%g_T" {
		panic("broken")
	}
	return b.Service.Pop(req)
}

func (b broken) Ready(group, topic string, queue int32) bool {
	return topic == "%RETRY%g_T" || b.Service.Ready(group, topic, queue)
}

// TestMoveThatPanics: it costs the retry topic that it is about, and is logged.
func TestMoveThatPanics(t *testing.T) {
	w := start(t, vfs.NewMem())
	c := w.client()
	c.send(sendHeader("T"), "x")
	c.heartbeat("c", "g", "T", "*", "%RETRY%g", "*")
	w.left("%RETRY%g_T")
	w.left("%RETRY%g+T", "b")
	m := &mover{b: w.Broker, pop: broken{w.pops}, failed: map[string]bool{}}
	c.mode("T", "g", body.RequestPull)
	m.round(context.Background())
	if !m.failed["%RETRY%g_T"] {
		t.Error("the failure is not noted")
	}
	for w.pops.Stats().Acked != 1 { // the broker's own mover may be at it
		if w.ctx.Err() != nil {
			t.Fatalf("the other is not moved: %+v", w.pops.Stats())
		}
		runtime.Gosched()
	}
	w.wantBodies("%RETRY%g", 0, "b")
}
