// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
)

func (r *rig) resume(physical int64) (off int64, err error) {
	r.svc.Resume(physical, "somebody", func(o int64, e error) { off, err = o, e })
	return off, err
}

// A discarded transaction is decided by nobody until it is resumed; then the old
// and the new offsets name it, through restarts, and it has one outcome.
func TestRule9Resume(t *testing.T) {
	for _, byOld := range []bool{true, false} {
		for _, restart := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				r := start(t, vfs.NewMem(), newMarks())
				p := r.online("g", &producer{})
				old, twin := r.half("g", "k"), r.half("g", "k")
				after(time.Hour)
				parked := r.records(message.TopicCheckMax, 0)
				if len(parked) != 1 || p.count() != 3 {
					t.Fatalf("%d parked after %d checks", len(parked), p.count())
				}
				r.want("commit before", r.end(old, "g", Commit), wire.IllegalOperation, "discarded", "resume")
				if restart {
					r = r.again()
					p = r.online("g", &producer{})
				}
				off, err := r.resume(parked[0].PhysicalOffset)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := r.resume(parked[0].PhysicalOffset); !errors.Is(err, ErrDecided) {
					t.Errorf("resumed twice: %v", err)
				}
				synctest.Wait()
				checks := p.count()
				if !restart {
					checks -= 3
				}
				if checks != 1 {
					t.Errorf("%d checks at once, want 1", checks)
				}
				halves := r.records(message.TopicHalf, 0)
				next := halves[off]
				if property(&next, message.PropertyPreparedQueueOffset) == "" || property(&next, message.PropertyTransactionCheckTimes) != "0" || property(&next, message.PropertyUniqueKey) != "k" {
					t.Errorf("resumed as %q", next.Properties)
				}
				if restart {
					after(time.Second)
					r = r.again()
				}
				now := store.Appended{QueueOffset: off, PhysicalOffset: next.PhysicalOffset}
				names := []store.Appended{old, twin, now}
				if byOld {
					r.mustEnd(old, "g", Commit)
				} else {
					r.mustEnd(now, "g", Commit)
				}
				for _, at := range names {
					r.mustEnd(at, "g", Commit)
					r.want("rollback", r.end(at, "g", Rollback), wire.IllegalOperation, "committed")
				}
				r = r.again()
				for _, at := range names {
					r.mustEnd(at, "g", Commit)
				}
				if got := r.keys("T", 2); got != "k" || r.pending() != 0 {
					t.Errorf("topic holds %q, %d pending", got, r.pending())
				}
			})
		}
	}
}

// Resumed, asked, and not answered again: it is discarded again, and can be
// resumed again.
func TestRule9ResumedAndDiscardedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, vfs.NewMem(), newMarks())
		r.online("g", &producer{})
		old := r.half("g", "k")
		for i := range 3 {
			after(time.Hour)
			parked := r.records(message.TopicCheckMax, 0)
			if len(parked) != i+1 || r.pending() != 0 {
				t.Fatalf("%d parked, %d pending", len(parked), r.pending())
			}
			if _, err := r.resume(parked[i].PhysicalOffset); err != nil {
				t.Fatal(err)
			}
		}
		r.mustEnd(old, "g", Rollback)
		r.want("commit", r.end(old, "g", Commit), wire.IllegalOperation, "rolled back")
		if got := r.keys("T", 2); got != "" {
			t.Errorf("topic holds %q", got)
		}
	})
}

func TestRule9NothingToResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, vfs.NewMem(), newMarks())
		open, done := r.half("g", "open"), r.half("g", "done")
		r.mustEnd(done, "g", Commit)
		committed := r.records("T", 2)[0]
		for what, c := range map[string]struct {
			physical int64
			want     error
		}{
			"undecided":         {open.PhysicalOffset, ErrDecided},
			"committed":         {done.PhysicalOffset, ErrDecided},
			"a plain record":    {committed.PhysicalOffset, body.ErrNoHalf},
			"no record":         {open.PhysicalOffset + 1, body.ErrNoHalf},
			"beyond everything": {1 << 40, body.ErrNoHalf},
			"negative":          {-1, body.ErrNoHalf},
		} {
			if _, err := r.resume(c.physical); !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", what, err, c.want)
			}
		}
		if n := len(r.records(message.TopicHalf, 0)); n != 2 {
			t.Errorf("%d half messages", n)
		}
	})
}

