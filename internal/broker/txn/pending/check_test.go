// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pending

import (
	"math"
	"testing"
)

func TestChecksBackOffAndEnd(t *testing.T) {
	tb := New(Config{CheckMax: 9, Interval: 1000})
	tb.Add(half(0, "g", "k"))
	if i, _ := tb.Get(0); i.State != Immune || i.Due != 100 {
		t.Errorf("before its first check: %+v", i)
	}
	idle(t, tb, 99)
	now := int64(100)
	for n, pause := range []int64{1000, 1500, 2250, 3375, 5062, 7593, 8000, 8000, 8000} {
		a := next(t, tb, now, Check, 0)
		if i, _ := tb.Get(0); i.State != Checking || a.Checks != int32(n) {
			t.Errorf("check %d: %+v", n, a)
		}
		idle(t, tb, now+5)
		if got := tb.Handed(a, now+10); got != int32(n+1) {
			t.Errorf("check %d counts as %d", n+1, got)
		}
		now += 10 + pause
		idle(t, tb, now-1)
	}
	a := next(t, tb, now, Expire, 0)
	if a.Why != UsedUp || a.Checks != 9 {
		t.Errorf("its end: %+v", a)
	}
	if tb.Handed(a, now) != 0 {
		t.Error("an expiry was handed over")
	}
	idle(t, tb, now+999)
	a = next(t, tb, now+1000, Expire, 0) // nothing came of the first
	tb.Settle(decide(t, tb, a.QueueOffset, a.Group, Discard), false, now+1000)
	idle(t, tb, now+1999)
	next(t, tb, now+2000, Expire, 0)
	tb.Settle(decide(t, tb, 0, "g", Discard), true, now+2000)
	if _, ok := tb.Wake(); ok {
		t.Error("something is due when nothing is pending")
	}
}

func TestPause(t *testing.T) {
	for _, c := range []struct {
		interval int64
		checks   int32
		want     int64
	}{
		{1000, 0, 1000}, {1000, 1, 1000}, {1000, 2, 1500}, {1000, 6, 7593}, {1000, 7, 8000}, {1000, math.MaxInt32, 8000},
		{1, 1, 1}, {1, 2, 1}, {1, 3, 2}, {1, 9, 8}, {math.MaxInt64, 5, math.MaxInt64},
	} {
		if got := Pause(c.interval, c.checks); got != c.want {
			t.Errorf("Pause(%d, %d) = %d, want %d", c.interval, c.checks, got, c.want)
		}
	}
}

func TestPauseDoesNotOverflow(t *testing.T) {
	tb := New(Config{CheckMax: math.MaxInt32, Interval: math.MaxInt64})
	h := half(0, "g", "")
	h.Checks = math.MaxInt32
	tb.Add(h)
	if a := next(t, tb, 100, Expire, 0); a.Checks != 1<<24-1 {
		t.Errorf("%d checks", a.Checks)
	}
	idle(t, tb, math.MaxInt64-1)
}

// With nobody there checks wait and burn nothing; Online lets all of them go.
func TestNoProducer(t *testing.T) {
	tb := table(half(0, "g", ""), half(1, "g", ""), half(2, "h", ""))
	tb.NobodyThere(next(t, tb, 100, Check, 0))
	b := next(t, tb, 100, Check, 2)
	if nobody, paced := tb.Waiting(); nobody != 2 || paced != 0 {
		t.Errorf("%d wait for a producer, %d for their turn, want 2 and 0", nobody, paced)
	}
	if i, _ := tb.Get(1); i.State != NoProducer {
		t.Errorf("state %v", i.State)
	}
	tb.Handed(b, 100)
	idle(t, tb, 1099)
	next(t, tb, 1100, Check, 2)
	tb.Online("nobody knows it", 2000)
	idle(t, tb, 2000)
	tb.Online("g", 2000)
	for off := range int64(2) {
		if a := next(t, tb, 2000, Check, off); a.Checks != 0 {
			t.Errorf("%d checks were burnt", a.Checks)
		}
	}
}

