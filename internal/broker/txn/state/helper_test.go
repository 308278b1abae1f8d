// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package state

import (
	"bytes"
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
)

const dir = "/store/transactions"

// journal collects what is logged.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

func (j *journal) logger() *slog.Logger { return slog.New(slog.NewTextHandler(j, nil)) }

func open(t testing.TB, m vfs.FS) *File {
	t.Helper()
	f, err := Open(Config{FS: m, Dir: dir})
	must(t, err)
	return f
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func get(t testing.TB, f *File, off int64) Word {
	t.Helper()
	w, err := f.Get(off)
	must(t, err)
	return w
}

// want checks a word by Get and by Range.
func want(t testing.TB, f *File, off int64, w Word) {
	t.Helper()
	if got := get(t, f, off); got != w {
		t.Fatalf("Get(%d) = %+v, want %+v", off, got, w)
	}
	calls := 0
	must(t, f.Range(off, off+1, func(at int64, got Word) bool {
		calls++
		if at != off || got != w {
			t.Fatalf("Range(%d) gives %d %+v, want %+v", off, at, got, w)
		}
		return true
	}))
	if calls != 1 {
		t.Fatalf("Range of one word: %d calls", calls)
	}
}

// wantRange checks [from,to) against words, which has those that are not zero.
func wantRange(t testing.TB, f *File, from, to int64, words map[int64]Word) {
	t.Helper()
	next := from
	must(t, f.Range(from, to, func(off int64, w Word) bool {
		if off != next {
			t.Fatalf("Range gives %d after %d", off, next-1)
		}
		next++
		if w != words[off] {
			t.Fatalf("Range: word %d is %+v, want %+v", off, w, words[off])
		}
		return true
	}))
	if next != to {
		t.Fatalf("Range ends before %d, not %d", next, to)
	}
}

// word returns a word that no other i below 2^40 has.
func word(i int64) Word {
	switch i % 5 {
	case 0:
		return Word{Kind: Committed, Op: i}
	case 1:
		return Word{Kind: RolledBack, Op: i}
	case 2:
		return Word{Checks: int32(i%65535) + 1, CheckedAt: i}
	case 3:
		return Word{Kind: Resumed, Next: i}
	}
	return Word{Kind: Discarded, Op: i}
}

func mark(i int64) Mark { return Mark{Half: i, Op: 2 * i, Log: 100 * i, Proof: 100*i - 1} }

func wantMark(t testing.TB, f *File, m Mark, ok bool) {
	t.Helper()
	if got, gotOK := f.Mark(); got != m && ok || gotOK != ok {
		t.Fatalf("Mark() = %+v, %v, want %+v, %v", got, gotOK, m, ok)
	}
}

func segmentPath(number int64) string { return fmt.Sprintf("%s/%020d", dir, number*segmentWords) }

// count makes m count the operations of one kind from now on.
func count(m *vfs.Mem, op vfs.Op) *int {
	n := new(int)
	m.Fail(func(o vfs.Op, _ string) error {
		if o == op {
			*n++
		}
		return nil
	})
	return n
}
