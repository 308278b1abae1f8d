// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/broker/txn/state"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/message"
)

// A power cut can take the last op messages of a write that decided about several
// half messages: the next start writes them, and not for a younger transaction
// with the same key.
func TestRule3SomeOpMessagesLost(t *testing.T) {
	for _, change := range policies {
		for _, o := range []Outcome{Commit, Rollback, Discard} {
			synctest.Test(t, func(t *testing.T) {
				r := start(t, vfs.NewMem(), newMarks(), change...)
				at := r.put(message.TopicHalf, 0, javaHalf("k"), javaHalf("k"), javaHalf("k"))
				first, distance := op("1"), 0
				if o != Rollback {
					own, topic, queue := javaHalf("k"), "T", int32(2)
					own.PreparedOffset = at[0].PhysicalOffset
					if o == Commit {
						own.SysFlag = message.TransactionCommit
					} else {
						topic, queue = message.TopicCheckMax, 0
					}
					distance = int(r.put(topic, queue, own)[0].Size)
				}
				first.Flag, first.PreparedOffset = opFlag(o, distance), at[2].QueueOffset
				r.put(message.TopicOpHalf, 0, first)
				young := r.put(message.TopicHalf, 0, javaHalf("k"))[0]
				r = r.again(change...)
				synctest.Wait()
				if open := r.open(); len(open) != 1 || open["k"] != 1 {
					t.Fatalf("%v: open: %v, want the youngest", o, open)
				}
				if got := r.bodies(message.TopicOpHalf, 0); got != "1 0 2" {
					t.Errorf("%v: op messages of %s", o, got)
				}
				for range 2 {
					for _, a := range at {
						kind, open, _, err := r.fate(a)
						if kind != kindOf(o) || open || err != nil {
							t.Errorf("%v: the one at %d is %v, open: %v, %v", o, a.QueueOffset, kind, open, err)
						}
						if o != Discard {
							r.mustEnd(a, "g", o)
						}
						r.want("contrary", r.end(a, "g", contrary(o)), wire.IllegalOperation)
					}
					r = r.again(change...)
				}
				r.mustEnd(young, "g", Commit)
				if got, want := r.keys("T", 2), map[Outcome]string{Commit: "k k", Rollback: "k", Discard: "k"}[o]; got != want {
					t.Errorf("%v: topic holds %q", o, got)
				}
				if got, want := r.keys(message.TopicCheckMax, 0), map[Outcome]string{Discard: "k"}[o]; got != want {
					t.Errorf("%v: parked %q", o, got)
				}
				if n := len(r.records(message.TopicOpHalf, 0)); n != 4 {
					t.Errorf("%v: %d op messages", o, n)
				}
				if o != Discard {
					return
				}
				if _, err := r.resume(r.records(message.TopicCheckMax, 0)[0].PhysicalOffset); err != nil {
					t.Fatal(err)
				}
				for range 2 {
					for _, a := range at { // each of them was discarded, and resumed
						r.mustEnd(a, "g", Commit)
					}
					r = r.again(change...)
				}
				if got := r.keys("T", 2); got != "k k" {
					t.Errorf("topic holds %q after the resumed one was committed", got)
				}
			})
		}
	}
}

