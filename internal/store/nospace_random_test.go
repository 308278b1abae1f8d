// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
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

// spaceRun appends to a store whose disk is full now and then, for some
// operations or for all, and knows what must be there.
type spaceRun struct {
	t       *testing.T
	rng     *rand.Rand
	m       *vfs.Mem
	cfg     Config
	s       *Store
	seen    *arrivals
	stored  map[string][]string // by topic; all in queue 0
	n       int
	refused int
	stuck   int
}

// shortOf makes operations that need space fail: each with some probability, some
// writes after a part. Operations that need none, such as opening what is there,
// work.
func (r *spaceRun) shortOf(seed uint64, part string, every int) {
	var mu sync.Mutex
	rng := rand.New(rand.NewPCG(seed, 7))
	m := r.m
	m.Fail(func(op vfs.Op, name string) error {
		switch op {
		case vfs.OpOpen:
			if _, _, err := m.Stat(name); err == nil {
				return nil
			}
		case vfs.OpWrite, vfs.OpTruncate, vfs.OpMkdirAll, vfs.OpPreallocate:
		default:
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		if !strings.Contains(name, part) || rng.IntN(every) > 0 || strings.Contains(name, "/commitlog/") && op == vfs.OpWrite {
			return nil
		}
		if op == vfs.OpWrite && rng.IntN(2) == 0 {
			return &vfs.ShortWrite{N: rng.IntN(200), Err: syscall.ENOSPC}
		}
		return syscall.ENOSPC
	})
}

func (r *spaceRun) open() error {
	cfg := r.cfg
	seen := new(arrivals)
	cfg.FS, cfg.OnArrive = r.m, seen.arrive
	s, err := Open(cfg)
	if err != nil {
		return err
	}
	seen.mu.Lock()
	seen.next = make(map[*Queue]int64)
	s.RangeQueues(func(q *Queue) bool { seen.next[q] = q.Max(); return true })
	seen.mu.Unlock()
	r.s, r.seen = s, seen
	return nil
}

// again opens what a store has left, first as the disk is now.
func (r *spaceRun) again() {
	if err := r.open(); err != nil {
		if !errors.Is(err, syscall.ENOSPC) {
			r.t.Fatalf("open: %v", err)
		}
		r.m.Fail(nil)
		if err := r.open(); err != nil {
			r.t.Fatalf("open with space: %v", err)
		}
		r.all()
	}
}

func (r *spaceRun) step() {
	switch k := r.rng.IntN(20); {
	case k < 11:
		r.put()
	case k < 13:
		parts := []string{"", "/consumequeue/", "/index/", "/checkpoint", "/commitlog/"}
		r.shortOf(r.rng.Uint64(), parts[r.rng.IntN(len(parts))], 1+r.rng.IntN(3))
	case k < 14:
		r.m.Fail(nil)
	case k < 16:
		time.Sleep(time.Duration(r.rng.IntN(3000)) * time.Millisecond)
	case k < 18:
		if err := r.s.flushViews(); err != nil && !errors.Is(err, ErrNoSpace) {
			r.t.Fatal(err)
		}
	case k < 19:
		r.m.Fail(nil)
		r.all()
	default:
		r.end()
		r.again()
	}
	if r.s.NoSpace() != nil {
		r.stuck++
	}
	if err := r.s.ReadOnly(); err != nil {
		r.t.Fatal(err)
	}
}

func (r *spaceRun) put() {
	b := Batch{Durable: r.rng.IntN(3) == 0, Vital: r.rng.IntN(4) == 0}
	var list, topics []string
	for range 1 + r.rng.IntN(1500) {
		topic := fmt.Sprintf("T%d", r.rng.IntN(2))
		name := fmt.Sprintf("m%d", r.n)
		r.n++
		if err := b.Add(r.s.Queue(topic, 0), rec(name, 10)); err != nil {
			r.t.Fatal(err)
		}
		list, topics = append(list, name), append(topics, topic)
	}
	err := r.s.Append(&b)
	if err != nil && !errors.Is(err, syscall.ENOSPC) {
		r.t.Fatal(err)
	}
	if err != nil {
		r.refused++
	}
	for i := range b.Written() {
		r.stored[topics[i]] = append(r.stored[topics[i]], list[i])
	}
	if b.Durable {
		if err := r.s.Flush(r.s.MaxPhysical()); err != nil {
			r.t.Fatal(err)
		}
	}
	for topic, want := range r.stored {
		q := r.s.Queue(topic, 0)
		from := max(q.Max()-100, 0)
		if got := names(r.t, r.s, q, from); !slices.Equal(got, want[from:from+int64(len(got))]) {
			r.t.Fatalf("%s from %d on: %v", topic, from, got)
		}
	}
}

// all checks that everything is there. The disk has space since just now.
func (r *spaceRun) all() {
	time.Sleep(2 * spaceInterval)
	synctest.Wait()
	if err := r.s.noSpace(); err != nil {
		r.t.Fatalf("with space: %v", err)
	}
	if err := r.s.Flush(r.s.MaxPhysical()); err != nil {
		r.t.Fatal(err)
	}
	dispatched(r.t, r.s)
	for topic, want := range r.stored {
		if got := names(r.t, r.s, r.s.Queue(topic, 0), 0); !slices.Equal(got, want) {
			r.t.Fatalf("%s holds %d records, want %d", topic, len(got), len(want))
		}
		if n := len(want); n > 0 {
			for range 20 {
				name := want[r.rng.IntN(n)]
				res, err := r.s.Query(topic, name, 32, 0, 1<<60)
				if err != nil || !slices.ContainsFunc(res.Records, func(b []byte) bool { got, _ := nameOf(r.t, b); return got == name }) {
					r.t.Fatalf("Query %q: %d records, %v", name, len(res.Records), err)
				}
				res.Release()
			}
		}
		r.seen.check(r.t, r.s.Queue(topic, 0))
	}
}

// end ends the store: in order, by a kill, or with the machine.
func (r *spaceRun) end() {
	switch r.rng.IntN(3) {
	case 0:
		if err := r.s.Close(); err != nil && !errors.Is(err, syscall.ENOSPC) {
			r.t.Fatal(err)
		}
		return
	case 1:
		r.m = r.m.Kill()
	case 2:
		if err := r.s.Flush(r.s.MaxPhysical()); err != nil {
			r.t.Fatal(err)
		}
		r.m = r.m.Crash(vfs.CrashOptions{Data: vfs.KeepSome, Names: vfs.KeepSome, Rand: r.rng})
	}
	_ = r.s.Close()
}

// TestSpaceComesAndGoes: whatever fails for want of space, and whenever, nothing
// that was taken is lost, twice or out of order, and the store never needs more
// than space to go on.
func TestSpaceComesAndGoes(t *testing.T) {
	var refused, stuck atomic.Int64
	runs := spaceRuns
	t.Run("runs", func(t *testing.T) {
		for seed := range runs {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					r := &spaceRun{t: t, rng: rand.New(rand.NewPCG(seed, 1)), m: vfs.NewMem(), stored: make(map[string][]string)}
					cfg := spaceConfig(nil)
					cfg.CommitLogFileSize, cfg.IndexEntries, cfg.MaxBacklog = 1<<20, 700, 100_000
					cfg.ConsumeQueueFileSize = 20_000
					cfg.SyncFlush = r.rng.IntN(2) == 0
					cfg.ViewFlushInterval = 5 * time.Second
					r.cfg = cfg
					if err := r.open(); err != nil {
						t.Fatal(err)
					}
					defer func() { _ = r.s.Close() }()
					for range 40 {
						r.step()
					}
					r.m.Fail(nil)
					r.all()
					closeStore(t, r.s)
					r.again()
					r.all()
					refused.Add(int64(r.refused))
					stuck.Add(int64(r.stuck))
				})
			})
		}
	})
	if refused.Load() < int64(runs) || stuck.Load() < int64(runs) {
		t.Errorf("%d appends were refused, %d times there was no space: too few to tell", refused.Load(), stuck.Load())
	}
}

const spaceRuns = uint64(12)
