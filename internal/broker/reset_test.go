// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// resetWorld has 4 messages in each of the queues 0 and 1 of T, stored at 1000,
// 2000, 3000 and 4000 ms, and a group g that has read them all.
func resetWorld(t *testing.T, fs vfs.FS, keys ...string) (*world, *client) {
	t.Helper()
	var now atomic.Int64
	w := startAt(t, fs, now.Load, keys...)
	c := w.client()
	for i := range 4 {
		now.Store(int64(i+1) * 1000)
		for q := range int32(2) {
			h := sendHeader("T")
			h.QueueID = q
			c.send(h, fmt.Sprint("m", i))
		}
	}
	now.Store(10_000)
	w.stored("T", 0)
	c.heartbeat("c", "g", "T", "*")
	c.expect(wire.ReqNotifyConsumerIDsChanged)
	for q := range int32(4) { // as many as a send makes a topic with
		w.offset("g", q, 4*max(0, 1-int64(q/2)))
	}
	return w, c
}

// offset commits.
func (w *world) offset(group string, queue int32, at int64) {
	w.t.Helper()
	c := w.client()
	if err := rpc.UpdateOffset(w.ctx, c, w.addr, group, "T", queue, at); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) wantOffsets(group string, want ...int64) {
	w.t.Helper()
	for q, at := range want {
		if got, ok := w.offsets.Query(group, "T", int32(q)); !ok || got != at {
			w.t.Errorf("queue %d: offset %d %v, want %d", q, got, ok, at)
		}
	}
}

// reset asks for a reset and gives the offsets of the answer, by queue.
func (c *client) reset(req *wire.Request) (*wire.Command, map[int32]int64) {
	c.w.t.Helper()
	cmd, err := c.Invoke(c.w.ctx, c.w.addr, req)
	if err != nil {
		c.w.t.Fatal(err)
	}
	var b body.ResetOffsetBody
	if cmd.Code == wire.Success {
		if err := body.Unmarshal(cmd.Body, &b); err != nil {
			c.w.t.Fatal(err)
		}
	}
	table := map[int32]int64{}
	for q, at := range b.OffsetTable {
		if q.Topic != "T" || q.BrokerName != "broker-a" {
			c.w.t.Errorf("queue %+v", q)
		}
		table[q.QueueID] = at
	}
	return cmd, table
}

func resetRequest(h header.ResetOffsetRequest) *wire.Request {
	if h.Group == "" {
		h.Group = "g"
	}
	if h.Topic == "" {
		h.Topic = "T"
	}
	return &wire.Request{Code: wire.ReqInvokeBrokerToResetOffset, Header: &h}
}

func TestResetOnTheServer(t *testing.T) {
	fs := vfs.NewMem()
	w, c := resetWorld(t, fs)
	if _, table := c.reset(resetRequest(header.ResetOffsetRequest{Timestamp: 3000, Force: true})); fmt.Sprint(table) != "map[0:2 1:2 2:0 3:0]" {
		t.Fatalf("to a time: %v", table)
	}
	w.wantOffsets("g", 2, 2, 0, 0)
	w.offset("g", 0, 4) // of a consumer that does not know yet
	w.wantOffsets("g", 2)
	p := c.pull("g", "T", 0, 4, time.Hour)
	if p.Code != wire.PullOffsetMoved || p.Header.NextBeginOffset != 2 || p.Header.MaxOffset != 4 {
		t.Errorf("the consumer's next pull: %d %+v", p.Code, p.Header)
	}
	if p := c.pull("g", "T", 0, 2, 0); p.Code != wire.Success || bodies(t, p.Records) != "m2 m3" {
		t.Errorf("from there: %d %q", p.Code, bodies(t, p.Records))
	}
	w.offset("g", 0, 3)
	w.wantOffsets("g", 3, 2)

	// One that asks where the group is begins there.
	if at, err := rpc.QueryOffset(w.ctx, c, w.addr, "g", "T", 1); err != nil || at != 2 {
		t.Errorf("asked: %d %v", at, err)
	}
	if p := c.pull("g", "T", 1, 2, 0); p.Code != wire.Success || bodies(t, p.Records) != "m2 m3" {
		t.Errorf("who asked is sent away: %d", p.Code)
	}

	// Skip all, without force nothing goes forward; one queue; an offset.
	if _, table := c.reset(resetRequest(header.ResetOffsetRequest{Timestamp: -1})); fmt.Sprint(table) != "map[0:3 1:2 2:0 3:0]" {
		t.Errorf("skip without force: %v", table)
	}
	if _, table := c.reset(resetRequest(header.ResetOffsetRequest{Timestamp: -1, Force: true})); fmt.Sprint(table) != "map[0:4 1:4 2:0 3:0]" {
		t.Errorf("skip: %v", table)
	}
	if _, table := c.reset(resetRequest(header.ResetOffsetRequest{Timestamp: 2000, Force: true, QueueID: 1, HasQueueID: true, Offset: -1, HasOffset: true})); fmt.Sprint(table) != "map[1:1]" {
		t.Errorf("one queue: %v", table)
	}
	if _, table := c.reset(resetRequest(header.ResetOffsetRequest{QueueID: 0, HasQueueID: true, Offset: 1, HasOffset: true})); fmt.Sprint(table) != "map[0:1]" {
		t.Errorf("an offset: %v", table)
	}
	w.wantOffsets("g", 1, 1, 0, 0)

	// Nobody else is touched, and what was answered is on disk.
	w.offset("h", 0, 4)
	w.wantOffsets("h", 4)
	again := start(t, fs.Crash(vfs.CrashOptions{}))
	again.wantOffsets("g", 1, 1, 0, 0)
}

