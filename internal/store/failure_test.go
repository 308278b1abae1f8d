// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/twostage/twostage/internal/store/commitlog"
	"github.com/twostage/twostage/internal/vfs"
)

func TestSecondOpener(t *testing.T) {
	cfg := memConfig(vfs.NewMem())
	s := open(t, cfg)
	if _, err := Open(cfg); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), cfg.Dir) {
		t.Fatalf("second opener: %v", err)
	}
	put(t, s, s.Queue("T", 0), "still works")
	closeStore(t, s)
	if err := s.Close(); err != nil {
		t.Fatalf("second Close: %v", err)
	}
	s = open(t, cfg)
	closeStore(t, s)
	var b Batch
	q := s.Queue("T", 0)
	if err := b.Add(q, rec("x", 1)); err != nil {
		t.Fatal(err)
	}
	if err := s.Append(&b); !errors.Is(err, ErrClosed) {
		t.Fatalf("Append after Close: %v", err)
	}
	if _, err := s.Get(q, 0, 1, 1, Filter{}); !errors.Is(err, ErrClosed) {
		t.Fatalf("Get after Close: %v", err)
	}
	if _, _, err := s.Record(0); !errors.Is(err, ErrClosed) {
		t.Fatalf("Record after Close: %v", err)
	}
	var got error
	s.WhenFlushed(1<<40, func(err error) { got = err })
	if !errors.Is(got, ErrClosed) {
		t.Fatalf("WhenFlushed after Close: %v", got)
	}
}

func TestCleanCloseLeavesNoTraces(t *testing.T) {
	m := vfs.NewMem()
	cfg := memConfig(m)
	s := open(t, cfg)
	q := s.Queue("T", 0)
	put(t, s, q, numbered("n", 45)...) // more than half a file: one is reserved ahead
	if _, _, err := m.Stat(cfg.Dir + "/abort"); err != nil {
		t.Fatal("no abort file while running")
	}
	starts := s.log.Starts()
	closeStore(t, s)
	files, err := m.ReadDir(cfg.Dir + "/commitlog")
	if err != nil || len(files) != len(starts) {
		t.Fatalf("log files %v, %d in use", files, len(starts))
	}
	if _, _, err := m.Stat(cfg.Dir + "/abort"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("abort file: %v", err)
	}
	// Everything is durable: the machine may stop now.
	s = open(t, memConfig(m.Crash(vfs.CrashOptions{})))
	r := s.Stats().Recovery
	if !r.Clean || r.Records != 1 {
		t.Fatalf("recovery after a clean stop: %+v", r)
	}
	if got := names(t, s, s.Queue("T", 0), 0); !slices.Equal(got, numbered("n", 45)) {
		t.Fatalf("got %v", got)
	}
}

