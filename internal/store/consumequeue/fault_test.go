// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package consumequeue_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/twostage/twostage/internal/store/consumequeue"
	"github.com/twostage/twostage/internal/vfs"
)

// A full disk is an error of Append or Flush; when there is room again, the same
// entries go in, and nothing is lost or doubled.
func TestNoSpace(t *testing.T) {
	m := newMem(t)
	s := open(t, m, 100_000)
	q := s.Queue("T", 0)
	appendRecords(t, q, 0, 100)
	must(t, s.Flush())
	m.SetCapacity(4096)
	var i int64
	for i = 100; ; i++ {
		if err := q.Append(i, record(i)); err != nil {
			wantErr(t, err, syscall.ENOSPC)
			break
		}
		if i > 100_000 {
			t.Fatal("never full")
		}
	}
	wantRange(t, q, 0, i)
	wantErr(t, s.Flush(), syscall.ENOSPC)
	wantErr(t, s.Flush(), syscall.ENOSPC)
	wantErr(t, q.Append(i, record(i)), syscall.ENOSPC)
	wantRecords(t, q, 0, i)
	m.SetCapacity(0)
	appendRecords(t, q, i, i+10_000)
	must(t, s.Close())
	s = open(t, m.Crash(vfs.CrashOptions{}), 100_000)
	defer s.Close()
	wantRange(t, s.Queue("T", 0), 0, i+10_000)
	wantRecords(t, s.Queue("T", 0), 0, i+10_000)
}

// Every operation fails once, for a reason that passes. What was told to have
// worked has, and the rest works when it is done again.
func TestEveryOperationFailsOnce(t *testing.T) {
	failed := 0
	for stop := 0; ; stop++ {
		m := newMem(t)
		s := open(t, m, 100)
		ops, hit := 0, false
		m.Fail(func(op vfs.Op, _ string) error {
			if op == vfs.OpSync || op == vfs.OpSyncDir {
				return nil // see TestFailedSyncIsFinal
			}
			if ops++; ops == stop+1 {
				hit = true
				if op == vfs.OpWrite {
					return &vfs.ShortWrite{N: 7, Err: syscall.EIO}
				}
				return syscall.EIO
			}
			return nil
		})
		retry := func(fn func() error) {
			t.Helper()
			if err := fn(); err != nil {
				wantErr(t, err, syscall.EIO)
				must(t, fn())
			}
		}
		q := s.Queue("T", 0)
		for i := range int64(60) {
			retry(func() error { return q.Append(i+7, record(i+7)) })
			if i%20 == 9 {
				retry(s.Flush)
			}
		}
		retry(func() error { return q.SetMin(2500) })
		retry(func() error { return q.TruncatePhysical(5000) })
		retry(s.Flush)
		wantRange(t, q, 25, 50)
		retry(func() error { _, err := q.Read(nil, 25, 25); return err })
		m.Fail(nil)
		wantRecords(t, q, 25, 50)
		must(t, s.Close())
		s = open(t, m, 100)
		must(t, s.Queue("T", 0).SetMin(2500))
		wantRange(t, s.Queue("T", 0), 25, 50)
		wantRecords(t, s.Queue("T", 0), 25, 50)
		must(t, s.Close())
		if !hit {
			break
		}
		failed++
	}
	if failed < 50 {
		t.Errorf("only %d operations", failed)
	}
}

func TestFailedSyncIsFinal(t *testing.T) {
	for _, kind := range []vfs.Op{vfs.OpSync, vfs.OpSyncDir} {
		m := newMem(t)
		s := open(t, m, 200)
		q := s.Queue("T", 0)
		appendRecords(t, q, 0, 5)
		m.Fail(func(op vfs.Op, _ string) error {
			if op == kind {
				return syscall.EIO
			}
			return nil
		})
		wantErr(t, s.Flush(), syscall.EIO)
		m.Fail(nil)
		wantErr(t, s.Flush(), syscall.EIO)
		wantRecords(t, q, 0, 5)
		wantErr(t, s.Close(), syscall.EIO)
	}
}

func TestOpenFailsOnErrors(t *testing.T) {
	m := newMem(t)
	s := open(t, m, 100)
	appendRecords(t, s.Queue("T", 0), 0, 13)
	appendRecords(t, s.Queue("U", 1), 0, 13)
	must(t, s.Close())
	failed := 0
	for stop := 0; ; stop++ {
		left := m.Kill()
		m = left
		var mu sync.Mutex
		ops, hit := 0, false
		m.Fail(func(op vfs.Op, _ string) error {
			mu.Lock()
			defer mu.Unlock()
			if op != vfs.OpStat {
				if ops++; ops == stop+1 {
					hit = true
					return syscall.EIO
				}
			}
			return nil
		})
		s, err := consumequeue.Open(consumequeue.Options{FS: m, Dir: dir, FileSize: 100})
		m.Fail(nil)
		if !hit {
			must(t, err)
			must(t, s.Close())
			break
		}
		wantErr(t, err, syscall.EIO)
		failed++
	}
	if failed < 10 {
		t.Errorf("only %d operations", failed)
	}
}

