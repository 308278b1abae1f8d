// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/broker/pop"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// gotten is the answer to a pop.
type gotten struct {
	header.PopResponse
	code   int32
	remark string
	list   []message.Record
}

func (p *gotten) bodies() string {
	var out []string
	for i := range p.list {
		out = append(out, string(p.list[i].Body))
	}
	return strings.Join(out, " ")
}

// popRequest is of up to 32 messages of a queue for a minute.
func popRequest(topic string, queue int32) *header.PopRequest {
	return &header.PopRequest{ConsumerGroup: "g", Topic: topic, QueueID: queue, MaxMsgNums: 32, InvisibleTime: 60_000}
}

func (c *client) popNow(h *header.PopRequest) *gotten {
	c.w.t.Helper()
	cmd, err := c.Invoke(c.w.ctx, c.w.addr, &wire.Request{Code: wire.ReqPopMessage, Header: h})
	if err != nil {
		c.w.t.Fatal(err)
	}
	p := &gotten{code: cmd.Code, remark: string(cmd.Remark)}
	if cmd.Code == wire.Success || cmd.Code == wire.PollingTimeout && len(cmd.Ext) > 0 {
		if err := p.DecodeExt(cmd.Ext); err != nil {
			c.w.t.Fatal(err)
		}
	}
	err = message.RangeRecords(append([]byte(nil), cmd.Body...), true, func(r *message.Record) error { p.list = append(p.list, *r); return nil })
	if err != nil {
		c.w.t.Fatal(err)
	}
	return p
}

// handles makes the handle of each message as clients do.
func (p *gotten) handles(broker string) []pop.Handle {
	starts := map[string]int64{}
	for _, one := range strings.Split(p.StartOffsetInfo, ";") {
		var retry, queue string
		var at int64
		if _, err := fmt.Sscanf(one, "%s %s %d", &retry, &queue, &at); err == nil {
			starts[retry+"@"+queue] = at
		}
	}
	list := make([]pop.Handle, len(p.list))
	for i := range p.list {
		r := &p.list[i]
		if ck, ok := r.Property(message.PropertyPopCheckpoint); ok {
			list[i], _ = header.ParsePopHandle(string(ck))
			continue
		}
		list[i] = pop.Handle{Start: starts[fmt.Sprintf("0@%d", r.QueueID)], PopTime: p.PopTime, Invisible: p.InvisibleTime, Revive: p.ReviveQID,
			Kind: pop.Normal, Broker: broker, Queue: r.QueueID, Offset: r.QueueOffset}
	}
	return list
}

func (c *client) answer(code int32, h wire.Header, body []byte) *wire.Command {
	c.w.t.Helper()
	cmd, err := c.Invoke(c.w.ctx, c.w.addr, &wire.Request{Code: code, Header: h, Body: body})
	if err != nil {
		c.w.t.Fatal(err)
	}
	return cmd
}

func (c *client) ack(topic string, h *pop.Handle) *wire.Command {
	c.w.t.Helper()
	return c.answer(wire.ReqAckMessage, &header.AckRequest{ConsumerGroup: "g", Topic: pop.RetryTopic("g", topic, h.Kind), QueueID: h.Queue,
		ExtraInfo: h.String(), Offset: h.Offset}, nil)
}

// walled is a broker with a wall clock that the test moves.
func walled(t *testing.T, fs vfs.FS, at *atomic.Int64, keys ...string) *world {
	t.Helper()
	if at.Load() == 0 {
		at.Store(1_700_000_000_000)
	}
	return startAt(t, fs, at.Load, keys...)
}

// popSoon pops until there is something.
func (c *client) popSoon(h *header.PopRequest) *gotten {
	c.w.t.Helper()
	for end := time.Now().Add(patience); ; {
		p := c.popNow(h)
		if p.code != wire.PollingTimeout || time.Now().After(end) {
			return p
		}
		<-time.After(5 * time.Millisecond)
	}
}