func TestReadOnlyAfterError(t *testing.T) {
	for _, c := range []struct {
		op   vfs.Op
		file string
	}{{vfs.OpWrite, "/commitlog/"}, {vfs.OpSync, "/commitlog/"}, {vfs.OpSync, "/consumequeue/"}, {vfs.OpWrite, "/checkpoint"}} {
		t.Run(c.op.String()+c.file, func(t *testing.T) {
			m := vfs.NewMem()
			s := open(t, memConfig(m))
			q := s.Queue("T", 0)
			put(t, s, q, "before")
			dispatched(t, s)
			if err := s.Flush(s.MaxPhysical()); err != nil {
				t.Fatal(err)
			}
			m.Fail(func(op vfs.Op, name string) error {
				if op == c.op && strings.Contains(name, c.file) {
					return syscall.EIO
				}
				return nil
			})
			var b Batch
			if err := b.Add(q, rec("broken", 10)); err != nil {
				t.Fatal(err)
			}
			err := s.Append(&b)
			if err == nil {
				done := make(chan error, 1)
				s.WhenFlushed(s.MaxPhysical(), func(err error) { done <- err })
				err = <-done
			}
			if err == nil {
				_ = s.WaitDispatched(s.MaxPhysical())
				if err := s.flushViews(); err == nil {
					t.Fatal("no error anywhere")
				} else {
					s.fail(err)
				}
			}
			m.Fail(nil) // the disk is well again, but nobody knows what it has lost
			if err := s.ReadOnly(); !errors.Is(err, ErrReadOnly) || !errors.Is(err, syscall.EIO) {
				t.Fatalf("ReadOnly = %v", err)
			}
			if err := s.Append(&b); !errors.Is(err, ErrReadOnly) {
				t.Fatalf("Append = %v", err)
			}
			s.WhenFlushed(s.MaxPhysical()+1, func(e error) { err = e })
			if !errors.Is(err, ErrReadOnly) {
				t.Fatalf("WhenFlushed = %v", err)
			}
			if got := names(t, s, q, 0); got[0] != "before" {
				t.Fatalf("no longer readable: %v", got)
			}
			if err := s.Close(); !errors.Is(err, syscall.EIO) {
				t.Fatalf("Close = %v", err)
			}
			s = open(t, memConfig(m))
			if r := s.Stats().Recovery; r.Clean {
				t.Fatalf("recovery: %+v", r)
			}
			if got := names(t, s, s.Queue("T", 0), 0); got[0] != "before" {
				t.Fatalf("after recovery: %v", got)
			}
		})
	}
}

func TestNoSpaceIsPassing(t *testing.T) {
	m := vfs.NewMem()
	s := open(t, memConfig(m))
	q := s.Queue("T", 0)
	put(t, s, q, numbered("n", 20)...)
	m.Fail(func(op vfs.Op, name string) error {
		if op == vfs.OpPreallocate {
			return syscall.ENOSPC
		}
		return nil
	})
	var b Batch
	var stored int
	var err error
	for i := 0; err == nil; i++ {
		b.Reset()
		if err := b.Add(q, rec(fmt.Sprintf("m%d", i), 1000)); err != nil {
			t.Fatal(err)
		}
		if err = s.Append(&b); err == nil {
			stored++
		}
	}
	if !errors.Is(err, syscall.ENOSPC) || s.ReadOnly() != nil {
		t.Fatalf("%v, read-only: %v", err, s.ReadOnly())
	}
	m.Fail(nil)
	if err := s.Append(&b); err != nil {
		t.Fatal(err)
	}
	dispatched(t, s)
	if q.Max() != int64(20+stored+1) {
		t.Fatalf("queue ends at %d, want %d", q.Max(), 20+stored+1)
	}
}

func TestDamageCostsOnlyItself(t *testing.T) {
	m := vfs.NewMem()
	cfg := memConfig(m)
	s := open(t, cfg)
	q := s.Queue("T", 0)
	at := put(t, s, q, numbered("n", 60)...)
	dispatched(t, s)
	m = m.Kill()
	_ = s.Close()
	f, err := m.OpenFile(fmt.Sprintf("%s/commitlog/%020d", cfg.Dir, 0), 2)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("rubbish"), at[7].PhysicalOffset+100); err != nil {
		t.Fatal(err)
	}
	cfg = memConfig(m)
	var seen []commitlog.Damage
	cfg.OnDamage = func(d commitlog.Damage) { seen = append(seen, d) }
	s = open(t, cfg)
	if len(seen) != 1 || seen[0].Offset != at[7].PhysicalOffset || seen[0].Length != int64(at[7].Size) {
		t.Fatalf("damage %+v, want %+v", seen, at[7])
	}
	if st := s.Stats(); st.DamagedRanges != 1 || st.DamagedBytes != int64(at[7].Size) {
		t.Fatalf("stats %+v", st)
	}
	if data, err := vfs.ReadFile(m, seen[0].Copy); err != nil || !strings.Contains(string(data), "rubbish") {
		t.Fatalf("copy of the damage: %v", err)
	}
	q = s.Queue("T", 0)
	want := slices.Delete(numbered("n", 60), 7, 8)
	if got := names(t, s, q, 0); !slices.Equal(got, want) {
		t.Fatalf("got %v", got)
	}
	if _, err := s.StoreTimeAt(q, 7); !errors.Is(err, ErrNotFound) {
		t.Fatalf("StoreTimeAt the damaged one: %v", err)
	}
	if next := put(t, s, q, "next")[0]; next.QueueOffset != 60 {
		t.Fatalf("went on at %d", next.QueueOffset)
	}
}

