// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package state

import (
	"encoding/binary"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
)

// TestNoSpace: words stay in memory while the disk is full, and get there when
// it is not any more.
func TestNoSpace(t *testing.T) {
	m := vfs.NewMem()
	f := open(t, m)
	f.Set(0, word(1))
	must(t, f.Commit(mark(1)))
	u, err := m.Usage(dir)
	must(t, err)
	m.SetCapacity(u.Used + 2*4096)
	words := map[int64]Word{0: word(1)}
	for round := range int64(3) {
		for off := round; off < 5*pageWords; off += 3 {
			words[off] = word(off + round + 1)
			f.Set(off, words[off])
		}
		for range 2 {
			if err := f.Commit(mark(2)); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), segmentPath(0)) {
				t.Fatalf("Commit: %v", err)
			}
			if err := f.Write(); !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("Write: %v", err)
			}
		}
		if len(f.dirty) != 5 {
			t.Fatalf("%d pages wait", len(f.dirty))
		}
		wantMark(t, f, mark(1), true)
		wantRange(t, f, 0, 6*pageWords, words)
	}
	m.SetCapacity(0)
	must(t, f.Commit(mark(2)))
	f = open(t, m.Crash(vfs.CrashOptions{}))
	wantMark(t, f, mark(2), true)
	wantRange(t, f, 0, 6*pageWords, words)
}

// TestWriteFailsInTheMiddle: what other runs of pages carry gets to the file,
// the rest later, and a Set during the failing write is not lost.
func TestWriteFailsInTheMiddle(t *testing.T) {
	m := vfs.NewMem()
	f := open(t, m)
	for seg := range int64(3) {
		f.Set(seg*segmentWords+1, word(seg+1))
	}
	cause := errors.New("bad cable")
	m.Fail(func(op vfs.Op, name string) error {
		if op == vfs.OpWrite && name == segmentPath(1) {
			f.Set(segmentWords+2, word(90))
			f.Set(segmentWords+1, word(91))
			return cause
		}
		return nil
	})
	if err := f.Write(); !errors.Is(err, cause) {
		t.Fatal(err)
	}
	m.Fail(nil)
	if len(f.dirty) != 2 {
		t.Fatalf("%d pages wait", len(f.dirty))
	}
	must(t, f.Write())
	f = open(t, m.Kill())
	for off, w := range map[int64]Word{1: word(1), segmentWords + 1: word(91), segmentWords + 2: word(90), 2*segmentWords + 1: word(3)} {
		want(t, f, off, w)
	}
}

func TestReadError(t *testing.T) {
	m := vfs.NewMem()
	f := open(t, m)
	f.Set(700, word(1))
	must(t, f.Close())
	f = open(t, m)
	cause := errors.New("bad sector")
	m.Fail(func(op vfs.Op, _ string) error {
		if op == vfs.OpRead {
			return cause
		}
		return nil
	})
	check := func(err error) {
		t.Helper()
		if !errors.Is(err, cause) || !strings.Contains(err.Error(), segmentPath(0)+" at 4096") {
			t.Errorf("got %v", err)
		}
	}
	_, err := f.Get(700)
	check(err)
	check(f.Range(512, 800, func(int64, Word) bool { t.Error("called"); return true }))
	f.Set(701, word(5))
	check(f.Write()) // its neighbours can't be read
	_, err = f.Get(700)
	check(err)
	if w := get(t, f, 701); w != word(5) {
		t.Errorf("got %+v", w)
	}
	m.Fail(nil)
	want(t, f, 700, word(1))
	must(t, f.Close())
	f = open(t, m)
	want(t, f, 700, word(1))
	want(t, f, 701, word(5))

	file, err := m.OpenFile(segmentPath(0), os.O_RDWR)
	must(t, err)
	f = open(t, m)
	must(t, file.Truncate(4096))
	if _, err := f.Get(700); err == nil || !strings.Contains(err.Error(), "shortened") {
		t.Errorf("got %v", err)
	}
}

// TestSyncError: after a failed sync nothing is promised any more, and a start
// that sets again what came after the mark repairs all.
func TestSyncError(t *testing.T) {
	for _, at := range []string{segmentPath(0), dir + "/" + markName} {
		m := vfs.NewMem()
		f := open(t, m)
		f.Set(1, word(1))
		must(t, f.Commit(mark(1)))
		f.Set(2, word(2))
		cause := errors.New("lost page")
		m.Fail(func(op vfs.Op, name string) error {
			if op == vfs.OpSync && name == at {
				return cause
			}
			return nil
		})
		if err := f.Commit(mark(2)); !errors.Is(err, cause) || !strings.Contains(err.Error(), at) {
			t.Fatalf("Commit: %v", err)
		}
		m.Fail(nil)
		f.Set(3, word(3))
		for _, err := range []error{f.Write(), f.Commit(mark(2)), f.Clear(5, 6), f.DropBelow(1), f.Reset(), f.Close()} {
			if !errors.Is(err, cause) {
				t.Errorf("got %v", err)
			}
		}
		wantMark(t, f, mark(1), true)
		m = m.Kill() // to the next process the bytes look right
		f = open(t, m)
		f.Set(2, word(2))
		f.Set(3, word(3))
		must(t, f.Commit(mark(3)))
		f = open(t, m.Crash(vfs.CrashOptions{}))
		wantMark(t, f, mark(3), true)
		for off := int64(1); off < 4; off++ {
			want(t, f, off, word(off))
		}
	}
}

