// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

func half(off int64, group, key string) Half {
	return Half{QueueOffset: off, Physical: 1000 + off, OpMark: off / 2, Group: group, Key: key, Topic: "T"}
}

func TestFirstDecisionWins(t *testing.T) {
	tb := NewTable(3, 1000, 0, 0)
	tb.Add(half(0, "g", "k"), 100, 0)
	d, err := tb.Decide(0, 1000, "g", Commit)
	if err != nil || d == nil {
		t.Fatalf("first commit: %v %v", d, err)
	}
	if same, err := tb.Decide(0, 1000, "g", Commit); !errors.Is(err, ErrBusy) || same != d {
		t.Errorf("the same decision while it is stored: %v, want ErrBusy", err)
	}
	if _, err := tb.Decide(0, 1000, "g", Rollback); !errors.Is(err, ErrDecided) {
		t.Errorf("another decision while it is stored: %v, want ErrDecided", err)
	}
	tb.Settle(d, true, 0)
	if d, err := tb.Decide(0, 1000, "g", Commit); d != nil || err != nil {
		t.Errorf("the same decision again: %v %v, want nothing to do", d, err)
	}
	if _, err := tb.Decide(0, 1000, "g", Rollback); !errors.Is(err, ErrDecided) {
		t.Errorf("rollback after commit: %v, want ErrDecided", err)
	}
	if _, ok := tb.TakeDue(1 << 40); ok {
		t.Error("a decided transaction is due for a check")
	}
}

func TestDecideNamesTheHalfItself(t *testing.T) {
	tb := NewTable(3, 1000, 0, 0)
	tb.Add(half(0, "g", "k"), 100, 0)
	for _, c := range []struct {
		off, phys int64
		group     string
		want      error
	}{{1, 1001, "g", ErrUnknown}, {0, 999, "g", ErrMismatch}, {0, 1000, "other", ErrMismatch}} {
		if _, err := tb.Decide(c.off, c.phys, c.group, Commit); !errors.Is(err, c.want) {
			t.Errorf("Decide(%d, %d, %q) = %v, want %v", c.off, c.phys, c.group, err, c.want)
		}
	}
}

func TestDecisionThatDidNotBecomeDurable(t *testing.T) {
	tb := NewTable(3, 1000, 0, 0)
	tb.Add(half(0, "g", "k"), 100, 0)
	d, _ := tb.Decide(0, 1000, "g", Commit)
	tb.Settle(d, false, 500)
	if _, ok := tb.TakeDue(499); ok {
		t.Error("due before its retry")
	}
	if _, ok := tb.TakeDue(500); !ok {
		t.Error("not due at its retry")
	}
	if d, err := tb.Decide(0, 1000, "g", Rollback); d == nil || err != nil {
		t.Errorf("nothing was stored, so any decision is open: %v %v", d, err)
	}
}

func TestHalvesOfOneKeyAreOneTransaction(t *testing.T) {
	tb := NewTable(3, 1000, 0, 0)
	tb.Add(half(0, "g", "k"), 100, 0)
	tb.Add(half(1, "g", "k"), 200, 2)
	tb.Add(half(2, "other", "k"), 300, 0)
	if n := tb.ByTopic()["T"]; n != 2 {
		t.Fatalf("%d transactions, want 2", n)
	}
	due, ok := tb.TakeDue(100)
	if !ok || due.Checks != 2 || due.Half.QueueOffset != 1 {
		t.Fatalf("due %+v %v, want the newest copy with both counts", due, ok)
	}
	d, err := tb.Decide(1, 1001, "g", Commit)
	if err != nil || len(d.All) != 2 {
		t.Fatalf("decision %+v %v, want both halves", d, err)
	}
	tb.Settle(d, true, 0)
	if d, err := tb.Decide(0, 1000, "g", Commit); d != nil || err != nil {
		t.Errorf("commit of the other copy: %v %v, want nothing to do", d, err)
	}
	tb.Add(half(3, "g", "k"), 900, 0)
	if d, err := tb.Decide(3, 1003, "g", Commit); d == nil || err != nil {
		t.Errorf("a half after the outcome is a new transaction: %v %v", d, err)
	}
}

