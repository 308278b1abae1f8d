// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package state

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
)

func names(t *testing.T, m *vfs.Mem) []string {
	t.Helper()
	list, err := m.ReadDir(dir)
	must(t, err)
	return list
}

func TestDropBelow(t *testing.T) {
	m := vfs.NewMem()
	f := open(t, m)
	words := map[int64]Word{5: word(5), segmentWords + 5: word(6), 2*segmentWords + 5: word(7), 4*segmentWords + 1: word(8)}
	for off, w := range words {
		f.Set(off, w)
	}
	must(t, f.Commit(Mark{Half: 5 * segmentWords, Proof: -1}))
	f.Set(segmentWords+900, word(9)) // in memory only
	must(t, f.DropBelow(2*segmentWords-1))
	want(t, f, 5, Word{})
	want(t, f, segmentWords+900, word(9)) // not the whole segment is below
	must(t, f.DropBelow(2*segmentWords))
	want(t, f, segmentWords+900, Word{})
	want(t, f, segmentWords+5, Word{})
	want(t, f, 2*segmentWords+5, word(7))
	m = m.Crash(vfs.CrashOptions{})
	if got := names(t, m); !slices.Equal(got, []string{segmentName(2), segmentName(4), markName}) {
		t.Errorf("left are %q", got)
	}
	f = open(t, m)
	wantMark(t, f, Mark{Half: 5 * segmentWords, Proof: -1}, true)
	for off, w := range words {
		if off < 2*segmentWords {
			w = Word{}
		}
		want(t, f, off, w)
	}
	must(t, f.DropBelow(maxOffset))
	wantRange(t, f, 0, 5*segmentWords, nil)
	if len(f.segments) != 0 || f.clean.count != 0 || len(f.dirty) != 0 || len(f.handles) != 0 {
		t.Errorf("memory holds %d segments, %d and %d pages, %d files", len(f.segments), f.clean.count, len(f.dirty), len(f.handles))
	}
	f.Set(7, word(7)) // what is dropped can be set again
	must(t, f.Commit(mark(8)))
	want(t, open(t, m.Crash(vfs.CrashOptions{})), 7, word(7))
}

func TestClear(t *testing.T) {
	for _, c := range []struct {
		name     string
		mark     Mark
		word     Word
		from, to int64
		marked   bool
	}{
		{"undecided ones above the mark", Mark{Half: 100, Log: 5000}, Word{Checks: 3}, 100, 300, true},
		{"below the mark", Mark{Half: 101, Log: 5000}, Word{Checks: 3}, 100, 300, false},
		{"proven", Mark{Half: 10, Log: 5001}, Word{Kind: Committed, Op: 5000}, 100, 300, false},
		{"not proven", Mark{Half: 10, Log: 5000}, Word{Kind: Committed, Op: 5000}, 100, 300, true},
		{"resumed", Mark{Half: 10, Log: 1}, Word{Kind: Resumed, Next: 2}, 100, 300, false},
		{"whole segments", Mark{Half: 10, Log: 5000}, Word{Kind: Decided, Op: 6000}, 100, maxOffset, true},
		{"empty", Mark{Half: 1000, Log: 5000}, Word{Checks: 3}, 300, 300, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := vfs.NewMem()
			f := open(t, m)
			offsets := []int64{98, 99, 100, 101, 299, 300, 600, 9000, segmentWords, 3*segmentWords + 9}
			for _, off := range offsets {
				f.Set(off, c.word)
			}
			must(t, f.Commit(c.mark))
			f.Set(200, c.word) // memory only
			must(t, f.Clear(c.from, c.to))
			check := func() {
				t.Helper()
				wantMark(t, f, c.mark, c.marked)
				for _, off := range offsets {
					w := c.word
					if c.from <= off && off < c.to {
						w = Word{}
					}
					want(t, f, off, w)
				}
			}
			check()
			must(t, f.Write())
			f = open(t, m.Kill())
			check()
			after := mark(4)
			must(t, f.Commit(after))
			c.mark, c.marked = after, true
			f = open(t, f.fs.(*vfs.Mem).Crash(vfs.CrashOptions{}))
			check()
		})
	}
}

// TestClearAfterFailedCommit: a mark that may be on disk, though Commit failed,
// counts for Clear.
func TestClearAfterFailedCommit(t *testing.T) {
	m := vfs.NewMem()
	f := open(t, m)
	f.Set(100, word(1))
	must(t, f.Commit(Mark{Half: 10}))
	m.Fail(func(op vfs.Op, name string) error {
		if op == vfs.OpWrite && strings.HasSuffix(name, markName) {
			return &vfs.ShortWrite{N: slotBytes, Err: errors.New("late")}
		}
		return nil
	})
	if err := f.Commit(Mark{Half: 200}); err == nil || !strings.Contains(err.Error(), dir+"/mark") {
		t.Fatalf("Commit: %v", err)
	}
	wantMark(t, f, Mark{Half: 10}, true)
	m.Fail(nil)
	must(t, f.Clear(100, 101))
	wantMark(t, f, Mark{}, false)
	must(t, f.Write())
	f = open(t, m.Kill())
	want(t, f, 100, Word{})
	wantMark(t, f, Mark{}, false)
}

// TestClearMarkThatStays: when the mark can't be removed, Clear changes nothing,
// and does not forget that there is one.
func TestClearMarkThatStays(t *testing.T) {
	m := vfs.NewMem()
	f := open(t, m)
	f.Set(100, word(1))
	must(t, f.Commit(Mark{Half: 200}))
	cause := errors.New("no")
	m.Fail(func(op vfs.Op, _ string) error {
		if op == vfs.OpRemove {
			return cause
		}
		return nil
	})
	for range 2 {
		if err := f.Clear(100, 101); !errors.Is(err, cause) {
			t.Fatalf("Clear: %v", err)
		}
		want(t, f, 100, word(1))
	}
	m.Fail(nil)
	must(t, f.Clear(100, 101))
	must(t, f.Commit(Mark{Half: 5}))
	f = open(t, m.Crash(vfs.CrashOptions{}))
	want(t, f, 100, Word{})
	wantMark(t, f, Mark{Half: 5}, true)
}

func TestReset(t *testing.T) {
	m := vfs.NewMem()
	f := open(t, m)
	for off := range int64(3000) {
		f.Set(off*100, word(off+1))
	}
	must(t, f.Commit(mark(9)))
	f.Set(900*segmentWords, word(5))
	must(t, vfs.WriteFile(m, dir+"/notes", []byte("not ours")))
	must(t, f.Reset())
	wantMark(t, f, Mark{}, false)
	wantRange(t, f, 0, 4*segmentWords, nil)
	want(t, f, 900*segmentWords, Word{})
	m = m.Crash(vfs.CrashOptions{Names: vfs.KeepAll})
	if got := names(t, m); !slices.Equal(got, []string{"notes"}) {
		t.Errorf("left are %q", got)
	}
	f = open(t, m)
	wantMark(t, f, Mark{}, false)
	f.Set(1, word(2))
	must(t, f.Commit(mark(1)))
	f = open(t, m.Crash(vfs.CrashOptions{}))
	wantMark(t, f, mark(1), true)
	want(t, f, 1, word(2))
}
