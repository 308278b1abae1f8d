// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package consumequeue

import (
	"math/rand/v2"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
)

// Files may go while Flush syncs the directory for those that went before: a power cut
// leaves no gap.
func TestNamesChangeBesideFlush(t *testing.T) {
	for seed := range 40 {
		m := vfs.NewMem()
		s, err := Open(Options{FS: m, Dir: "/cq", FileSize: 200})
		if err != nil {
			t.Fatal(err)
		}
		q := s.Queue("T", 0)
		for i := range int64(65) {
			if err := q.Append(i, Entry{Offset: 100 * i, Size: 100, Tags: 1}); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
		if err := q.SetMin(1100); err != nil { // file 0 goes
			t.Fatal(err)
		}
		at, on := make(chan int), make(chan int)
		first := true
		m.Fail(func(op vfs.Op, name string) error {
			if first && op == vfs.OpSyncDir && name == "/cq/T/0" {
				first = false
				at <- 1
				<-on
			}
			return nil
		})
		done := make(chan error)
		go func() { done <- s.Flush() }()
		<-at                                   // Flush is about to sync the directory
		if err := q.SetMin(2100); err != nil { // file 1 goes, beside it
			t.Fatal(err)
		}
		m2 := m.Crash(vfs.CrashOptions{Names: vfs.KeepSome, Rand: rand.New(rand.NewPCG(uint64(seed), 1))})
		on <- 1
		<-done
		s2, err := Open(Options{FS: m2, Dir: "/cq", FileSize: 200})
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if err := s2.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A queue that ends where a file would begin keeps its end.
func TestExtendToTheEndOfAFile(t *testing.T) {
	m := vfs.NewMem()
	o := Options{FS: m, Dir: "/cq", FileSize: 200}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Queue("T", 0).Extend(20); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(o); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got := s.Queue("T", 0).Max(); got != 20 {
		t.Errorf("goes on at %d, want 20", got)
	}
}

// The process dies after a file was made and before it was flushed; the next one
// flushes, then the machine stops.
func TestKillThenFlushThenPowerCut(t *testing.T) {
	m := vfs.NewMem()
	if err := vfs.MkdirAllSync(m, "/cq"); err != nil {
		t.Fatal(err)
	}
	o := Options{FS: m, Dir: "/cq", FileSize: 200, SyncAll: -1}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	q := s.Queue("T", 0)
	for i := range int64(4000) { // more than the tail holds
		if err := q.Append(i, Entry{Offset: 100 * i, Size: 100, Tags: 1}); err != nil {
			t.Fatal(err)
		}
	}
	m = m.Kill()
	o.FS = m
	if s, err = Open(o); err != nil {
		t.Fatal(err)
	}
	q = s.Queue("T", 0)
	n := q.Max()
	if n == 0 {
		t.Fatal("nothing was written before the kill")
	}
	if err := q.Append(n, Entry{Offset: 100 * n, Size: 100, Tags: 1}); err != nil {
		t.Fatal(err)
	}
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	m = m.Crash(vfs.CrashOptions{})
	o.FS = m
	if s, err = Open(o); err != nil {
		t.Fatal(err)
	}
	if got := s.Queue("T", 0).Max(); got != n+1 {
		t.Errorf("%d entries were flushed, %d are there", n+1, got)
	}
}
