// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// FB and Ea have the same hash code: the text decides.
func TestTagsAreComparedAsText(t *testing.T) {
	if message.HashCode("FB") != message.HashCode("Ea") {
		t.Fatal("the tags are to have one hash code")
	}
	w := start(t, vfs.NewMem())
	c := w.client()
	for _, tag := range []string{"FB", "Ea", "C", "FB"} {
		c.send(sendHeader("T", "TAGS", tag), tag)
	}
	w.stored("T", 0)
	c.heartbeat("c", "g", "T", "FB || C")
	if p := c.pull("g", "T", 0, 0, 0); p.Code != wire.Success || bodies(t, p.Records) != "FB C FB" || p.Header.NextBeginOffset != 4 || p.Header.MaxOffset != 4 {
		t.Errorf("pulled %d %q %+v", p.Code, bodies(t, p.Records), p.Header)
	}
	c.heartbeat("c", "other", "T", "Ea")
	p := c.pull("other", "T", 0, 2, 0)
	if p.Code != wire.PullRetryImmediately || len(p.Records) != 0 || p.Header.NextBeginOffset != 4 {
		t.Errorf("only strangers of equal hash: %d %q %+v", p.Code, bodies(t, p.Records), p.Header)
	}
}

func TestPullRefusals(t *testing.T) {
	w := start(t, vfs.NewMem(), "autoCreateSubscriptionGroup", "false", "enablePropertyFilter", "false")
	c := w.client()
	for _, name := range []string{"g", "still"} {
		g := body.NewSubscriptionGroupConfig(name)
		g.ConsumeEnable = name == "g"
		if err := rpc.CreateGroup(w.ctx, c, w.addr, &g); err != nil {
			t.Fatal(err)
		}
	}
	c.send(sendHeader("T"), "x")
	for _, tc := range []struct {
		group, topic string
		queue        int32
		change       func(*header.PullRequest)
		code         int32
		words        []string
	}{
		{"nobody", "T", 0, nil, wire.SubscriptionGroupNotExist, []string{"nobody"}},
		{"still", "T", 0, nil, wire.NoPermission, []string{"still", "consumeEnable"}},
		{"g", "Missing", 0, nil, wire.TopicNotExist, []string{"Missing"}},
		{"g", "T", 4, nil, wire.SystemError, []string{"queueId[4]", "readQueueNums:[4]"}},
		{"g", "T", 0, nil, wire.SubscriptionNotExist, []string{"heartbeat"}},
		{"g", "T", 0, func(h *header.PullRequest) {
			h.SysFlag, h.Subscription, h.ExpressionType = header.PullSubscription, []byte("a = 1"), []byte("SQL92")
		}, wire.SystemError, []string{"does not support", "SQL92"}},
	} {
		h := &header.PullRequest{ConsumerGroup: []byte(tc.group), Topic: []byte(tc.topic), QueueID: tc.queue, MaxMsgNums: 32}
		if tc.change != nil {
			tc.change(h)
		}
		c.refused(tc.code, &wire.Request{Code: wire.ReqPullMessage, Header: h}, tc.words...)
	}
	c.heartbeat("c", "g", "Other", "*")
	h := &header.PullRequest{ConsumerGroup: []byte("g"), Topic: []byte("T"), MaxMsgNums: 32}
	c.refused(wire.SubscriptionNotExist, &wire.Request{Code: wire.ReqPullMessage, Header: h}, "subscribe")
	h.Topic, h.SubVersion = []byte("Other"), 2
	c.send(sendHeader("Other"), "x")
	c.refused(wire.SubscriptionNotLatest, &wire.Request{Code: wire.ReqPullMessage, Header: h})
	check := &body.CheckClientRequestBody{SubscriptionData: &body.SubscriptionData{Topic: "T", SubString: "a = 1", ExpressionType: "SQL92"}}
	if err := rpc.CheckClientConfig(w.ctx, c, w.addr, check); code(err) != wire.SystemError {
		t.Errorf("SQL92: %v", err)
	}
}

func TestPullFlow(t *testing.T) {
	w := start(t, vfs.NewMem())
	c := w.client()
	for _, b := range []string{"a", "b", "c"} {
		c.send(sendHeader("T"), b)
	}
	w.stored("T", 0)
	c.heartbeat("c", "g", "T", "*")
	for _, tc := range []struct {
		queue int32
		from  int64
		code  int32
		next  int64
		text  string
	}{
		{0, 1, wire.Success, 3, "b c"},
		{0, 3, wire.PullNotFound, 3, ""},
		{0, 9, wire.PullOffsetMoved, 3, ""},
		{0, -1, wire.PullOffsetMoved, 0, ""},
		{1, 0, wire.PullNotFound, 0, ""},
		{1, 5, wire.PullOffsetMoved, 0, ""},
	} {
		p := c.pull("g", "T", tc.queue, tc.from, 0)
		if p.Code != tc.code || p.Header.NextBeginOffset != tc.next || bodies(t, p.Records) != tc.text {
			t.Errorf("queue %d from %d: %d %+v %q", tc.queue, tc.from, p.Code, p.Header, bodies(t, p.Records))
		}
	}
	// An offset rides on a pull.
	h := &header.PullRequest{ConsumerGroup: []byte("g"), Topic: []byte("T"), QueueOffset: 3, MaxMsgNums: 32, SysFlag: header.PullCommitOffset, CommitOffset: 2, SubVersion: 1}
	if _, err := rpc.Pull(w.ctx, c, w.addr, h); err != nil {
		t.Fatal(err)
	}
	if off, err := rpc.QueryOffset(w.ctx, c, w.addr, "g", "T", 0); err != nil || off != 2 {
		t.Errorf("offset %d %v, want 2", off, err)
	}
	// A pull that is held and finds nothing is answered at its end.
	if p := c.pull("g", "T", 1, 0, 30*time.Millisecond); p.Code != wire.PullNotFound {
		t.Errorf("after its time: %d", p.Code)
	}
}

