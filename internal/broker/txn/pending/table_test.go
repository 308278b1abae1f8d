// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pending

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
)

// half is a half message that is due at 100 for the first time.
func half(off int64, group, key string) Half {
	return Half{QueueOffset: off, Physical: 1000 + off, Group: group, Topic: "T", Key: key, Due: 100}
}

// table has a short interval and three checks.
func table(halves ...Half) *Table {
	t := New(Config{CheckMax: 3, Interval: 1000})
	for _, h := range halves {
		t.Add(h)
	}
	return t
}

// next wants an action of a kind for a half message at now.
func next(t *testing.T, tb *Table, now int64, kind Kind, off int64) Action {
	t.Helper()
	a, ok := tb.Next(now)
	if !ok || a.Kind != kind || a.QueueOffset != off {
		t.Fatalf("at %d: %v of %d (%v), want %v of %d", now, a.Kind, a.QueueOffset, ok, kind, off)
	}
	return a
}

// idle wants nothing to do at now.
func idle(t *testing.T, tb *Table, now int64) {
	t.Helper()
	if a, ok := tb.Next(now); ok {
		t.Fatalf("at %d: %v of %d, want nothing", now, a.Kind, a.QueueOffset)
	}
	if at, ok := tb.Wake(); ok && at <= now {
		t.Fatalf("Wake at %d, but nothing was to do at %d", at, now)
	}
}

func decide(t *testing.T, tb *Table, off int64, group string, o Outcome) *Decision {
	t.Helper()
	d, err := tb.Decide(off, 1000+off, group, o)
	if err != nil {
		t.Fatalf("Decide(%d): %v", off, err)
	}
	return d
}

func TestFirstDecisionWins(t *testing.T) {
	tb := table(half(0, "g", "k"))
	d := decide(t, tb, 0, "g", Commit)
	if same, err := tb.Decide(0, 1000, "g", Commit); !errors.Is(err, ErrBusy) || same != d {
		t.Errorf("the same decision while it is stored: %v %v, want it and ErrBusy", same, err)
	}
	for o, other := range map[Outcome]string{Rollback: "committed", Discard: "committed"} {
		if _, err := tb.Decide(0, 1000, "g", o); !errors.Is(err, ErrDecided) || !strings.Contains(err.Error(), "it is being "+other) {
			t.Errorf("%v while a commit is stored: %v, want ErrDecided that says so", o, err)
		}
	}
	idle(t, tb, math.MaxInt64)
	tb.Settle(d, true, 0)
	if _, err := tb.Decide(0, 1000, "g", Commit); !errors.Is(err, ErrUnknown) {
		t.Errorf("a decided one: %v, want ErrUnknown", err)
	}
	if _, ok := tb.Get(0); ok || tb.Len() != 0 || tb.Transactions() != 0 || len(tb.ByTopic()) != 0 {
		t.Error("a decided one is still known")
	}
	tb.Add(half(0, "g", "k"))
	if tb.Len() != 0 {
		t.Error("a decided one came back because its connection told twice")
	}
	idle(t, tb, math.MaxInt64)
}

func TestDecideNamesTheHalfItself(t *testing.T) {
	tb := table(half(0, "g", "k"))
	for _, c := range []struct {
		off, physical int64
		group         string
		o             Outcome
		want          error
		says          string
	}{
		{1, 1001, "g", Commit, ErrUnknown, "no undecided half message"},
		{0, 999, "g", Commit, ErrMismatch, "commit log offset 1000, the request says 999"},
		{0, 1000, "other", Commit, ErrMismatch, `producer group "g", the request says "other"`},
		{0, 1000, "g", None, ErrOutcome, "commit, rollback or discard"},
		{0, 1000, "g", 7, ErrOutcome, "it is 7"},
	} {
		d, err := tb.Decide(c.off, c.physical, c.group, c.o)
		if d != nil || !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("Decide(%d, %d, %q, %d) = %v, want %v with %q", c.off, c.physical, c.group, c.o, err, c.want, c.says)
		}
	}
	decide(t, tb, 0, "g", Commit)
}

func TestDecisionThatIsNotDurable(t *testing.T) {
	tb := table(half(0, "g", "k"))
	a := next(t, tb, 100, Check, 0)
	d := decide(t, tb, 0, "g", Commit)
	tb.Settle(d, false, 500)
	tb.Settle(d, true, 500)
	if tb.Handed(a, 600) != 0 {
		t.Error("the check from before the decision counted")
	}
	idle(t, tb, 1499)
	b := next(t, tb, 1500, Check, 0)
	if tb.Handed(a, 1500) != 0 || tb.Handed(b, 1500) != 1 || tb.Handed(b, 1500) != 0 {
		t.Error("the new check counts, once")
	}
	d = decide(t, tb, 0, "g", Rollback)
	if i := d.Half; i.State != Deciding || i.Checks != 1 || i.Group != "g" || i.Topic != "T" || i.Physical != 1000 {
		t.Errorf("decision about %+v", i)
	}
}

