// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// policies are the ways to flush.
var policies = map[string][]option{"async": nil, "sync": {syncFlush}, "sync transactions": {syncTransactions}}

// want compares an answer.
func (r *rig) want(what string, got answer, code int32, remarks ...string) {
	r.t.Helper()
	if got.code != code {
		r.t.Errorf("%s: %+v, want code %d", what, got, code)
	}
	for _, s := range remarks {
		if !strings.Contains(got.remark, s) {
			r.t.Errorf("%s: remark %q lacks %q", what, got.remark, s)
		}
	}
}

// What was decided is known after a restart, too, and after a second one that has
// no states.
func TestRule2AnswersAfterARestart(t *testing.T) {
	for name, change := range policies {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := start(t, vfs.NewMem(), newMarks(), change...)
				c, b := r.half("g", "c"), r.half("g", "b")
				r.mustEnd(c, "g", Commit)
				r.mustEnd(b, "g", Rollback)
				when := time.Now().UTC().Format("2006-01-02T15:04:05")
				after(time.Hour)
				for _, life := range []string{"first", "second", "third"} {
					r.mustEnd(c, "g", Commit)
					r.mustEnd(b, "g", Rollback)
					r.want(life+": rollback after the commit", r.end(c, "g", Rollback), wire.IllegalOperation, "was committed at "+when)
					r.want(life+": commit after the rollback", r.end(b, "g", Commit), wire.IllegalOperation, "was rolled back at "+when)
					if st := r.svc.Stats(); st.Refused != 2 {
						t.Errorf("%s: %d refusals counted", life, st.Refused)
					}
					s, err := r.svc.Show(b.QueueOffset)
					if err != nil {
						t.Fatal(err)
					}
					told := 0
					for _, e := range s.Events {
						if e.Kind == "refused" && e.Outcome == "commit" {
							told++
						}
					}
					if told == 0 {
						t.Errorf("%s: the story does not tell of the refusal: %+v", life, s.Events)
					}
					r = r.again(change...)
				}
				if got := r.keys("T", 2); got != "c" {
					t.Errorf("topic holds %q", got)
				}
			})
		})
	}
}

// Without the files beside the log, a commit is found by its UNIQ_KEY, also while
// the message waits, and nothing is committed that may have been rolled back.
func TestRule2WithoutTheStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, vfs.NewMem(), newMarks())
		c, b := r.half("g", "c"), r.half("g", "b")
		level, timed := r.half("g", "level", "DELAY", "2"), r.half("g", "timed", "TIMER_DELAY_MS", "5000")
		for _, at := range []store.Appended{c, level, timed} {
			r.mustEnd(at, "g", Commit)
		}
		r.mustEnd(b, "g", Rollback)
		after(time.Hour)
		r.stop()
		removeAll(t, r.fs, "/data/transactions", "/data/transactions/story")
		r = start(t, r.fs, r.marks)
		if err := r.st.WaitDispatched(r.st.MaxPhysical()); err != nil {
			t.Fatal(err)
		}
		for _, at := range []store.Appended{c, level, timed} {
			r.mustEnd(at, "g", Commit)
			r.want("rollback", r.end(at, "g", Rollback), wire.IllegalOperation, "committed at")
		}
		r.want("commit", r.end(b, "g", Commit), wire.IllegalOperation, "decided or expired")
		if got := r.keys("T", 2); got != "c" || r.pending() != 0 {
			t.Errorf("topic holds %q, %d pending", got, r.pending())
		}
	})
}

func removeAll(t *testing.T, m *vfs.Mem, dirs ...string) {
	t.Helper()
	for _, dir := range dirs {
		names, err := m.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if _, err := m.ReadDir(dir + "/" + name); err == nil {
				continue
			}
			if err := m.Remove(dir + "/" + name); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// With transactionFlushDiskType=SYNC_FLUSH nobody is answered and nobody sees the
// message before it is on disk, whatever flushDiskType says.
func TestRule3DurableBeforeAnsweredAndSeen(t *testing.T) {
	for _, answered := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			m := vfs.NewMem()
			d := newDisk(m)
			defer d.release()
			r := start(t, m, newMarks(), syncTransactions)
			at := r.half("g", "k")
			d.stuck.Store(true)
			ch := r.ask(at, "g", Commit)
			after(time.Minute)
			if !silent(ch) || r.st.Queue("T", 2).Max() != 0 {
				t.Fatalf("answered or seen before the commit is on disk: the queue ends at %d", r.st.Queue("T", 2).Max())
			}
			if answered {
				d.release()
				synctest.Wait()
				if len(ch) != 1 || (<-ch).code != wire.Success || r.keys("T", 2) != "k" {
					t.Fatalf("not answered, or not seen: %q", r.keys("T", 2))
				}
			}
			left := m.Crash(vfs.CrashOptions{})
			d.release()
			r.stop()
			r = start(t, left, newMarks(), syncTransactions)
			if open := r.open()["k"]; (open == 0) != answered || (r.keys("T", 2) == "k") != answered {
				t.Errorf("a power cut, answered %v: %d open, topic holds %q", answered, open, r.keys("T", 2))
			}
		})
	}
}