// A start carries an outcome out again of which only the op message is there, and a
// power cut leaves the new record and not its op message: the next start must see
// that one before it carries anything out once more.
func TestRule1CarriedOutAgainAndCut(t *testing.T) {
	for name, change := range policies {
		for _, o := range []Outcome{Commit, Discard} {
			synctest.Test(t, func(t *testing.T) {
				r := start(t, vfs.NewMem(), newMarks(), change...)
				at := r.put(message.TopicHalf, 0, javaHalf("k"))[0]
				lost := r.put("other", 0, javaHalf("other"))[0]
				proof := op("0")
				proof.Flag = opFlag(o, int(lost.Size))
				r.put(message.TopicOpHalf, 0, proof)
				again, topic, queue := javaHalf("k"), "T", int32(2)
				if again.PreparedOffset = at.PhysicalOffset; o == Commit {
					again.SysFlag = message.TransactionCommit
				} else {
					topic, queue = message.TopicCheckMax, 0
				}
				r.put(topic, queue, again)
				for range 2 {
					r = r.again(change...)
					if got := r.keys(topic, queue); got != "k" {
						t.Errorf("%s, %v: %q", name, o, got)
					}
					if kind, open, _, err := r.fate(at); kind != kindOf(o) || open || err != nil {
						t.Errorf("%s, %v: it is %v, open: %v, %v", name, o, kind, open, err)
					}
				}
			})
		}
	}
}

// A power cut at any operation of the start that mends what another one has torn:
// the next start mends it, once.
func TestRule1MendedAndCut(t *testing.T) {
	step := 1
	if raceEnabled || testing.Short() {
		step = 5
	}
	for name, change := range policies {
		for _, left := range []string{"the committed record", "the op message", "one op message of two"} {
			reached := true
			for n := 1; reached; n += step {
				synctest.Test(t, func(t *testing.T) {
					r, marks := start(t, vfs.NewMem(), newMarks(), change...), newMarks()
					at := r.put(message.TopicHalf, 0, javaHalf("k"), javaHalf("k"))
					committed := javaHalf("k")
					committed.SysFlag, committed.PreparedOffset = message.TransactionCommit, at[1].PhysicalOffset
					first, size := op("0"), at[0].Size
					if left != "the op message" {
						size = r.put("T", 2, committed)[0].Size
					}
					first.Flag, first.PreparedOffset = opFlag(Commit, int(size)), at[1].QueueOffset
					if left != "the committed record" {
						r.put(message.TopicOpHalf, 0, first)
					}
					m := r.fs.Crash(vfs.CrashOptions{Data: vfs.KeepAll, Names: vfs.KeepAll})
					r.stop()
					l := newLedger()
					cut := l.live(t, m, marks, change, n, func() *vfs.Mem {
						if n%2 == 0 {
							return m.Crash(vfs.CrashOptions{})
						}
						return m.Crash(vfs.CrashOptions{Data: vfs.KeepSome, Names: vfs.KeepSome, Rand: rand.New(rand.NewPCG(uint64(n), 1))})
					}, func() { after(3 * time.Second) })
					if reached = cut != nil; reached {
						m = cut
					}
					r = start(t, m, marks, change...)
					synctest.Wait()
					for _, a := range at {
						if kind, open, _, err := r.fate(a); kind != state.Committed || open || err != nil {
							t.Errorf("%s, %s is left, cut at operation %d: the one at %d is %v, open: %v, %v", name, left, n, a.QueueOffset, kind, open, err)
						}
						r.mustEnd(a, "g", Commit)
					}
					if got := r.keys("T", 2); got != "k" {
						t.Errorf("%s, %s is left, cut at operation %d: topic holds %q", name, left, n, got)
					}
					r.stop()
				})
				if t.Failed() {
					return
				}
			}
		}
	}
}