// A producer that appears while the driver finds nobody is not overlooked.
func TestOnlineBeforeNobodyThere(t *testing.T) {
	tb := table(half(0, "g", ""))
	a := next(t, tb, 100, Check, 0)
	tb.Online("g", 101)
	tb.NobodyThere(a)
	a = next(t, tb, 101, Check, 0)
	tb.NobodyThere(a)
	idle(t, tb, 1<<40)
}

func TestNobodyTakesChecks(t *testing.T) {
	tb := table(half(0, "g", ""), half(1, "g", ""), half(2, "g", ""), half(3, "h", ""))
	a, h, b := next(t, tb, 100, Check, 0), next(t, tb, 100, Check, 3), next(t, tb, 100, Check, 1)
	tb.NotTaken(a, 100)
	tb.NotTaken(b, 100) // the same jam: it does not lengthen the pause
	tb.Handed(h, 100)
	tb.Settle(decide(t, tb, 3, "h", Commit), true, 100)
	if nobody, paced := tb.Waiting(); nobody != 0 || paced != 3 {
		t.Errorf("%d wait for a producer, %d for their turn, want 0 and 3", nobody, paced)
	}
	if i, _ := tb.Get(2); i.State != Paced {
		t.Errorf("state %v", i.State)
	}
	now := int64(100)
	for i, pause := range []int64{500, 1000, 2000, 4000, 8000, 10000, 10000} {
		idle(t, tb, now+pause-1)
		now += pause
		try := next(t, tb, now, Check, int64(i%3)) // each in turn: one that is never taken does not hold up the others
		idle(t, tb, now)
		tb.NotTaken(try, now)
	}
	now += 10000
	try := next(t, tb, now, Check, 1)
	tb.Settle(decide(t, tb, 1, "g", Commit), true, now) // it was decided before anybody took it
	tb.NotTaken(try, now)
	idle(t, tb, now+9999)
	now += 10000
	tb.Handed(next(t, tb, now, Check, 2), now)
	tb.Handed(next(t, tb, now, Check, 0), now) // the pause is over
	now += 1000
	tb.NotTaken(next(t, tb, now, Check, 0), now)
	idle(t, tb, now+499) // from the beginning
	tb.Online("g", now+499)
	next(t, tb, now+499, Check, 0)
	next(t, tb, now+499, Check, 2)
}

func TestUnreadableHalf(t *testing.T) {
	tb := table(half(0, "g", ""))
	now := int64(100)
	for _, pause := range []int64{1000, 2000, 4000, 8000, 16000, 32000, 64000, 128000, 256000, 512000, 600000, 600000} {
		a := next(t, tb, now, Check, 0)
		if a.Checks != 0 {
			t.Errorf("%d checks", a.Checks)
		}
		tb.Unreadable(a, now)
		idle(t, tb, now+pause-1)
		now += pause
	}
	tb.Handed(next(t, tb, now, Check, 0), now)
	now += 1000
	tb.Unreadable(next(t, tb, now, Check, 0), now)
	next(t, tb, now+1000, Check, 0) // from the beginning
}

// One that can't be read does not use up the attempt of its group.
func TestUnreadableWhileTheGroupPauses(t *testing.T) {
	tb := table(half(0, "g", ""), half(1, "g", ""))
	tb.NotTaken(next(t, tb, 100, Check, 0), 100)
	tb.Unreadable(next(t, tb, 600, Check, 0), 600)
	next(t, tb, 600, Check, 1)
	idle(t, tb, 600)
}

