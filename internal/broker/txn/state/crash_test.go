// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package state

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
)

// endings are how a run ends.
var endings = []struct {
	name string
	kill bool
	stop func(m *vfs.Mem, rng *rand.Rand) *vfs.Mem
}{
	{"kill", true, func(m *vfs.Mem, _ *rand.Rand) *vfs.Mem { return m.Kill() }},
	{"power", false, func(m *vfs.Mem, _ *rand.Rand) *vfs.Mem { return m.Crash(vfs.CrashOptions{}) }},
	{"torn", false, func(m *vfs.Mem, rng *rand.Rand) *vfs.Mem {
		return m.Crash(vfs.CrashOptions{Data: vfs.KeepSome, Names: vfs.KeepSome, Rand: rng})
	}},
	{"all data, some names", false, func(m *vfs.Mem, rng *rand.Rand) *vfs.Mem {
		return m.Crash(vfs.CrashOptions{Data: vfs.KeepAll, Names: vfs.KeepSome, Rand: rng})
	}},
}

// change is one value that a word got.
type change struct {
	off  int64
	w    Word
	back bool // takes back what a mark rested on
}

// possible is a mark that may be found, with what was set when it was made.
type possible struct {
	mark    Mark
	ok      bool
	changes int
}

// crashRun knows from outside what a file must hold.
type crashRun struct {
	t       *testing.T
	rng     *rand.Rand
	kill    bool
	m       *vfs.Mem
	left    *vfs.Mem // of a run that was stopped
	offsets []int64

	now     map[int64]Word
	changes []change
	written int // this many changes survive a kill
	durable int // this many survive a power cut
	marks   []possible
	number  int64
}

const crashHalf = 520 // of the marks

func newCrashRun(t *testing.T, seed uint64, kill bool) *crashRun {
	r := &crashRun{t: t, rng: rand.New(rand.NewPCG(seed, 7)), kill: kill, m: vfs.NewMem(), now: make(map[int64]Word), marks: []possible{{}}}
	must(t, vfs.MkdirAllSync(r.m, filepath.Dir(dir)))
	for seg := range int64(3) {
		for _, off := range []int64{0, 1, 63, 64, 509, 511, 512, 513, 600, 1024} {
			r.offsets = append(r.offsets, seg*segmentWords+off)
		}
	}
	if seed == 0 { // at the ends of what is written at once, and of a segment
		r.offsets = append(r.offsets, 8190, 8191, 8192, 8193, segmentWords-1)
	}
	return r
}

func (r *crashRun) change(off int64, w Word, back bool) {
	r.now[off] = w
	r.changes = append(r.changes, change{off, w, back})
}

// step does one thing with f. An error ends the run.
func (r *crashRun) step(f *File) (err error) {
	switch n := r.rng.IntN(100); {
	case n < 55:
		for range 1 + r.rng.IntN(6) {
			off := r.offsets[r.rng.IntN(len(r.offsets))]
			r.number++
			r.change(off, word(r.number), false)
			f.Set(off, word(r.number))
		}
	case n < 70:
		if err = f.Write(); err == nil {
			r.written = len(r.changes)
		}
	case n < 90:
		r.number++
		m := Mark{Half: crashHalf, Op: r.number, Log: 1 << 50}
		r.marks = append(r.marks, possible{m, true, len(r.changes)})
		if err = f.Commit(m); err == nil {
			r.written, r.durable = len(r.changes), len(r.changes)
			r.marks = r.marks[len(r.marks)-1:]
		}
	case n < 94:
		from := r.offsets[r.rng.IntN(len(r.offsets))]
		to := []int64{from + 1, from + 600, from + segmentWords, maxOffset}[r.rng.IntN(4)]
		back := from < crashHalf
		for _, off := range r.offsets {
			back = back || off >= from && off < to && r.now[off].Kind != Undecided
		}
		err = r.zero(from, to, back, func() error { return f.Clear(from, to) })
	case n < 97:
		half := r.rng.Int64N(3) * segmentWords
		err = r.zero(0, half, false, func() error { return f.DropBelow(half) })
	default:
		err = r.zero(0, maxOffset, true, f.Reset)
	}
	return err
}

func (r *crashRun) zero(from, to int64, back bool, do func() error) error {
	for _, off := range r.offsets {
		if off >= from && off < to {
			r.change(off, Word{}, back)
		}
	}
	if back {
		r.marks = append(r.marks, possible{changes: len(r.changes)})
	}
	err := do()
	if err == nil && back {
		r.marks = r.marks[len(r.marks)-1:]
	}
	return err
}

// allowed tells whether word off may be w when the first n changes are sure.
func (r *crashRun) allowed(off int64, w Word, n int, withoutBack bool) bool {
	ok := w == Word{}
	for i, c := range r.changes {
		if c.off != off || i >= n && c.back && withoutBack {
			continue
		}
		ok = c.w == w || i >= n && ok
	}
	return ok
}

