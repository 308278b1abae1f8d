// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

func TestCloneOffsets(t *testing.T) {
	fs := vfs.NewMem()
	w, c := resetWorld(t, fs)
	clone := func(h header.CloneGroupOffsetRequest) *wire.Request {
		return &wire.Request{Code: wire.ReqCloneGroupOffset, Header: &h}
	}
	c.send(sendHeader("U"), "u")
	w.offsets.Commit("g", "U", 0, 1)
	w.offset("to", 0, 1)
	if cmd, _ := c.Invoke(w.ctx, w.addr, clone(header.CloneGroupOffsetRequest{SrcGroup: "g", DestGroup: "to", Topic: "T"})); cmd == nil || cmd.Code != wire.Success {
		t.Fatalf("%v", cmd)
	}
	w.wantOffsets("to", 4, 4, 0, 0)
	// g is online and does not subscribe to U.
	for _, offline := range []bool{false, true} {
		if cmd, _ := c.Invoke(w.ctx, w.addr, clone(header.CloneGroupOffsetRequest{SrcGroup: "g", DestGroup: "all", Offline: offline})); cmd == nil || cmd.Code != wire.Success {
			t.Fatalf("%v", cmd)
		}
		w.wantOffsets("all", 4, 4, 0, 0)
		if _, ok := w.offsets.Query("all", "U", 0); ok != offline {
			t.Errorf("offline %v: U cloned %v", offline, ok)
		}
	}
	c.refused(wire.TopicNotExist, clone(header.CloneGroupOffsetRequest{SrcGroup: "g", DestGroup: "to", Topic: "Missing"}), "Missing")
	c.refused(wire.SystemError, clone(header.CloneGroupOffsetRequest{SrcGroup: "g", DestGroup: "t@o", Topic: "T"}), "destGroup")
	c.refused(wire.NoPermission, clone(header.CloneGroupOffsetRequest{SrcGroup: "g", DestGroup: message.GroupTransCheck, Topic: "T"}), message.GroupTransCheck)
	start(t, fs.Crash(vfs.CrashOptions{})).wantOffsets("all", 4, 4, 0, 0)
}

// What was reset before and is known to nobody yet does not keep a clone out.
func TestCloneOntoAReset(t *testing.T) {
	w, c := resetWorld(t, vfs.NewMem())
	w.offset("from", 0, 3)
	c.reset(resetRequest(header.ResetOffsetRequest{HasQueueID: true, Offset: 1, HasOffset: true}))
	if cmd, _ := c.Invoke(w.ctx, w.addr, &wire.Request{Code: wire.ReqCloneGroupOffset,
		Header: &header.CloneGroupOffsetRequest{SrcGroup: "from", DestGroup: "g", Topic: "T"}}); cmd == nil || cmd.Code != wire.Success {
		t.Fatalf("%v", cmd)
	}
	w.wantOffsets("g", 3)
	w.offset("g", 0, 4) // of a consumer that knows of neither
	w.wantOffsets("g", 3)
	if p := c.pull("g", "T", 0, 4, 0); p.Code != wire.PullOffsetMoved || p.Header.NextBeginOffset != 3 {
		t.Errorf("its next pull: %d %+v", p.Code, p.Header)
	}
}

func TestCorrectionOffsets(t *testing.T) {
	w, c := resetWorld(t, vfs.NewMem())
	w.offset("behind", 0, 1)
	w.offset("behind", 1, 2)
	w.offset("worse", 0, 0)
	ask := func(filter, compare string) string {
		t.Helper()
		cmd, err := c.Invoke(w.ctx, w.addr, &wire.Request{Code: wire.ReqQueryCorrectionOffset,
			Header: &header.CorrectionOffsetRequest{FilterGroups: filter, CompareGroup: compare, Topic: "T"}})
		if err != nil || cmd.Code != wire.Success {
			t.Fatalf("%v %v", cmd, err)
		}
		var b body.QueryCorrectionOffsetBody
		if err := body.Unmarshal(cmd.Body, &b); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(b.CorrectionOffsets)
	}
	for _, tc := range [][3]string{
		{"", "nobody", "map[0:0 1:2 2:0 3:0]"},
		{"worse", "nobody", "map[0:1 1:2 2:0 3:0]"},
		{"worse,behind", "nobody", "map[0:4 1:4 2:0 3:0]"},
		{"worse,behind", "behind", "map[0:9223372036854775807 1:9223372036854775807 2:0 3:0]"},
	} {
		if got := ask(tc[0], tc[1]); got != tc[2] {
			t.Errorf("without %q against %s: %s, want %s", tc[0], tc[1], got, tc[2])
		}
	}
	w.wantOffsets("worse", 0) // RocketMQ deletes the offsets of the groups that are left out
}

// TestCloneOntoAPoppingGroup: a clone that was answered stands against what the group
// popped before, also after a kill.
func TestCloneOntoAPoppingGroup(t *testing.T) {
	var now atomic.Int64
	fs := vfs.NewMem()
	w := walled(t, fs, &now)
	c := w.client()
	for i := range 4 {
		c.send(sendHeader("T"), fmt.Sprint("m", i))
	}
	w.stored("T", 0)
	c.heartbeat("c", "from", "T", "*")
	w.offset("from", 0, 1)
	if p := c.popSoon(popRequest("T", 0)); len(p.list) != 4 {
		t.Fatalf("%+v", p)
	}
	if cmd, _ := c.Invoke(w.ctx, w.addr, &wire.Request{Code: wire.ReqCloneGroupOffset,
		Header: &header.CloneGroupOffsetRequest{SrcGroup: "from", DestGroup: "g", Topic: "T"}}); cmd == nil || cmd.Code != wire.Success {
		t.Fatalf("%v", cmd)
	}
	w.wantOffsets("g", 1)
	now.Add(1)
	w = walled(t, fs.Kill(), &now)
	w.wantOffsets("g", 1)
	if p := w.client().popSoon(popRequest("T", 0)); p.bodies() != "m1 m2 m3" {
		t.Errorf("then the group pops %q", p.bodies())
	}
}