func TestLongPollIsWokenByTheMessage(t *testing.T) {
	w := start(t, vfs.NewMem())
	c, producer := w.client(), w.client()
	producer.send(sendHeader("T"), "first") // so that the topic is there
	w.stored("T", 0)
	c.heartbeat("c", "g", "T", "yes")
	done := make(chan *rpc.Pulled, 1)
	go func() { done <- c.pull("g", "T", 0, 1, time.Hour) }()
	for w.holds.Len() == 0 {
		select {
		case p := <-done:
			t.Fatalf("not held: %d", p.Code)
		case <-w.ctx.Done():
			t.Fatal("the pull was never held")
		default:
			runtime.Gosched()
		}
	}
	producer.send(sendHeader("T", "TAGS", "no"), "other")
	w.stored("T", 0)
	if w.holds.Len() != 1 {
		t.Error("a message that it does not want let the pull go")
	}
	producer.send(sendHeader("T", "TAGS", "yes"), "wanted")
	select {
	case p := <-done:
		if p.Code != wire.Success || bodies(t, p.Records) != "wanted" || p.Header.NextBeginOffset != 3 {
			t.Errorf("woken with %d %q %+v", p.Code, bodies(t, p.Records), p.Header)
		}
	case <-w.ctx.Done():
		t.Fatal("the message did not wake the pull")
	}
}

// TestEndWithHeldPulls: a broker that stops answers what it holds.
func TestEndWithHeldPulls(t *testing.T) {
	w := start(t, vfs.NewMem())
	c := w.client()
	c.send(sendHeader("T"), "x")
	w.stored("T", 0)
	c.heartbeat("c", "g", "T", "*")
	done := make(chan *rpc.Pulled, 1)
	go func() { done <- c.pull("g", "T", 0, 1, time.Hour) }()
	for w.holds.Len() == 0 && w.ctx.Err() == nil {
		runtime.Gosched()
	}
	if err := w.stop(); err != nil {
		t.Error(err)
	}
	if p := <-done; p.Code != wire.PullNotFound {
		t.Errorf("answered %d", p.Code)
	}
}

func TestOffsets(t *testing.T) {
	fs := vfs.NewMem()
	w := start(t, fs)
	c := w.client()
	c.send(sendHeader("T"), "x")
	first := w.stored("T", 0)[0]
	c.send(sendHeader("T"), "y")
	w.stored("T", 0)
	if off, err := rpc.QueryOffset(w.ctx, c, w.addr, "new", "T", 0); err != nil || off != 0 {
		t.Errorf("a new group begins at %d %v", off, err)
	}
	if err := rpc.UpdateOffset(w.ctx, c, w.addr, "g", "T", 0, 2); err != nil {
		t.Fatal(err)
	}
	if err := rpc.UpdateOffset(w.ctx, c, w.addr, "g", "Missing", 0, 2); code(err) != wire.TopicNotExist {
		t.Errorf("an offset of no topic: %v", err)
	}
	if err := rpc.UpdateOffset(w.ctx, c, w.addr, "g", "T", 0, -2); code(err) != wire.SystemError {
		t.Errorf("a negative offset: %v", err)
	}
	low, err1 := rpc.MinOffset(w.ctx, c, w.addr, "T", 0)
	high, err2 := rpc.MaxOffset(w.ctx, c, w.addr, "T", 0)
	at, err3 := rpc.SearchOffset(w.ctx, c, w.addr, "T", 0, first.StoreTimestamp-1)
	ts, err4 := rpc.EarliestStoreTime(w.ctx, c, w.addr, "T", 0)
	none, err5 := rpc.EarliestStoreTime(w.ctx, c, w.addr, "T", 1)
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil || low != 0 || high != 2 || at != 0 || ts != first.StoreTimestamp || none != -1 {
		t.Errorf("min %d, max %d, at %d, earliest %d and %d, %v", low, high, at, ts, none, err)
	}
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	w = start(t, fs)
	if off, err := rpc.QueryOffset(w.ctx, w.client(), w.addr, "g", "T", 0); err != nil || off != 2 {
		t.Errorf("after a restart: %d %v", off, err)
	}
}

