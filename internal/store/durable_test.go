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
)

// What is to be durable before it is seen holds up what is behind it in the log,
// and nothing that is before it.
func TestDurableBatchIsSeenWhenItIsOnDisk(t *testing.T) {
	var mu sync.Mutex
	var arrived []string
	cfg := memConfig(vfs.NewMem())
	cfg.OnArrive = func(q *Queue, offset, _, _ int64, _ []byte) {
		mu.Lock()
		defer mu.Unlock()
		arrived = append(arrived, fmt.Sprintf("%s-%d", q.Topic(), offset))
	}
	s := open(t, cfg)
	q, other := s.Queue("T", 0), s.Queue("U", 0)
	put(t, s, q, "a")
	b := Batch{Durable: true}
	if err := b.Add(q, rec("b", 100)); err != nil {
		t.Fatal(err)
	}
	if err := s.Append(&b); err != nil {
		t.Fatal(err)
	}
	put(t, s, q, "c")
	last := put(t, s, other, "d")[0]
	if q.Max() != 1 || other.Max() != 0 {
		t.Fatalf("before a sync the queues end at %d and %d, want 1 and 0", q.Max(), other.Max())
	}
	at := b.Result(0)
	seen := make(chan int64, 1)
	s.WhenFlushed(at.PhysicalOffset+int64(at.Size), func(err error) {
		if err != nil {
			t.Error(err)
		}
		seen <- q.Max()
	})
	if n := <-seen; n != 3 {
		t.Errorf("when it is on disk the queue ends at %d, want 3", n)
	}
	if err := s.WaitDispatched(last.PhysicalOffset); err != nil {
		t.Fatal(err)
	}
	put(t, s, q, "e") // what follows waits for nothing
	dispatched(t, s)
	mu.Lock()
	defer mu.Unlock()
	if want := []string{"T-0", "T-1", "T-2", "U-0", "T-3"}; !slices.Equal(arrived, want) {
		t.Errorf("arrived %q, want %q", arrived, want)
	}
}

// A sync that fails shows nothing of it.
func TestDurableBatchAndAFailedSync(t *testing.T) {
	m := vfs.NewMem()
	s, err := Open(memConfig(m))
	if err != nil {
		t.Fatal(err)
	}
	q := s.Queue("T", 0)
	b := Batch{Durable: true}
	if err := b.Add(q, rec("b", 100)); err != nil {
		t.Fatal(err)
	}
	if err := s.Append(&b); err != nil {
		t.Fatal(err)
	}
	m.Fail(func(op vfs.Op, _ string) error {
		if op == vfs.OpSync {
			return errors.New("test: no sync")
		}
		return nil
	})
	failed := make(chan error, 1)
	s.WhenFlushed(s.MaxPhysical(), func(err error) { failed <- err })
	if err := <-failed; !errors.Is(err, ErrReadOnly) {
		t.Errorf("WhenFlushed: %v", err)
	}
	if q.Max() != 0 {
		t.Errorf("the queue ends at %d", q.Max())
	}
	m.Fail(nil)
	if err := s.Close(); err == nil {
		t.Error("Close has nothing to say")
	}
}

// Closing makes everything durable and visible.
func TestDurableBatchAtClose(t *testing.T) {
	cfg := memConfig(vfs.NewMem())
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	b := Batch{Durable: true}
	for i := range 3 * inlineEntries {
		if err := b.Add(s.Queue("T", 0), rec(fmt.Sprint("m", i), 10)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Append(&b); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, cfg)
	if n := s.Queue("T", 0).Max(); n != 3*inlineEntries {
		t.Errorf("the queue ends at %d, want %d", n, 3*inlineEntries)
	}
}
