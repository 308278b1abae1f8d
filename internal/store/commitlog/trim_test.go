// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package commitlog

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/twostage/twostage/internal/store/segment"
	"github.com/twostage/twostage/internal/vfs"
)

// filled is a log of so many files, the last with one record, all durable. The
// records of file i have the times 1000*i to 1000*i+3, and begin at at.
func filled(t testing.TB, m *vfs.Mem, files int) (l *Log, at [][]int64) {
	t.Helper()
	l, _ = openLog(t, m, nil)
	at = make([][]int64, files)
	for i := range files {
		for k := range 4 {
			if i == files-1 && k > 0 {
				break
			}
			at[i] = append(at[i], mustAdd(t, l, bytes.Repeat([]byte{byte('a' + i)}, 850), int64(1000*i+k)))
		}
	}
	if n := len(l.Starts()); n != files {
		t.Fatalf("%d files, want %d", n, files)
	}
	if _, _, err := l.Sync(); err != nil {
		t.Fatal(err)
	}
	return l, at
}

func TestTrim(t *testing.T) {
	m := vfs.NewMem()
	l, at := filled(t, m, 6)
	view, ref, err := l.View(at[1][2], 91)
	if err != nil {
		t.Fatal(err)
	}
	kept := bytes.Clone(view)
	if err := l.Trim(3 * fileSize); err != nil {
		t.Fatal(err)
	}
	if l.Min() != 3*fileSize || !slices.Equal(l.Starts(), []int64{3 * fileSize, 4 * fileSize, 5 * fileSize}) {
		t.Fatalf("Min %d, files %v", l.Min(), l.Starts())
	}
	if !bytes.Equal(view, kept) || !ref.Covers(at[1][0], 91) || !bytes.Equal(ref.View(at[1][2], 91), kept) {
		t.Error("a view changed when its file went")
	}
	for i, list := range at {
		for _, pos := range list {
			_, err := l.ReadRecord(nil, pos)
			_, r, viewErr := l.View(pos, 91)
			if gone := i < 3; gone != errors.Is(err, ErrNotFound) || gone != errors.Is(viewErr, ErrNotFound) {
				t.Errorf("record at %d: %v, %v", pos, err, viewErr)
			}
			if viewErr == nil {
				r.Release()
			}
		}
	}
	if files := fileNames(t, m); !slices.Equal(files[:3], l.Starts()) {
		t.Errorf("on disk: %v", files)
	}
	open := func() int {
		l.pool.mu.Lock()
		defer l.pool.mu.Unlock()
		return len(l.pool.open)
	}
	before := open()
	ref.Release()
	if after := open(); after != before-1 {
		t.Errorf("%d files open after the release, %d before", after, before)
	}
	if err := l.Trim(3 * fileSize); err != nil { // nothing to do
		t.Error(err)
	}
	for i := range 8 { // it goes on
		mustAdd(t, l, body(i), 9000)
	}
	if err := l.Close(true); err != nil {
		t.Fatal(err)
	}
	again, r := openLog(t, m.Crash(vfs.CrashOptions{}), nil)
	if again.Min() != 3*fileSize || r.Records < 9 {
		t.Errorf("after a power cut the log begins at %d and has %d records", again.Min(), r.Records)
	}
	if err := again.Close(true); err != nil {
		t.Fatal(err)
	}
}

func fileNames(t testing.TB, m *vfs.Mem) []int64 {
	t.Helper()
	list, err := segment.List(m, testDir, fileSize)
	if err != nil {
		t.Fatal(err)
	}
	return list.Starts
}

func TestTrimRefuses(t *testing.T) {
	l, _ := filled(t, vfs.NewMem(), 3)
	for i := range 8 {
		mustAdd(t, l, bytes.Repeat([]byte("x"), 850), 5000+int64(i)) // not durable
	}
	last := l.Starts()[len(l.Starts())-1]
	for _, min := range []int64{100, fileSize - 1, last, last + fileSize, -fileSize + 1} {
		if err := l.Trim(min); err == nil {
			t.Errorf("Trim(%d) was done, the log is durable to %d, its last file begins at %d", min, l.Synced(), last)
		}
	}
	if l.Min() != 0 {
		t.Errorf("Min is %d", l.Min())
	}
	empty, _ := openLog(t, vfs.NewMem(), nil)
	if err := empty.Trim(0); err == nil {
		t.Error("an empty log was trimmed")
	}
}

