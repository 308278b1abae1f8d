// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package javacheck

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// outcome is a report in short: "commits twice [1 2]" for transactions by the
// half messages that the loop asks about.
func outcome(r *Report) (all []string) {
	for _, list := range []struct {
		name      string
		conflicts []Conflict
	}{{"twice", r.CommitTwice}, {"after", r.CommitAfter}, {"asked", r.AskedTwice}, {"discarded", r.DiscardCommitted}} {
		for _, c := range list.conflicts {
			all = append(all, fmt.Sprint(list.name, " ", offsets(c.Half)))
		}
	}
	return all
}

func want(t *testing.T, r *Report, conflicts ...string) {
	t.Helper()
	if got := outcome(r); !slices.Equal(got, conflicts) {
		t.Errorf("found %q, want %q\n%s", got, conflicts, r)
	}
}

func wantList(t *testing.T, name string, got []Half, offs ...int64) {
	t.Helper()
	if !slices.Equal(offsets(got), offs) {
		t.Errorf("%s: %v, want %v", name, offsets(got), offs)
	}
}

// The model bites: each directory has one thing wrong, or nothing.
func TestConflicts(t *testing.T) {
	for name, tc := range map[string]struct {
		write func(*directory) (half, op int64) // gives the consumer offsets
		want  []string
	}{
		"all resolved": {func(d *directory) (int64, int64) {
			a, b := d.sent("A"), d.sent("B")
			d.committed(b)
			d.ops(b, a)
			return 0, 0
		}, nil},
		"op record of a committed one is missing": {func(d *directory) (int64, int64) {
			a, b := d.sent("A"), d.sent("B")
			d.committed(a)
			d.committed(b)
			d.ops(a)
			return 0, 0
		}, []string{"twice [1]"}},
		"op record lies behind the op offset": {func(d *directory) (int64, int64) {
			a := d.sent("A")
			d.committed(a)
			d.ops(a)
			return 0, 1
		}, []string{"twice [0]"}},
		"half message lies behind the half offset": {func(d *directory) (int64, int64) {
			d.committed(d.sent("A"))
			return 1, 0
		}, nil},
		"op record of a rolled back one lies behind the op offset": {func(d *directory) (int64, int64) {
			d.ops(d.sent("A"))
			return 0, 1
		}, []string{"after [0]"}},
		"op record names another half message": {func(d *directory) (int64, int64) {
			a := d.sent("A")
			d.committed(a)
			d.ops(a + 7)
			return 0, 0
		}, []string{"twice [0]"}},
		"sent again, one op record": {func(d *directory) (int64, int64) {
			a := d.sent("A")
			d.sent("A")
			d.committed(a)
			d.ops(a)
			return 0, 0
		}, []string{"twice [1]"}},
		"sent again, both op records": {func(d *directory) (int64, int64) {
			a, again := d.sent("A"), d.sent("A")
			d.committed(again)
			d.ops(a, again)
			return 0, 0
		}, nil},
		"sent again, no outcome": {func(d *directory) (int64, int64) {
			d.sent("A")
			d.sent("A")
			return 0, 0
		}, []string{"asked [0 1]"}},
		"sent again, rolled back with one op record": {func(d *directory) (int64, int64) {
			a := d.sent("A")
			d.sent("A")
			d.ops(a)
			return 0, 0
		}, []string{"after [1]"}},
		"key used again after the outcome": {func(d *directory) (int64, int64) {
			a := d.sent("A")
			d.committed(a)
			d.ops(a)
			d.sent("A")
			return 0, 0
		}, nil},
		"other keys and no keys": {func(d *directory) (int64, int64) {
			d.sent("")
			d.sent("")
			a := d.sent("A")
			d.committed(a)
			d.ops(a)
			d.sent("B")
			return 0, 0
		}, nil},
		"copy of a check is pending after a late commit": {func(d *directory) (int64, int64) {
			a := d.sent("A")
			d.committed(a)
			d.ops(a)
			d.copied(a, "A", "TRANSACTION_CHECK_TIMES", "1")
			return 0, 0
		}, []string{"twice [1]"}},
		"check that the half offset does not know of": {func(d *directory) (int64, int64) {
			a := d.sent("A")
			copied := d.copied(a, "A", "TRANSACTION_CHECK_TIMES", "1")
			d.committed(copied)
			d.ops(copied)
			return 0, 0
		}, []string{"twice [0]"}},
		"resumed, one op record": {func(d *directory) (int64, int64) {
			a := d.sent("A")
			d.parked(a)
			d.ops(a)
			b := d.copied(a, "A", "TRANSACTION_CHECK_TIMES", "0", "TRAN_PREPARED_QUEUE_OFFSET", "0")
			d.committed(b)
			return 0, 0
		}, []string{"twice [1]"}},
		"resumed, both op records": {func(d *directory) (int64, int64) {
			a := d.sent("A")
			d.parked(a)
			d.ops(a)
			b := d.copied(a, "A", "TRANSACTION_CHECK_TIMES", "0", "TRAN_PREPARED_QUEUE_OFFSET", "0")
			d.committed(b)
			d.ops(b)
			return 0, 0
		}, nil},
		"half message of the committed record is gone, its copy is not": {func(d *directory) (int64, int64) {
			a := d.sent("A")
			d.halves[a].PhysicalOffset = 1 << 40 // the record that is committed names nothing
			d.committed(a)
			d.copied(a, "A", "TRANSACTION_CHECK_TIMES", "2")
			return 1, 0
		}, []string{"twice [1]"}},
		"committed, and given up": {func(d *directory) (int64, int64) {
			a := d.sent("A", "TRANSACTION_CHECK_TIMES", "15")
			d.committed(a)
			return 0, 0
		}, []string{"discarded [0]"}},
		"op records that 4.9.8 can't read": {func(d *directory) (int64, int64) {
			a, b, c := d.sent("A"), d.sent("B"), d.sent("C")
			d.committed(a)
			d.committed(b)
			d.opRecord("0,", "d") // as 5.x writes them
			d.opRecord("1", "x")
			d.opRecord("", "d")
			d.ops(c)
			return 0, 0
		}, []string{"twice [0]", "twice [1]"}},
		"resumed as one that was born anew": {func(d *directory) (int64, int64) {
			a := d.sent("A")
			d.committed(a)
			d.ops(a)
			d.sent("A", "TRAN_PREPARED_QUEUE_OFFSET", "0")
			d.sent("B", "TRAN_PREPARED_QUEUE_OFFSET", "0") // of another key: not its
			return 0, 0
		}, []string{"twice [1]"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDirectory(t)
			half, op := tc.write(d)
			want(t, d.run(half, op, Options{}), tc.want...)
		})
	}
}

