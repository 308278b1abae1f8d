// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pop

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// popEach pops what was sent to each of some queues of T.
func (r *rig) popEach(queues ...int32) (list []got) {
	r.t.Helper()
	for _, q := range queues {
		some, err := r.pop(Request{Group: "g", Topic: "T", Queue: q, Max: 32, Invisible: 1000})
		r.must(err)
		list = append(list, some...)
	}
	return list
}

// acksOf are those of messages, each by itself.
func acksOf(list []got) (acks []Ack) {
	for i := range list {
		acks = append(acks, list[i].ack())
	}
	return acks
}

// acked are the bodies of ack records in the log.
func (r *rig) acked() (texts []string) {
	r.t.Helper()
	r.must(r.st.Walk(0, func(rec *message.Record) error {
		if tag, _ := rec.Property(message.PropertyTags); string(tag) == tagAck || string(tag) == tagBatchAck {
			texts = append(texts, string(tag)+" "+string(rec.Body))
		}
		return nil
	}))
	return texts
}

// TestAcksTogether: acks of single messages are stored with one write and one wait
// for the disk, as one record for each checkpoint, and count after a kill.
func TestAcksTogether(t *testing.T) {
	r := newRig(t)
	r.must(r.send(0, "a", "b", "c", "d"))
	r.must(r.send(1, "e"))
	list := r.popEach(0, 1)
	acks := acksOf(list)
	slices.Reverse(acks)
	acks = append(acks[:4], acks[1], Ack{}) // not a; d twice; nothing
	f := r.faults()
	r.s.AckAll(acks)
	for i := range acks {
		r.must(acks[i].Err)
	}
	if f.appends.Load() != 1 || f.flushes.Load() != 1 {
		t.Errorf("%d writes, %d waits for the disk", f.appends.Load(), f.flushes.Load())
	}
	rest := fmt.Sprintf(`"bn":"b","c":"g","pt":%d,"q":%%d,"so":0,"t":"T"}`, r.now)
	want := []string{fmt.Sprintf(`ack {"ao":0,`+rest, 1), fmt.Sprintf(`bAck {"ao":-1,"aol":[1,2,3],`+rest, 0)}
	if got := r.acked(); !slices.Equal(got, want) {
		t.Errorf("stored are\n%q, want\n%q", got, want)
	}
	if s := r.s.Stats(); s.Acked != 4 || s.InFlight != 1 {
		t.Errorf("%+v", s)
	}
	r.restart((*vfs.Mem).Kill)
	r.now += 2000
	r.must(r.turn())
	again, err := r.pop(Request{Group: "g", Topic: "T", Queue: -1, Max: 32, Invisible: 1000})
	if err != nil || len(again) != 1 || again[0].text != "a" {
		t.Errorf("given again are %+v, %v", again, err)
	}
}

// TestAcksTogetherEachWithItsOwnEnd: what becomes of one ack says nothing of others.
func TestAcksTogetherEachWithItsOwnEnd(t *testing.T) {
	r := newRig(t)
	r.must(r.send(0, "a", "b"))
	r.must(r.send(1, "c", "d"))
	list := r.popEach(0)
	inOrder, err := r.pop(Request{Group: "g", Topic: "T", Queue: 1, Max: 32, Invisible: 1000, Order: true})
	r.must(err)
	acks := acksOf(slices.Concat(list, inOrder))
	for i := range acks[2:] {
		acks[2+i].Handle.Revive = OrderQueue
	}
	acks[3].Offsets = []int64{7}
	f := r.faults()
	f.full = true
	r.s.AckAll(acks)
	for i, want := range []error{errFull, errFull, errFull, ErrNotGiven} {
		if err := acks[i].Err; !errors.Is(err, want) {
			t.Errorf("ack %d of a full disk: %v, want %v", i, err, want)
		}
	}
	if s := r.s.Stats(); s.Acked != 0 || s.InFlight != 2 {
		t.Errorf("%+v", s)
	}
	f.full = false
	r.must(r.ack(&list[0]))
	for i := range acks {
		acks[i].Err = nil
	}
	r.s.AckAll(acks) // the first comes late
	for i, want := range []error{nil, nil, nil, ErrNotGiven} {
		if err := acks[i].Err; !errors.Is(err, want) {
			t.Errorf("ack %d: %v, want %v", i, err, want)
		}
	}
	if s := r.s.Stats(); s.Acked != 3 || s.Open != 0 {
		t.Errorf("%+v", s)
	}
}

// TestAcksTogetherCrosswise: two who ack the same of several checkpoints wait for
// each other in turn, not both at once.
func TestAcksTogetherCrosswise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.must(r.send(0, "a", "b"))
		r.must(r.send(1, "c"))
		list := r.popEach(0, 1)
		f := r.faults()
		f.entered, f.leave = make(chan struct{}), make(chan error)
		begin := func(list ...got) ([]Ack, chan struct{}) {
			acks, done := acksOf(list), make(chan struct{})
			go func() { r.s.AckAll(acks); close(done) }()
			synctest.Wait()
			return acks, done
		}
		first, firstDone := begin(list[0])
		<-f.entered
		second, secondDone := begin(list[2], list[1], list[0]) // the second checkpoint is free, and is not held back
		<-f.entered
		third, thirdDone := begin(list...)
		f.leave <- nil // the first, or the second
		f.leave <- nil
		<-f.entered // b: the second or the third
		f.leave <- nil
		<-firstDone
		<-secondDone
		<-thirdDone
		for i, a := range slices.Concat(first, second, third) {
			if a.Err != nil {
				t.Errorf("ack %d: %v", i, a.Err)
			}
		}
		if s := r.s.Stats(); s.Acked != 3 || s.Open != 0 {
			t.Errorf("%+v", s)
		}
		r.close()
	})
}

// TestPanicLeavesNoLock: when a bug below stops an ack, a change or a pop, nothing
// waits for it for ever, and what it was about can be tried again.
func TestPanicLeavesNoLock(t *testing.T) {
	for _, order := range []bool{false, true} {
		r := newRig(t)
		r.must(r.send(0, "a", "b"))
		req := Request{Group: "g", Topic: "T", Queue: 0, Max: 1, Invisible: 1000, Order: order}
		list, err := r.pop(req)
		if err != nil || len(list) != 1 {
			t.Fatal(list, err)
		}
		l := r.interrupts()
		one := &list[0]
		change := func() error {
			_, _, err := r.s.Change("g", "T", 0, &one.handle, 0, 0)
			return err
		}
		calls := map[string]func() error{
			"ack": func() error { return r.ack(one) }, "change": change,
			"pop": func() error { r.now += 1000; defer func() { r.now -= 1000 }(); _, err := r.pop(req); return err },
		}
		for name, call := range calls {
			l.panics = true
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("order %v: the %s has stored nothing", order, name)
					}
				}()
				_ = call()
			}()
			l.panics = false
			if !r.s.gate.TryLock() {
				r.s.gate.RUnlock() // for the end of the test
				t.Fatalf("order %v: the %s leaves the gate locked", order, name)
			}
			r.s.gate.Unlock()
			if len(r.s.held) != 0 {
				t.Fatalf("order %v: the %s leaves a queue locked", order, name)
			}
			r.must(r.s.Note())
		}
		r.must(change())
		r.now++
		r.must(r.turn())
		req.Queue, req.Max = -1, 2
		if list, err = r.pop(req); err != nil || len(list) != 2 || list[0].text != "a" && list[1].text != "a" {
			t.Errorf("order %v: then comes %+v, %v", order, list, err)
		}
	}
}