func TestPop(t *testing.T) {
	var now atomic.Int64
	w := walled(t, vfs.NewMem(), &now)
	c := w.client()
	for i := range 3 {
		c.send(sendHeader("T"), fmt.Sprint("m", i))
	}
	h := popRequest("T", -1)
	h.MaxMsgNums = 2
	p := c.popSoon(h)
	if p.bodies() != "m0 m1" || p.StartOffsetInfo != "0 0 0" || p.MsgOffsetInfo != "0 0 0,1" || p.RestNum != 1 || p.InvisibleTime != 60_000 ||
		p.PopTime != now.Load() || p.ReviveQID < 0 || p.ReviveQID > 7 || p.remark != "FOUND" {
		t.Fatalf("%+v", p)
	}
	first := p.handles("broker-a")
	if p = c.popSoon(h); p.bodies() != "m2" || p.StartOffsetInfo != "0 0 2" || p.RestNum != 0 {
		t.Fatalf("%+v", p)
	}
	rest := p.handles("broker-a")
	if p = c.popNow(h); p.code != wire.PollingTimeout || p.PopTime != now.Load() {
		t.Fatalf("%+v", p)
	}
	// m0 is acked, m1 gets more time, m2 nothing.
	if cmd := c.ack("T", &first[0]); cmd.Code != wire.Success {
		t.Fatalf("%d %s", cmd.Code, cmd.Remark)
	}
	now.Add(1)
	cmd := c.answer(wire.ReqChangeMessageInvisibleTime, &header.ChangeInvisibleRequest{ConsumerGroup: "g", Topic: "T", QueueID: 0,
		ExtraInfo: first[1].String(), Offset: 1, InvisibleTime: 200_000}, nil)
	var changed header.ChangeInvisibleResponse
	if err := changed.DecodeExt(cmd.Ext); cmd.Code != wire.Success || err != nil || changed.PopTime != now.Load() || changed.InvisibleTime != 200_000 {
		t.Fatalf("%d %+v %v", cmd.Code, changed, err)
	}
	now.Add(60_000)
	p = c.popSoon(h)
	if p.bodies() != "m2" || p.StartOffsetInfo != "1 0 0" || p.MsgOffsetInfo != "1 0 0" {
		t.Fatalf("%+v", p)
	}
	r := &p.list[0]
	handle := p.handles("broker-a")[0]
	if string(r.Topic) != "T" || r.ReconsumeTimes != 1 || r.BornTimestamp != 7 || handle.Kind != pop.RetryV1 || handle.Offset != 0 || handle.Broker != "broker-a" {
		t.Errorf("the retry is %+v with %+v", r, handle)
	}
	if v, _ := r.Property(message.PropertyFirstPopTime); string(v) != fmt.Sprint(rest[0].PopTime) {
		t.Errorf("1ST_POP_TIME is %q", v)
	}
	if cmd := c.ack("T", &handle); cmd.Code != wire.Success {
		t.Fatalf("%d %s", cmd.Code, cmd.Remark)
	}
	now.Add(200_000)
	if p = c.popSoon(h); p.bodies() != "m1" {
		t.Fatalf("%+v", p)
	}
}

// TestPopAliases: clients with the binary header have 16 bits for the code.
func TestPopAliases(t *testing.T) {
	w := start(t, vfs.NewMem())
	c := w.client()
	for _, code := range []int32{3442, 3443, 3444, 3445, 3446, 3447, 3543} {
		cmd, err := c.Invoke(c.w.ctx, c.w.addr, &wire.Request{Code: code, Encoding: wire.Binary})
		if err != nil {
			t.Fatal(err)
		}
		if cmd.Code == wire.RequestCodeNotSupported {
			t.Errorf("code %d is not served: %s", code, cmd.Remark)
		}
	}
}