func TestOpenNamesWhatIsWrong(t *testing.T) {
	const queue = dir + "/T/0"
	good := strings.Repeat("0", 20)
	cases := map[string]struct {
		files map[string]int64 // sizes
		clean bool
		want  string
	}{
		"too large":         {files: map[string]int64{good: 220}, want: good},
		"other size":        {files: map[string]int64{good: 100}, clean: true, want: good},
		"not at a multiple": {files: map[string]int64{"00000000000000000100": 200}, want: "00000000000000000100"},
		"gap":               {files: map[string]int64{good: 200, "00000000000000000400": 200}, want: "00000000000000000200"},
		"no number":         {files: map[string]int64{"notes.txt": 3}, want: "notes.txt"},
		"number too short":  {files: map[string]int64{"200": 200}, want: "/200 "},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := newMem(t)
			must(t, m.MkdirAll(queue))
			for file, size := range c.files {
				must(t, vfs.WriteFile(m, queue+"/"+file, make([]byte, size)))
			}
			_, err := consumequeue.Open(consumequeue.Options{FS: m, Dir: dir, FileSize: 200, Clean: c.clean})
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), queue) {
				t.Errorf("got %v, want it to name %s", err, c.want)
			}
		})
	}
}

func TestOpenLeavesForeignNamesAlone(t *testing.T) {
	m := newMem(t)
	for _, d := range []string{"/T/x", "/T/-1", "/T/01", "/T/99999999999", "/.hidden/0", "/T/2"} {
		must(t, m.MkdirAll(dir+d))
	}
	must(t, vfs.WriteFile(m, dir+"/file", []byte("x")))
	s := open(t, m, 200)
	defer s.Close()
	var found []string
	s.Range(func(topic string, id int32, q *consumequeue.Queue) bool {
		found = append(found, fmt.Sprint(topic, id, q.Max()))
		return true
	})
	if len(found) != 1 || found[0] != "T2 0" {
		t.Errorf("found %v", found)
	}
}

func TestOpenFiles(t *testing.T) {
	c := &countingFS{FS: newMem(t)}
	const limit = 3
	s, err := consumequeue.Open(consumequeue.Options{FS: c, Dir: dir, FileSize: 100, MaxOpen: limit})
	must(t, err)
	for i := range int64(40) {
		for id := range int32(20) {
			must(t, s.Queue("T", id).Append(i, record(i)))
		}
	}
	must(t, s.Flush())
	// Flush works on eight queues at once; each may have one file in use.
	if most := c.most.Load(); most > limit+8 {
		t.Errorf("%d files open at once", most)
	}
	c.most.Store(0)
	for id := range int32(20) {
		wantRecords(t, s.Queue("T", id), 0, 40)
	}
	if most := c.most.Load(); most > limit {
		t.Errorf("%d files open at once", most)
	}
	must(t, s.Close())
	if n := c.open.Load(); n != 0 {
		t.Errorf("%d files left open", n)
	}
}

// Readers see whole entries while others append, flush, drop and delete.
func TestConcurrency(t *testing.T) {
	m := newMem(t)
	s := open(t, m, 400)
	defer s.Close()
	const records = 3000
	done := make(chan struct{})
	var work, readers sync.WaitGroup
	for id := range int32(3) {
		work.Go(func() {
			q := s.Queue("T", id)
			for i := range int64(records) {
				if err := q.Append(i, record(i)); err != nil {
					t.Error(err)
					return
				}
				if i%500 == 499 {
					if err := q.SetMin((i - 300) * 100); err != nil {
						t.Error(err)
					}
				}
			}
		})
		readers.Go(func() {
			q := s.Queue("T", id)
			var buf []entry
			for {
				select {
				case <-done:
					return
				default:
				}
				from := max(q.Min(), q.Max()-150)
				var err error
				buf, err = q.Read(buf[:0], from, 100)
				if err != nil && !errors.Is(err, consumequeue.ErrBelowMin) {
					t.Error(err)
					return
				}
				for i, e := range buf {
					if e != record(from+int64(i)) {
						t.Errorf("entry %d is %v", from+int64(i), e)
						return
					}
				}
			}
		})
	}
	readers.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			if err := s.Flush(); err != nil {
				t.Error(err)
				return
			}
		}
	})
	readers.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
			}
			q := s.Queue("U", int32(i%2))
			if err := q.Append(q.Max(), record(1)); err != nil && !errors.Is(err, consumequeue.ErrDeleted) {
				t.Error(err)
				return
			}
			if i%20 == 19 {
				if err := s.Delete("U"); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	work.Wait()
	close(done)
	readers.Wait()
	for id := range int32(3) {
		q := s.Queue("T", id)
		wantRange(t, q, 2699, records)
		wantRecords(t, q, 2699, records)
	}
}

func TestOnMachineFiles(t *testing.T) {
	base := t.TempDir() + "/consumequeue"
	reopen := func() *consumequeue.Set {
		s, err := consumequeue.Open(consumequeue.Options{FS: vfs.OS(), Dir: base})
		must(t, err)
		return s
	}
	s := reopen()
	appendRecords(t, s.Queue("T", 0), 299_990, 300_010)
	must(t, s.Flush())
	must(t, s.Close())
	s = reopen()
	wantRange(t, s.Queue("T", 0), 299_990, 300_010)
	wantRecords(t, s.Queue("T", 0), 299_990, 300_010)
	must(t, s.Queue("T", 0).TruncatePhysical(29_999_500))
	must(t, s.Close())
	info, err := os.Stat(base + "/T/0/" + strings.Repeat("0", 20))
	must(t, err)
	if info.Size() != consumequeue.DefaultFileSize {
		t.Errorf("size %d", info.Size())
	}
	s = reopen()
	defer s.Close()
	wantRange(t, s.Queue("T", 0), 299_990, 299_995)
}
