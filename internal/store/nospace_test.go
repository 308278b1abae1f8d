// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/vfs"
)

// fill takes all space that is left.
func fill(t testing.TB, m *vfs.Mem) {
	t.Helper()
	u, err := m.Usage("/")
	if err != nil {
		t.Fatal(err)
	}
	m.SetCapacity(u.Used)
}

// spaceConfig has a log and views that need no more blocks for long.
func spaceConfig(m vfs.FS) Config {
	cfg := memConfig(m)
	cfg.CommitLogFileSize, cfg.ConsumeQueueFileSize = 4<<20, 200_000
	cfg.IndexSlots, cfg.IndexEntries = 1000, 20_000
	return cfg
}

// putUntilFull appends batches of fifty until one is refused, and returns the
// names that were stored.
func putUntilFull(t testing.TB, s *Store, q *Queue, prefix string) (stored []string) {
	t.Helper()
	var b Batch
	for i := 0; ; i++ {
		b.Reset()
		list := numbered(fmt.Sprintf("%s%d.", prefix, i), 50)
		for _, name := range list {
			if err := b.Add(q, rec(name, 20)); err != nil {
				t.Fatal(err)
			}
		}
		err := s.Append(&b)
		stored = append(stored, list[:b.Written()]...)
		if err != nil {
			wantNoSpace(t, err)
			if b.Written() != 0 || len(stored) == 0 {
				t.Fatalf("%d of the batch are stored, %d before", b.Written(), len(stored))
			}
			return stored
		}
		synctest.Wait() // the index stage has seen it
		if i > 1000 {
			t.Fatal("never refused")
		}
	}
}

func wantNoSpace(t testing.TB, err error) {
	t.Helper()
	if !errors.Is(err, ErrNoSpace) || !errors.Is(err, syscall.ENOSPC) || errors.Is(err, ErrReadOnly) {
		t.Fatalf("got %v, want no space", err)
	}
}

// arrivals checks that OnArrive tells of each entry once and in order.
type arrivals struct {
	mu   sync.Mutex
	next map[*Queue]int64
	bad  []string
}

func (a *arrivals) arrive(q *Queue, offset, _, _ int64, _ []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.next == nil {
		a.next = make(map[*Queue]int64)
	}
	if offset != a.next[q] {
		a.bad = append(a.bad, fmt.Sprintf("%s-%d: %d after %d", q.Topic(), q.ID(), offset, a.next[q]-1))
	}
	a.next[q] = offset + 1
}

func (a *arrivals) check(t testing.TB, q *Queue) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.bad) > 0 || a.next[q] != q.Max() {
		t.Fatalf("arrived up to %d of %d, out of order: %v", a.next[q], q.Max(), a.bad)
	}
}