// What retention is about to delete is parked first.
func TestDiscardBelow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, vfs.NewMem(), newMarks())
		r.half("g", "a")
		r.half("g", "b")
		c := r.half("g", "c")
		if n := r.svc.Below(c.PhysicalOffset); n != 2 {
			t.Errorf("%d below", n)
		}
		r.svc.DiscardBelow(c.PhysicalOffset)
		synctest.Wait()
		if n := r.svc.Below(c.PhysicalOffset); n != 0 {
			t.Errorf("%d left", n)
		}
		if got := r.keys(message.TopicCheckMax, 0); got != "a b" || r.pending() != 1 {
			t.Errorf("parked %q, %d pending", got, r.pending())
		}
		after(5 * time.Second)
		if half, _ := r.marks.get(); half != c.QueueOffset {
			t.Errorf("the half mark is %d, want %d", half, c.QueueOffset)
		}
	})
}

// A transaction that was discarded, resumed and rolled back is not resumed again
// by a broker that has lost transactions/.
func TestRule9WithoutTheDirectory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, vfs.NewMem(), newMarks())
		r.online("g", &producer{})
		old := r.half("g", "k")
		after(time.Hour)
		parked := r.records(message.TopicCheckMax, 0)
		if len(parked) != 1 {
			t.Fatalf("%d parked", len(parked))
		}
		if _, err := r.resume(parked[0].PhysicalOffset); err != nil {
			t.Fatal(err)
		}
		r.mustEnd(old, "g", Rollback)
		after(time.Minute)
		r.stop()
		removeAll(t, r.fs, "/data/transactions")
		r = start(t, r.fs, r.marks)
		if off, err := r.resume(parked[0].PhysicalOffset); !errors.Is(err, ErrDecided) {
			t.Errorf("resumed after the rollback, as %d: %v", off, err)
		}
		r.want("commit", r.end(old, "g", Commit), wire.IllegalOperation)
		if got := r.keys("T", 2); got != "" {
			t.Errorf("topic holds %q", got)
		}
	})
}

// Without the directory, the commit of a half message that was sent with the same
// key after the outcome is not taken for the first one's.
func TestRule2TheSameKeyLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, vfs.NewMem(), newMarks())
		first := r.half("g", "k")
		r.mustEnd(first, "g", Rollback)
		second := r.half("g", "k")
		r.mustEnd(second, "g", Commit)
		after(time.Minute)
		r.stop()
		removeAll(t, r.fs, "/data/transactions")
		r = start(t, r.fs, r.marks)
		r.mustEnd(second, "g", Commit)
		r.want("commit of the first", r.end(first, "g", Commit), wire.IllegalOperation, "decided or expired")
	})
}

// Answers to checks, unknown ones too, and who decided are told in their order.
func TestStoryOfAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, vfs.NewMem(), newMarks())
		r.online("g", &producer{})
		at := r.half("g", "k")
		after(7 * time.Second)
		who := testHost
		r.svc.Unknown(End{Group: "g", QueueOffset: at.QueueOffset, Physical: at.PhysicalOffset, FromCheck: true, Who: who})
		r.svc.Unknown(End{Group: "x", QueueOffset: at.QueueOffset, Physical: at.PhysicalOffset, FromCheck: true, Who: who})
		after(10 * time.Second)
		r.svc.End(End{Group: "g", QueueOffset: at.QueueOffset, Physical: at.PhysicalOffset, Outcome: Rollback, FromCheck: true, Who: who}, func(int32, string) {})
		after(time.Second)
		s, err := r.svc.Show(at.QueueOffset)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range s.Events {
			got = append(got, string(e.Kind)+" "+e.Outcome+" "+e.Who)
		}
		want := []string{"stored  ", "check  " + who.String(), "answer unknown " + who.String(), "check  " + who.String(), "answer rollback " + who.String(), "decided rollback "}
		if !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	})
}
