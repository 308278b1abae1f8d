// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/message"
)

// A record that can't be read at a start, though it is there, is an error of that
// start: it is not lost, and nothing is decided on that.
func TestRule1AReadErrorAtAStart(t *testing.T) {
	for what, bad := range map[string]func(r *rig) int64{
		"half message":     func(r *rig) int64 { return r.records(message.TopicHalf, 0)[1].PhysicalOffset },
		"op message":       func(r *rig) int64 { return r.records(message.TopicOpHalf, 0)[0].PhysicalOffset },
		"committed record": func(r *rig) int64 { return r.records("T", 2)[0].PhysicalOffset },
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := start(t, vfs.NewMem(), newMarks(), syncTransactions)
				k, open := r.half("g", "k"), r.half("g", "open")
				r.mustEnd(k, "g", Commit)
				at := bad(r)
				m := r.fs.Kill()
				r.stop()
				n := &rig{t: t, fs: m, marks: r.marks, producers: map[string][]*producer{}, watched: new(watchedLog)}
				n.watched.bad.Store(at)
				if err := n.start(syncTransactions); err == nil || !strings.Contains(err.Error(), "input/output error") {
					t.Fatalf("started: %v", err)
				}
				n = start(t, m, r.marks, syncTransactions)
				if got := n.keys("T", 2); got != "k" || n.pending() != 1 {
					t.Errorf("topic holds %q, %d pending", got, n.pending())
				}
				n.mustEnd(k, "g", Commit)
				n.mustEnd(open, "g", Rollback)
			})
		})
	}
}

// A half message that arrives while an earlier one with its key is being decided is
// the next transaction, also after a start.
func TestRule5ArrivesWhileTheOtherIsDecided(t *testing.T) {
	for _, o := range []Outcome{Commit, Rollback} {
		synctest.Test(t, func(t *testing.T) {
			r, log, _ := watched(t)
			first := r.half("g", "k")
			var second store.Appended
			arrive := func() { second = r.half("g", "k") }
			log.before.Store(&arrive)
			r.mustEnd(first, "g", o)
			for range 2 {
				if open := r.open(); open["k"] != 1 {
					t.Fatalf("%v: open %v, want the second", o, open)
				}
				r = r.again()
			}
			r.mustEnd(second, "g", Commit)
			r.mustEnd(first, "g", o)
			if got, want := r.keys("T", 2), map[Outcome]string{Commit: "k k", Rollback: "k"}[o]; got != want {
				t.Errorf("%v: topic holds %q, want %q", o, got, want)
			}
		})
	}
}

// Damaged states are forgotten, not the reason why a broker does not start.
func TestDamagedStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, vfs.NewMem(), newMarks())
		r.mustEnd(r.half("g", "before"), "g", Rollback) // so that both marks are above 0
		a := r.half("g", "a")
		b := r.half("g", "b")
		r.mustEnd(a, "g", Commit)
		after(5 * time.Second)
		m := r.fs.Kill()
		r.stop()
		f, err := m.OpenFile("/data/transactions/00000000000000000000", os.O_RDWR)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte{0xe0, 0, 0, 0, 0, 0, 0, 0}, 16); err != nil { // a word of no known kind
			t.Fatal(err)
		}
		_ = f.Close()
		r = start(t, m, r.marks)
		if open := r.open(); len(open) != 1 || open["b"] != 1 {
			t.Errorf("open %v", open)
		}
		after(5 * time.Second)
		if _, ok := r.svc.states.Mark(); !ok {
			t.Error("the new states have no mark")
		}
		r.mustEnd(a, "g", Commit)
		r.mustEnd(b, "g", Rollback)
	})
}

// However many half messages are one transaction, it is resumed once.
func TestRule9ManyAreResumedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, vfs.NewMem(), newMarks())
		r.online("g", &producer{})
		first := r.half("g", "k")
		for range searchMost + 6 {
			r.half("g", "k")
		}
		after(time.Hour)
		parked := r.records(message.TopicCheckMax, 0)
		if len(parked) != 1 {
			t.Fatalf("%d parked", len(parked))
		}
		if _, err := r.resume(parked[0].PhysicalOffset); err != nil {
			t.Fatal(err)
		}
		r.mustEnd(first, "g", Commit)
		if off, err := r.resume(first.PhysicalOffset); err == nil {
			t.Errorf("resumed once more, as %d", off)
		}
		if got := r.keys("T", 2); got != "k" {
			t.Errorf("topic holds %q", got)
		}
	})
}

// The copies that a Java broker makes of a half message without a key name it.
func TestRule10CopiesWithoutAKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, vfs.NewMem(), newMarks())
		a, b := javaHalf("x"), javaHalf("x", message.PropertyPreparedQueueOffset, "0")
		a.Properties = message.DeleteProperty(nil, a.Properties, message.PropertyUniqueKey)
		b.Properties = message.DeleteProperty(nil, b.Properties, message.PropertyUniqueKey)
		h := r.put(message.TopicHalf, 0, a, b)
		r = r.again()
		r.mustEnd(h[0], "g", Commit)
		r.mustEnd(h[1], "g", Commit)
		r.want("contrary", r.end(h[0], "g", Rollback), wire.IllegalOperation)
		if n := len(r.records("T", 2)); n != 1 {
			t.Errorf("%d committed", n)
		}
	})
}

// An id of another broker names nothing here, whatever stands at that offset.
func TestFindLooksAtTheBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, vfs.NewMem(), newMarks())
		at := r.half("g", "k")
		if found, err := r.svc.Find(string(message.AppendOffsetID(nil, testHost, at.PhysicalOffset))); err != nil || len(found) != 1 {
			t.Errorf("its own id: %v %v", found, err)
		}
		if found, _ := r.svc.Find(string(message.AppendOffsetID(nil, prepared("g", "k").BornHost, at.PhysicalOffset))); len(found) != 0 {
			t.Errorf("another broker's id names %v", found)
		}
	})
}

// A check that was withdrawn is not told in the story, and one that no longer
// counts does not take the count away.
func TestStoryOfAWithdrawnCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, vfs.NewMem(), newMarks())
		p := r.online("g", &producer{queues: true})
		at := r.half("g", "k")
		after(7 * time.Second)
		r.mustEnd(at, "g", Commit)
		p.drain()
		s, err := r.svc.Show(at.QueueOffset)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range s.Events {
			if e.Kind == "check" {
				t.Errorf("told of a check that was not sent: %+v", e)
			}
		}
		if n := r.svc.Stats().Checks; n != 0 {
			t.Errorf("%d checks counted", n)
		}
	})
}

// A half message for another topic is another transaction, though group and key are
// equal: who may send there must not decide here.
func TestRule5AnotherTopicIsAnotherTransaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, vfs.NewMem(), newMarks())
		at := r.half("g", "k")
		rec := prepared("g", "k")
		rec.Topic = []byte("U")
		other, err := r.tryHalf(rec)
		if err != nil {
			t.Fatal(err)
		}
		r = r.again()
		r.mustEnd(other, "g", Rollback)
		if n := r.pending(); n != 1 {
			t.Errorf("%d pending, want that of topic T", n)
		}
		r.mustEnd(at, "g", Commit)
		if got := r.keys("T", 2); got != "k" {
			t.Errorf("the topic holds %q", got)
		}
	})
}
