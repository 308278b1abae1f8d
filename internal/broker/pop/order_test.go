// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pop

import (
	"errors"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// ordered pops in order from queue 0 and wants the texts.
func (r *rig) ordered(attempt, want string) []got {
	r.t.Helper()
	list, err := r.pop(Request{Group: "g", Topic: "T", Queue: 0, Max: 3, Invisible: 1000, Order: true, Attempt: attempt})
	if err != nil {
		r.t.Fatal(err)
	}
	var texts []string
	for i := range list {
		texts = append(texts, list[i].text)
	}
	if got := strings.Join(texts, " "); got != want {
		r.t.Fatalf("a pop in order gives %q, want %q", got, want)
	}
	return list
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// TestOrder: a queue is blocked while a message of it is in flight, what is not
// acked comes first again, without what is; also after each kill.
func TestOrder(t *testing.T) {
	for name, kill := range map[string]bool{"one run": false, "killed": true} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			again := func() {
				if kill {
					r.restart((*vfs.Mem).Kill)
				}
			}
			r.must(r.send(0, "a", "b", "c", "d"))
			r.ordered("x", "a b c")
			again()
			if r.s.Ready("g", "T", 0) {
				t.Error("a blocked queue counts as ready")
			}
			r.ordered("y", "")
			r.ordered("x", "a b c") // the same attempt: its answer was lost
			list := r.ordered("x", "a b c")
			r.must(r.ack(&list[1]))
			again()
			r.now += 1000
			list = r.ordered("z", "a c")
			again()
			if _, _, err := r.s.Change("g", "T", 0, &list[0].handle, 0, 5000); err != nil {
				t.Fatal(err)
			}
			r.now += 1000
			if !kill {
				r.ordered("w", "")
			}
			r.must(r.ack(&list[0]))
			again()
			r.must(r.ack(&list[1]))
			r.must(r.ack(&list[1])) // twice is no error
			again()
			list = r.ordered("w", "d")
			r.s.settleOffsets()
			if off, _ := r.offsets.Query("g", "T", 0); off != 3 {
				t.Errorf("the offset is %d", off)
			}
			bad := list[0].handle
			if err := r.s.Ack("g", "T", 0, &bad, 9); !errors.Is(err, ErrNotGiven) {
				t.Errorf("an ack of what was not given: %v", err)
			}
			r.must(r.ack(&list[0]))
			r.ordered("v", "")
		})
	}
}

// TestFirstPopInOrderFixesTheOffset: where a group has begun it goes on after a kill,
// though its offset was not written yet.
func TestFirstPopInOrderFixesTheOffset(t *testing.T) {
	r := newRig(t)
	r.must(r.send(0, "a", "b"))
	r.ordered("x", "a b")
	r.restart((*vfs.Mem).Kill)
	if off, known := r.offsets.Query("g", "T", 0); !known || off != 0 {
		t.Errorf("the offset is %d %v", off, known)
	}
	r.ordered("y", "")
}

// TestOrderCounts: the answer says how often messages were given before.
func TestOrderCounts(t *testing.T) {
	r := newRig(t)
	r.must(r.send(0, "a", "b"))
	for i, want := range []string{"0 0 0", "0 qo0%0 1;0 qo0%1 1;0 0 1", "0 qo0%0 2;0 qo0%1 2;0 0 2"} {
		res, err := r.s.Pop(Request{Group: "g", Topic: "T", Queue: 0, Max: 3, Invisible: 10, Order: true})
		r.must(err)
		res.Release()
		if res.OrderCountInfo != want || res.ReviveQID != OrderQueue {
			t.Errorf("pop %d: %q in revive queue %d, want %q", i, res.OrderCountInfo, res.ReviveQID, want)
		}
		r.now += 10
	}
}

// TestDeadLetter: what was given as often as the group wants is not given again.
func TestDeadLetter(t *testing.T) {
	r := newRig(t)
	r.names.group.RetryMaxTimes = 1
	r.must(r.send(0, "a"))
	for range 2 {
		list, err := r.pop(Request{Group: "g", Topic: "T", Queue: -1, Max: 3, Invisible: 10})
		r.must(err)
		if len(list) != 1 {
			t.Fatalf("%+v", list)
		}
		r.now += 10
		r.must(r.turn())
	}
	if list, err := r.pop(Request{Group: "g", Topic: "T", Queue: -1, Max: 3, Invisible: 10}); err != nil || len(list) != 0 {
		t.Fatalf("%+v %v", list, err)
	}
	rec, release, _, err := r.s.read(r.st.LookupQueue("%DLQ%g", 0), 0)
	r.must(err)
	defer release()
	var m message.Record
	if _, err := message.DecodeRecord(rec, &m, true); err != nil {
		t.Fatal(err)
	}
	props := message.ParseProperties(m.Properties)
	if string(m.Body) != "a" || m.ReconsumeTimes != 2 || props[message.PropertyDLQOriginTopic] != "T" || props[message.PropertyDLQOriginMessageID] == "" || props[message.PropertyPopCheckpoint] != "" {
		t.Errorf("the dead letter is %+v, %v", m, props)
	}
}

// TestReset: a group that was put elsewhere goes on there, also when it is killed
// before the next note.
func TestReset(t *testing.T) {
	r := newRig(t)
	r.must(r.send(0, "a", "b", "c"))
	req := Request{Group: "g", Topic: "T", Queue: 0, Max: 3, Invisible: 60_000}
	list, err := r.pop(req)
	r.must(err)
	if len(list) != 3 {
		t.Fatalf("%+v", list)
	}
	r.must(r.offsets.Reset("g", "T", 0, 1))
	r.now++
	list, err = r.pop(req)
	r.must(err)
	if len(list) != 2 || list[0].text != "b" {
		t.Fatalf("after the reset %+v", list)
	}
	r.must(r.offsets.Reset("g", "T", 0, 0))
	r.must(r.s.Note())
	r.restart((*vfs.Mem).Kill)
	r.now++
	list, err = r.pop(req)
	r.must(err)
	if len(list) != 3 || list[0].text != "a" {
		t.Fatalf("after the reset and a kill %+v", list)
	}
}
