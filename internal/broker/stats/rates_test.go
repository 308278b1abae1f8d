// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/store"
)

// TestRates: over 10 s, a minute and ten minutes, or what there was of them.
func TestRates(t *testing.T) {
	w := start(t)
	want := func(text string) {
		t.Helper()
		if r := w.Rates(); fmt.Sprintf("%.2f", r) != text {
			t.Errorf("after %v: %.2f, want %s", w.now.Sub(w.began), r, text)
		}
	}
	want("{[0.00 0.00 0.00] [0.00 0.00 0.00] [0.00 0.00 0.00] [0.00 0.00 0.00] [0.00 0.00 0.00] [0.00 0.00 0.00]}")
	w.pass(2 * time.Second)
	w.puts.Records, w.timed = 600, 80
	w.Out("g", "T", 30, 1, 0)
	w.Out("g", "T", 30, 1, 0)
	for range 12 {
		w.Missed(time.Second)
	}
	want("{[300.00 300.00 300.00] [1.00 1.00 1.00] [6.00 6.00 6.00] [30.00 30.00 30.00] [40.00 40.00 40.00] [20.00 20.00 20.00]}")
	w.pass(8 * time.Second)
	want("{[60.00 60.00 60.00] [0.20 0.20 0.20] [1.20 1.20 1.20] [6.00 6.00 6.00] [8.00 8.00 8.00] [4.00 4.00 4.00]}")
	w.pass(10 * time.Second)
	want("{[0.00 30.00 30.00] [0.00 0.10 0.10] [0.00 0.60 0.60] [0.00 3.00 3.00] [0.00 4.00 4.00] [0.00 2.00 2.00]}")
	w.pass(80 * time.Second)
	want("{[0.00 0.00 6.00] [0.00 0.00 0.02] [0.00 0.00 0.12] [0.00 0.00 0.60] [0.00 0.00 0.80] [0.00 0.00 0.40]}")
	w.pass(530 * time.Second)
	want("{[0.00 0.00 0.00] [0.00 0.00 0.00] [0.00 0.00 0.00] [0.00 0.00 0.00] [0.00 0.00 0.00] [0.00 0.00 0.00]}")
	if w.SlowestGet() != time.Second {
		t.Errorf("the slowest look took %v", w.SlowestGet())
	}
}

// TestDays: totals at midnight, of the location of the clock.
func TestDays(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Berlin") // 29 March 2026 has 23 hours there
	if err != nil {
		zone = time.FixedZone("CET", 3600)
	}
	w := start(t)
	w.now = w.now.In(zone) // the first minute of 29 March there
	w.today = w.now
	step := func(what string, to time.Time, puts int64, given int, want Days) {
		t.Helper()
		w.puts.Records = puts
		if given > 0 {
			w.Out("g", "T", given, 1, 0)
		}
		w.now = to
		w.Sample()
		if d := w.Days(); d != want {
			t.Errorf("%s: %+v, want %+v", what, d, want)
		}
	}
	at := func(day, hour, minute int) time.Time { return time.Date(2026, 3, day, hour, minute, 0, 0, zone) }
	step("the first day", at(29, 23, 59), 10, 4, Days{Put: 10, Given: 4})
	step("midnight", at(30, 0, 0), 10, 0, Days{PutToday: 10, Put: 10, GivenToday: 4, Given: 4})
	step("the second day", at(30, 23, 59), 25, 2, Days{PutToday: 10, Put: 25, GivenToday: 4, Given: 6})
	step("the third day", at(31, 0, 1), 25, 0, Days{PutYesterday: 10, PutToday: 25, Put: 25, GivenYesterday: 4, GivenToday: 6, Given: 6})
	step("set back", at(30, 12, 0), 30, 0, Days{PutYesterday: 10, PutToday: 25, Put: 30, GivenYesterday: 4, GivenToday: 6, Given: 6})
	step("the third day again", at(31, 3, 0), 35, 0, Days{PutYesterday: 10, PutToday: 25, Put: 35, GivenYesterday: 4, GivenToday: 6, Given: 6})
	step("days later", at(35, 3, 0), 40, 0, Days{PutYesterday: 40, PutToday: 40, Put: 40, GivenYesterday: 6, GivenToday: 6, Given: 6})
	step("a clock that was ahead", at(32, 3, 0), 50, 0, Days{PutYesterday: 50, PutToday: 50, Put: 50, GivenYesterday: 6, GivenToday: 6, Given: 6})
	step("the day after", at(33, 3, 0), 53, 1, Days{PutYesterday: 50, PutToday: 53, Put: 53, GivenYesterday: 6, GivenToday: 7, Given: 7})
}

// TestLatency: how long the puts of the last minute took.
func TestLatency(t *testing.T) {
	w := start(t)
	put := func(bucket int, n int64) { w.puts.Latency[bucket] += n }
	if h := w.Latency(); h != (Histogram{}) || h.Quantile(0.99) != 0 {
		t.Errorf("before anything: %v", h)
	}
	put(0, 100)
	w.pass(30 * time.Second)
	put(4, 900) // 0.5 to 1 ms
	put(len(store.PutBounds), 1)
	h := w.Latency()
	for _, tc := range []struct {
		from, to time.Duration
		want     int64
	}{
		{0, time.Millisecond, 1000}, {0, 50 * time.Microsecond, 100}, {500 * time.Microsecond, time.Millisecond, 900},
		{time.Millisecond, 10 * time.Second, 0}, {10 * time.Second, math.MaxInt64, 1},
	} {
		if got := h.Between(tc.from, tc.to); got != tc.want {
			t.Errorf("from %v to %v: %d, want %d", tc.from, tc.to, got, tc.want)
		}
	}
	for share, want := range map[float64]string{0.05: "25.025µs", 0.5: "722.5µs", 1: "10s"} {
		if got := h.Quantile(share); got.String() != want {
			t.Errorf("%v of them: %v, want %s", share, got, want)
		}
	}
	w.pass(30 * time.Second)
	if h = w.Latency(); h.Between(0, time.Millisecond) != 1000 {
		t.Errorf("after a minute: %v", h)
	}
	w.pass(10 * time.Second)
	if h = w.Latency(); h.Between(0, time.Millisecond) != 900 {
		t.Errorf("after 70 s: %v", h)
	}
	w.pass(30 * time.Second)
	if h = w.Latency(); h != (Histogram{}) {
		t.Errorf("after 100 s: %v", h)
	}
}
