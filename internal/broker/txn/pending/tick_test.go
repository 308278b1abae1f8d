// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pending

import "testing"

// TestWaitingWhileNobodyIsThere holds that what comes due while its group is away
// counts as waiting, though nothing has the table asked for an action.
func TestWaitingWhileNobodyIsThere(t *testing.T) {
	table := New(Config{CheckMax: 15, Interval: 100})
	table.Add(Half{QueueOffset: 0, Group: "g", Topic: "t", Key: "a", Due: 10})
	table.Add(Half{QueueOffset: 1, Group: "g", Topic: "t", Key: "b", Due: 20})
	a, ok := table.Next(10)
	if !ok || a.QueueOffset != 0 {
		t.Fatalf("%+v, %t", a, ok)
	}
	table.NobodyThere(a)
	if at, ok := table.Wake(); ok {
		t.Fatalf("it wakes at %d", at)
	}
	table.Tick(30)
	if n, paced := table.Waiting(); n != 2 || paced != 0 {
		t.Errorf("%d wait for a producer, %d for their turn", n, paced)
	}
	if i, _ := table.Get(1); i.State != NoProducer {
		t.Errorf("state %v", i.State)
	}
}

// TestADiscardThatFailsComesAgainLater holds that what is too old and can't be
// parked, as on a full disk, does not come again at once.
func TestADiscardThatFailsComesAgainLater(t *testing.T) {
	table := New(Config{CheckMax: 15, Interval: 60_000, MaxAge: 1000})
	table.Add(Half{QueueOffset: 0, Group: "g", Topic: "t", Key: "k", Due: 100_000})
	for now := int64(5000); now < 5000+10*60_000; now += 60_000 {
		a, ok := table.Next(now)
		if !ok || a.Kind != Expire || a.Why != TooOld {
			t.Fatalf("at %d: %+v, %t", now, a, ok)
		}
		d, err := table.Decide(a.QueueOffset, a.Physical, a.Group, Discard)
		if err != nil {
			t.Fatal(err)
		}
		table.Settle(d, false, now)
		if a, ok := table.Next(now + 59_999); ok {
			t.Fatalf("again before its interval: %+v", a)
		}
	}
	if d, err := table.Decide(0, 0, "g", Commit); err != nil || d == nil {
		t.Errorf("a producer can no longer decide: %v", err)
	}
}