func TestChecksAreBoundedAndWaitForAProducer(t *testing.T) {
	tb := NewTable(2, 1000, 0, 0)
	tb.Add(half(0, "g", "k"), 100, 0)
	now := int64(100)
	due, ok := tb.TakeDue(now)
	if !ok || due.Expired {
		t.Fatal("the first check is due at 100")
	}
	tb.NoProducer(due)
	if _, ok := tb.NextDue(); ok || tb.Waiting() != 1 {
		t.Fatal("with nobody to ask it waits")
	}
	tb.Online("g", 5000)
	for i := range 2 {
		at, _ := tb.NextDue()
		due, ok = tb.TakeDue(at)
		if !ok || due.Expired || due.Checks != int32(i) {
			t.Fatalf("check %d: %+v %v", i, due, ok)
		}
		tb.Checked(due, at)
	}
	due, ok = tb.TakeDue(7000)
	if !ok || !due.Expired {
		t.Fatalf("after two checks it expires: %+v %v", due, ok)
	}
	d, err := tb.Decide(0, 1000, "g", Discard)
	if err != nil {
		t.Fatal(err)
	}
	tb.Settle(d, true, 0)
	if _, err := tb.Decide(0, 1000, "g", Commit); !errors.Is(err, ErrDecided) {
		t.Errorf("commit after discard: %v, want ErrDecided", err)
	}
}

func TestCheckOnItsWayDoesNotReviveADecided(t *testing.T) {
	tb := NewTable(2, 1000, 0, 0)
	tb.Add(half(0, "g", "k"), 100, 0)
	due, _ := tb.TakeDue(100)
	d, _ := tb.Decide(0, 1000, "g", Commit)
	tb.Settle(d, true, 0)
	tb.Checked(due, 100)
	tb.NoProducer(due)
	tb.Online("g", 200)
	if _, ok := tb.NextDue(); ok {
		t.Error("a decided transaction is due again")
	}
}

// The table against a model of one line an operation: each transaction gets at
// most one durable outcome, the first; the marks never pass an undecided half.
func TestTableAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tb := NewTable(3, 10, 0, 0)
		outcome := map[int64]Outcome{} // by half offset
		open := map[int64]*Decision{}
		var next, now int64
		var untold []int64 // in the log, but their connections have not told yet
		t.Repeat(map[string]func(*rapid.T){
			"store": func(t *rapid.T) {
				untold = append(untold, next)
				next++
			},
			"tell": func(t *rapid.T) {
				if len(untold) == 0 {
					return
				}
				i := rapid.IntRange(0, len(untold)-1).Draw(t, "which")
				off := untold[i]
				untold = append(untold[:i:i], untold[i+1:]...)
				tb.Add(half(off, "g", fmt.Sprint("k", off)), now+5, 0)
				outcome[off] = None
			},
			"decide": func(t *rapid.T) {
				off := rapid.Int64Range(0, 20).Draw(t, "offset")
				o := Outcome(rapid.IntRange(1, 3).Draw(t, "outcome"))
				d, err := tb.Decide(off, 1000+off, "g", o)
				was, known := outcome[off]
				switch {
				case !known:
					if !errors.Is(err, ErrUnknown) {
						t.Fatalf("unknown half %d: %v", off, err)
					}
				case open[off] != nil:
					if err == nil {
						t.Fatalf("half %d decided twice at once", off)
					}
				case was != None:
					if d != nil || (err == nil) != (was == o) {
						t.Fatalf("half %d was %v, then %v: %v %v", off, was, o, d, err)
					}
				default:
					if d == nil || err != nil {
						t.Fatalf("half %d is open: %v", off, err)
					}
					open[off] = d
				}
			},
			"settle": func(t *rapid.T) {
				for off, d := range open {
					durable := rapid.Bool().Draw(t, "durable")
					tb.Settle(d, durable, now)
					if durable {
						outcome[off] = d.Outcome
					}
					delete(open, off)
					return
				}
			},
			"check": func(t *rapid.T) {
				now += 7
				for {
					due, ok := tb.TakeDue(now)
					if !ok {
						break
					}
					if outcome[due.Half.QueueOffset] != None || open[due.Half.QueueOffset] != nil {
						t.Fatalf("half %d is decided and yet checked", due.Half.QueueOffset)
					}
					switch rapid.IntRange(0, 2).Draw(t, "answer") {
					case 0:
						tb.Checked(due, now)
					case 1:
						tb.NoProducer(due)
					case 2:
						tb.Retry(due, now+1)
					}
				}
				if rapid.Bool().Draw(t, "online") {
					tb.Online("g", now)
				}
			},
			"": func(t *rapid.T) {
				h, op := tb.Marks()
				for off := range h {
					if outcome[off] == None {
						t.Fatalf("mark %d passed the undecided half %d", h, off)
					}
				}
				if _, told := outcome[h]; told && op != h/2 {
					t.Fatalf("op mark %d for half %d", op, h)
				}
				for _, off := range untold {
					if h > off || op > off/2 {
						t.Fatalf("marks %d %d for half %d, which is not told yet", h, op, off)
					}
				}
				undecided := 0
				for _, o := range outcome {
					if o == None {
						undecided++
					}
				}
				if n := tb.ByTopic()["T"]; n != undecided {
					t.Fatalf("%d counted, %d undecided", n, undecided)
				}
			},
		})
	})
}
