// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package consumequeue_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twostage/twostage/internal/store/consumequeue"
	"github.com/twostage/twostage/internal/vfs"
)

const dir = "/store/consumequeue"

type entry = consumequeue.Entry

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
}

// newMem has the store directory, durably.
func newMem(t testing.TB) *vfs.Mem {
	t.Helper()
	m := vfs.NewMem()
	must(t, vfs.MkdirAllSync(m, "/store"))
	return m
}

func open(t testing.TB, fs vfs.FS, fileSize int64) *consumequeue.Set {
	t.Helper()
	s, err := consumequeue.Open(consumequeue.Options{FS: fs, Dir: dir, FileSize: fileSize, MaxOpen: 2})
	must(t, err)
	return s
}

// record is the entry of the n-th of records of 100 bytes.
func record(n int64) entry { return entry{Offset: n * 100, Size: 100, Tags: -n} }

// appendRecords puts records from to to-1 at the same indexes.
func appendRecords(t testing.TB, q *consumequeue.Queue, from, to int64) {
	t.Helper()
	for i := from; i < to; i++ {
		must(t, q.Append(i, record(i)))
	}
}

func wantRange(t testing.TB, q *consumequeue.Queue, low, high int64) {
	t.Helper()
	if q.Min() != low || q.Max() != high {
		t.Fatalf("queue holds [%d,%d), want [%d,%d)", q.Min(), q.Max(), low, high)
	}
}

func wantRecords(t testing.TB, q *consumequeue.Queue, from, to int64) {
	t.Helper()
	got, err := q.Read(nil, from, int(to-from))
	must(t, err)
	if int64(len(got)) != to-from {
		t.Fatalf("read %d entries, want %d", len(got), to-from)
	}
	for i, e := range got {
		if want := record(from + int64(i)); e != want {
			t.Fatalf("entry %d is %v, want %v", from+int64(i), e, want)
		}
	}
}

// copyTree copies a directory of the machine into m and makes it durable.
func copyTree(t testing.TB, m *vfs.Mem, from, to string) {
	t.Helper()
	must(t, filepath.WalkDir(from, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := to + filepath.ToSlash(strings.TrimPrefix(path, from))
		if d.IsDir() {
			return m.MkdirAll(name)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return vfs.WriteFile(m, name, data)
	}))
}

// countingFS counts open files.
type countingFS struct {
	vfs.FS
	open, most atomic.Int64
}

type countedFile struct {
	vfs.File
	fs *countingFS
}

func (c *countingFS) OpenFile(name string, flag int) (vfs.File, error) {
	f, err := c.FS.OpenFile(name, flag)
	if err != nil {
		return nil, err
	}
	n := c.open.Add(1)
	for {
		most := c.most.Load()
		if n <= most || c.most.CompareAndSwap(most, n) {
			return &countedFile{f, c}, nil
		}
	}
}

func (f *countedFile) Close() error {
	f.fs.open.Add(-1)
	return f.File.Close()
}