func TestHalvesOfOneKeyAreOneTransaction(t *testing.T) {
	tb := table()
	for _, h := range []struct {
		off        int64
		group, key string
		checks     int32
		due        int64
	}{{4, "g", "k", 0, 100}, {2, "g", "k", 2, 50}, {5, "other", "k", 0, 300}, {3, "g", "", 0, 400}, {1, "g", "", 0, 500}, {0, "g", "k", 1, 10}} {
		one := half(h.off, h.group, h.key)
		one.Checks, one.Due = h.checks, h.due
		tb.Add(one)
	}
	if tb.Len() != 6 || tb.Transactions() != 4 || tb.ByTopic()["T"] != 4 {
		t.Fatalf("%d half messages, %d transactions, want 6 and 4", tb.Len(), tb.Transactions())
	}
	idle(t, tb, 99)
	a := next(t, tb, 100, Check, 4)
	if a.Checks != 2 || a.First != 0 || a.Due != 100 {
		t.Errorf("check %+v, want the deadline of the first that came and the highest count", a)
	}
	d := decide(t, tb, 2, "g", Commit)
	if !slices.Equal(d.All, []int64{0, 2, 4}) || d.Half.QueueOffset != 2 || d.Half.First != 0 {
		t.Errorf("decision %+v, want all half messages of the chain", d)
	}
	if _, err := tb.Decide(4, 1004, "g", Commit); !errors.Is(err, ErrBusy) {
		t.Errorf("the same for another half message of the chain: %v, want ErrBusy", err)
	}
	tb.Add(half(6, "g", "k"))
	if tb.Transactions() != 5 {
		t.Error("a half message that comes while its transaction is decided is a new one")
	}
	tb.Settle(d, true, 100)
	if i, ok := tb.Get(6); !ok || i.First != 6 || tb.Transactions() != 4 || tb.Len() != 4 {
		t.Errorf("after the outcome: %+v %v", i, ok)
	}
}

func TestChainsMeetAgain(t *testing.T) {
	tb := table(half(0, "g", "k"))
	d := decide(t, tb, 0, "g", Commit)
	later := half(1, "g", "k")
	later.Checks = 2
	tb.Add(later)
	a := next(t, tb, 100, Check, 1)
	tb.Settle(d, false, 100)
	if tb.Transactions() != 1 || tb.ByTopic()["T"] != 1 || tb.Len() != 2 {
		t.Fatalf("%d transactions, want one of both", tb.Transactions())
	}
	if tb.Handed(a, 100) != 0 {
		t.Error("an action from before they met counted")
	}
	idle(t, tb, 1099)
	if a := next(t, tb, 1100, Check, 1); a.Checks != 2 || a.First != 0 {
		t.Errorf("check %+v", a)
	}
	if d := decide(t, tb, 0, "g", Commit); !slices.Equal(d.All, []int64{0, 1}) {
		t.Errorf("decision about %v", d.All)
	}
}

// A check that somebody asked for is not lost when chains meet before it goes.
func TestChainsMeetAfterRecheck(t *testing.T) {
	tb := table(half(0, "g", "k"))
	d := decide(t, tb, 0, "g", Commit)
	later := half(1, "g", "k")
	later.Checks = 3 // all used up
	tb.Add(later)
	if !tb.Recheck(1, 50) {
		t.Fatal("recheck refused")
	}
	tb.Settle(d, false, 50)
	idle(t, tb, 1049)
	tb.Handed(next(t, tb, 1050, Check, 1), 1050)
	next(t, tb, 1<<20, Expire, 1)
}

func TestLowWaterMark(t *testing.T) {
	tb := New(Config{CheckMax: 1, Interval: 1, Next: 10})
	low := func(want int64) {
		t.Helper()
		if got := tb.Low(); got != want {
			t.Fatalf("low-water mark %d, want %d", got, want)
		}
	}
	low(10)
	tb.Add(half(4, "g", "")) // found in the log
	low(4)
	for _, off := range []int64{12, 14, 11, 16, 15} {
		tb.Add(half(off, "g", ""))
	}
	first := decide(t, tb, 4, "g", Commit)
	low(4)
	tb.Settle(first, true, 0)
	low(10)
	for _, off := range []int64{11, 12, 15} {
		tb.Settle(decide(t, tb, off, "g", Rollback), true, 0)
	}
	low(10) // 10 is in the log, its connection has not told yet
	tb.Add(half(10, "g", ""))
	low(10)
	tb.Settle(decide(t, tb, 10, "g", Commit), true, 0)
	low(13)
	tb.Add(half(13, "g", ""))
	tb.Settle(decide(t, tb, 13, "g", Commit), true, 0)
	low(14)
	if list := tb.Below(1016); !slices.Equal(list, []int64{14}) {
		t.Errorf("below 1016: %v", list)
	}
	tb.Settle(decide(t, tb, 14, "g", Commit), true, 0)
	tb.Settle(decide(t, tb, 16, "g", Commit), true, 0)
	low(17)
}

func TestRange(t *testing.T) {
	tb := table(half(7, "g", ""), half(3, "h", "k"), half(5, "g", "k"))
	var got []int64
	tb.Range(4, func(i Info) bool { got = append(got, i.QueueOffset); return true })
	tb.Range(0, func(i Info) bool { got = append(got, i.QueueOffset); return false })
	if !slices.Equal(got, []int64{5, 7, 3}) {
		t.Errorf("listed %v", got)
	}
}

func TestNames(t *testing.T) {
	got := []string{
		None.String(), Commit.String(), Rollback.String(), Discard.String(), Outcome(9).String(), Check.String(), Expire.String(), Kind(0).String(),
		Immune.String(), Checking.String(), Paced.String(), NoProducer.String(), Deciding.String(), State(9).String(),
	}
	want := []string{
		"undecided", "committed", "rolled back", "discarded", "outcome 9", "check", "expire", "nothing",
		"immune", "checking", "paced", "no producer", "deciding", "state 9",
	}
	if !slices.Equal(got, want) {
		t.Errorf("names %q", got)
	}
}

func TestConfigOutOfRange(t *testing.T) {
	tb := New(Config{CheckMax: -1, Interval: -5, MaxAge: -1, Rate: -3})
	tb.Add(half(0, "g", ""))
	if a := next(t, tb, 100, Expire, 0); a.Why != UsedUp {
		t.Errorf("expired: %s", a.Why)
	}
	idle(t, tb, 100)
	next(t, tb, 101, Expire, 0)
}