// A power cut can leave the op record of a commit without the commit, and of a
// discard without the copy: the outcome is carried out again.
func TestRule3OpMessageWithoutItsOutcome(t *testing.T) {
	for _, o := range []Outcome{Commit, Discard} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, vfs.NewMem(), newMarks())
			at := r.half("g", "k")
			lone := op("0")
			lone.Flag = opFlag(o, 16) // something else stands 16 bytes before it
			r.put(message.TopicOpHalf, 0, lone)
			r = r.again()
			for range 2 {
				if n := r.pending(); n != 0 {
					t.Errorf("%v: %d pending", o, n)
				}
				live, parked := r.keys("T", 2), r.keys(message.TopicCheckMax, 0)
				if o == Commit && (live != "k" || parked != "") || o == Discard && (live != "" || parked != "k") {
					t.Errorf("%v: topic holds %q, parked %q", o, live, parked)
				}
				r = r.again()
			}
			if o == Commit {
				r.mustEnd(at, "g", Commit)
			}
		})
	}
}

// A parked copy without its op message is not parked again.
func TestRule3CopyWithoutItsOpMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, vfs.NewMem(), newMarks())
		at := r.half("g", "k")
		parked := javaHalf("k", message.PropertyTransactionCheckTimes, "3")
		parked.PreparedOffset = at.PhysicalOffset
		r.put(message.TopicCheckMax, 0, parked)
		r = r.again()
		after(time.Hour)
		if n := r.pending(); n != 0 || r.keys(message.TopicCheckMax, 0) != "k" {
			t.Errorf("%d pending, parked %q", n, r.keys(message.TopicCheckMax, 0))
		}
		r.want("commit", r.end(at, "g", Commit), wire.IllegalOperation, "discarded")
	})
}

// A check that waits in a connection is dropped when the outcome comes.
func TestRule4NotEvenAQueuedCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, vfs.NewMem(), newMarks())
		p := r.online("g", &producer{queues: true})
		at, open := r.half("g", "k"), r.half("g", "open")
		after(6 * time.Second)
		r.mustEnd(at, "g", Commit)
		if sent := p.drain(); len(sent) != 1 || sent[0].Header.(*header.CheckTransactionRequest).TranStateTableOffset != open.QueueOffset {
			t.Errorf("%d checks left the connection after the outcome", len(sent))
		}
	})
}

// A half message that is sent again with the same key, as official producers do
// after a timeout, is the same transaction until that has its outcome.
func TestRule5SentAgain(t *testing.T) {
	for _, o := range []Outcome{Commit, Rollback} {
		for _, restart := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				r := start(t, vfs.NewMem(), newMarks())
				a, b := r.half("g", "k"), r.half("g", "k")
				other := r.half("h", "k") // of another group
				if restart {
					r = r.again()
				}
				r.mustEnd(b, "g", o)
				r.mustEnd(a, "g", o)
				if restart {
					r = r.again()
				}
				r.mustEnd(a, "g", o)
				contrary := Commit + Rollback - o
				r.want("the contrary by the other", r.end(a, "g", contrary), wire.IllegalOperation)
				next := r.half("g", "k")
				if r.pending() != 2 {
					t.Errorf("%d pending, want the other group's and the new one", r.pending())
				}
				r.mustEnd(next, "g", Commit)
				r.mustEnd(other, "h", Rollback)
				want := "k"
				if o == Commit {
					want = "k k"
				}
				if got := r.keys("T", 2); got != want {
					t.Errorf("%v, restart %v: topic holds %q, want %q", o, restart, got, want)
				}
			})
		}
	}
}

// Offsets of other records, and bytes in a body that look like a record, are no
// half messages; ids are never looked at.
func TestRule6OnlyAHalfMessageIsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, vfs.NewMem(), newMarks())
		fake := javaHalf("fake")
		fake.Topic = []byte(message.TopicHalf)
		inner := message.AppendRecord(nil, &fake)
		carrier := javaHalf("carrier") // a plain record with PGROUP and all
		carrier.Body = inner
		plain := r.put("T", 2, carrier)[0]
		at := r.half("g", "k")
		r.want("a plain record", r.end(store.Appended{QueueOffset: 0, PhysicalOffset: plain.PhysicalOffset}, "g", Commit), wire.SystemError, fmt.Sprint(at.PhysicalOffset), fmt.Sprint(plain.PhysicalOffset))
		r.want("inside a body", r.end(store.Appended{QueueOffset: 0, PhysicalOffset: plain.PhysicalOffset + 91}, "g", Commit), wire.SystemError)
		r.want("beyond the end", r.end(store.Appended{QueueOffset: 1, PhysicalOffset: plain.PhysicalOffset}, "g", Commit), wire.SystemError, "no such half message")
		r.want("negative", r.end(store.Appended{QueueOffset: -1, PhysicalOffset: at.PhysicalOffset}, "g", Commit), wire.SystemError, "no such half message")
		r.want("another group", r.end(at, "x", Commit), wire.SystemError, `"g"`, `"x"`)
		if got := r.keys("T", 2); got != "carrier" {
			t.Errorf("topic holds %q", got)
		}
		r.mustEnd(at, "g", Rollback)
		wrong := at
		wrong.PhysicalOffset++
		r.want("decided, another offset", r.end(wrong, "g", Rollback), wire.SystemError, fmt.Sprint(wrong.PhysicalOffset))
		r.want("decided, another group", r.end(at, "x", Rollback), wire.SystemError, `"x"`)
	})
}

