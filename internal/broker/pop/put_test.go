// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pop

import (
	"errors"
	"testing"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

type setter func(group, topic string, queue int32, offset int64) error

// setter is one of the ways to set an offset by hand.
func (r *rig) setter(name string) setter {
	if name == "reset" {
		return r.offsets.Reset
	}
	return r.offsets.Set
}

var setters = []string{"reset", "cloned"}

// put sets the offset of queue 0.
func (r *rig) put(set setter, to int64) error {
	return r.s.Put("g", map[string]map[int32]int64{"T": {0: to}}, set)
}

// goesOn checks where the group is in queue 0.
func (r *rig) goesOn(when string, at int64) {
	r.t.Helper()
	r.s.settleOffsets()
	if off, _ := r.offsets.Query("g", "T", 0); off != at {
		r.t.Errorf("%s the group is at %d, want %d", when, off, at)
	}
}

// interrupted is a store that has something happen during a call of it.
type interrupted struct {
	*store.Store
	afterGet, afterFlush func()
	panics               bool // in Append
	behind               bool // nothing counts as flushed, so that offsets wait
	flushes              int
}

func once(f *func()) {
	if do := *f; do != nil {
		*f = nil
		do()
	}
}

func (l *interrupted) Get(q *store.Queue, from int64, n, m int, f store.Filter) (store.GetResult, error) {
	got, err := l.Store.Get(q, from, n, m, f)
	if q.Topic() == "T" {
		once(&l.afterGet)
	}
	return got, err
}

func (l *interrupted) Append(b *store.Batch) error {
	if l.panics {
		panic("bug")
	}
	return l.Store.Append(b)
}

func (l *interrupted) Flush(end int64) error {
	l.flushes++
	err := l.Store.Flush(end)
	once(&l.afterFlush)
	return err
}

func (l *interrupted) Flushed() int64 {
	if l.behind {
		return 0
	}
	return l.Store.Flushed()
}

func (r *rig) interrupts() *interrupted {
	l := &interrupted{Store: r.st}
	r.s.cfg.Log = l
	return l
}

// TestPutOutlivesAKill: what was popped before an offset was set by hand moves it no
// more, acked or not, in order or not, also when a kill follows.
func TestPutOutlivesAKill(t *testing.T) {
	for _, name := range setters {
		for _, order := range []bool{false, true} {
			for _, noted := range []bool{false, true} {
				r := newRig(t)
				set := r.setter(name)
				r.must(r.send(0, "0", "1", "2", "3"))
				req := Request{Group: "g", Topic: "T", Queue: 0, Max: 1, Invisible: 60_000, Order: order}
				var list []got
				for range 3 {
					more, err := r.pop(req)
					if err != nil || len(more) != 1 {
						t.Fatal(more, err)
					}
					if list = append(list, more...); len(list) < 3 {
						r.must(r.ack(&more[0]))
					}
				}
				if noted {
					r.must(r.turn())
					r.must(r.s.Note())
				}
				r.must(r.put(set, 1))
				if err := r.ack(&list[2]); order != errors.Is(err, ErrNotGiven) || !order && err != nil {
					t.Errorf("%s, order %v: an ack of what was popped before: %v", name, order, err)
				}
				r.goesOn(name+", before the kill", 1)
				r.restart((*vfs.Mem).Kill)
				r.goesOn(name+", after the kill", 1)
				r.now++
				if more, err := r.pop(req); err != nil || len(more) != 1 || more[0].text != "1" {
					t.Errorf("%s, order %v: then comes %+v, %v", name, order, more, err)
				}
			}
		}
	}
}

// TestPutDuringAPop: a pop that had read already gives what lies where the group was
// put, and nothing in the log puts it back.
func TestPutDuringAPop(t *testing.T) {
	for _, name := range setters {
		for _, order := range []bool{false, true} {
			r := newRig(t)
			set := r.setter(name)
			r.must(r.send(0, "0", "1", "2", "3"))
			req := Request{Group: "g", Topic: "T", Queue: 0, Max: 2, Invisible: 60_000, Order: order}
			list, err := r.pop(req)
			r.must(err)
			for i := range list {
				r.must(r.ack(&list[i]))
			}
			r.must(r.turn())
			req.Max = 1
			r.now++
			r.interrupts().afterGet = func() { r.must(r.put(set, 0)) }
			if list, err = r.pop(req); err != nil || len(list) != 1 || list[0].text != "0" {
				t.Fatalf("%s, order %v: the pop gives %+v, %v", name, order, list, err)
			}
			r.restart((*vfs.Mem).Kill)
			r.must(r.ack(&list[0]))
			r.goesOn(name+", after the kill", 1)
		}
	}
}

// TestPutDuringAPopOfNothing: neither does a pop pass over what its filter left out
// where the group no longer is.
func TestPutDuringAPopOfNothing(t *testing.T) {
	for _, name := range setters {
		r := newRig(t)
		r.must(r.send(0, "0", "1", "2", "3"))
		set, all := r.setter(name), false
		r.interrupts().afterGet = func() {
			r.must(r.put(set, 1))
			all = true
		}
		list, err := r.pop(Request{Group: "g", Topic: "T", Queue: 0, Max: 1, Invisible: 60_000, Filter: store.Filter{Record: func([]byte) bool { return all }}})
		if err != nil || len(list) != 1 || list[0].text != "1" {
			t.Errorf("%s: the pop gives %+v, %v", name, list, err)
		}
		r.goesOn(name, 2)
	}
}

// TestPutTellsOfFailures: who sets an offset hears that a kill may undo it.
func TestPutTellsOfFailures(t *testing.T) {
	r := newRig(t)
	if err := r.put(func(string, string, int32, int64) error { return errFull }, 0); !errors.Is(err, errFull) {
		t.Errorf("an offset that can't be set: %v", err)
	}
	r.fs.Fail(func(vfs.Op, string) error { return errDead })
	defer r.fs.Fail(nil)
	if err := r.put(r.offsets.Reset, 0); !errors.Is(err, errDead) {
		t.Errorf("an offset that can't be written: %v", err)
	}
}

// TestPopAfterPutNotesNothing: however many queues were reset.
func TestPopAfterPutNotesNothing(t *testing.T) {
	r := newRig(t)
	const queues = 16
	r.names.topics["T"].ReadQueueNums = queues
	to := map[int32]int64{}
	for q := range int32(queues) {
		r.must(r.send(q, "m"))
		to[q] = 0
	}
	r.must(r.s.Put("g", map[string]map[int32]int64{"T": to}, r.offsets.Reset))
	l := r.interrupts()
	list, err := r.pop(Request{Group: "g", Topic: "T", Queue: -1, Max: queues, Invisible: 60_000})
	if err != nil || len(list) != queues {
		t.Fatal(list, err)
	}
	if l.flushes != 1 {
		t.Errorf("the pop has flushed %d times", l.flushes)
	}
}

// TestNoteLeavesNewerOffsets: an offset that a note has waited with is not committed
// once the group was put elsewhere and has popped there.
func TestNoteLeavesNewerOffsets(t *testing.T) {
	r := newRig(t)
	r.must(r.send(0, "0", "1", "2", "3"))
	req := Request{Group: "g", Topic: "T", Queue: 0, Max: 4, Invisible: 60_000}
	l := r.interrupts()
	l.behind = true
	if _, err := r.pop(req); err != nil {
		t.Fatal(err)
	}
	r.now += 10
	l.afterFlush = func() {
		r.must(r.offsets.Set("g", "T", 0, 1))
		req.Max = 1
		if _, err := r.pop(req); err != nil {
			t.Error(err)
		}
	}
	r.must(r.s.Note())
	if off, _ := r.offsets.Query("g", "T", 0); off > 2 {
		t.Errorf("the group was put to 1 and has popped 1 message: its offset is %d", off)
	}
}

// TestOffsetsWaitForTheLog: no offset outlives a power cut without what lies before
// it, in order or not.
func TestOffsetsWaitForTheLog(t *testing.T) {
	for _, order := range []bool{false, true} {
		r := newRig(t)
		r.s.cfg.Sync = false
		r.must(r.send(0, "old"))
		var b store.Batch
		for _, text := range []string{"lost", "lost too"} {
			r.must(b.Add(r.st.Queue("T", 0), &message.Record{BornHost: testHost, StoreHost: testHost, Body: []byte(text)}))
		}
		r.must(r.st.Append(&b))
		r.must(r.st.WaitDispatched(r.st.MaxPhysical()))
		req := Request{Group: "g", Topic: "T", Queue: 0, Max: 3, Invisible: 1000, Order: order}
		list, err := r.pop(req)
		if err != nil || len(list) != 3 {
			t.Fatal(list, err)
		}
		for i := range list {
			r.must(r.ack(&list[i]))
		}
		if off, _ := r.s.offset(queueKey{"g", "T", 0}); off != 3 {
			t.Errorf("order %v: the group goes on from %d", order, off)
		}
		r.s.settleOffsets()
		r.must(r.offsets.Flush())
		r.restart(func(m *vfs.Mem) *vfs.Mem { return m.Crash(vfs.CrashOptions{}) })
		r.must(r.send(0, "new", "newer", "newest"))
		r.now += 2000
		req.Max = 9
		list, err = r.pop(req)
		r.must(err)
		given := map[string]bool{}
		for i := range list {
			given[list[i].text] = true
		}
		for _, text := range []string{"new", "newer", "newest"} {
			if !given[text] {
				t.Errorf("order %v: after a power cut %q is passed over: %+v", order, text, list)
			}
		}
	}
}

// TestPutWakes: who waits for something to pop hears of the queues that were put
// elsewhere, once they are.
func TestPutWakes(t *testing.T) {
	r := newRig(t)
	r.must(r.send(0, "a"))
	if list, err := r.pop(Request{Group: "g", Topic: "T", Queue: 0, Max: 1, Invisible: 60_000}); err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	woken := 0
	r.s.cfg.Wake = func(group, topic string, queue int32) {
		woken++
		if group != "g" || topic != "T" || queue != 0 || !r.s.Ready(group, topic, queue) {
			t.Errorf("woken for %s %s %d, ready %v", group, topic, queue, r.s.Ready(group, topic, queue))
		}
	}
	r.must(r.put(r.offsets.Reset, 0))
	if woken != 1 {
		t.Errorf("woken %d times", woken)
	}
}
