// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/broker/txn/pending"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/message"
)

// put appends records as another broker would have written them.
func (r *rig) put(topic string, queue int32, recs ...message.Record) []store.Appended {
	r.t.Helper()
	var b store.Batch
	for i := range recs {
		recs[i].StoreHost, recs[i].BornHost = testHost, testHost
		if err := b.Add(r.st.Queue(topic, queue), &recs[i]); err != nil {
			r.t.Fatal(err)
		}
	}
	if err := r.st.Append(&b); err != nil {
		r.t.Fatal(err)
	}
	var at []store.Appended
	for i := range recs {
		at = append(at, b.Result(i))
	}
	return at
}

// javaHalf is a half record as a Java broker stores it.
func javaHalf(key string, props ...string) message.Record {
	rec := prepared("g", key, append(props, "REAL_TOPIC", "T", "REAL_QID", "2")...)
	rec.SysFlag = 0
	return *rec
}

func op(body string) message.Record {
	return message.Record{Body: []byte(body), Properties: opProperties}
}

// again kills the process and starts another one.
func (r *rig) again(change ...option) *rig {
	r.t.Helper()
	synctest.Wait()
	m := r.fs.Kill()
	r.stop()
	return start(r.t, m, r.marks, change...)
}

// open lists the undecided transactions.
func (r *rig) open() map[string]int {
	r.svc.mu.Lock()
	defer r.svc.mu.Unlock()
	m := map[string]int{}
	var open []pending.Info
	r.svc.table.Range(0, func(i pending.Info) bool { open = append(open, i); return true })
	for _, i := range open {
		err := r.svc.withHalf(i.QueueOffset, i.Physical, func(half *message.Record) error { m[property(half, message.PropertyUniqueKey)]++; return nil })
		if err != nil {
			r.t.Error(err)
		}
	}
	return m
}

func TestRestart(t *testing.T) {
	for _, how := range []string{"killed", "stopped"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := start(t, vfs.NewMem(), newMarks())
				r.online("g", &producer{})
				a := r.half("g", "a")
				b := r.half("g", "b")
				c := r.half("g", "c", "CHECK_IMMUNITY_TIME_IN_SECONDS", "60")
				r.mustEnd(a, "g", Commit)
				r.mustEnd(b, "g", Rollback)
				after(10 * time.Second) // long enough for the marks
				if half, op := r.marks.get(); half != 2 || op > 2 {
					t.Errorf("marks %d %d, want 2 and at most 2", half, op)
				}
				d := r.half("g", "d")
				after(8 * time.Second) // d is checked once
				if how == "killed" {
					r = r.again()
				} else {
					r.stop()
					r = start(t, r.fs, r.marks)
				}
				if open := r.open(); len(open) != 2 || open["c"] != 1 || open["d"] != 1 {
					t.Fatalf("open: %v, want c and d", open)
				}
				p := r.online("g", &producer{})
				after(30 * time.Second)
				checks := map[string]int{}
				for _, req := range p.sent() {
					var rec message.Record
					if _, err := message.DecodeRecord(req.Body, &rec, true); err != nil {
						t.Fatal(err)
					}
					checks[property(&rec, message.PropertyUniqueKey)]++
				}
				if checks["d"] != 2 || checks["c"] != 0 {
					t.Errorf("checks after the restart: %v, want d twice more; %+v", checks, r.svc.Stats())
				}
				after(13 * time.Second) // 61 s after c
				if n := len(p.sent()); n != 3 {
					t.Errorf("%d checks, want the first of c at its own time", n)
				}
				r.mustEnd(c, "g", Commit)
				after(3 * time.Second)
				if st := r.svc.Stats(); st.Discarded != 1 {
					t.Errorf("d is not discarded: %+v", st)
				}
				r.mustEnd(a, "g", Commit)
				for at, want := range map[store.Appended]string{b: "rolled back at 20", d: "discarded at 20"} {
					if a := r.end(at, "g", Commit); a.code != wire.IllegalOperation || !strings.Contains(a.remark, want) {
						t.Errorf("half %d is decided: %+v, want %q", at.QueueOffset, a, want)
					}
				}
				if got := r.keys("T", 2); got != "a c" {
					t.Errorf("topic holds %q", got)
				}
			})
		})
	}
}