func TestBatchAckAndPeek(t *testing.T) {
	var now atomic.Int64
	w := walled(t, vfs.NewMem(), &now)
	c := w.client()
	for i := range 4 {
		c.send(sendHeader("T"), fmt.Sprint("m", i))
	}
	p := c.popSoon(popRequest("T", 0))
	for p.bodies() != "m0 m1 m2 m3" { // not all were in the queue yet
		t.Fatalf("%+v", p)
	}
	h := p.handles("broker-a")[0]
	ack := body.BatchAck{ConsumerGroup: "g", Topic: "T", Retry: "0", QueueID: 0, ReviveQueueID: h.Revive, PopTime: h.PopTime, InvisibleTime: h.Invisible}
	ack.SetOffsets(h.Start, 0, 2, 3, 900)
	if cmd := c.answer(wire.ReqBatchAckMessage, nil, body.Marshal(&body.BatchAckRequest{BrokerName: "broker-a", Acks: []body.BatchAck{ack}})); cmd.Code != wire.Success {
		t.Fatalf("%d %s", cmd.Code, cmd.Remark)
	}
	c.refused(wire.NoMessage, &wire.Request{Code: wire.ReqBatchAckMessage}, "nothing was acked")
	c.send(sendHeader("T"), "m4")
	now.Add(60_000)
	if p := c.popSoon(&header.PopRequest{ConsumerGroup: "g", Topic: pop.RetryTopic("g", "T", pop.RetryV1), MaxMsgNums: 9, InvisibleTime: 1}); p.code != wire.Success && p.code != wire.TopicNotExist {
		t.Fatalf("%+v", p)
	}
	for range 2 {
		cmd := c.answer(wire.ReqPeekMessage, &header.PeekRequest{ConsumerGroup: "other", Topic: "T", MaxMsgNums: 32}, nil)
		if cmd.Code != wire.Success || bodies(t, cmd.Body) != "m0 m1 m2 m3 m4" {
			t.Errorf("a peek gives %d %q", cmd.Code, bodies(t, cmd.Body))
		}
	}
}

func TestPopRefusals(t *testing.T) {
	var now atomic.Int64
	w := walled(t, vfs.NewMem(), &now)
	c := w.client()
	c.send(sendHeader("T"), "m0")
	for name, x := range map[string]struct {
		change func(h *header.PopRequest)
		code   int32
		words  string
	}{
		"topic":    {func(h *header.PopRequest) { h.Topic = "none" }, wire.TopicNotExist, "none"},
		"queue":    {func(h *header.PopRequest) { h.QueueID = 99 }, wire.InvalidParameter, "99"},
		"messages": {func(h *header.PopRequest) { h.MaxMsgNums = 33 }, wire.InvalidParameter, "maxMsgNums"},
		"late":     {func(h *header.PopRequest) { h.BornTime, h.PollTime = now.Load()-1000, 499 }, wire.PollingTimeout, "bornTime"},
		"negative": {func(h *header.PopRequest) { h.InvisibleTime = -1 }, wire.InvalidParameter, "invisibleTime"},
		"forever":  {func(h *header.PopRequest) { h.InvisibleTime = 1 << 50 }, wire.InvalidParameter, "invisible time"},
		"filter":   {func(h *header.PopRequest) { h.ExpType, h.Exp = "SQL92", "a = (" }, wire.SubscriptionParseFailed, ""},
		"tags":     {func(h *header.PopRequest) { h.Exp = strings.Repeat("a", 100_000) }, wire.SubscriptionParseFailed, "100000 bytes"},
		"attempt":  {func(h *header.PopRequest) { h.AttemptID = strings.Repeat("a", 257) }, wire.InvalidParameter, "attemptId"},
		"in order": {func(h *header.PopRequest) { h.Order, h.AttemptID = true, "a\x02POP_VISIBLE\x011" }, wire.InvalidParameter, "attemptId"},
	} {
		t.Run(name, func(t *testing.T) {
			h := popRequest("T", 0)
			x.change(h)
			c.refused(x.code, &wire.Request{Code: wire.ReqPopMessage, Header: h}, x.words)
		})
	}
	good := &pop.Handle{Kind: pop.Normal, Broker: "b", PopTime: 1}
	for name, x := range map[string]struct {
		queue  int32
		offset int64
		handle string
		code   int32
	}{
		"queue": {9, 0, good.String(), wire.MessageIllegal}, "offset": {0, 5, good.String(), wire.NoMessage},
		"handle": {0, 0, "1 2 x", wire.MessageIllegal}, "number": {0, 0, "1 x 3 4 0 b", wire.MessageIllegal}, "late": {0, 0, good.String(), wire.Success},
	} {
		c.w.t = t
		cmd := c.answer(wire.ReqAckMessage, &header.AckRequest{ConsumerGroup: "g", Topic: "T", QueueID: x.queue, Offset: x.offset, ExtraInfo: x.handle}, nil)
		if cmd.Code != x.code {
			t.Errorf("%s: %d %s, want %d", name, cmd.Code, cmd.Remark, x.code)
		}
	}
	c.refused(wire.NoMessage, &wire.Request{Code: wire.ReqChangeMessageInvisibleTime, Header: &header.ChangeInvisibleRequest{ConsumerGroup: "g", Topic: "T",
		ExtraInfo: good.String(), InvisibleTime: 5}}, "no longer")
}