// TestInDoubt: what is not in memory of a file whose sync failed is not read.
func TestInDoubt(t *testing.T) {
	m := vfs.NewMem()
	f := open(t, m)
	for p := range int64(cleanPages + 10) {
		f.Set(p*pageWords, word(p+1))
	}
	cause := errors.New("lost page")
	m.Fail(func(op vfs.Op, name string) error {
		if op == vfs.OpSync && name == segmentPath(0) {
			return cause
		}
		return nil
	})
	if err := f.Commit(mark(2)); !errors.Is(err, cause) {
		t.Fatal(err)
	}
	want := word(cleanPages + 10)
	if w := get(t, f, (cleanPages+9)*pageWords); w != want {
		t.Errorf("in memory: %+v", w)
	}
	if _, err := f.Get(0); !errors.Is(err, cause) || !strings.Contains(err.Error(), "in doubt") {
		t.Errorf("not in memory: %v", err)
	}
}

func TestOddFiles(t *testing.T) {
	full := make([]byte, segmentBytes+100)
	for i := range int64(segmentWords) {
		v, _ := word(i + 1).encode()
		binary.BigEndian.PutUint64(full[i*wordBytes:], v)
	}
	for _, size := range []int{0, 1, 7, 8, 9, 4095, 4096, 4097, 65537, segmentBytes - 1, segmentBytes, segmentBytes + 100} {
		m := vfs.NewMem()
		must(t, m.MkdirAll(dir))
		must(t, vfs.WriteFile(m, segmentPath(1), full[:size]))
		must(t, vfs.WriteFile(m, dir+"/00000000000000000007", full[:8])) // no segment has this name
		must(t, vfs.WriteFile(m, dir+"/1111111111111111111x", full[:8]))
		var j journal
		f, err := Open(Config{FS: m, Dir: dir, Logger: j.logger()})
		must(t, err)
		if (size%8 != 0 || size > segmentBytes) != strings.Contains(j.String(), segmentPath(1)) {
			t.Errorf("%d bytes: logged %s", size, j.String())
		}
		if !strings.Contains(j.String(), "00000000000000000007") {
			t.Errorf("nothing of the strange name in %s", j.String())
		}
		whole := min(int64(size)/8, segmentWords)
		check := func() {
			t.Helper()
			for _, i := range []int64{0, 1, 511, 512, whole - 1, whole, whole + 1, segmentWords - 2} {
				if i < 0 || i >= segmentWords-1 {
					continue
				}
				w := Word{}
				if i < whole {
					w = word(i + 1)
				}
				want(t, f, segmentWords+i, w)
			}
		}
		check()
		f.Set(2*segmentWords-1, word(3)) // the file grows over the odd end
		must(t, f.Close())
		f = open(t, m)
		check()
		want(t, f, 2*segmentWords-1, word(3))
	}
	m := vfs.NewMem()
	must(t, m.MkdirAll(segmentPath(0)))
	if _, err := Open(Config{FS: m, Dir: dir}); err == nil || !strings.Contains(err.Error(), segmentPath(0)+" is a directory") {
		t.Errorf("a directory in place of a segment: %v", err)
	}
}

func TestDamagedWord(t *testing.T) {
	m := vfs.NewMem()
	must(t, m.MkdirAll(dir))
	must(t, vfs.WriteFile(m, segmentPath(1), []byte{15: 0, 16: 0xff, 23: 1}))
	f := open(t, m)
	check := func(err error) {
		t.Helper()
		if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), segmentPath(1)+" at 16 (half queue offset 131074) holds ff00000000000001") {
			t.Errorf("got %v", err)
		}
	}
	_, err := f.Get(segmentWords + 2)
	check(err)
	calls := 0
	check(f.Range(segmentWords, segmentWords+10, func(int64, Word) bool { calls++; return true }))
	if calls != 2 {
		t.Errorf("%d words before it", calls)
	}
	must(t, f.Commit(Mark{Proof: -1}))
	must(t, f.Clear(segmentWords+2, segmentWords+3))
	wantMark(t, f, Mark{}, false)
	want(t, f, segmentWords+2, Word{})
}