// TestRule10OpBodiesOfLaterBrokers: since 5.x one op message names several half
// messages.
func TestRule10OpBodiesOfLaterBrokers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, vfs.NewMem(), newMarks())
		r.put(message.TopicHalf, 0, javaHalf("k0"), javaHalf("k1"), javaHalf("k2"), javaHalf("k3"), javaHalf("k4"))
		r.put(message.TopicOpHalf, 0, op("1,2,3,"), op("none,,x"))
		r = r.again()
		if open := r.open(); len(open) != 2 || open["k0"] != 1 || open["k4"] != 1 {
			t.Errorf("open: %v, want k0 and k4", open)
		}
	})
}

// TestRule10CopiesOfAJavaBroker: it stores a half message again for each check, and an
// op message for one of the copies only.
func TestRule10CopiesOfAJavaBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		marks := newMarks()
		r := start(t, vfs.NewMem(), marks)
		times := message.PropertyTransactionCheckTimes
		r.put(message.TopicHalf, 0, javaHalf("checked"), javaHalf("early"), javaHalf("below"), javaHalf("new"))
		r.put(message.TopicHalf, 0, javaHalf("checked", times, "1"), javaHalf("early", times, "1"), javaHalf("below", times, "1"))
		// The outcome names the last copy, the first one, one below the mark.
		r.put(message.TopicOpHalf, 0, op("4"), op("1"), op("2"), op("3"))
		r.put(message.TopicHalf, 0, javaHalf("new")) // the same key after its outcome: another transaction
		marks.Commit(message.GroupTransCheck, message.TopicHalf, 0, 3)
		marks.Commit(message.GroupTransCheck, message.TopicOpHalf, 0, 0)
		r = r.again()
		if open := r.open(); len(open) != 1 || open["new"] != 1 {
			t.Errorf("open: %v, want new", open)
		}
	})
}

// TestMarksBelongTogether: with one of them lost or beyond the end, what is
// decided must not come back.
func TestMarksBelongTogether(t *testing.T) {
	for what, spoil := range map[string]func(*marks){
		"half mark beyond the end": func(m *marks) { m.Commit(message.GroupTransCheck, message.TopicHalf, 0, 1000) },
		"op mark beyond the end":   func(m *marks) { m.Commit(message.GroupTransCheck, message.TopicOpHalf, 0, 1000) },
		"half mark lost":           func(m *marks) { delete(m.m, message.TopicHalf+"@"+message.GroupTransCheck) },
		"op mark lost":             func(m *marks) { delete(m.m, message.TopicOpHalf+"@"+message.GroupTransCheck) },
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := start(t, vfs.NewMem(), newMarks())
				a, b := r.half("g", "a"), r.half("g", "b")
				r.mustEnd(a, "g", Commit)
				r.mustEnd(b, "g", Rollback)
				after(10 * time.Second)
				if half, op := r.marks.get(); half != 2 || op != 2 {
					t.Fatalf("marks %d %d", half, op)
				}
				r.half("g", "c")
				spoil(r.marks)
				r = r.again()
				if open := r.open(); len(open) != 1 || open["c"] != 1 {
					t.Errorf("open: %v, want c", open)
				}
			})
		})
	}
}