// A disk that is full for one of the views: what was taken can be read or will be,
// nothing more is taken, and once there is space everything goes on by itself.
func TestViewsWithoutSpace(t *testing.T) {
	for name, c := range map[string]struct {
		set      func(*Config)
		attempts string // writes that are tried again
		behind   bool   // records wait for their views
	}{
		"queue":           {func(*Config) {}, "/consumequeue/", true},
		"queue, sync":     {func(c *Config) { c.SyncFlush = true }, "/consumequeue/", true},
		"queue, no room":  {func(c *Config) { c.MaxBacklog = 3000 }, "/consumequeue/", true},
		"index":           {func(c *Config) { c.IndexEntries = 700 }, "/index/", true},
		"index, no room":  {func(c *Config) { c.IndexEntries, c.MaxBacklog = 700, 3000 }, "/index/", true},
		"flush, all idle": {func(c *Config) { c.ViewFlushInterval = 10 * time.Second }, "/consumequeue/", false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := vfs.NewMem()
				cfg := spaceConfig(m)
				c.set(&cfg)
				var seen arrivals
				cfg.OnArrive = seen.arrive
				s := open(t, cfg)
				q := s.Queue("T", 0)
				stored := []string{"first"}
				put(t, s, q, stored...)
				fill(t, m)
				if c.behind {
					stored = append(stored, putUntilFull(t, s, q, "m")...)
				} else {
					time.Sleep(cfg.ViewFlushInterval)
					synctest.Wait()
				}
				var tries atomic.Int64
				m.Fail(func(op vfs.Op, name string) error {
					if op == vfs.OpWrite && strings.Contains(name, c.attempts) {
						tries.Add(1)
					}
					return nil
				})
				start := time.Now()
				stuckStore(t, s, q, c.behind)
				if !time.Now().Equal(start) {
					t.Error("a refusal takes time")
				}
				time.Sleep(20*time.Second + time.Millisecond)
				stuckStore(t, s, q, c.behind)
				if n := tries.Load(); n < 18 || n > 60 {
					t.Errorf("%d writes tried in 20 s", n)
				}
				if got := names(t, s, q, 0); !slices.Equal(got, stored[:len(got)]) {
					t.Fatalf("readable: %d records out of order", len(got))
				}

				m.SetCapacity(0)
				time.Sleep(spaceInterval + 10*time.Millisecond)
				synctest.Wait()
				if err := s.NoSpace(); err != nil {
					t.Fatalf("with space again: %v", err)
				}
				dispatched(t, s)
				if got := names(t, s, q, 0); !slices.Equal(got, stored) {
					t.Fatalf("%d of %d records in the queue", len(got), len(stored))
				}
				stored = append(stored, "last")
				put(t, s, q, "last")
				dispatched(t, s)
				seen.check(t, q)
				closeStore(t, s)
				s = open(t, cfg)
				if !s.Stats().Recovery.Clean {
					t.Error("not a clean stop")
				}
				wantAll(t, s, "T", stored)
			})
		})
	}
}

// stuckStore checks what a store without space answers, all at once.
func stuckStore(t *testing.T, s *Store, q *Queue, behind bool) {
	t.Helper()
	wantNoSpace(t, s.NoSpace())
	if err := s.ReadOnly(); err != nil {
		t.Fatal(err)
	}
	for _, durable := range []bool{false, true} {
		b := Batch{Durable: durable}
		if err := b.Add(s.Queue("other", 0), rec("refused", 20)); err != nil {
			t.Fatal(err)
		}
		end := s.MaxPhysical()
		wantNoSpace(t, s.Append(&b))
		if b.Written() != 0 || s.MaxPhysical() != end {
			t.Fatal("what was refused is stored")
		}
	}
	if err := s.Flush(s.MaxPhysical()); err != nil {
		t.Fatal(err)
	}
	if err := s.WaitDispatched(s.MaxPhysical()); behind {
		wantNoSpace(t, err)
	} else if err != nil {
		t.Fatal(err)
	}
	r, err := s.Query("T", "first", 10, 0, 1<<60)
	if err != nil || len(r.Records) != 1 {
		t.Fatalf("Query: %d records, %v", len(r.Records), err)
	}
	r.Release()
	if r, err := s.Get(q, 0, 32, 1<<20, Filter{}); err != nil || r.Status != Found {
		t.Fatalf("Get: %+v, %v", r, err)
	} else {
		r.Release()
	}
}

// wantAll checks that queue 0 of a topic and the index hold exactly the records
// with these names.
func wantAll(t testing.TB, s *Store, topic string, stored []string) {
	t.Helper()
	if got := names(t, s, s.Queue(topic, 0), 0); !slices.Equal(got, stored) {
		t.Fatalf("%s holds %d records, want %d", topic, len(got), len(stored))
	}
	for i, name := range stored {
		if i%17 != 0 && i < len(stored)-50 {
			continue
		}
		r, err := s.Query(topic, name, 32, 0, 1<<60)
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, b := range r.Records {
			if n, _ := nameOf(t, b); n == name {
				found++
			}
		}
		if r.Release(); found != 1 {
			t.Fatalf("Query finds %q %d times", name, found)
		}
	}
}