// Clients send along with a pull how far they have come. Where that is by chance
// where the group was reset to, it is still from before.
func TestResetOutlivesTheCommitOfAPull(t *testing.T) {
	w, c := resetWorld(t, vfs.NewMem())
	c.reset(resetRequest(header.ResetOffsetRequest{HasQueueID: true, Offset: 2, HasOffset: true}))
	p, err := rpc.Pull(w.ctx, c, w.addr, &header.PullRequest{ConsumerGroup: []byte("g"), Topic: []byte("T"), QueueOffset: 4, MaxMsgNums: 32, SubVersion: 1,
		SysFlag: header.PullCommitOffset, CommitOffset: 2})
	if err != nil || p.Code != wire.PullOffsetMoved || p.Header.NextBeginOffset != 2 {
		t.Fatalf("%+v %v", p, err)
	}
	w.offset("g", 0, 4) // of what it had in hand
	w.wantOffsets("g", 2)
	if p := c.pull("g", "T", 0, 4, 0); p.Code != wire.PullOffsetMoved || p.Header.NextBeginOffset != 2 {
		t.Errorf("another member: %d %+v", p.Code, p.Header)
	}
	if p := c.pull("g", "T", 0, 2, 0); p.Code != wire.Success {
		t.Errorf("from there: %d", p.Code)
	}
	w.offset("g", 0, 3)
	w.wantOffsets("g", 3)
}

// A pull that is held at the end of the queue is answered at once.
func TestResetLetsHeldPullsGo(t *testing.T) {
	w, c := resetWorld(t, vfs.NewMem())
	done := make(chan *rpc.Pulled, 1)
	go func() { done <- c.pull("g", "T", 0, 4, time.Hour) }()
	for w.holds.Len() == 0 {
		if w.ctx.Err() != nil {
			t.Fatal("the pull was never held")
		}
		runtime.Gosched()
	}
	admin := w.client()
	admin.reset(resetRequest(header.ResetOffsetRequest{Timestamp: 0, Force: true}))
	select {
	case p := <-done:
		if p.Code != wire.PullOffsetMoved || p.Header.NextBeginOffset != 0 {
			t.Errorf("%d %+v", p.Code, p.Header)
		}
	case <-w.ctx.Done():
		t.Fatal("the held pull was not let go")
	}
}

