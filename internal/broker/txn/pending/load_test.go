// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pending

import "testing"

// many is how many transactions the tests of load have.
const many = 100_000

// 100,000 due transactions of one group, at its rate limit: no check of another
// group waits a millisecond or a second call for them, the limit holds in every
// window, and the calls are as many as the checks and the times the driver wakes.
func TestGroupAtItsRateLimitDelaysNoOther(t *testing.T) {
	const rate = 1000
	tb := New(Config{CheckMax: 2, Interval: 1 << 40, Rate: rate})
	var off int64
	add := func(group string, due int64) int64 {
		h := half(off, group, "")
		h.Due = due
		tb.Add(h)
		off++
		return h.QueueOffset
	}
	for range many {
		add("many", -50)
	}
	dueOf := map[int64]int64{}
	for i := range int64(1000) {
		dueOf[add("few", i*97)] = i * 97
	}
	calls, wakes := 0, 0
	var sent []int64 // when checks of the big group went
	for now := int64(0); len(sent) < many; {
		for here := 1; ; here++ {
			calls++
			a, ok := tb.Next(now)
			if !ok {
				break
			}
			if a.Group == "many" {
				sent = append(sent, now)
			} else {
				if dueOf[a.QueueOffset] != now || here > 2 {
					t.Fatalf("checked at %d by call %d, due at %d", now, here, dueOf[a.QueueOffset])
				}
				delete(dueOf, a.QueueOffset)
			}
			tb.Handed(a, now)
		}
		wakes++
		at, ok := tb.Wake()
		if !ok || at <= now {
			t.Fatalf("wake at %d %v after %d", at, ok, now)
		}
		now = at
	}
	if len(dueOf) > 0 {
		t.Errorf("%d of the others were not checked", len(dueOf))
	}
	const burst = rate / 10
	for i := burst; i < len(sent); i++ {
		if sent[i] != int64(i-burst+1) { // one a millisecond after the burst
			t.Fatalf("check %d went at %d", i, sent[i])
		}
	}
	if most := many + 1000 + wakes + 1; calls > most {
		t.Errorf("%d calls of Next, want at most %d", calls, most)
	}
}

// Without a limit, and while used-up ones expire in masses, each group and the
// expiries get their turn.
func TestGroupsTakeTurns(t *testing.T) {
	tb := New(Config{CheckMax: 1, Interval: 1000})
	for off := range int64(many) {
		h := half(off, "many", "")
		h.Due, h.Checks = off%7, int32(off%2) // half of them expire
		tb.Add(h)
	}
	tb.Add(half(many, "few", ""))
	tb.Add(half(many+1, "few", ""))
	kinds, groups := map[Kind]int{}, map[string]int{}
	last := Action{Info: Info{Due: -1}}
	for range 20 {
		a, ok := tb.Next(100)
		if !ok {
			t.Fatal("nothing to do")
		}
		if a.Kind == Check && a.Group == "many" {
			if a.Due < last.Due || a.Due == last.Due && a.QueueOffset < last.QueueOffset {
				t.Errorf("%d, due at %d, after %d, due at %d", a.QueueOffset, a.Due, last.QueueOffset, last.Due)
			}
			last = a
		}
		kinds[a.Kind]++
		groups[a.Group]++
	}
	if kinds[Check] != 10 || kinds[Expire] != 10 || groups["few"] != 2 {
		t.Errorf("20 actions: %v, %v", kinds, groups)
	}
}

// A group that pauses, and one without producers, with 100,000 due each, cost
// nothing until something happens.
func TestWaitingGroupsAreNotVisited(t *testing.T) {
	tb := New(Config{CheckMax: 3, Interval: 1000})
	for off := range int64(2 * many) {
		tb.Add(half(off, [2]string{"pausing", "absent"}[off%2], ""))
	}
	tb.NotTaken(next(t, tb, 100, Check, 0), 100)
	tb.NobodyThere(next(t, tb, 100, Check, 1))
	for range many { // each must be cheap
		if _, ok := tb.Next(599); ok {
			t.Fatal("a waiting group is asked")
		}
	}
	if nobody, paced := tb.Waiting(); nobody != many || paced != many {
		t.Errorf("%d wait for a producer, %d for their turn", nobody, paced)
	}
	tb.Online("absent", 599)
	next(t, tb, 599, Check, 1)
}
