// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// walked are the names of the records from a log offset on.
func walked(t testing.TB, s *Store, from int64) (list []string) {
	t.Helper()
	if err := s.Walk(from, func(r *message.Record) error {
		name, _ := r.Property(message.PropertyUniqueKey)
		list = append(list, string(name))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return list
}

func TestWalk(t *testing.T) {
	m := vfs.NewMem()
	s, err := Open(memConfig(m))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got := walked(t, s, 0); got != nil {
		t.Errorf("an empty log has %q", got)
	}
	var want []string
	var at []Appended
	for i := range 60 { // several files: 8 KiB hold about 35 records
		names := []string{fmt.Sprint("a", i), fmt.Sprint("b", i)}
		want = append(want, names...)
		at = append(at, put(t, s, s.Queue(fmt.Sprint("T", i%3), 0), names...)...)
	}
	for _, from := range []int{0, 1, 33, 34, 35, 36, 119} {
		if got := walked(t, s, at[from].PhysicalOffset); !slices.Equal(got, want[from:]) {
			t.Errorf("from record %d: %q", from, got)
		}
	}
	if got := walked(t, s, at[50].PhysicalOffset+1); !slices.Equal(got, want[51:]) {
		t.Errorf("from inside of record 50: %q", got)
	}
	if got := walked(t, s, -5); !slices.Equal(got, want) {
		t.Errorf("from below: %q", got)
	}
	if got := walked(t, s, s.MaxPhysical()+100); got != nil {
		t.Errorf("from behind: %q", got)
	}
	stop, n := errors.New("enough"), 0
	err = s.Walk(0, func(*message.Record) error {
		if n++; n == 40 {
			return stop
		}
		return nil
	})
	if err != stop || n != 40 {
		t.Errorf("%d records, %v", n, err)
	}
	// What is appended during a walk is not part of it.
	n = 0
	if err := s.Walk(at[110].PhysicalOffset, func(*message.Record) error {
		n++
		put(t, s, s.Queue("T0", 0), fmt.Sprint("later", n))
		return nil
	}); err != nil || n != 10 {
		t.Errorf("%d records, %v", n, err)
	}
}

// Walks run beside appends: each sees all that was there when it began, in order.
func TestWalkBesideAppends(t *testing.T) {
	s, err := Open(memConfig(vfs.NewMem()))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var wg sync.WaitGroup
	for w := range 2 {
		wg.Go(func() {
			for i := range 100 {
				put(t, s, s.Queue(fmt.Sprint("W", w), 0), fmt.Sprint(i))
			}
		})
	}
	for range 20 {
		end, next := s.MaxPhysical(), int64(0)
		if err := s.Walk(0, func(r *message.Record) error {
			if r.PhysicalOffset < next {
				t.Errorf("record at %d after one that ends at %d", r.PhysicalOffset, next)
			}
			next = r.PhysicalOffset + int64(r.Size)
			return nil
		}); err != nil {
			t.Error(err)
		}
		if next < end {
			t.Errorf("the walk ended at %d, the log had %d", next, end)
		}
	}
	wg.Wait()
}

func TestWalkDamaged(t *testing.T) {
	m := vfs.NewMem()
	s, err := Open(memConfig(m))
	if err != nil {
		t.Fatal(err)
	}
	at := put(t, s, s.Queue("T", 0), numbered("r", 20)...)
	if _, _, err := s.log.Sync(); err != nil {
		t.Fatal(err)
	}
	f, err := m.OpenFile("/data/store/commitlog/00000000000000000000", 2)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(make([]byte, 60), at[7].PhysicalOffset+20); err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	want := slices.Delete(numbered("r", 20), 7, 8)
	if got := walked(t, s, 0); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Walk(0, func(*message.Record) error { return nil }); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}
