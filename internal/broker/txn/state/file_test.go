// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package state

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
)

func TestRoundTrip(t *testing.T) {
	m := vfs.NewMem()
	f := open(t, m)
	wantMark(t, f, Mark{}, false)
	offsets := []int64{0, 1, 511, 512, 8191, 8192, segmentWords - 1, segmentWords, 5*segmentWords + 700, maxOffset - 1}
	check := func() {
		t.Helper()
		for _, off := range offsets {
			want(t, f, off, word(off+1))
		}
		for _, off := range []int64{2, 510, 513, segmentWords - 2, 2 * segmentWords, 6 * segmentWords, maxOffset - 2} {
			want(t, f, off, Word{})
		}
	}
	for _, off := range offsets {
		f.Set(off, word(7))
		f.Set(off, word(off+1))
	}
	check()
	must(t, f.Write())
	check()
	m = m.Kill()
	f = open(t, m)
	check()
	must(t, f.Commit(mark(3)))
	m = m.Crash(vfs.CrashOptions{})
	f = open(t, m)
	check()
	wantMark(t, f, mark(3), true)
	f.Set(1, word(99))
	must(t, f.Close())
	must(t, f.Close())
	f = open(t, m)
	want(t, f, 1, word(99))
}

// TestManySegments sets at random over more segments than stay open, and
// compares with a map.
func TestManySegments(t *testing.T) {
	m := vfs.NewMem()
	f := open(t, m)
	rng := rand.New(rand.NewPCG(1, 2))
	const segments = 100
	words := make(map[int64]Word)
	for i := range int64(4000) {
		// Near the start of a segment: the file in memory stays small.
		off := rng.Int64N(segments)*segmentWords + rng.Int64N(2000)
		words[off] = word(i + 1)
		f.Set(off, words[off])
		switch rng.IntN(400) {
		case 0:
			must(t, f.Write())
		case 1:
			must(t, f.Commit(mark(i)))
		case 2:
			must(t, f.Close())
			f = open(t, m)
		}
	}
	if n := len(f.handles); n > maxUnsynced+1 {
		t.Errorf("%d files are open", n)
	}
	for off, w := range words {
		want(t, f, off, w)
	}
	must(t, f.Commit(mark(1)))
	f = open(t, m.Crash(vfs.CrashOptions{}))
	for off, w := range words {
		want(t, f, off, w)
	}
	if n := len(f.handles); n > maxHandles {
		t.Errorf("%d files are open", n)
	}
	wantRange(t, f, 0, 2*segmentWords, words)
	wantRange(t, f, segmentWords-3, segmentWords+3000, words)
}

func TestRange(t *testing.T) {
	f := open(t, vfs.NewMem())
	words := make(map[int64]Word)
	set := func(off int64) {
		words[off] = word(off + 1)
		f.Set(off, words[off])
	}
	for off := int64(0); off < 20000; off += 7 {
		set(off)
	}
	must(t, f.Write())
	for off := int64(3); off < 9000; off += 11 { // over what the file has
		set(off)
	}
	set(3*segmentWords + 5) // in memory only, in a segment of its own
	wantRange(t, f, 0, 4*segmentWords, words)
	for _, r := range [][2]int64{{0, 0}, {5, 3}, {1, 2}, {500, 520}, {8190, 8195}, {19990, 30000}, {3 * segmentWords, 3*segmentWords + 10}, {maxOffset - 5, maxOffset}} {
		if r[0] < r[1] {
			wantRange(t, f, r[0], r[1], words)
			continue
		}
		must(t, f.Range(r[0], r[1], func(int64, Word) bool { t.Errorf("range %v calls", r); return true }))
	}
	calls := 0
	must(t, f.Range(0, maxOffset, func(off int64, _ Word) bool {
		calls++
		f.Set(off, word(1)) // no lock is held
		return off < segmentWords+9
	}))
	if calls != segmentWords+10 {
		t.Errorf("%d calls", calls)
	}
}

func TestRangeReadsNoHoles(t *testing.T) {
	m := vfs.NewMem()
	f := open(t, m)
	f.Set(2*segmentWords+600, word(4))
	must(t, f.Write())
	must(t, f.Close())
	f = open(t, m)
	reads := count(m, vfs.OpRead)
	n := 0
	must(t, f.Range(0, 40*segmentWords, func(int64, Word) bool { n++; return true }))
	if n != 40*segmentWords || *reads != 1 {
		t.Errorf("%d words, %d reads; want one read, of the one piece that there is", n, *reads)
	}
	if f.clean.count != 0 || len(f.segments) != 1 {
		t.Errorf("Range left %d pages and %d segments in memory", f.clean.count, len(f.segments))
	}
}

