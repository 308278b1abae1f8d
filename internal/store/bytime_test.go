// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"github.com/twostage/twostage/internal/vfs"
)

// lookFor is what OffsetByTime promises, by looking at every entry. times[i] is
// the time of entry i, -1 for one without; of [low, high).
func lookFor(times []int64, low, high, ts int64, b Boundary) int64 {
	var known []int64
	for i := low; i < high; i++ {
		if times[i] >= 0 {
			known = append(known, i)
		}
	}
	switch b {
	case Lower:
		for _, i := range known {
			if times[i] >= ts {
				return i
			}
		}
		return high
	case Upper:
		for _, i := range slices.Backward(known) {
			if times[i] <= ts {
				return i
			}
		}
		return low
	}
	if len(known) == 0 {
		return low
	}
	if last := known[len(known)-1]; ts > times[last] {
		return last
	}
	best := known[0]
	for _, i := range known {
		if distance(times[i], ts) < distance(times[best], ts) {
			best = i
		}
	}
	return best
}

func distance(a, b int64) uint64 { return uint64(max(a, b)) - uint64(min(a, b)) }

// checkTimes asks for all times around those that there are.
func checkTimes(t rapid.TB, where string, s *Store, q *Queue, times []int64) {
	t.Helper()
	asked := []int64{math.MinInt64, -1, 0, math.MaxInt64 - 1, math.MaxInt64}
	for _, ts := range times {
		for d := int64(-2); d <= 2; d++ {
			asked = append(asked, max(ts, 1000)+d)
		}
	}
	slices.Sort(asked)
	for _, ts := range slices.Compact(asked) {
		for _, b := range []Boundary{Nearest, Lower, Upper} {
			got, err := s.OffsetByTime(q, ts, b)
			if want := lookFor(times, q.Min(), q.Max(), ts, b); got != want || err != nil {
				t.Fatalf("%s: offset at %d, boundary %d: %d, %v, want %d of [%d, %d), times %v", where, ts, b, got, err, want, q.Min(), q.Max(), times)
			}
		}
	}
}

// TestOffsetByTimeModel: equal times, gaps, lost records, several queue and log
// files, a front that has gone, an end that was cut.
func TestOffsetByTimeModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fs := vfs.NewMem()
		cfg := memConfig(fs)
		cfg.CommitLogFileSize = 4096
		var now atomic.Int64
		now.Store(1_700_000_000_000)
		cfg.NowMillis = now.Load
		s, err := Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		q, other := s.Queue("T", 0), s.Queue("Other", 0)
		var times []int64
		var at []Appended
		first := rapid.SampledFrom([]int64{0, 0, 7, 10, 25}).Draw(t, "first") // of a queue whose past is gone
		for range first {
			times, at = append(times, -1), append(at, Appended{PhysicalOffset: -1})
		}
		s.mu.lock(0)
		q.next = first
		s.mu.unlock()
		for range rapid.IntRange(0, 60).Draw(t, "records") {
			now.Add(rapid.SampledFrom([]int64{0, 0, 1, 2, 5}).Draw(t, "pause"))
			for _, q := range []*Queue{q, other}[:rapid.IntRange(1, 2).Draw(t, "queues")] {
				var b Batch
				if err := b.Add(q, rec(fmt.Sprint(len(times)), 100)); err != nil {
					t.Fatal(err)
				}
				if err := s.Append(&b); err != nil {
					t.Fatal(err)
				}
				if a := b.Result(0); q != other {
					times, at = append(times, a.StoreTimestamp), append(at, a)
				}
			}
			if rapid.IntRange(0, 9).Draw(t, "gap") == 0 { // records that were never written
				gap := rapid.Int64Range(1, 15).Draw(t, "lost")
				s.mu.lock(0)
				q.next += gap
				s.mu.unlock()
				for range gap {
					times, at = append(times, -1), append(at, Appended{PhysicalOffset: -1})
				}
			}
		}
		if err := s.WaitDispatched(s.MaxPhysical()); err != nil {
			t.Fatal(err)
		}
		times, at = times[:q.Max()], at[:q.Max()] // a gap at the end has no entries
		lose := func(i int64) { times[i] = -1 }
		for i := range times {
			if times[i] >= 0 && rapid.IntRange(0, 7).Draw(t, "damage") == 0 {
				field := rapid.SampledFrom([]int64{4, 28, 56}).Draw(t, "field") // magic, position, store timestamp
				bruise(t, cfg, at[i].PhysicalOffset+field, []byte{0x7F})
				lose(int64(i))
			}
		}
		checkTimes(t, "as written", s, q, times)
		if n := len(times); n > 0 && rapid.Bool().Draw(t, "end cut") {
			cut := rapid.Int64Range(q.Min(), int64(n)).Draw(t, "end")
			if cut < int64(n) && at[cut].PhysicalOffset >= 0 {
				if err := q.cq.TruncatePhysical(at[cut].PhysicalOffset); err != nil {
					t.Fatal(err)
				}
			}
			checkTimes(t, "end cut", s, q, times)
		}
		if q.Max() > q.Min() && rapid.Bool().Draw(t, "front gone") {
			cut := rapid.Int64Range(q.Min(), q.Max()-1).Draw(t, "front")
			if at[cut].PhysicalOffset >= 0 {
				if err := q.cq.SetMin(at[cut].PhysicalOffset + 1); err != nil {
					t.Fatal(err)
				}
				if q.Min() <= cut {
					t.Fatalf("begins at %d, cut at %d", q.Min(), cut)
				}
			}
			checkTimes(t, "front gone", s, q, times)
		}
	})
}

// TestOffsetByTimeErrors: no guess where the queue can't be read, and no stop
// where a record can't.
func TestOffsetByTimeErrors(t *testing.T) {
	m := vfs.NewMem()
	cfg := memConfig(m)
	s := open(t, cfg)
	q := s.Queue("T", 0)
	at := put(t, s, q, numbered("n", 100)...)
	dispatched(t, s)
	if err := s.flushViews(); err != nil {
		t.Fatal(err)
	}
	fail := func(broken string) {
		m.Fail(func(op vfs.Op, name string) error {
			if op == vfs.OpRead && name == broken {
				return syscall.EIO
			}
			return nil
		})
	}
	fail("/data/store/consumequeue/T/0/00000000000000001000") // entries 50 to 59
	if _, err := s.OffsetByTime(q, at[0].StoreTimestamp, Lower); !errors.Is(err, syscall.EIO) {
		t.Errorf("a queue file that can't be read: %v", err)
	}
	fail("/data/store/commitlog/00000000000000000000")
	want := int64(slices.IndexFunc(at, func(a Appended) bool { return a.PhysicalOffset >= 8192 }))
	for range 2 {
		if got, err := s.OffsetByTime(q, 0, Lower); got != want || err != nil {
			t.Errorf("a log file that can't be read: %d, %v, want %d", got, err, want)
		}
	}
	closeStore(t, s)
	if _, err := s.OffsetByTime(q, 0, Lower); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}