// Op records come in any order, far apart, more than a pull has.
func TestManyOpRecords(t *testing.T) {
	d := newDirectory(t)
	var all []int64
	for i := range 500 {
		half := d.sent(fmt.Sprint("K", i))
		if i%100 != 50 {
			all = append(all, half)
		}
		if i%2 == 0 {
			d.committed(half)
		}
	}
	slices.Reverse(all)
	d.ops(all...)
	r := d.run(0, 0, Options{})
	want(t, r, "twice [50]", "twice [150]", "twice [250]", "twice [350]", "twice [450]")
	wantList(t, "checked", r.WouldCheck, 50, 150, 250, 350, 450)
	if len(r.Resolved) != 495 || r.HalfEnd != 505 || r.OpEnd != 500 || r.LogEnd != int64(len(d.log)) {
		t.Errorf("%d resolved; %s", len(r.Resolved), r)
	}
}

// The first round of a fresh half message, and of one within its time-out, does
// nothing; it does not reach what is behind it either.
func TestWaits(t *testing.T) {
	for age, rounds := range map[int64]int{0: 3, 1: 3, 5999: 3, 6001: 2} {
		d := newDirectory(t)
		d.sent("A")
		d.ops(d.sent("B"))
		r := d.run(0, 0, Options{NowMillis: d.now - 2000 + age})
		wantList(t, "checked", r.WouldCheck, 0)
		wantList(t, "resolved", r.Resolved, 1)
		if r.Rounds != rounds {
			t.Errorf("age %d ms: %s", age, r)
		}
	}
}

