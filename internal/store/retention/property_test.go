// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package retention

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestDisk lets a disk fill up and be cleaned at random, with every decision
// carried out, and holds each decision against the rules.
func TestDisk(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		percent := rapid.IntRange(1, 100)
		p := Policy{Reserved: time.Duration(rapid.Int64Range(0, 100).Draw(t, "reserved")) * time.Hour, Hours: rapid.SliceOfN(rapid.IntRange(0, 23), 0, 3).Draw(t, "hours"),
			MaxUsed: percent.Draw(t, "max"), CleanForcibly: percent.Draw(t, "clean"), Warning: percent.Draw(t, "warning"),
			Forcibly: rapid.Bool().Draw(t, "forcibly"), Batch: rapid.IntRange(1, 4).Draw(t, "batch")}
		if err := p.Check(); err != nil {
			t.Fatal(err)
		}
		clock := now
		var files []File
		full := false
		for step := range rapid.IntRange(1, 60).Draw(t, "steps") {
			clock = clock.Add(time.Duration(rapid.Int64Range(0, 600).Draw(t, "minutes")) * time.Minute)
			for range rapid.IntRange(0, 3).Draw(t, "new files") {
				f := File{Start: int64(step), Newest: clock.UnixMilli()}
				if rapid.IntRange(0, 9).Draw(t, "known") == 0 {
					f.Newest = math.MaxInt64
				}
				files = append(files, f)
			}
			v := View{Now: clock, Used: rapid.Float64Range(-0.1, 1).Draw(t, "used"), Full: full, Files: files, Asked: rapid.Bool().Draw(t, "asked")}
			d := p.Decide(v)
			check(t, p, v, d)
			files = files[d.Delete:]
			full = d.Full
		}
	})
}

// check is the rules once more, written from the outcome.
func check(t *rapid.T, p Policy, v View, d Decision) {
	known := v.Used >= 0
	above := func(percent int) bool { return known && v.Used > float64(percent)/100 }
	if d.Delete < 0 || d.Delete > min(len(v.Files), p.Batch) || d.Unexpired < 0 || d.Unexpired > d.Delete {
		t.Fatalf("%+v of %d files", d, len(v.Files))
	}
	hour := false
	for _, h := range p.Hours {
		hour = hour || h == v.Now.Hour()
	}
	old := func(f File) bool {
		return v.Now.Sub(time.UnixMilli(f.Newest)) > p.Reserved && f.Newest != math.MaxInt64
	}
	for i, f := range v.Files[:d.Delete] {
		switch {
		case i < d.Delete-d.Unexpired && !old(f):
			t.Fatalf("file %d counts as expired", i)
		case i >= d.Delete-d.Unexpired && old(f):
			t.Fatalf("file %d counts as unexpired", i)
		}
	}
	forced := p.Forcibly && above(p.CleanForcibly) && !v.Asked
	if d.Unexpired > 0 && !forced {
		t.Fatal("an unexpired file goes")
	}
	wanted := hour || v.Asked || !known || above(p.MaxUsed) || forced
	if d.Delete > 0 != (wanted && len(v.Files) > 0 && (old(v.Files[0]) || forced)) {
		t.Fatalf("wanted %v: %+v", wanted, d)
	}
	switch must := above(p.Warning) || above(p.CleanForcibly) && !p.Forcibly; {
	case must && !d.Full:
		t.Fatal("writes are taken")
	case d.Full && !must && !v.Full:
		t.Fatal("writes are refused")
	case v.Full && !must && d.Full != (!known || above(p.CleanForcibly)):
		t.Fatalf("writes were refused; at %v: %+v", v.Used, d)
	}
	if (d.Why == "") != (d.Delete == 0) || (d.WhyFull == "") == d.Full {
		t.Fatalf("reasons: %+v", d)
	}
}
