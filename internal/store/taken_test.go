// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// putKeyless appends records of 1 KiB without any key.
func putKeyless(t *testing.T, s *Store, n int) {
	t.Helper()
	var b Batch
	for range n {
		b.Reset()
		if err := b.Add(s.Queue("T", 0), &message.Record{Body: make([]byte, 1024), BornHost: testHost, StoreHost: testHost}); err != nil {
			t.Fatal(err)
		}
		if err := s.Append(&b); err != nil {
			t.Fatal(err)
		}
	}
	dispatched(t, s)
}

func openTaken(t *testing.T, m *vfs.Mem) *Store {
	t.Helper()
	s, err := Open(memConfig(m))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A log without keys is read once for its index, not at each start.
func TestKeylessLogIsNotReadAgain(t *testing.T) {
	m := vfs.NewMem()
	s := openTaken(t, m)
	putKeyless(t, s, 100)
	end := s.MaxPhysical()
	closeStore(t, s)
	s = openTaken(t, m)
	if r := s.Stats().Recovery; r.Start < end-2*8192 || r.Records > 10 {
		t.Errorf("after a clean stop: %+v of %d bytes", r, end)
	}
	if err := s.Flush(s.MaxPhysical()); err != nil {
		t.Fatal(err)
	}
	if err := s.flushViews(); err != nil {
		t.Fatal(err)
	}
	m = m.Kill()
	_ = s.Close()
	s = openTaken(t, m)
	if r := s.Stats().Recovery; r.Clean || r.Start < end-3*8192 {
		t.Errorf("after a kill: %+v of %d bytes", r, end)
	}
	closeStore(t, s)
}

// Index files that were removed by hand after a clean stop are built again, from
// the whole log, and once.
func TestIndexFilesRemovedByHand(t *testing.T) {
	m := vfs.NewMem()
	s := openTaken(t, m)
	list := numbered("r", 200)
	put(t, s, s.Queue("T", 0), list...)
	dispatched(t, s)
	closeStore(t, s)
	names, err := m.ReadDir("/data/store/index")
	if err != nil || len(names) < 3 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		if err := m.Remove("/data/store/index/" + name); err != nil {
			t.Fatal(err)
		}
	}
	for _, from := range []string{"the whole log", "its end"} {
		s = openTaken(t, m)
		if r := s.Stats().Recovery; (r.Records >= len(list)) != (from == "the whole log") {
			t.Errorf("%d of %d records read, want %s", r.Records, len(list), from)
		}
		for i := range list {
			r, err := s.Query("T", fmt.Sprintf("r%d", i), 10, 0, 1<<50)
			if err != nil || len(r.Records) != 1 {
				t.Fatalf("r%d, from %s: %+v, %v", i, from, r, err)
			}
			r.Release()
		}
		closeStore(t, s)
	}
}