func TestTrimErrors(t *testing.T) {
	m := vfs.NewMem()
	l, at := filled(t, m, 5)
	victim := segment.Join(testDir, fileSize)
	m.Fail(func(op vfs.Op, name string) error {
		if op == vfs.OpRemove && name == victim {
			return syscall.EIO
		}
		return nil
	})
	if err := l.Trim(3 * fileSize); !errors.Is(err, syscall.EIO) || errors.Is(err, ErrFailed) {
		t.Fatalf("Trim: %v", err)
	}
	if l.Min() != fileSize || l.Err() != nil {
		t.Fatalf("Min %d, %v", l.Min(), l.Err())
	}
	if _, err := l.ReadRecord(nil, at[1][0]); err != nil {
		t.Errorf("the file that could not be removed cannot be read: %v", err)
	}
	m.Fail(func(op vfs.Op, name string) error {
		if op == vfs.OpSyncDir && name == testDir {
			return syscall.EIO
		}
		return nil
	})
	if err := l.Trim(3 * fileSize); !errors.Is(err, ErrFailed) || !errors.Is(err, syscall.EIO) {
		t.Fatalf("Trim with a failing sync: %v", err)
	}
	m.Fail(nil)
	if err := l.Trim(3 * fileSize); !errors.Is(err, ErrFailed) {
		t.Errorf("Trim goes on after a failed sync: %v", err)
	}
	if l.Min() != 2*fileSize {
		t.Errorf("Min %d", l.Min())
	}
}

