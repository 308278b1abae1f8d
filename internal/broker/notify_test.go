// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
)

// heldPops waits until n pops and m notifications are held.
func (w *world) heldPops(n, m int) {
	w.t.Helper()
	for w.popHeld.Len() != n || w.noted.Len() != m {
		if w.ctx.Err() != nil {
			w.t.Fatalf("%d pops and %d notifications are held, want %d and %d; %+v", w.popHeld.Len(), w.noted.Len(), n, m, w.pops.Stats())
		}
		runtime.Gosched()
	}
}

// notification asks for something to pop and gives what is answered: "has",
// "none", "full" or the code's name.
func (c *client) notification(topic string, queue int32, poll time.Duration) string {
	req := &wire.Request{Code: wire.ReqNotification, Header: &header.NotificationRequest{ConsumerGroup: "g", Topic: topic, QueueID: queue, PollTime: poll.Milliseconds()}}
	cmd, err := c.Invoke(c.w.ctx, c.w.addr, req)
	if err != nil {
		return err.Error()
	}
	var h header.NotificationResponse
	switch {
	case cmd.Code != wire.Success:
		return wire.ResponseName(cmd.Code)
	case h.DecodeExt(cmd.Ext) != nil:
		return "no header"
	case h.HasMsg:
		return "has"
	case h.PollingFull:
		return "full"
	}
	return "none"
}

// notifications is notification, n times at once.
func (c *client) notifications(n int, topic string, queue int32, poll time.Duration) chan string {
	done := make(chan string, n)
	for range n {
		go func() { done <- c.notification(topic, queue, poll) }()
	}
	return done
}

func TestNotification(t *testing.T) {
	w := start(t, vfs.NewMem())
	c, producer := w.client(), w.client()
	producer.send(sendHeader("T"), "first")
	w.stored("T", 0)
	for _, q := range []int32{0, -1, -7} {
		if got := c.notification("T", q, 0); got != "has" {
			t.Errorf("queue %d: %s, want a message", q, got)
		}
	}
	w.offsets.Commit("g", "T", 0, 1)
	for _, q := range []int32{0, 1, -1} {
		if got := c.notification("T", q, 0); got != "none" {
			t.Errorf("all is consumed, queue %d: %s", q, got)
		}
	}
	if got := c.notification("T", 1, 20*time.Millisecond); got != "none" {
		t.Errorf("held for a moment: %s", got)
	}
	any, q0, q1 := c.notifications(1, "T", -1, time.Hour), c.notifications(1, "T", 0, time.Hour), c.notifications(1, "T", 1, time.Hour)
	w.heldPops(0, 3)
	producer.send(sendHeader("T"), "second")
	if a, b := <-any, <-q0; a != "has" || b != "has" {
		t.Errorf("a message came: %s, %s", a, b)
	}
	w.heldPops(0, 1)
	if err := rpc.DeleteTopic(w.ctx, producer, w.addr, "T"); err != nil {
		t.Fatal(err)
	}
	if got := <-q1; got != "TOPIC_NOT_EXIST" {
		t.Errorf("the topic is deleted: %s", got)
	}
	w.heldPops(0, 0)
}

func TestNotificationOfARetry(t *testing.T) {
	w := start(t, vfs.NewMem())
	c, producer := w.client(), w.client()
	if err := rpc.CreateTopic(w.ctx, producer, w.addr, &header.CreateTopicRequest{Topic: "T", DefaultTopic: "T", ReadQueueNums: 1, WriteQueueNums: 1, Perm: 6}); err != nil {
		t.Fatal(err)
	}
	got := c.notifications(1, "T", 0, time.Hour)
	w.heldPops(0, 1)
	if _, err := w.topics.Ensure("%RETRY%g_T", 1, 6, 0); err != nil {
		t.Fatal(err)
	}
	producer.send(sendHeader("%RETRY%g_T"), "again")
	if answer := <-got; answer != "has" {
		t.Error(answer)
	}
}

func TestNotificationsAreBoundedAndEndWithTheirConnection(t *testing.T) {
	w := start(t, vfs.NewMem(), "popPollingSize", "2")
	c, other := w.client(), w.client()
	other.send(sendHeader("T"), "x")
	w.stored("T", 0)
	w.offsets.Commit("g", "T", 0, 1)
	held := c.notifications(2, "T", -1, time.Hour)
	w.heldPops(0, 2)
	if got := other.notification("T", -1, time.Hour); got != "full" {
		t.Errorf("a third: %s", got)
	}
	stays := other.notifications(1, "T", 0, time.Hour)
	w.heldPops(0, 3)
	_ = c.Close()
	w.heldPops(0, 1)
	<-held
	<-held
	if err := w.stop(); err != nil {
		t.Error(err)
	}
	if got := <-stays; got != "none" {
		t.Errorf("the broker has stopped: %s", got)
	}
}

func TestNotificationIsRefused(t *testing.T) {
	w := start(t, vfs.NewMem(), "autoCreateSubscriptionGroup", "false")
	c := w.client()
	c.send(sendHeader("T"), "x")
	req := func(code int32, topic string, queue int32) *wire.Request {
		if code == wire.ReqNotification {
			return &wire.Request{Code: code, Header: &header.NotificationRequest{ConsumerGroup: "g", Topic: topic, QueueID: queue}}
		}
		return &wire.Request{Code: code, Header: &header.PollingInfoRequest{ConsumerGroup: "g", Topic: topic, QueueID: queue}}
	}
	for _, code := range []int32{wire.ReqNotification, wire.ReqPollingInfo} {
		c.refused(wire.TopicNotExist, req(code, "none", 0), "topic[none] not exist")
		c.refused(wire.InvalidParameter, req(code, "T", 9), "queueId[9] is illegal")
		c.refused(wire.SubscriptionGroupNotExist, req(code, "T", 0), "[g]", "autoCreateSubscriptionGroup")
	}
	c.refused(wire.SystemError, &wire.Request{Code: wire.ReqNotification}, "consumerGroup")
	c.answer(wire.ReqUpdateAndCreateSubscriptionGroup, nil, body.Marshal(&body.SubscriptionGroupConfig{GroupName: "g", ConsumeEnable: true}))
	long := &header.NotificationRequest{ConsumerGroup: "g", Topic: "T", PollTime: 60_000, AttemptID: strings.Repeat("a", 257)}
	c.refused(wire.InvalidParameter, &wire.Request{Code: wire.ReqNotification, Header: long}, "attemptId")
}
