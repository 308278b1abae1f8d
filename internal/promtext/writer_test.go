// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package promtext

import (
	"math"
	"testing"
)

func TestFormat(t *testing.T) {
	var w Writer
	w.Begin(Family{Name: "a_total", Help: "What\\ it\nis.", Kind: Counter})
	w.Int(nil, 3)
	w.Sample(AppendLabel(AppendLabel(nil, "topic", `a"b\c`+"\n"), "g", "gr\xffün"), 0.25)
	w.Sample(nil, math.Inf(-1))
	w.Sample(nil, 1e300)
	w.Begin(Family{Name: "h", Help: "H.", Kind: Histogram})
	w.Distribution(AppendLabel(nil, "x", "y"), []float64{1, 2.5}, []int64{1, 2, 3}, 7.5)
	const want = "# HELP a_total What\\\\ it\\nis.\n# TYPE a_total counter\na_total 3\n" +
		"a_total{topic=\"a\\\"b\\\\c\\n\",g=\"gr\uFFFDün\"} 0.25\na_total -Inf\na_total 1e+300\n" +
		"# HELP h H.\n# TYPE h histogram\nh_bucket{x=\"y\",le=\"1\"} 1\nh_bucket{x=\"y\",le=\"2.5\"} 3\nh_bucket{x=\"y\",le=\"+Inf\"} 6\nh_sum{x=\"y\"} 7.5\nh_count{x=\"y\"} 6\n"
	if got := string(w.Buf); got != want {
		t.Errorf("have\n%s\nwant\n%s", got, want)
	}
	if w.Series() != 5 {
		t.Errorf("%d series", w.Series())
	}
}

func TestUnits(t *testing.T) {
	for _, tc := range []struct {
		units      bool
		name, unit string
		want       string
	}{
		{false, "lag_latency", "milliseconds", "lag_latency"},
		{true, "lag_latency", "milliseconds", "lag_latency_milliseconds"},
		{true, "behind_bytes", "bytes", "behind_bytes"},
		{true, "messages", "", "messages"},
	} {
		w := Writer{Units: tc.units}
		w.Begin(Family{Name: tc.name, Help: "x", Kind: Gauge, Unit: tc.unit})
		w.Buf = w.Buf[:0]
		w.Int(nil, 1)
		if got := string(w.Buf); got != tc.want+" 1\n" {
			t.Errorf("%v %s %s: %q", tc.units, tc.name, tc.unit, got)
		}
	}
}

func TestSamplesAllocateNothing(t *testing.T) {
	w := Writer{Buf: make([]byte, 0, 1<<20)}
	labels := make([]byte, 0, 100)
	if n := testing.AllocsPerRun(100, func() {
		labels = AppendLabel(labels[:0], "topic", "orders")
		w.Int(labels, 5)
		w.Buf = w.Buf[:0]
	}); n != 0 {
		t.Errorf("%v allocations a sample", n)
	}
}