// Pops and notifications that are held are too, by what the reset has brought back:
// no message comes that would wake them.
func TestResetLetsHeldPopsAndNotificationsGo(t *testing.T) {
	var now atomic.Int64
	w := walled(t, vfs.NewMem(), &now)
	c, other := w.client(), w.client()
	c.send(sendHeader("T"), "m0")
	c.popSoon(popRequest("T", 0))
	reset := func() {
		t.Helper()
		if cmd, _ := w.client().reset(resetRequest(header.ResetOffsetRequest{HasQueueID: true, Offset: 0, HasOffset: true})); cmd.Code != wire.Success {
			t.Fatalf("%d %s", cmd.Code, cmd.Remark)
		}
	}
	has := c.notifications(1, "T", -1, time.Hour)
	w.heldPops(0, 1)
	now.Add(100)
	reset()
	if answer := <-has; answer != "has" {
		t.Errorf("the notification: %s", answer)
	}
	if p := c.popSoon(popRequest("T", 0)); p.bodies() != "m0" {
		t.Fatalf("after the reset %+v is popped", p)
	}
	got := make(chan *gotten, 1)
	go func() {
		h := popRequest("T", 0)
		h.PollTime, h.BornTime = time.Hour.Milliseconds(), now.Load()
		got <- other.popNow(h)
	}()
	w.heldPops(1, 0)
	now.Add(100)
	reset()
	if p := <-got; p.bodies() != "m0" {
		t.Errorf("the held pop got %+v", p)
	}
}

func TestResetRefusals(t *testing.T) {
	for _, mode := range []string{"true", "false"} {
		w, c := resetWorld(t, vfs.NewMem(), "useServerSideResetOffset", mode)
		for _, tc := range []struct {
			h     header.ResetOffsetRequest
			code  int32
			words string
		}{
			{header.ResetOffsetRequest{Topic: "Missing"}, wire.TopicNotExist, "Missing"},
			{header.ResetOffsetRequest{Group: message.GroupTransCheck}, wire.NoPermission, message.GroupTransCheck},
			{header.ResetOffsetRequest{QueueID: 4, HasQueueID: true}, wire.SystemError, "queueId[4]"},
			{header.ResetOffsetRequest{HasQueueID: true, Offset: 5, HasOffset: true}, wire.SystemError, "5 not in consume queue range [0-4]"},
			{header.ResetOffsetRequest{HasQueueID: true, Offset: -2, HasOffset: true}, wire.SystemError, "-2 not in"},
			{header.ResetOffsetRequest{Group: "nobody", Force: true}, map[string]int32{"true": wire.SubscriptionGroupNotExist, "false": wire.ConsumerNotOnline}[mode], "nobody"},
		} {
			c.refused(tc.code, resetRequest(tc.h), tc.words)
		}
		w.wantOffsets("g", 4, 4, 0, 0)
		c.refused(wire.SystemError, &wire.Request{Code: wire.ReqInvokeBrokerToResetOffset}, "topic")
	}
}

// Without server-side reset the consumers of an online group are told, each in
// its language, and the broker keeps its offsets.
func TestResetAtConsumers(t *testing.T) {
	w, c := resetWorld(t, vfs.NewMem(), "useServerSideResetOffset", "false")
	cpp := w.client()
	beat := &wire.Request{Code: wire.ReqHeartBeat, Language: wire.LanguageCPP, Version: 100, Body: body.Marshal(&body.HeartbeatData{ClientID: "cpp",
		ConsumerDataSet: []body.ConsumerData{{GroupName: "g", SubscriptionDataSet: []body.SubscriptionData{{Topic: "T", SubString: "*", SubVersion: 1}}}}})}
	if _, err := cpp.Invoke(w.ctx, w.addr, beat); err != nil {
		t.Fatal(err)
	}
	for _, k := range []*client{c, cpp} {
		k.expect(wire.ReqNotifyConsumerIDsChanged)
	}
	cmd, table := w.client().reset(resetRequest(header.ResetOffsetRequest{Timestamp: 3000, Force: true}))
	if fmt.Sprint(table) != "map[0:2 1:2 2:0 3:0]" {
		t.Fatalf("answered %d %s %v", cmd.Code, cmd.Remark, table)
	}
	w.wantOffsets("g", 4, 4, 0, 0)
	for _, k := range []*client{c, cpp} {
		push := k.expect(wire.ReqResetConsumerClientOffset)
		var h header.ResetOffsetRequest
		if err := h.DecodeExt(push.Ext); err != nil || h.Topic != "T" || h.Group != "g" || h.Timestamp != 3000 || h.Force || !push.IsOneWay() {
			t.Errorf("pushed %+v %v", h, err)
		}
		if list := strings.HasPrefix(string(push.Body), `{"offsetTable":[`); list != (k == cpp) {
			t.Errorf("pushed %s", push.Body)
		}
	}
	// An administrator who says so has all of them told as C++ is.
	req := resetRequest(header.ResetOffsetRequest{Timestamp: 3000})
	req.Language, req.Version = wire.LanguageCPP, 409
	w.client().reset(req)
	if push := c.expect(wire.ReqResetConsumerClientOffset); !strings.HasPrefix(string(push.Body), `{"offsetTable":[`) {
		t.Errorf("pushed %s", push.Body)
	}

	old := w.client()
	beat.Language, beat.Version = wire.LanguageJava, versionTooOld
	if _, err := old.Invoke(w.ctx, w.addr, beat); err != nil {
		t.Fatal(err)
	}
	w.client().refused(wire.SystemError, resetRequest(header.ResetOffsetRequest{Timestamp: 3000}), "version=27", "cpp")
	if n := len(old.pushed); n > 1 { // the notice of the change in the group
		t.Errorf("%d requests to a client that is too old", n)
	}
}

