// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
)

// TestSyncFlushHidesUnflushed: consumers see nothing that a power cut takes.
func TestSyncFlushHidesUnflushed(t *testing.T) {
	m := vfs.NewMem()
	cfg := memConfig(m)
	cfg.SyncFlush = true
	s := open(t, cfg)
	q := s.Queue("T", 0)
	put(t, s, q, "a")
	dispatched(t, s)
	reached, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	m.Fail(func(op vfs.Op, name string) error {
		if op == vfs.OpSync && strings.Contains(name, "/commitlog/") {
			once.Do(func() { close(reached) })
			<-release
		}
		return nil
	})
	at := put(t, s, q, "b")[0]
	<-reached
	s.dispatch.signal()
	if q.Max() != 1 || s.Dispatched() > at.PhysicalOffset {
		t.Fatalf("the queue ends at %d before the flush", q.Max())
	}
	close(release)
	dispatched(t, s)
	if q.Max() != 2 || s.Flushed() != s.MaxPhysical() {
		t.Fatalf("the queue ends at %d after the flush", q.Max())
	}
}

// TestGroupCommit: those who come while a sync runs share the next one.
func TestGroupCommit(t *testing.T) {
	m := vfs.NewMem()
	cfg := memConfig(m)
	cfg.SyncFlush, cfg.CommitLogFileSize = true, 1<<20
	s := open(t, cfg)
	q := s.Queue("T", 0)
	put(t, s, q, "a")
	if err := s.Flush(s.MaxPhysical()); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	syncs := 0
	entered, release := make(chan struct{}, 100), make(chan struct{})
	m.Fail(func(op vfs.Op, name string) error {
		if op == vfs.OpSync && strings.Contains(name, "/commitlog/") {
			mu.Lock()
			syncs++
			mu.Unlock()
			entered <- struct{}{}
			<-release
		}
		return nil
	})
	put(t, s, q, "b")
	<-entered // a sync is under way
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Add(1)
		put(t, s, q, fmt.Sprintf("c%d", i))
		s.WhenFlushed(s.MaxPhysical(), func(err error) {
			if err != nil {
				t.Error(err)
			}
			wg.Done()
		})
	}
	close(release)
	wg.Wait()
	mu.Lock()
	defer mu.Unlock()
	if syncs > 3 {
		t.Fatalf("%d syncs for 50 waiters", syncs)
	}
	if s.Flushed() != s.MaxPhysical() {
		t.Fatalf("flushed %d of %d", s.Flushed(), s.MaxPhysical())
	}
}

func TestConcurrentUse(t *testing.T) {
	for _, sync_ := range []bool{false, true} {
		cfg := memConfig(vfs.NewMem())
		cfg.SyncFlush = sync_
		cfg.MaxBacklog = 2000
		cfg.MaxOpenLogs = 4
		s := open(t, cfg)
		const writers, each = 6, 60
		var wg, readers sync.WaitGroup
		stop := make(chan struct{})
		for w := range writers {
			wg.Go(func() {
				var b Batch
				for i := range each {
					b.Reset()
					for k := range 3 {
						if err := b.Add(s.Queue("T", int32(k)), rec(fmt.Sprintf("w%d.%d.%d", w, i, k), 100)); err != nil {
							t.Error(err)
						}
					}
					if err := s.Append(&b); err != nil {
						t.Error(err)
						return
					}
					if i%7 == 0 {
						if err := s.Flush(s.MaxPhysical()); err != nil {
							t.Error(err)
						}
					}
				}
			})
		}
		for k := range 3 {
			readers.Go(func() {
				q := s.Queue("T", int32(k))
				for next := int64(0); ; {
					select {
					case <-stop:
						return
					default:
					}
					r, err := s.Get(q, next, 8, 1<<20, Filter{})
					if err != nil {
						t.Error(err)
						return
					}
					for i, b := range r.Records {
						if _, rec := nameOf(t, b); rec.QueueOffset != next+int64(i) {
							t.Errorf("offset %d at %d", rec.QueueOffset, next+int64(i))
						}
					}
					next = r.NextOffset
					r.Release()
					if _, err := s.OffsetByTime(q, 1_700_000_005_000, Lower); err != nil {
						t.Error(err)
					}
					_ = s.Stats()
				}
			})
		}
		wg.Wait()
		dispatched(t, s)
		close(stop)
		readers.Wait()
		for k := range 3 {
			if got := s.Queue("T", int32(k)).Max(); got != writers*each {
				t.Fatalf("queue %d ends at %d", k, got)
			}
		}
		closeStore(t, s)
	}
}