// TestMarksWaitForTheDisk: a mark that outlives the op messages below it would
// lose transactions in a power cut.
func TestMarksWaitForTheDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, vfs.NewMem(), newMarks(), func(sc *store.Config, _ *Config) {
			sc.FlushInterval, sc.FlushThoroughInterval, sc.ViewFlushInterval = time.Hour, time.Hour, time.Hour
		})
		at := r.half("g", "k")
		if err := r.st.Flush(r.st.MaxPhysical()); err != nil {
			t.Fatal(err)
		}
		r.mustEnd(at, "g", Commit)
		after(5 * time.Minute)
		if half, _ := r.marks.get(); half != 0 {
			t.Fatalf("mark %d, and nothing of the commit is on disk", half)
		}
		m := r.fs.Crash(vfs.CrashOptions{})
		r.stop()
		r = start(t, m, r.marks)
		if open := r.open(); open["k"] != 1 || r.keys("T", 2) != "" {
			t.Fatalf("after a power cut: open %v, topic holds %q; want it undecided", open, r.keys("T", 2))
		}
		r.mustEnd(at, "g", Commit)
		after(5 * time.Second)
		if half, op := r.marks.get(); half != 1 || op != 1 {
			t.Errorf("marks %d %d once it is on disk, want 1 1", half, op)
		}
	})
}

func TestRule3CommitWithoutItsOpMessage(t *testing.T) {
	for _, change := range [][]option{nil, {syncFlush}} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, vfs.NewMem(), newMarks(), change...)
			torn := r.put(message.TopicHalf, 0, javaHalf("torn"), javaHalf("whole"), javaHalf("torn"))
			committed := javaHalf("torn")
			committed.SysFlag, committed.PreparedOffset = message.TransactionCommit, torn[2].PhysicalOffset
			r.put("T", 2, committed)
			r = r.again(change...)
			synctest.Wait()
			if open := r.open(); len(open) != 1 || open["whole"] != 1 {
				t.Fatalf("open: %v, want whole", open)
			}
			ops := r.records(message.TopicOpHalf, 0)
			if len(ops) != 2 || string(ops[0].Body)+string(ops[1].Body) != "02" {
				t.Errorf("%d op messages", len(ops))
			}
			if a := r.end(torn[2], "g", Commit); a.code != wire.Success {
				t.Errorf("the commit again: %+v", a)
			}
			r = r.again(change...)
			if got := r.keys("T", 2); got != "torn" || len(r.records(message.TopicOpHalf, 0)) != 2 {
				t.Errorf("topic holds %q, %d op messages", got, len(r.records(message.TopicOpHalf, 0)))
			}
		})
	}
}

// A delayed message that was delivered, or a retry, keeps the commit bit of the
// committed message, with 0 for the half message's offset; and there may be a
// half message at 0 that is another transaction's.
func TestRule6CopiesAreNoCommits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, vfs.NewMem(), newMarks())
		if at := r.put(message.TopicHalf, 0, javaHalf("undecided")); at[0].PhysicalOffset != 0 {
			t.Fatalf("the half message stands at %d", at[0].PhysicalOffset)
		}
		for _, key := range []string{"other", ""} {
			copied := javaHalf(key)
			copied.SysFlag = message.TransactionCommit
			r.put("T", 2, copied)
		}
		r = r.again()
		if open := r.open(); open["undecided"] != 1 || len(r.records(message.TopicOpHalf, 0)) != 0 {
			t.Errorf("open: %v, %d op messages", open, len(r.records(message.TopicOpHalf, 0)))
		}
	})
}

// TestRestartAfterTheLastCheck: the producer still has an interval to answer.
func TestRestartAfterTheLastCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, vfs.NewMem(), newMarks())
		r.online("g", &producer{})
		at := r.half("g", "k")
		other := r.half("g", "other")
		after(33 * time.Second) // the third check was at 31 s
		r = r.again()
		after(9 * time.Second)
		if st := r.svc.Stats(); st.Discarded != 0 || r.pending() != 2 {
			t.Fatalf("%+v", st)
		}
		r.mustEnd(at, "g", Commit)
		after(13 * time.Second)
		if got := r.keys(message.TopicCheckMax, 0); got != "other" || r.pending() != 0 {
			t.Errorf("parked %q, %d pending", got, r.pending())
		}
		if a := r.end(other, "g", Commit); a.code != wire.IllegalOperation {
			t.Errorf("commit after the discard: %+v", a)
		}
	})
}