// Under ASYNC_FLUSH a power cut may leave an outcome and not the half message that
// it names. It is that of the others of the transaction; but a copy of a committed
// message, which names none, is no outcome.
func TestRule1TheNamedHalfIsLost(t *testing.T) {
	for _, o := range []Outcome{Commit, Discard} {
		for _, names := range []int64{0, 1} {
			synctest.Test(t, func(t *testing.T) {
				r := start(t, vfs.NewMem(), newMarks())
				at := r.put(message.TopicHalf, 0, javaHalf("other"), javaHalf("k"))
				own, topic, queue := javaHalf("k"), "T", int32(2)
				if own.PreparedOffset = names * (at[1].PhysicalOffset + 40); o == Commit { // there is no record there
					own.SysFlag = message.TransactionCommit
				} else {
					topic, queue = message.TopicCheckMax, 0
				}
				r.put(topic, queue, own)
				r.put(message.TopicHalf, 0, javaHalf("young"))
				r = r.again()
				open := r.open()
				if open["k"] != 1-int(names) || open["other"] != 1 || open["young"] != 1 {
					t.Fatalf("%v of %d: open: %v", o, own.PreparedOffset, open)
				}
				if names == 0 {
					return
				}
				if kind, _, _, err := r.fate(at[1]); kind != kindOf(o) || r.bodies(message.TopicOpHalf, 0) != "1" || r.keys(topic, queue) != "k" {
					t.Errorf("%v: it is %v, %v; op messages of %s", o, kind, err, r.bodies(message.TopicOpHalf, 0))
				}
			})
		}
	}
}

// Under ASYNC_FLUSH a power cut may take a half message and leave its op message; the
// next half message then gets its queue offset, and is undecided.
func TestRule1OpMessageOfALostHalf(t *testing.T) {
	for _, flag := range []int32{0, opFlag(Rollback, 0), opFlag(Commit, 100), opFlag(Discard, 100)} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, vfs.NewMem(), newMarks())
			old := op("0")
			old.Flag = flag
			r.put(message.TopicOpHalf, 0, old)
			at := r.put(message.TopicHalf, 0, javaHalf("k"))[0]
			for range 2 {
				r = r.again()
				if open := r.open(); len(open) != 1 || open["k"] != 1 {
					t.Fatalf("flag %d: open: %v, want k", flag, open)
				}
			}
			r.mustEnd(at, "g", Commit)
			r = r.again()
			if got := r.keys("T", 2); got != "k" || r.pending() != 0 {
				t.Errorf("flag %d: topic holds %q, %d pending", flag, got, r.pending())
			}
		})
	}
}

// bodies are those of a queue's records.
func (r *rig) bodies(topic string, queue int32) (all string) {
	for _, rec := range r.records(topic, queue) {
		if all != "" {
			all += " "
		}
		all += string(rec.Body)
	}
	return all
}

// Discarded, resumed and committed since the last mark: what a start reads of the
// discard must not hide that the old half message was resumed.
func TestRule9ResumedAndDecidedSinceTheMark(t *testing.T) {
	for name, change := range policies {
		synctest.Test(t, func(t *testing.T) {
			change := append([]option{func(_ *store.Config, c *Config) { c.MaxAge = time.Minute + 100*time.Millisecond }}, change...)
			r := start(t, vfs.NewMem(), newMarks(), change...)
			const n = 12
			var old [n]store.Appended
			for i := range old {
				old[i] = r.half("g", fmt.Sprint(i))
			}
			for len(r.records(message.TopicCheckMax, 0)) < n {
				after(time.Millisecond)
			}
			for _, at := range old {
				if _, err := r.resume(at.PhysicalOffset); err != nil {
					t.Fatal(err)
				}
				r.mustEnd(at, "g", Commit)
			}
			if m, ok := r.svc.states.Mark(); ok && m.Op != 0 {
				t.Fatalf("%s: the mark %+v is too young for this test", name, m)
			}
			r = r.again(change...)
			for _, at := range old {
				if kind, _, off, err := r.fate(at); kind != state.Committed || off == at.QueueOffset {
					t.Errorf("%s: the one at %d is %v at %d, %v", name, at.QueueOffset, kind, off, err)
				}
				if _, err := r.resume(at.PhysicalOffset); err == nil {
					t.Errorf("%s: the one at %d was resumed once more", name, at.QueueOffset)
				}
				r.mustEnd(at, "g", Commit)
				r.want("rollback", r.end(at, "g", Rollback), wire.IllegalOperation, "committed")
			}
			if got := len(r.records("T", 2)); got != n {
				t.Errorf("%s: %d committed, want %d", name, got, n)
			}
		})
	}
}