// Without answers a half message is asked about CheckMax times.
func TestSilence(t *testing.T) {
	d := newDirectory(t)
	d.sent("A")
	d.sent("B", "TRANSACTION_CHECK_TIMES", "3")
	d.sent("C", "CHECK_IMMUNITY_TIME_IN_SECONDS", "315360000")
	r := d.run(0, 0, Options{CheckMax: 4, Answer: Silent})
	want(t, r)
	wantList(t, "checked", r.WouldCheck, 0, 1)
	wantList(t, "immune", r.Immune, 2)
	wantList(t, "discarded", r.WouldDiscard, 0, 1, 2)
	if r.WouldCheck[0].Checks != 4 || r.WouldCheck[1].Checks != 1 {
		t.Errorf("checks: %+v", r.WouldCheck)
	}
}

// A half message with an immunity of its own is put back within it, and the op
// record of its original counts for a copy only if it comes up in the very round
// that passes the original.
func TestImmunity(t *testing.T) {
	d := newDirectory(t)
	immune := []string{"CHECK_IMMUNITY_TIME_IN_SECONDS", "200"}
	a := d.sent("A", immune...)
	for i := range 40 {
		d.ops(d.sent(fmt.Sprint("K", i)))
	}
	plain := d.sent("P")
	copied := d.copied(a, "A", append(immune, "TRAN_PREPARED_QUEUE_OFFSET", "0", "TRANSACTION_CHECK_TIMES", "1")...)
	d.ops(a)
	d.now += 10_000 // so that plain is past the time-out
	unset := d.sent("U", "CHECK_IMMUNITY_TIME_IN_SECONDS", "-1")
	r := d.run(0, 0, Options{NowMillis: d.now + 1, TransactionTimeout: 5 * time.Second})
	want(t, r, "after [0]") // its copies, of which no op record tells
	wantList(t, "immune", r.Immune, a, unset)
	wantList(t, "checked", r.WouldCheck, a, plain, unset)
	if !slices.Contains(offsets(r.Resolved), copied) {
		t.Errorf("the copy was not resolved: %s", r)
	}

	r = d.run(copied, 0, Options{NowMillis: d.now + 1, TransactionTimeout: 5 * time.Second})
	want(t, r, fmt.Sprintf("after [%d]", copied))
	wantList(t, "immune, begun at the copy", r.Immune, copied, unset)
}

// The op offset moves over records of half messages behind the half offset, and
// stops at the first record that is of no use yet.
func TestOpOffset(t *testing.T) {
	d := newDirectory(t)
	for i := range 5 {
		d.sent(fmt.Sprint("K", i))
	}
	d.ops(1, 0, 3, 99, 4)
	r := d.run(2, 0, Options{Answer: Silent, CheckMax: 1})
	wantList(t, "checked", r.WouldCheck, 2)
	wantList(t, "resolved", r.Resolved, 3, 4)
	if r.OpEnd != 3 {
		t.Errorf("op offset %d, want 3", r.OpEnd)
	}
}

// Discarded for their age, by the producer's clock.
func TestReservedTime(t *testing.T) {
	d := newDirectory(t)
	d.sent("A")
	d.now += time.Hour.Milliseconds()
	d.sent("B")
	r := d.run(0, 0, Options{ReservedTime: time.Hour})
	wantList(t, "discarded", r.WouldDiscard, 0)
	wantList(t, "checked", r.WouldCheck, 1)
}

// A half message that the log lost leaves a blank entry. Java takes the next
// record of a later log file for it, and then meets that one again.
func TestBlankEntry(t *testing.T) {
	d := newDirectory(t)
	d.sent("A")
	d.half++ // lost
	d.ops(0)
	for i := range 400 { // into the second file
		half := d.sent(fmt.Sprint("B", i))
		d.committed(half)
		d.ops(half)
	}
	r := d.run(0, 0, Options{})
	if len(r.CommitTwice) != 1 || len(r.CommitTwice[0].Half) != 1 || r.CommitTwice[0].Half[0].Physical < int64(d.fileSize) {
		t.Errorf("%s", r)
	}
}
