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