// Each consumer that broadcasts has offsets of its own: all are told.
func TestResetOfBroadcasting(t *testing.T) {
	w, admin := resetWorld(t, vfs.NewMem())
	var members []*client
	for i := range 2 {
		c := w.client()
		members = append(members, c)
		beat := &body.HeartbeatData{ClientID: fmt.Sprint("b", i), ConsumerDataSet: []body.ConsumerData{{GroupName: "b", MessageModel: body.Broadcasting,
			SubscriptionDataSet: []body.SubscriptionData{{Topic: "T", SubString: "*", SubVersion: 1}}}}}
		if err := rpc.Heartbeat(w.ctx, c, w.addr, beat); err != nil {
			t.Fatal(err)
		}
		for _, m := range members {
			m.expect(wire.ReqNotifyConsumerIDsChanged)
		}
	}
	if cmd, table := admin.reset(resetRequest(header.ResetOffsetRequest{Group: "b", Timestamp: 3000, Force: true})); fmt.Sprint(table) != "map[0:2 1:2 2:0 3:0]" {
		t.Fatalf("answered %d %s %v", cmd.Code, cmd.Remark, table)
	}
	for _, m := range members {
		m.expect(wire.ReqResetConsumerClientOffset)
	}
	if _, ok := w.offsets.Query("b", "T", 0); ok {
		t.Error("the broker has an offset for the group")
	}
}

// versionTooOld is V3_0_6.
const versionTooOld = 27

// What can't be written is not answered with success.
func TestResetThatIsNotOnDisk(t *testing.T) {
	fs := vfs.NewMem()
	w, c := resetWorld(t, fs)
	fs.Fail(func(op vfs.Op, name string) error {
		if op.Changes() && strings.Contains(name, "consumerOffset") {
			return errors.New("the disk says no")
		}
		return nil
	})
	c.refused(wire.SystemError, resetRequest(header.ResetOffsetRequest{Timestamp: 3000, Force: true}), "group g", "the disk says no", "again")
	c.refused(wire.SystemError, &wire.Request{Code: wire.ReqCloneGroupOffset, Header: &header.CloneGroupOffsetRequest{SrcGroup: "g", DestGroup: "to"}}, "the disk says no")
	fs.Fail(nil)
	if _, table := c.reset(resetRequest(header.ResetOffsetRequest{Timestamp: 3000, Force: true})); len(table) != 4 {
		t.Errorf("again: %v", table)
	}
	w.wantOffsets("g", 2, 2)
}

// Each pull is held or answered with the reset, whichever comes first.
func TestResetWhileAPullIsBeingHeld(t *testing.T) {
	w, c := resetWorld(t, vfs.NewMem())
	admin := w.client()
	for range 50 {
		done := make(chan *rpc.Pulled, 1)
		go func() { done <- c.pull("g", "T", 0, 4, time.Hour) }()
		admin.reset(resetRequest(header.ResetOffsetRequest{Timestamp: 3000, Force: true, HasQueueID: true}))
		select {
		case p := <-done:
			if p.Code != wire.PullOffsetMoved || p.Header.NextBeginOffset != 2 {
				t.Fatalf("%d %+v", p.Code, p.Header)
			}
		case <-w.ctx.Done():
			t.Fatal("the pull was held on")
		}
	}
}
