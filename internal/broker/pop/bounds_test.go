// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pop

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"testing"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
)

// TestTooMuchPopped: a group that acks nothing is refused before the note of what
// is open grows without end, and goes on once something is done.
func TestTooMuchPopped(t *testing.T) {
	r := newRig(t)
	r.s.cfg.MaxOpen = 40_000
	var all []got
	var err error
	for i := range 1000 {
		r.must(r.send(0, fmt.Sprint(i)))
		var list []got
		if list, err = r.pop(Request{Group: "g", Topic: "T", Queue: 0, Max: 1, Invisible: 1000}); err != nil {
			break
		}
		all = append(all, list...)
	}
	if !errors.Is(err, ErrFull) || len(all) < 20 || len(all) > 50 {
		t.Fatalf("after %d pops: %v", len(all), err)
	}
	h := all[0].handle
	if _, _, err := r.s.Change("g", "T", 0, &h, h.Offset, 5000); err != nil {
		t.Errorf("what is popped can't be kept longer: %v", err)
	}
	r.restart((*vfs.Mem).Kill)
	r.s.cfg.MaxOpen = 40_000
	req := Request{Group: "g", Topic: "T", Queue: 0, Max: 1, Invisible: 1000}
	if _, err := r.pop(req); !errors.Is(err, ErrFull) {
		t.Errorf("after a kill: %v", err)
	}
	if _, err := r.s.Peek(req); err != nil {
		t.Errorf("a peek: %v", err)
	}
	for i := range all[1:] {
		r.must(r.ack(&all[1+i]))
	}
	if list, err := r.pop(req); err != nil || len(list) != 1 {
		t.Errorf("after acks: %+v %v", list, err)
	}
}

// TestNoteOfTheMost: a note of as much as can be open is read back.
func TestNoteOfTheMost(t *testing.T) {
	m := newMerge()
	const limit = maxOpen / 64 // a part will do: what is written grows by the entry
	for i := 0; m.size < limit; i++ {
		m.add(&checkpoint{key: key{"T", "g", 65535, math.MaxInt64 - int64(i), math.MaxInt64 / 2}, at: math.MaxInt64 - int64(i), revive: 7, invisible: MaxInvisible, diffs: []int32{math.MaxInt32}})
	}
	var n body.PopNote
	for _, c := range m.snapshot() {
		n.Open = append(n.Open, body.OpenPop{At: c.at, Revive: c.revive, Point: c.point("broker", 0)})
	}
	text := body.MarshalConfig(&n)
	if size := int64(len(text)); 2*size*maxOpen/limit > 240<<20 {
		t.Errorf("%d bytes of checkpoints make a note of %d", m.size, size)
	}
	if 2*3*len(n.Open)*maxOpen/limit > 1<<22 {
		t.Errorf("%d checkpoints in %d bytes", len(n.Open), m.size)
	}
	var back body.PopNote
	if err := body.Unmarshal(text, &back); err != nil || len(back.Open) != len(n.Open) {
		t.Errorf("%d of %d are read back: %v", len(back.Open), len(n.Open), err)
	}
}

// TestInvisibleTimes: times that can't be had are refused and change nothing.
func TestInvisibleTimes(t *testing.T) {
	r := newRig(t)
	r.must(r.send(0, "a"))
	for _, ms := range []int64{-1, MaxInvisible + 1, math.MaxInt64} {
		for _, order := range []bool{false, true} {
			if _, err := r.s.Pop(Request{Group: "g", Topic: "T", Queue: 0, Max: 1, Invisible: ms, Order: order}); !errors.Is(err, ErrTime) {
				t.Errorf("a pop for %d ms, in order %v: %v", ms, order, err)
			}
		}
	}
	list, err := r.pop(Request{Group: "g", Topic: "T", Queue: 0, Max: 1, Invisible: MaxInvisible})
	if err != nil || len(list) != 1 {
		t.Fatalf("%+v %v", list, err)
	}
	if _, _, err := r.s.Change("g", "T", 0, &list[0].handle, 0, math.MaxInt64); !errors.Is(err, ErrTime) {
		t.Errorf("a change: %v", err)
	}
	r.must(r.turn())
	if s := r.s.Stats(); s.Revived != 0 || s.InFlight != 1 {
		t.Errorf("%+v", s)
	}
}