// A first answer is never too late.
func TestRule6ALateFirstAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, vfs.NewMem(), newMarks())
		at := r.half("g", "k", "CHECK_IMMUNITY_TIME_IN_SECONDS", "1")
		after(70 * time.Hour)
		r.mustEnd(at, "g", Commit)
		if got := r.keys("T", 2); got != "k" {
			t.Errorf("topic holds %q", got)
		}
	})
}

// The wall clock may jump: deadlines don't.
func TestRule7TheWallClockJumps(t *testing.T) {
	for _, jump := range []time.Duration{-1000 * time.Hour, 1000 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			var shift atomic.Int64
			r := start(t, vfs.NewMem(), newMarks(), func(sc *store.Config, c *Config) {
				now := func() int64 { return time.Now().UnixMilli() + shift.Load() }
				sc.NowMillis, c.NowMillis = now, now
			})
			p := r.online("g", &producer{})
			began := time.Now()
			r.half("g", "k")
			after(time.Second)
			shift.Store(jump.Milliseconds())
			after(30 * time.Second)
			if len(p.times()) != 3 || p.times()[0].Sub(began) != 6*time.Second || p.times()[1].Sub(began) != 16*time.Second || p.times()[2].Sub(began) != 31*time.Second {
				t.Errorf("jump by %v: checks after %v", jump, p.times())
			}
		})
	}
}

// The pauses between checks grow by half each time, up to eight intervals.
func TestRule7BackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, vfs.NewMem(), newMarks(), func(_ *store.Config, c *Config) { c.Checks = 9 })
		p := r.online("g", &producer{})
		r.half("g", "k")
		after(10 * time.Minute)
		var pauses []time.Duration
		for i := 1; i < len(p.times()); i++ {
			pauses = append(pauses, p.times()[i].Sub(p.times()[i-1]).Round(time.Second))
		}
		if got, want := fmt.Sprint(pauses), "[10s 15s 23s 34s 51s 1m16s 1m20s 1m20s]"; got != want {
			t.Errorf("pauses %s, want %s", got, want)
		}
	})
}

// What nobody decides is discarded at transactionMaxAge, without any check.
func TestRule7MaxAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, vfs.NewMem(), newMarks(), func(_ *store.Config, c *Config) { c.MaxAge = time.Hour })
		at := r.half("g", "k")
		after(40 * time.Minute)
		r = r.again(func(_ *store.Config, c *Config) { c.MaxAge = time.Hour })
		after(20*time.Minute - time.Second)
		if n := r.pending(); n != 1 {
			t.Fatalf("%d pending before its time", n)
		}
		after(2 * time.Second)
		if st := r.svc.Stats(); st.Discarded != 1 || r.pending() != 0 || r.keys(message.TopicCheckMax, 0) != "k" {
			t.Errorf("%+v, parked %q", st, r.keys(message.TopicCheckMax, 0))
		}
		r.want("commit", r.end(at, "g", Commit), wire.IllegalOperation, "discarded")
	})
}

// A group that comes back gets its checks at transactionCheckRate; another group's
// are not held up.
func TestRule8Rate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, vfs.NewMem(), newMarks(), func(_ *store.Config, c *Config) { c.Rate = 100 })
		const n = 1000
		for i := range n {
			r.half("g", fmt.Sprint(i), "CHECK_IMMUNITY_TIME_IN_SECONDS", "1")
		}
		r.half("h", "h", "CHECK_IMMUNITY_TIME_IN_SECONDS", "1")
		after(time.Minute)
		p, q := r.online("g", &producer{}), r.online("h", &producer{})
		synctest.Wait()
		if p.count() > 11 || q.count() != 1 {
			t.Errorf("%d and %d checks at once", p.count(), q.count())
		}
		after(5 * time.Second)
		if got := p.count(); got < 480 || got > 520 {
			t.Errorf("%d checks after 5 s at 100 a second", got)
		}
	})
}
