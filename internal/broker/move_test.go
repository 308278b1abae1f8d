// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"errors"
	"slices"
	"strings"
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

// pop pops and gives the answer.
func (c *client) pop(h header.PopRequest) *wire.Command {
	c.w.t.Helper()
	cmd, err := c.Invoke(c.w.ctx, c.w.addr, &wire.Request{Code: wire.ReqPopMessage, Header: &h})
	if err != nil {
		c.w.t.Fatal(err)
	}
	return cmd
}

func (c *client) mode(topic, group string, mode body.RequestMode) {
	c.w.t.Helper()
	cmd := c.ask(wire.ReqSetMessageRequestMode, &body.RequestModeConfig{Topic: topic, ConsumerGroup: group, Mode: mode}, nil)
	if cmd.Code != wire.Success {
		c.w.t.Fatalf("mode %s: %d %s", mode, cmd.Code, cmd.Remark)
	}
}

// A group pops, does not ack, and goes over to pulling: nothing is left behind.
func TestGroupMovesFromPopToPull(t *testing.T) {
	w := start(t, vfs.NewMem())
	c := w.client()
	for _, text := range []string{"a", "b", "c"} {
		c.send(sendHeader("T", "UNIQ_KEY", text), text)
	}
	w.stored("T", 0)
	c.heartbeat("c", "g", "T", "*", "%RETRY%g", "*")
	c.mode("T", "g", body.RequestPop)
	cmd := c.pop(header.PopRequest{ConsumerGroup: "g", Topic: "T", MaxMsgNums: 32, InvisibleTime: 50, PollTime: 1000, BornTime: time.Now().UnixMilli()})
	if cmd.Code != wire.Success || bodies(t, cmd.Body) != "a b c" {
		t.Fatalf("popped %d %s %q", cmd.Code, cmd.Remark, bodies(t, cmd.Body))
	}
	c.mode("T", "g", body.RequestPull)
	var got []string
	for len(got) < 3 && w.ctx.Err() == nil {
		p := c.pull("g", "%RETRY%g", 0, int64(len(got)), time.Minute)
		if p.Code == wire.Success {
			got = append(got, strings.Fields(bodies(t, p.Records))...)
		}
	}
	slices.Sort(got)
	if strings.Join(got, " ") != "a b c" {
		t.Errorf("pulled %q", got)
	}
	if p := c.pull("g", "T", 0, 3, 0); p.Code != wire.PullNotFound {
		t.Errorf("the topic itself: %d", p.Code)
	}
	for _, rec := range w.stored("%RETRY%g", 0) {
		topic, _ := rec.Property(message.PropertyRetryTopic)
		_, handle := rec.Property(message.PropertyPopCheckpoint)
		if string(topic) != "T" || handle || rec.ReconsumeTimes != 1 {
			t.Errorf("%s: of topic %q, handle %v, %d times", rec.Body, topic, handle, rec.ReconsumeTimes)
		}
	}
}

// left stores messages in a pop retry topic of group g, as a revival does.
func (w *world) left(retry string, texts ...string) {
	w.t.Helper()
	if _, err := w.topics.Ensure(retry, 1, 6, 0); err != nil {
		w.t.Fatal(err)
	}
	for _, text := range texts {
		var b store.Batch
		rec := &message.Record{BornHost: w.advertised, StoreHost: w.advertised, Body: []byte(text), ReconsumeTimes: 1}
		if err := b.Add(w.store.Queue(retry, 0), rec); err != nil {
			w.t.Fatal(err)
		}
		if err := w.store.Append(&b); err != nil {
			w.t.Fatal(err)
		}
	}
	w.stored(retry, 0)
}

// refusing is a popper whose acks fail.
type refusing struct{ *pop.Service }

func (refusing) Ack(string, string, int32, *pop.Handle, ...int64) error {
	return errors.New("no ack")
}

func TestWhatIsMovedAndWhatIsNot(t *testing.T) {
	w := start(t, vfs.NewMem())
	c := w.client()
	c.send(sendHeader("T"), "x")
	c.send(sendHeader("U"), "x")
	c.heartbeat("c", "g", "T", "*", "%RETRY%g", "*")
	m := &mover{b: w.Broker, pop: w.pops, failed: map[string]bool{}}
	move := func(what, want string) {
		t.Helper()
		m.round(context.Background())
		w.wantBodies("%RETRY%g", 0, want)
		if t.Failed() {
			t.Fatal(what)
		}
	}
	w.left("%RETRY%g_T", "a")
	w.left("%RETRY%g_U", "of another topic")
	move("no mode is set: the group may be popping through a proxy", "")
	c.mode("T", "g", body.RequestPop)
	move("it pops", "")
	c.mode("T", "g", body.RequestPull)
	move("it pulls", "a")
	w.left("%RETRY%g_T", "b", "c")
	w.left("%RETRY%g+T", "d")
	move("more of it, and of the newer name", "a b c d")
	move("all is moved", "a b c d")

	c.heartbeat("c", "g", "T", "*", "%RETRY%g", "*", "%RETRY%g_T", "*")
	w.left("%RETRY%g_T", "e")
	move("a member reads the topic itself", "a b c d")
	c.heartbeat("c", "g", "T", "*", "%RETRY%g", "*")
	move("it no longer does", "a b c d e")

	m.pop = refusing{w.pops}
	w.left("%RETRY%g_T", "f")
	move("it can't be acked", "a b c d e f")
	if !m.failed["%RETRY%g_T"] {
		t.Error("the failure is not noted")
	}
	move("it is out of sight, to come again", "a b c d e f")
	if m.failed["%RETRY%g_T"] {
		t.Error("the failure is still noted")
	}
	if n := w.pops.Stats().InFlight; n != 1 {
		t.Errorf("%d messages in flight, want the one that was not acked", n)
	}
}