// check opens what is left and holds it against what is known.
func (r *crashRun) check(where string) *File {
	r.t.Helper()
	f := open(r.t, r.left)
	sure := r.durable
	if r.kill {
		sure = r.written
	}
	m, ok := f.Mark()
	i := slices.IndexFunc(r.marks, func(p possible) bool { return p.ok == ok && (!ok || p.mark == m) })
	if i < 0 {
		r.t.Fatalf("%s: the mark is %+v, %v; possible are %+v", where, m, ok, r.marks)
	}
	for _, off := range r.offsets {
		w := get(r.t, f, off)
		if !r.allowed(off, w, sure, false) {
			r.t.Fatalf("%s: word %d is %+v", where, off, w)
		}
		if ok && !r.allowed(off, w, r.marks[i].changes, true) {
			r.t.Fatalf("%s: word %d is %+v, though the mark is %+v", where, off, w, m)
		}
		want(r.t, f, off, w)
	}
	return f
}

// run goes on until steps are done or the operation stopAt has come. It returns
// how many operations there were.
func (r *crashRun) run(steps, stopAt int, stop func(*vfs.Mem, *rand.Rand) *vfs.Mem) (ops int) {
	tear := rand.New(rand.NewPCG(uint64(stopAt), 3))
	r.m.Fail(func(op vfs.Op, _ string) error {
		if op.Changes() {
			if ops++; ops == stopAt {
				r.left = stop(r.m, tear)
			}
		}
		return nil
	})
	f, err := Open(Config{FS: r.m, Dir: dir})
	for i := 0; err == nil && r.left == nil && i < steps; i++ {
		if r.rng.IntN(12) == 0 {
			if err = f.Close(); err == nil {
				r.written = len(r.changes)
				f, err = Open(Config{FS: r.m, Dir: dir})
			}
			continue
		}
		err = r.step(f)
	}
	if err != nil && r.left == nil {
		r.t.Fatal(err)
	}
	if r.left == nil {
		r.left = stop(r.m, tear)
	}
	return ops
}

// TestCrashAtEveryOperation stops a run at each operation in turn; then a second
// process works on what is left, commits, and the power is cut.
func TestCrashAtEveryOperation(t *testing.T) {
	for _, e := range endings {
		t.Run(e.name, func(t *testing.T) {
			for seed := range uint64(3) {
				const steps = 50
				stopAt := 0
				for ended := false; !ended; {
					stopAt++
					r := newCrashRun(t, seed, e.kill)
					ended = r.run(steps, stopAt, e.stop) < stopAt // as nothing stopped it
					where := fmt.Sprintf("seed %d, operation %d", seed, stopAt)
					f := r.check(where)

					for _, off := range r.offsets {
						r.now[off] = get(t, f, off)
					}
					for i := range 5 {
						off := r.offsets[r.rng.IntN(len(r.offsets))]
						r.now[off] = word(int64(1000000 + i))
						f.Set(off, r.now[off])
					}
					must(t, f.Commit(mark(1000000)))
					f = open(t, r.left.Crash(vfs.CrashOptions{}))
					if m, ok := f.Mark(); !ok || m != mark(1000000) {
						t.Fatalf("%s: after the second power cut the mark is %+v, %v", where, m, ok)
					}
					for _, off := range r.offsets {
						if w := get(t, f, off); w != r.now[off] {
							t.Fatalf("%s: after the second power cut word %d is %+v, not %+v", where, off, w, r.now[off])
						}
					}
				}
				if stopAt < 100 {
					t.Errorf("seed %d: only %d operations", seed, stopAt)
				}
			}
		})
	}
}

// TestOddEndStaysAway: the part of a word that was cut off does not come back
// under words that were written behind it.
func TestOddEndStaysAway(t *testing.T) {
	for seed := range uint64(30) {
		m := vfs.NewMem()
		must(t, vfs.MkdirAllSync(m, dir))
		must(t, vfs.WriteFile(m, segmentPath(0), []byte{0x20, 0, 0, 0, 0, 0, 0, 9, 0x20, 1, 1, 1}))
		must(t, m.SyncDir(dir))
		f := open(t, m)
		f.Set(5, word(1))
		must(t, f.Write())
		f = open(t, m.Crash(vfs.CrashOptions{Data: vfs.KeepSome, Rand: rand.New(rand.NewPCG(seed, 1))}))
		want(t, f, 0, Word{Kind: Committed, Op: 9})
		want(t, f, 1, Word{})
		if w := get(t, f, 5); w != (Word{}) && w != word(1) {
			t.Fatalf("word 5 is %+v", w)
		}
	}
}

// TestCommitOfTheSameMark: a mark that a killed process has written, but not
// synced, is on the disk after the next one has committed it too.
func TestCommitOfTheSameMark(t *testing.T) {
	m := vfs.NewMem()
	f := open(t, m)
	must(t, f.Commit(mark(1)))
	var left *vfs.Mem
	m.Fail(func(op vfs.Op, name string) error {
		if op == vfs.OpSync && name == markPath {
			left = m.Kill()
		}
		return nil
	})
	if err := f.Commit(mark(2)); err == nil {
		t.Fatal("no error")
	}
	f = open(t, left)
	wantMark(t, f, mark(2), true)
	must(t, f.Commit(mark(2)))
	wantMark(t, open(t, left.Crash(vfs.CrashOptions{})), mark(2), true)
}