// TestHeldPop: a pop that finds nothing waits for a message, and gets it.
func TestHeldPop(t *testing.T) {
	var now atomic.Int64
	w := walled(t, vfs.NewMem(), &now)
	c, other := w.client(), w.client()
	c.send(sendHeader("T"), "m0")
	c.popSoon(popRequest("T", -1))
	h := popRequest("T", -1)
	h.PollTime, h.BornTime = 15_000, now.Load()
	got := make(chan *gotten, 1)
	go func() { got <- other.popNow(h) }()
	w.heldPops(1, 0)
	c.send(sendHeader("T"), "m1")
	if p := <-got; p.bodies() != "m1" {
		t.Errorf("%+v", p)
	}
	// One that has nothing is told so in time.
	h.PollTime = 50
	if p := c.popNow(h); p.code != wire.PollingTimeout || p.remark != "NO_MESSAGE_IN_QUEUE" {
		t.Errorf("%+v", p)
	}
}

// TestPopSurvivesAKill: what was popped, acked and changed is what it was.
func TestPopSurvivesAKill(t *testing.T) {
	var now atomic.Int64
	fs := vfs.NewMem()
	w := walled(t, fs, &now)
	c := w.client()
	for i := range 4 {
		c.send(sendHeader("T"), fmt.Sprint("m", i))
	}
	p := c.popSoon(popRequest("T", 0))
	handles := p.handles("broker-a")
	if p.bodies() != "m0 m1 m2 m3" {
		t.Fatalf("%+v", p)
	}
	for _, i := range []int{0, 2} {
		if cmd := c.ack("T", &handles[i]); cmd.Code != wire.Success {
			t.Fatal(string(cmd.Remark))
		}
	}
	w = walled(t, fs.Kill(), &now)
	c = w.client()
	if p := c.popNow(popRequest("T", 0)); p.code != wire.PollingTimeout {
		t.Fatalf("after the kill: %q", p.bodies())
	}
	if cmd := c.ack("T", &handles[3]); cmd.Code != wire.Success { // the handle is still good
		t.Fatal(string(cmd.Remark))
	}
	now.Add(60_000)
	if p := c.popSoon(popRequest("T", 0)); p.bodies() != "m1" {
		t.Fatalf("after its time: %+v", p)
	}
	if s := w.pops.Stats(); s.Revived != 1 || s.Acked != 1 {
		t.Errorf("%+v", s)
	}
}

// TestPopWithoutTimers: what nobody acks is given again though nothing can wait in
// the wheel, also after a kill.
func TestPopWithoutTimers(t *testing.T) {
	var now atomic.Int64
	fs := vfs.NewMem()
	w := walled(t, fs, &now, "timerWheelEnable", "false")
	c := w.client()
	for i := range 3 {
		c.send(sendHeader("T"), fmt.Sprint("m", i))
	}
	p := c.popSoon(popRequest("T", 0))
	if p.bodies() != "m0 m1 m2" {
		t.Fatalf("%+v", p)
	}
	handles := p.handles("broker-a")
	if cmd := c.ack("T", &handles[0]); cmd.Code != wire.Success {
		t.Fatal(string(cmd.Remark))
	}
	now.Add(1)
	cmd := c.answer(wire.ReqChangeMessageInvisibleTime, &header.ChangeInvisibleRequest{ConsumerGroup: "g", Topic: "T", QueueID: 0,
		ExtraInfo: handles[2].String(), Offset: 2, InvisibleTime: 200_000}, nil)
	if cmd.Code != wire.Success {
		t.Fatal(string(cmd.Remark))
	}
	for _, due := range []struct {
		after int64
		body  string
	}{{60_000, "m1"}, {200_000, "m2"}} {
		fs = fs.Kill()
		w = walled(t, fs, &now, "timerWheelEnable", "false")
		c = w.client()
		if p := c.popNow(popRequest("T", 0)); p.code != wire.PollingTimeout {
			t.Fatalf("before %s is due: %q", due.body, p.bodies())
		}
		now.Add(due.after)
		p := c.popSoon(popRequest("T", 0))
		if p.bodies() != due.body {
			t.Fatalf("%s is due: %+v", due.body, p)
		}
		if cmd := c.ack("T", &p.handles("broker-a")[0]); cmd.Code != wire.Success {
			t.Fatal(string(cmd.Remark))
		}
	}
}