func TestTooOld(t *testing.T) {
	tb := New(Config{CheckMax: 3, Interval: 1000, MaxAge: 5000})
	for off, group := range []string{"absent", "pausing", "out", "deciding", "young"} {
		h := half(int64(off), group, "k")
		h.Stored = int64(off)
		tb.Add(h)
	}
	younger := half(5, "absent", "k")
	younger.Stored = 3000
	tb.Add(younger)
	tb.NobodyThere(next(t, tb, 100, Check, 5))
	tb.NotTaken(next(t, tb, 100, Check, 1), 100)
	sent := next(t, tb, 100, Check, 2)
	d := decide(t, tb, 3, "deciding", Commit)
	tb.Handed(next(t, tb, 100, Check, 4), 100)
	tb.NotTaken(next(t, tb, 4999, Check, 1), 4999)
	tb.Unreadable(next(t, tb, 4999, Check, 4), 4999)
	if !tb.Recheck(0, 4999) {
		t.Error("recheck refused")
	}
	tb.NobodyThere(next(t, tb, 4999, Check, 5))
	idle(t, tb, 4999)
	for i, off := range []int64{5, 1, 2} {
		if a := next(t, tb, 5000+int64(i), Expire, off); a.Why != TooOld {
			t.Errorf("%d expired: %s", off, a.Why)
		}
	}
	if tb.Recheck(1, 5002) || tb.Handed(sent, 5002) != 0 {
		t.Error("it is too old to be checked")
	}
	idle(t, tb, 5003)
	next(t, tb, 5004, Expire, 4)
	tb.Settle(d, false, 5004)
	idle(t, tb, 5004) // an interval later
	idle(t, tb, 5999)
	next(t, tb, 6000, Expire, 5) // again: nothing came of the first
}

func TestSpare(t *testing.T) {
	tb := table()
	used := half(0, "g", "")
	used.Checks = 3
	tb.Add(used)
	tb.Add(half(1, "g", ""))
	tb.Spare(5000)
	tb.Spare(1000)
	tb.Handed(next(t, tb, 100, Check, 1), 100)
	if i, _ := tb.Get(0); i.Due != 5000 || i.State != Checking {
		t.Errorf("spared: %+v", i)
	}
	tb.Handed(next(t, tb, 1100, Check, 1), 1100)
	tb.Handed(next(t, tb, 2600, Check, 1), 2600)
	idle(t, tb, 4849)
	idle(t, tb, 4999)
	next(t, tb, 5000, Expire, 0)
	next(t, tb, 5000, Expire, 1)
}

func TestRecheck(t *testing.T) {
	tb := New(Config{CheckMax: 1, Interval: 1000, Rate: 1})
	for off := range int64(3) {
		tb.Add(half(off, "g", ""))
	}
	if tb.Recheck(3, 0) {
		t.Error("rechecked what is not pending")
	}
	for range 2 {
		if !tb.Recheck(2, 10) {
			t.Error("recheck refused")
		}
	}
	a := next(t, tb, 10, Check, 2) // long before its deadline
	if !tb.Recheck(2, 10) {
		t.Error("recheck refused for one whose check is on its way")
	}
	idle(t, tb, 10)
	tb.Handed(a, 10)
	if !tb.Recheck(2, 20) { // its only check is used up
		t.Error("recheck refused")
	}
	if got := tb.Handed(next(t, tb, 20, Check, 2), 20); got != 2 {
		t.Errorf("%d checks, want one more than the most", got)
	}
	if a := next(t, tb, 1520, Check, 0); a.Checks != 0 {
		t.Errorf("a recheck costs the others no token: %+v", a)
	}
	next(t, tb, 1520, Expire, 2)
	tb.Recheck(2, 1530) // before it was discarded: one more, though the group has no token
	b := next(t, tb, 1530, Check, 2)
	tb.NobodyThere(b)
	idle(t, tb, 1540)
	tb.Recheck(1, 1550) // though nobody seems to be there
	d := decide(t, tb, 1, "g", Commit)
	idle(t, tb, 1550)
	if tb.Recheck(1, 1560) {
		t.Error("rechecked what is being decided")
	}
	tb.Settle(d, true, 1560)
	if tb.Recheck(1, 1560) {
		t.Error("rechecked what is decided")
	}
	tb.Recheck(0, 1570) // its check is out since 1520
	tb.Recheck(2, 1570)
	tb.NotTaken(next(t, tb, 1570, Check, 2), 1570) // somebody is there, but takes nothing
	if i, _ := tb.Get(2); i.State != Paced {
		t.Errorf("state %v", i.State)
	}
	idle(t, tb, 2069)
	if a := next(t, tb, 2520, Check, 2); a.Checks != 2 {
		t.Errorf("the check that it was granted: %+v", a)
	}
}
