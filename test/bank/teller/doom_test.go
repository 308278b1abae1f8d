// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package teller

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
)

// doom is one that ends a life by a panic, with the ledger that it writes.
func doom(t *testing.T, first int) (*Doom, Plan, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ledger")
	l := reopen(t, path)
	t.Cleanup(func() { _ = l.Close() })
	p := Plan{Seed: 1, Producer: 0, Client: Raw, Deaths: 40, Doomed: 5} // 6 to 10
	for n := range first {
		l.Note(Event{Kind: Begun, Key: Key(0, n)})
	}
	d := NewDoom(p, l)
	d.kill = func() { panic("dead") }
	return d, p, path
}

// dies says whether a call ends the life.
func dies(call func()) (dead bool) {
	defer func() { dead = recover() != nil }()
	call()
	return false
}

// died gives the numbers that the ledger says died.
func died(t *testing.T, path string) (numbers []int) {
	t.Helper()
	for e, err := range Read(path) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind == Faulted {
			numbers = append(numbers, Plan{}.Number(e.Key))
			if e.Fault != Died {
				t.Errorf("noted %s", e.Fault)
			}
		}
	}
	slices.Sort(numbers)
	return numbers
}

func TestDoomEndsWithTheRun(t *testing.T) {
	for _, c := range []struct {
		first int // number of the life
		ready []int
		want  []int
	}{
		{0, []int{6, 7, 8, 9, 10}, []int{6, 7, 8, 9, 10}},
		{0, []int{10, 6, 9, -7, 8}, []int{6, 8, 9, 10}},
		{0, []int{-10, -6, -9, -7, -8}, nil},
		{8, []int{9, 8, 10}, []int{8, 9, 10}}, // a kill took what was before
		{10, []int{10}, []int{10}},
	} {
		t.Run(fmt.Sprint(c.ready), func(t *testing.T) {
			d, p, path := doom(t, c.first)
			for n := max(c.first, 6); n <= 10; n++ {
				d.Begin(p.Transaction(n))
			}
			for i, n := range c.ready {
				step := func() { d.Decided(p.Transaction(n)) }
				if n < 0 {
					step = func() { d.Missed(p.Transaction(-n)) }
				}
				if dead := dies(step); dead != (i == len(c.ready)-1) {
					t.Fatalf("dead is %t after %v", dead, c.ready[:i+1])
				}
			}
			if got := died(t, path); !slices.Equal(got, c.want) {
				t.Errorf("%v died, want %v", got, c.want)
			}
		})
	}
}

// TestDoomWaitsForTheLast holds that a run whose last transaction did not begin
// is not complete, whatever is ready.
func TestDoomWaitsForTheLast(t *testing.T) {
	d, p, path := doom(t, 0)
	for n := 6; n < 10; n++ {
		d.Begin(p.Transaction(n))
		if !d.Decided(p.Transaction(n)) {
			t.Errorf("%d may be told", n)
		}
	}
	d.Begin(p.Transaction(10))
	if len(died(t, path)) > 0 || !dies(func() { d.Missed(p.Transaction(10)) }) {
		t.Error("it did not die with the last")
	}
}

// TestDoomWhenAsked holds that none counts that the broker was told of: being
// asked about one that waits ends the life first, and one that was asked about
// before it waited is answered.
func TestDoomWhenAsked(t *testing.T) {
	d, p, path := doom(t, 0)
	d.Asked(p.Transaction(3)) // no member
	d.Asked(p.Transaction(6))
	if d.Decided(p.Transaction(6)) {
		t.Error("6 was told and waits")
	}
	if !d.Decided(p.Transaction(7)) {
		t.Error("7 may be told")
	}
	d.Asked(p.Transaction(8))
	if !dies(func() { d.Asked(p.Transaction(7)) }) {
		t.Error("asked about 7, it lives")
	}
	if got := died(t, path); !slices.Equal(got, []int{7}) {
		t.Errorf("%v died, want 7", got)
	}
}