// refusing are timers that take nothing, as when the clock was set back since.
type refusing struct{}

func (refusing) Rewrite(string, int32, []byte, []byte) (*store.Queue, []byte, bool, error) {
	return nil, nil, false, errors.New("too long")
}

// TestAckThatCanNotWait: an ack of a time that the timers refuse is stored at once.
func TestAckThatCanNotWait(t *testing.T) {
	r := newRig(t)
	r.must(r.send(0, "a", "b"))
	req := Request{Group: "g", Topic: "T", Queue: 0, Max: 1, Invisible: 5000}
	list, err := r.pop(req)
	r.must(err)
	r.s.cfg.Delays = refusing{}
	r.must(r.ack(&list[0]))
	if _, err := r.pop(req); !errors.Is(err, ErrTime) {
		t.Errorf("a pop: %v", err)
	}
	r.restart((*vfs.Mem).Kill)
	if s := r.s.Stats(); s.Open != 0 {
		t.Errorf("after a kill %+v", s)
	}
}

// TestForgedRecords: revive records that a client has sent, when that was possible,
// move no offset.
func TestForgedRecords(t *testing.T) {
	r := newRig(t)
	r.must(r.send(0, "0", "1", "2"))
	var b store.Batch
	props := message.AppendProperty(message.AppendProperty(nil, message.PropertyTags, tagCheckpoint), propertyNext, "3")
	p := body.PopCheckPoint{Group: "g", Topic: "T", Num: 1, QueueOffsetDiff: []int32{0}, PopTime: 1, InvisibleTime: 1, BitMap: 1}
	client := netip.AddrPortFrom(testHost.Addr(), 40_000)
	r.must(b.Add(r.st.Queue(ReviveTopic("c"), 0), &message.Record{BornHost: client, StoreHost: testHost, Properties: props, Body: body.Marshal(&p)}))
	r.must(r.st.Append(&b))
	r.must(r.sync())
	r.restart((*vfs.Mem).Kill)
	list, err := r.pop(Request{Group: "g", Topic: "T", Queue: 0, Max: 3, Invisible: 1000})
	if err != nil || len(list) != 3 {
		t.Fatalf("%+v %v", list, err)
	}
}

// TestBatchAckOfMany: of very many offsets those count that the checkpoint has, and
// each once.
func TestBatchAckOfMany(t *testing.T) {
	for _, order := range []bool{false, true} {
		r := newRig(t)
		r.must(r.send(0, "a", "b", "c"))
		list, err := r.pop(Request{Group: "g", Topic: "T", Queue: 0, Max: 3, Invisible: 1000, Order: order})
		r.must(err)
		offsets := make([]int64, 0, 1<<20)
		for i := range cap(offsets) - 4 {
			offsets = append(offsets, int64(i)+100)
		}
		offsets = append(offsets, 2, 0, 2, 0) // unsorted, and twice
		err = r.s.Ack("g", "T", 0, &list[0].handle, offsets...)
		if order != errors.Is(err, ErrNotGiven) || !order && err != nil {
			t.Errorf("in order %v: %v", order, err)
		}
		if s := r.s.Stats(); s.Acked != 2 {
			t.Errorf("in order %v: %+v", order, s)
		}
		r.now += 2000
		r.must(r.turn())
		list, err = r.pop(Request{Group: "g", Topic: "T", Queue: -1, Max: 3, Invisible: 1000, Order: order})
		if err != nil || len(list) != 1 || list[0].text != "b" {
			t.Errorf("in order %v: then %+v %v", order, list, err)
		}
	}
}