// TestTornQueueEntry: the only place where a queue entry lies about itself is
// where its offset ends with a sector. All that recovery keeps of the queue is
// older than the file where it starts, so the entry looks like an old one.
func TestTornQueueEntry(t *testing.T) {
	m := vfs.NewMem()
	cfg := memConfig(m)
	cfg.ConsumeQueueFileSize = 4000
	s := open(t, cfg)
	q := s.Queue("T", 0)
	put(t, s, q, numbered("n", 102)...)
	for files := len(s.log.Starts()); len(s.log.Starts()) < files+2; {
		put(t, s, s.Queue("U", 0), "u") // 700 ms later each
	}
	for range 10 {
		put(t, s, s.Queue("U", 0), "u")
	}
	dispatched(t, s)
	if err := errors.Join(s.Flush(s.MaxPhysical()), s.flushViews()); err != nil {
		t.Fatal(err)
	}
	last := put(t, s, q, "n102")[0]
	dispatched(t, s)
	if err := s.cqs.Flush(); err != nil {
		t.Fatal(err)
	}
	m = m.Kill()
	_ = s.Close()
	f, err := m.OpenFile(cfg.Dir+"/consumequeue/T/0/00000000000000000000", 2)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(make([]byte, 8), 102*20); err != nil {
		t.Fatal(err)
	}
	cfg.FS = m
	s = open(t, cfg)
	q = s.Queue("T", 0)
	if e, err := s.Entries(nil, q, 102, 1); err != nil || len(e) != 1 || e[0].PhysicalOffset != last.PhysicalOffset {
		t.Fatalf("entry 102 is %+v (%v), want %+v", e, err, last)
	}
	if got := names(t, s, q, 0); !slices.Equal(got, numbered("n", 103)) {
		t.Fatalf("got %v", got)
	}
}

func TestDeleteTopic(t *testing.T) {
	m := vfs.NewMem()
	s := open(t, memConfig(m))
	q := s.Queue("T", 0)
	other := s.Queue("U", 0)
	put(t, s, q, numbered("old", 30)...)
	put(t, s, other, "u0")
	if err := s.DeleteTopic("T"); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteTopic("no such topic"); err != nil {
		t.Fatal(err)
	}
	if s.LookupQueue("T", 0) != nil || !q.Deleted() {
		t.Fatal("still there")
	}
	var b Batch
	if err := b.Add(q, rec("x", 1)); err != nil {
		t.Fatal(err)
	}
	if err := s.Append(&b); !errors.Is(err, ErrDeleted) {
		t.Fatalf("Append to a deleted topic: %v", err)
	}
	q = s.Queue("T", 0)
	if at := put(t, s, q, numbered("new", 3)...); at[0].QueueOffset != 0 {
		t.Fatalf("the new topic begins at %d", at[0].QueueOffset)
	}
	dispatched(t, s)
	check := func(when string) {
		t.Helper()
		if got := names(t, s, s.Queue("T", 0), 0); !slices.Equal(got, numbered("new", 3)) {
			t.Fatalf("%s: the new topic has %v", when, got)
		}
		if got := names(t, s, s.Queue("U", 0), 0); !slices.Equal(got, []string{"u0"}) {
			t.Fatalf("%s: the other topic has %v", when, got)
		}
	}
	check("before")
	m = m.Kill()
	_ = s.Close()
	s = open(t, memConfig(m)) // reads the old records again
	check("after a kill")
	closeStore(t, s)
	if err := m.RemoveAll("/data/store/consumequeue"); err != nil {
		t.Fatal(err)
	}
	s = open(t, memConfig(m))
	check("rebuilt")
}