func TestLRU(t *testing.T) {
	m := vfs.NewMem()
	f := open(t, m)
	const pages = 3 * cleanPages
	for p := range int64(pages) {
		f.Set(p*pageWords+p%pageWords, word(p+1))
	}
	must(t, f.Write())
	if f.clean.count != cleanPages {
		t.Fatalf("%d clean pages after Write", f.clean.count)
	}
	reads := count(m, vfs.OpRead)
	for round := range 2 {
		for p := range int64(cleanPages) {
			if w := get(t, f, p*pageWords+p%pageWords); w != word(p+1) {
				t.Fatalf("page %d: %+v", p, w)
			}
			get(t, f, 0) // stays, as it is used
		}
		if *reads != cleanPages {
			t.Errorf("round %d: %d reads", round, *reads)
		}
	}
	get(t, f, 600*pageWords)
	get(t, f, 0)
	if *reads != cleanPages+1 || f.clean.count != cleanPages {
		t.Errorf("%d reads, %d pages: the page used last went first", *reads, f.clean.count)
	}
	get(t, f, 1*pageWords)
	if *reads != cleanPages+2 {
		t.Errorf("%d reads: the page used first has stayed", *reads)
	}
	// A clean page that is set is not dropped, and is clean again after Write.
	f.Set(0, word(77))
	for p := int64(pages); p > 0; p-- {
		get(t, f, p*pageWords)
	}
	want(t, f, 0, word(77))
	must(t, f.Write())
	must(t, f.Close())
	want(t, open(t, m), 0, word(77))
}

func TestSetReadsNothing(t *testing.T) {
	m := vfs.NewMem()
	f := open(t, m)
	for off := range int64(1000) {
		f.Set(off, word(off+1))
	}
	must(t, f.Close())
	f = open(t, m)
	m.Fail(func(op vfs.Op, name string) error { t.Errorf("%v %s", op, name); return nil })
	f.Set(300, word(9))
	if got := get(t, f, 300); got != word(9) {
		t.Errorf("got %+v", got)
	}
	m.Fail(nil)
	want(t, f, 299, word(300))
	must(t, f.Close())
	f = open(t, m)
	want(t, f, 300, word(9))
	want(t, f, 301, word(302))
}

func TestBadOffsets(t *testing.T) {
	var j journal
	f, err := Open(Config{FS: vfs.NewMem(), Dir: dir, Logger: j.logger()})
	must(t, err)
	for _, off := range []int64{-1, -1 << 63, maxOffset, 1<<63 - 1} {
		f.Set(off, word(1))
		if _, err := f.Get(off); err == nil || !strings.Contains(err.Error(), "there is no half queue offset") {
			t.Errorf("Get(%d): %v", off, err)
		}
	}
	f.Set(1, Word{Kind: 9})
	if len(f.segments) != 0 {
		t.Error("something was set")
	}
	if n := strings.Count(j.String(), "is not set"); n != 5 {
		t.Errorf("%d complaints in %s", n, j.String())
	}
	nothing := func(int64, Word) bool { t.Error("called"); return true }
	for _, err := range []error{
		f.Range(-1, 5, nothing), f.Range(0, maxOffset+1, nothing), f.DropBelow(-1), f.Clear(-1, 2), f.Clear(0, maxOffset+1),
		f.Commit(Mark{Half: -1}), f.Commit(Mark{Op: -1}), f.Commit(Mark{Log: -1}), f.Commit(Mark{Proof: -2}),
	} {
		if err == nil {
			t.Error("no error")
		}
	}
	f.Set(2, Word{Kind: Committed, Op: -5})
	want(t, f, 2, Word{Kind: Committed, Op: payloadMask})
	if !strings.Contains(j.String(), "has a number that can't be") {
		t.Error(j.String())
	}
}

func TestClosed(t *testing.T) {
	f := open(t, vfs.NewMem())
	f.Set(1, word(1))
	must(t, f.Close())
	f.Set(2, word(1))
	_, getErr := f.Get(1)
	for _, err := range []error{
		getErr, f.Range(0, 1, func(int64, Word) bool { return true }), f.Write(), f.Commit(mark(1)), f.Reset(), f.DropBelow(1), f.Clear(0, 1),
	} {
		if !errors.Is(err, fs.ErrClosed) {
			t.Errorf("got %v", err)
		}
	}
}
