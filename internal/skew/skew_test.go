// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package skew

import (
	"math"
	"testing"
	"time"
)

// However the process is held up between the two clocks, their difference is not too
// large: nothing is delivered early for it.
func TestReadWhileHeldUp(t *testing.T) {
	for _, held := range [][]time.Duration{{0}, {0, 0, 0, 0, 5 * time.Millisecond, 0, 0}, {9 * time.Millisecond}} {
		var elapsed time.Duration
		n := 0
		step := func() { // each look at a clock takes a moment, some a long one
			elapsed += 10*time.Microsecond + held[n%len(held)]
			n++
		}
		c := Clock{First: 1000, Elapsed: func() time.Duration { step(); return elapsed }, Wall: func() int64 { step(); return 1700 + elapsed.Milliseconds() }}
		for range 100 {
			if now, wall := c.Read(); wall-now > 700 || len(held) > 1 && wall-now < 700-1 {
				t.Fatalf("held up by %v: %d and %d are %d ms apart, want 700", held, now, wall, wall-now)
			}
		}
	}
}

func TestHistory(t *testing.T) {
	h := Begin(0)
	for i := range int64(10) {
		h.Add(i, i%3, i) // rounding
	}
	h.Add(10, 5000, 10) // set forward
	h.Add(11, 5001, 11)
	if got := h.Add(12, -3000, 12); got != -3002 { // and back
		t.Errorf("%d ahead", got)
	}
	h.Add(11, 77, 13) // told of before
	for offset, want := range map[int64]int64{0: 0, 9: 0, 10: 4998, 11: 4998, 12: -3002, 99: -3002} {
		if got := h.At(offset); got != want {
			t.Errorf("entry %d: %d ahead, want %d", offset, got, want)
		}
	}
	h.Passed(11)
	if len(h.list) != 2 || h.At(11) != 4998 || h.At(9) != 0 || h.At(12) != -3002 {
		t.Errorf("after 11: %+v", h)
	}
	if h.Passed(1000); len(h.list) != 1 || h.At(10) != 4998 {
		t.Errorf("after all: %+v", h)
	}
}

// While the store's time stands still, each ms is another era. They get coarser, to
// the late side, and finer again later.
func TestHistoryIsBounded(t *testing.T) {
	const hour = 3_600_000
	h := Begin(hour)
	for i := range int64(hour) {
		h.Add(i, hour-i, i) // stored at ms i, under the same timestamp
	}
	if len(h.list) > 16*erasPerStep {
		t.Errorf("%d eras", len(h.list))
	}
	const more = 5000
	for i := range int64(more) { // entries that are passed one by one, while the clock is set
		h.Add(hour+i, i%7*1000, hour+i)
		h.Passed(hour + i)
	}
	if len(h.list) != 1 || len(h.past) > pastEras {
		t.Errorf("%d and %d eras", len(h.list), len(h.past))
	}
	for i := int64(0); i < hour; i += 997 {
		if early := h.At(i) - (hour - i); early > Rounding {
			t.Fatalf("entry %d is %d ms early", i, early)
		}
	}
	for i := int64(more - 500); i < more; i++ {
		if got := h.At(hour + i); got != i%7*1000-Rounding {
			t.Fatalf("entry %d: %d ahead, want %d", hour+i, got, i%7*1000-Rounding)
		}
	}
}

// What was stored while the clock was an hour ahead may be due an hour earlier, as
// long as it may wait at all.
func TestEarliest(t *testing.T) {
	const hour = 3_600_000
	h := Begin(0)
	h.Add(10, hour, 50*hour)
	h.Add(20, 0, 51*hour)
	h.Passed(21)
	for _, c := range []struct{ at, most, want int64 }{
		{50 * hour, 3 * hour, 50 * hour},         // an hour less is before the clock was ahead
		{53 * hour, 3 * hour, 52*hour + 2},       // stored while it was
		{55*hour - 5, 3 * hour, 54*hour - 5 + 2}, // the last that could be
		{56 * hour, 3 * hour, 56*hour + 2},       // before it 3 hours are not enough
	} {
		if got := h.Earliest(c.at, c.most); got != c.want {
			t.Errorf("%d, within %d: %d, want %d", c.at, c.most, got, c.want)
		}
	}
}

func TestClock(t *testing.T) {
	c := Clock{First: 1000, Elapsed: func() time.Duration { return 2500 * time.Microsecond }, Wall: func() int64 { return 900 }}
	if c.Now() != 1002 || c.Ahead() != -102 {
		t.Errorf("%d, %d ahead", c.Now(), c.Ahead())
	}
	if d := c.Until(1005); d != 2500*time.Microsecond {
		t.Errorf("until 1005: %s", d)
	}
	if d := c.Until(1 << 62); d < 200*365*24*time.Hour {
		t.Errorf("until the end of time: %s", d)
	}
	if d := c.Until(-1 << 40); d > 0 {
		t.Errorf("until long ago: %s", d)
	}
}

func TestLatest(t *testing.T) {
	h := Begin(0)
	h.Add(10, 1_000_000, 5_000)  // ahead by 1000 s from then on
	h.Add(20, -3_600_000, 8_000) // an hour behind
	for _, c := range []struct{ now, most, limit, want int64 }{
		{9_000, 100_000, math.MaxInt64, 1_009_000 - Rounding},
		{9_000, 500, math.MaxInt64, 1_008_500 - Rounding}, // all of that time has come
		{50_000, 100_000, 1_000_000, 50_000},              // that would be too far away
		{90_000_000, 500, 90_000_000 - 1, 90_000_000 - 3_600_000 - Rounding},
	} {
		if got := h.Latest(c.now, c.most, c.limit); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}
