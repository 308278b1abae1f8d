// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
)

func openMem(t *testing.T, m *vfs.Mem) *Store {
	t.Helper()
	cfg := memConfig(m)
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// lostTail is a store whose queue goes on at 10 though its log ends with record 4.
func lostTail(t *testing.T) *vfs.Mem {
	m := vfs.NewMem()
	s := openMem(t, m)
	q := s.Queue("T", 0)
	at := put(t, s, q, numbered("a", 10)...)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := m.OpenFile("/data/store/commitlog/00000000000000000000", 2)
	if err != nil {
		t.Fatal(err)
	}
	from := at[5].PhysicalOffset
	if _, err := f.WriteAt(make([]byte, 8192-from), from); err != nil {
		t.Fatal(err)
	}
	f.Close()
	cfg := memConfig(m)
	r, err := Rebuild(context.Background(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Kept) != 1 {
		t.Fatalf("rebuilt %+v", r)
	}
	return m
}

func TestOffsetsBehindAGapSurviveACrash(t *testing.T) {
	m := lostTail(t)
	s := openMem(t, m)
	q := s.Queue("T", 0)
	put(t, s, q, numbered("b", 3)...)
	if err := s.Flush(s.MaxPhysical()); err != nil {
		t.Fatal(err)
	}
	dispatched(t, s)
	if err := s.flushViews(); err != nil {
		t.Fatal(err)
	}
	m2 := m.Crash(vfs.CrashOptions{})
	s.Close()
	s = openMem(t, m2)
	defer s.Close()
	q = s.Queue("T", 0)
	got := names(t, s, q, q.Min())
	want := append(numbered("a", 5), numbered("b", 3)...)
	if !slices.Equal(got, want) || q.Max() != 13 {
		t.Errorf("got %v, max %d, want %v, 13", got, q.Max(), want)
	}
}

func TestOffsetsBehindAGapSurviveARebuild(t *testing.T) {
	m := lostTail(t)
	s := openMem(t, m)
	q := s.Queue("T", 0)
	put(t, s, q, numbered("b", 3)...)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := Rebuild(context.Background(), memConfig(m), nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Kept) != 0 {
		t.Errorf("kept %+v", r.Kept)
	}
	s = openMem(t, m)
	defer s.Close()
	q = s.Queue("T", 0)
	got := names(t, s, q, q.Min())
	want := append(numbered("a", 5), numbered("b", 3)...)
	if !slices.Equal(got, want) || q.Max() != 13 {
		t.Errorf("got %v, max %d, want %v, 13", got, q.Max(), want)
	}
}

// The process dies after it made the first log file and before its name is durable.
func TestKilledBeforeALogFileHadItsName(t *testing.T) {
	m := vfs.NewMem()
	var once sync.Once
	got := make(chan *vfs.Mem, 1)
	made := false
	m.Fail(func(op vfs.Op, name string) error {
		if op == vfs.OpPreallocate {
			made = true
		}
		if made && op == vfs.OpSyncDir && strings.HasSuffix(name, "/commitlog") {
			once.Do(func() { got <- m.Kill() })
		}
		return nil
	})
	cfg := memConfig(m)
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	m2 := <-got
	s.Close()
	s = openMem(t, m2)
	q := s.Queue("T", 0)
	put(t, s, q, numbered("a", 10)...)
	if err := s.Flush(s.MaxPhysical()); err != nil {
		t.Fatal(err)
	}
	m3 := m2.Crash(vfs.CrashOptions{})
	s.Close()
	s = openMem(t, m3)
	defer s.Close()
	if s.MaxPhysical() == 0 {
		t.Error("all flushed records are gone")
	}
}