func TestOldest(t *testing.T) {
	unknown := int64(math.MaxInt64)
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, m *vfs.Mem, at [][]int64) // before the log is opened again
		n     int
		want  []int64
	}{
		{"all", nil, 9, []int64{1000, 2000, 3000, 4000}},
		{"some", nil, 2, []int64{1000, 2000}},
		{"none", nil, 0, nil},
		{"negative", nil, -1, nil},
		{"damaged first record", func(t *testing.T, m *vfs.Mem, at [][]int64) { poke(t, m, at[2][0]+4, 8, 0) }, 9, []int64{1000, 3000, 3000, 4000}},
		{"first records damaged to the end", func(t *testing.T, m *vfs.Mem, at [][]int64) {
			poke(t, m, at[3][0]+4, 8, 0)
			poke(t, m, at[4][0]+4, 8, 0)
		}, 9, []int64{1000, 2000, unknown}}, // the last file held nothing else, and is gone
		{"a time in the past", func(t *testing.T, m *vfs.Mem, at [][]int64) { poke(t, m, at[2][0]+56, 8, 500) }, 9, []int64{1000, 3000, 3000, 4000}},
		{"a time after the last", func(t *testing.T, m *vfs.Mem, at [][]int64) { poke(t, m, at[2][0]+56, 8, 400_000) }, 9, []int64{1000, 3000, 3000, 4000}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := vfs.NewMem()
			l, at := filled(t, m, 5)
			if err := l.Close(true); err != nil {
				t.Fatal(err)
			}
			if c.spoil != nil {
				c.spoil(t, m, at)
			}
			l, err := Open(options(m))
			if err != nil {
				t.Fatal(err)
			}
			// From the last file on, as after a clean stop; what is before is as it is.
			if _, err := l.Recover(4*fileSize, bodies(new([]string))); err != nil {
				t.Fatal(err)
			}
			var got []int64
			for i, a := range l.Oldest(c.n) {
				if a.Start != int64(i)*fileSize {
					t.Errorf("file %d begins at %d", i, a.Start)
				}
				got = append(got, a.Newest)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("newest %v, want %v", got, c.want)
			}
			if err := l.Close(true); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// poke overwrites n bytes at a log offset with a big-endian number.
func poke(t *testing.T, m *vfs.Mem, at int64, n int, v uint64) {
	t.Helper()
	f, err := m.OpenFile(segment.Join(testDir, segment.Start(at, fileSize)), 2)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(be.AppendUint64(nil, v)[8-n:], at%fileSize); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestTrimBesideAll: readers, the writer and Sync beside Trim.
func TestTrimBesideAll(t *testing.T) {
	m := vfs.NewMem()
	o := options(m)
	o.MaxOpen = 2
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Recover(0, nil); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var at []int64
	var going atomic.Int64 // what is below it may be gone
	var wg sync.WaitGroup
	done := make(chan struct{})
	for r := range 3 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(r)))
			for {
				select {
				case <-done:
					return
				default:
				}
				mu.Lock()
				if len(at) == 0 {
					mu.Unlock()
					continue
				}
				i := rng.IntN(len(at))
				pos := at[i]
				mu.Unlock()
				view, ref, err := l.View(pos, 91)
				if err == nil {
					if be.Uint64(view[28:]) != uint64(pos) {
						t.Errorf("the view at %d shows another record", pos)
					}
					ref.Release()
				}
				_, readErr := l.ReadRecord(nil, pos)
				for _, err := range []error{err, readErr} {
					if err != nil && (!errors.Is(err, ErrNotFound) || pos >= going.Load()) {
						t.Errorf("at %d, kept from %d: %v", pos, going.Load(), err)
					}
				}
			}
		})
	}
	for i := range 400 {
		pos := mustAdd(t, l, body(i), int64(i))
		mu.Lock()
		at = append(at, pos)
		mu.Unlock()
		if i%9 == 0 {
			if _, _, err := l.Sync(); err != nil {
				t.Fatal(err)
			}
		}
		if ages := l.Oldest(2); len(ages) == 2 && ages[1].Start+fileSize <= l.Synced() {
			going.Store(ages[1].Start + fileSize)
			if err := l.Trim(going.Load()); err != nil {
				t.Fatal(err)
			}
		}
	}
	close(done)
	wg.Wait()
	if n := len(l.Starts()); n > 4 || l.Min() == 0 {
		t.Errorf("%d files are left, Min %d", n, l.Min())
	}
	if err := l.Close(true); err != nil {
		t.Fatal(err)
	}
	if len(l.pool.open) > 0 {
		t.Errorf("%d files are still open", len(l.pool.open))
	}
}

// TestTrimCutAnywhere: whatever of the removals a power cut keeps, the files that
// are left have no gap, and what lies behind is whole.
func TestTrimCutAnywhere(t *testing.T) {
	for seed := range uint64(8) {
		for stopAt := 1; ; stopAt++ {
			m := vfs.NewMem()
			l, at := filled(t, m, 6)
			ops, min := 0, int64(0)
			var left *vfs.Mem
			m.Fail(func(op vfs.Op, _ string) error {
				if op.Changes() {
					if ops++; ops == stopAt {
						min = l.Min()
						left = m.Crash(vfs.CrashOptions{Data: vfs.KeepSome, Names: vfs.KeepSome, Rand: rand.New(rand.NewPCG(seed, uint64(stopAt)))})
					}
				}
				return nil
			})
			err := l.Trim(4 * fileSize)
			if left == nil {
				if err != nil || stopAt < 5 {
					t.Fatalf("%v after %d operations", err, ops)
				}
				break
			}
			again, r := openLog(t, left, nil)
			where := fmt.Sprintf("seed %d, operation %d", seed, stopAt)
			if again.Min() > 4*fileSize || again.Min() < min {
				t.Errorf("%s: the log begins at %d, before the cut at %d", where, again.Min(), min)
			}
			if want := 4*int(5-again.Min()/fileSize) + 1; r.Records != want || len(r.Damage) > 0 {
				t.Errorf("%s: %d records, want %d, damage %v", where, r.Records, want, r.Damage)
			}
			if _, err := again.ReadRecord(nil, at[5][0]); err != nil {
				t.Errorf("%s: %v", where, err)
			}
			if err := again.Close(true); err != nil {
				t.Fatal(err)
			}
		}
	}
}