func TestQueries(t *testing.T) {
	w := start(t, vfs.NewMem())
	c := w.client()
	c.send(sendHeader("T", "UNIQ_KEY", "U1", "KEYS", "k1 k2"), "x")
	rec := w.stored("T", 0)[0]
	raw, err := rpc.ViewMessage(w.ctx, c, w.addr, rec.PhysicalOffset)
	if err != nil || bodies(t, raw) != "x" {
		t.Errorf("%q %v", raw, err)
	}
	if _, err := rpc.ViewMessage(w.ctx, c, w.addr, rec.PhysicalOffset+1); code(err) != wire.SystemError {
		t.Errorf("no record there: %v", err)
	}
	for _, h := range []*header.QueryMessageRequest{
		{Topic: "T", Key: "k2", MaxNum: 32, EndTimestamp: 1 << 60},
		{Topic: "T", Key: "U1", MaxNum: 32, UniqueKey: true},
	} {
		raw, _, err := rpc.QueryMessage(w.ctx, c, w.addr, h)
		for errors.Is(err, rpc.QueryNotFound) && w.ctx.Err() == nil { // the index follows
			raw, _, err = rpc.QueryMessage(w.ctx, c, w.addr, h)
		}
		if err != nil || bodies(t, raw) != "x" {
			t.Errorf("%s: %q %v", h.Key, raw, err)
		}
	}
}

func TestLocks(t *testing.T) {
	w := start(t, vfs.NewMem())
	a, b := w.client(), w.client()
	queues := []body.MessageQueue{{Topic: "T", BrokerName: "broker-a", QueueID: 0}, {Topic: "T", BrokerName: "broker-a", QueueID: 1}, {Topic: "T", BrokerName: "elsewhere", QueueID: 2}}
	lock := func(c *client, id string, n int) int {
		t.Helper()
		got, err := rpc.LockBatch(w.ctx, c, w.addr, &body.LockBatchRequestBody{ConsumerGroup: "g", ClientID: id, MqSet: queues[:n]})
		if err != nil {
			t.Fatal(err)
		}
		return len(got)
	}
	if n := lock(a, "a", 1); n != 1 {
		t.Errorf("a locks %d", n)
	}
	if n := lock(b, "b", 3); n != 1 {
		t.Errorf("b locks %d, want queue 1 only", n)
	}
	if err := rpc.UnlockBatch(w.ctx, a, w.addr, &body.LockBatchRequestBody{ConsumerGroup: "g", ClientID: "a", MqSet: queues}); err != nil {
		t.Fatal(err)
	}
	if n := lock(b, "b", 3); n != 2 {
		t.Errorf("b locks %d after a has unlocked", n)
	}
}

func TestMembersAreToldOfChanges(t *testing.T) {
	w := start(t, vfs.NewMem())
	a, b := w.client(), w.client()
	c := w.client()
	list := func() string {
		ids, err := rpc.ConsumerList(w.ctx, a, w.addr, "g")
		if err != nil {
			return err.Error()
		}
		s := ""
		for _, id := range ids {
			s += id
		}
		return s
	}
	a.heartbeat("a", "g", "T", "*")
	a.expect(wire.ReqNotifyConsumerIDsChanged)
	b.heartbeat("b", "g", "T", "*")
	a.expect(wire.ReqNotifyConsumerIDsChanged)
	b.expect(wire.ReqNotifyConsumerIDsChanged)
	if _, ok := w.topics.Get("%RETRY%g"); !ok {
		t.Error("no retry topic")
	}
	c.heartbeat("c", "g", "T", "*")
	a.expect(wire.ReqNotifyConsumerIDsChanged)
	b.expect(wire.ReqNotifyConsumerIDsChanged)
	if got := list(); got != "abc" {
		t.Errorf("members %q", got)
	}
	if err := rpc.Unregister(w.ctx, b, w.addr, &header.UnregisterClientRequest{ClientID: "b", ConsumerGroup: "g"}); err != nil {
		t.Fatal(err)
	}
	a.expect(wire.ReqNotifyConsumerIDsChanged)
	_ = c.Close() // it just goes
	var h header.ConsumerIDsChangedRequest
	if cmd := a.expect(wire.ReqNotifyConsumerIDsChanged); h.DecodeExt(cmd.Ext) != nil || h.ConsumerGroup != "g" || !cmd.IsOneWay() {
		t.Errorf("notice %+v", cmd)
	}
	if got := list(); got != "a" {
		t.Errorf("members %q", got)
	}
	conns, err := rpc.ConsumerConnection(w.ctx, a, w.addr, "g")
	if err != nil || len(conns.ConnectionSet) != 1 || conns.ConnectionSet[0].ClientID != "a" || conns.SubscriptionTable["T"].SubString != "*" {
		t.Errorf("%+v %v", conns, err)
	}
	if _, err := rpc.ConsumerConnection(w.ctx, a, w.addr, "none"); code(err) != wire.ConsumerNotOnline {
		t.Errorf("nobody online: %v", err)
	}
}
