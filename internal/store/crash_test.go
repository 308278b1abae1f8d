// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// ending is how a run ends.
type ending struct {
	name string
	stop func(m *vfs.Mem, rng *rand.Rand) *vfs.Mem
	kill bool // the process dies, the machine does not
}

var endings = []ending{
	{"kill", func(m *vfs.Mem, _ *rand.Rand) *vfs.Mem { return m.Kill() }, true},
	{"power", func(m *vfs.Mem, _ *rand.Rand) *vfs.Mem { return m.Crash(vfs.CrashOptions{}) }, false},
	{"torn", func(m *vfs.Mem, rng *rand.Rand) *vfs.Mem {
		return m.Crash(vfs.CrashOptions{Data: vfs.KeepSome, Names: vfs.KeepSome, Rand: rng})
	}, false},
}

// crashRun is what a run knows about itself, from outside of the store.
type crashRun struct {
	mu      sync.Mutex
	sent    map[string]bool     // handed to Append
	safe    map[string]Appended // must be there afterwards
	arrived []string            // handed to consumers (SyncFlush: must be there)
	m       *vfs.Mem
	ops     int
	stopAt  int // operation at which the run ends; 0 never
	left    *vfs.Mem
}

func (r *crashRun) fault(e ending, rng *rand.Rand) func(vfs.Op, string) error {
	return func(op vfs.Op, _ string) error {
		if !op.Changes() {
			return nil
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.ops++
		if r.ops == r.stopAt {
			r.left = e.stop(r.m, rng)
		}
		return nil
	}
}

// crashConfig has queue files of more than one sector, so that entries tear.
func crashConfig(m *vfs.Mem) Config {
	cfg := memConfig(m)
	cfg.ConsumeQueueFileSize = 1000
	return cfg
}

func (r *crashRun) config() Config {
	cfg := crashConfig(r.m)
	cfg.OnArrive = func(_ *Queue, _, _, _ int64, props []byte) {
		uniq, _ := message.Property(props, message.PropertyUniqueKey)
		r.mu.Lock()
		r.arrived = append(r.arrived, string(uniq))
		r.mu.Unlock()
	}
	return cfg
}

// work appends, flushes and reopens at random until it is done or the run ends.
func (r *crashRun) work(t *testing.T, rng *rand.Rand, e ending, sync bool) {
	cfg := r.config()
	cfg.SyncFlush = sync
	if !sync { // else each queue file is synced
		cfg.SyncAllFrom = 1
	}
	s, err := Open(cfg)
	if err != nil {
		return // ended during Open
	}
	defer func() { _ = s.Close() }()
	var b Batch
	for step := range 30 {
		b.Reset()
		b.Atomic = rng.IntN(4) == 0
		var list []string
		for i := range 1 + rng.IntN(5) {
			name := fmt.Sprintf("m%d.%d", step, i)
			q := s.Queue(fmt.Sprintf("T%d", rng.IntN(2)), int32(rng.IntN(2)))
			if err := b.Add(q, rec(name, 50+rng.IntN(600))); err != nil {
				t.Error(err)
			}
			list = append(list, name)
		}
		r.mu.Lock()
		for _, name := range list {
			r.sent[name] = true
		}
		r.mu.Unlock()
		err := s.Append(&b)
		at := make(map[string]Appended)
		for i := range b.Written() {
			at[list[i]] = b.Result(i)
		}
		keep := func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.left != nil {
				return // after the end: no promise
			}
			for name, a := range at {
				r.safe[name] = a
			}
		}
		if err == nil && e.kill {
			keep()
		}
		if err == nil && !e.kill {
			s.WhenFlushed(s.MaxPhysical(), func(err error) {
				if err == nil {
					keep()
				}
			})
		}
		switch rng.IntN(8) {
		case 0:
			_ = s.Flush(s.MaxPhysical())
		case 1:
			if s.WaitDispatched(s.MaxPhysical()) == nil {
				_ = s.flushViews()
			}
		case 2:
			if rng.IntN(3) == 0 {
				_ = s.Close()
				next, err := Open(cfg)
				if err != nil {
					return
				}
				s = next
			}
		}
		if s.ReadOnly() != nil {
			return
		}
	}
	_ = s.Close()
}

// seeds is how many runs are cut at every operation.
const seeds = uint64(1)

func TestCrashEverywhere(t *testing.T) {
	for _, e := range endings {
		for _, sync := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/sync=%v", e.name, sync), func(t *testing.T) {
				t.Parallel()
				for seed := range seeds {
					crashEverywhere(t, e, sync, seed)
				}
			})
		}
	}
}

func crashEverywhere(t *testing.T, e ending, sync bool, seed uint64) {
	for stopAt := 1 + int(seed)%stride; ; stopAt += stride {
		r := &crashRun{sent: make(map[string]bool), safe: make(map[string]Appended), m: vfs.NewMem(), stopAt: stopAt}
		r.m.Fail(r.fault(e, rand.New(rand.NewPCG(seed, uint64(stopAt)))))
		r.work(t, rand.New(rand.NewPCG(seed, 99)), e, sync)
		if r.left == nil {
			if stopAt < 100 {
				t.Fatalf("only %d operations", r.ops)
			}
			return // the run was over before
		}
		where := fmt.Sprintf("seed %d, operation %d", seed, stopAt)
		for rng := rand.New(rand.NewPCG(seed, uint64(stopAt)+1e6)); rng.IntN(2) == 0; {
			if !r.stopAgain(e, sync, rng) {
				break
			}
			where += ", again during recovery"
		}
		r.check(t, where, sync)
		if t.Failed() {
			return
		}
	}
}

// stopAgain ends the recovery of what is left at some operation; false when it
// had fewer.
func (r *crashRun) stopAgain(e ending, sync bool, rng *rand.Rand) bool {
	again := &crashRun{m: r.left, stopAt: 1 + rng.IntN(60)}
	r.left.Fail(again.fault(e, rng))
	cfg := crashConfig(r.left)
	cfg.SyncFlush = sync
	s, err := Open(cfg)
	if err == nil {
		_ = s.Close()
	}
	r.left.Fail(nil)
	if again.left == nil {
		return false
	}
	r.left = again.left
	return true
}

// TestCrashDuringDelete: a deleted topic is wholly there or gone for good, and
// its successor never has its records.
func TestCrashDuringDelete(t *testing.T) {
	for _, e := range endings {
		for stopAt := 1; ; stopAt++ {
			m := vfs.NewMem()
			s, err := Open(memConfig(m))
			if err != nil {
				t.Fatal(err)
			}
			put(t, s, s.Queue("T", 0), numbered("old", 40)...)
			put(t, s, s.Queue("U", 0), numbered("u", 5)...)
			dispatched(t, s)
			if err := s.Flush(s.MaxPhysical()); err != nil {
				t.Fatal(err)
			}
			if err := s.flushViews(); err != nil {
				t.Fatal(err)
			}
			r := &crashRun{m: m, stopAt: stopAt}
			m.Fail(r.fault(e, rand.New(rand.NewPCG(uint64(stopAt), 3))))
			deleted := s.DeleteTopic("T") == nil && r.left == nil
			flushed := false
			if deleted {
				var b Batch
				for _, name := range numbered("new", 3) {
					if err := b.Add(s.Queue("T", 0), rec(name, 100)); err != nil {
						t.Fatal(err)
					}
				}
				if s.Append(&b) == nil && s.WaitDispatched(s.MaxPhysical()) == nil && s.Flush(s.MaxPhysical()) == nil && s.flushViews() == nil {
					flushed = r.left == nil
				}
			}
			_ = s.Close()
			if r.left == nil {
				break
			}
			for _, when := range []string{"first", "second"} {
				if s, err = Open(memConfig(r.left)); err != nil {
					t.Fatal(err)
				}
				got := names(t, s, s.Queue("T", 0), 0)
				isNew := len(got) <= 3 && slices.Equal(got, numbered("new", len(got)))
				isOld := slices.Equal(got, numbered("old", 40))
				if deleted && !isNew || flushed && len(got) != 3 || !isNew && !isOld {
					t.Fatalf("%s, operation %d, %s open: deleted %v, flushed %v, topic has %v", e.name, stopAt, when, deleted, flushed, got)
				}
				if got := names(t, s, s.Queue("U", 0), 0); !slices.Equal(got, numbered("u", 5)) {
					t.Fatalf("%s, operation %d: the other topic has %v", e.name, stopAt, got)
				}
				r.left = r.left.Kill()
				_ = s.Close()
			}
		}
	}
}

// check opens what is left and compares.
func (r *crashRun) check(t *testing.T, where string, sync bool) {
	cfg := crashConfig(r.left)
	cfg.SyncFlush = sync
	s, err := Open(cfg)
	if err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	found := checkStore(t, s, where, r.sent)
	for name, a := range r.safe {
		if found[name] != a {
			t.Errorf("%s: %s is at %+v, it was acknowledged at %+v; recovery %+v", where, name, found[name], a, s.Stats().Recovery)
		}
	}
	if sync {
		for _, name := range r.arrived {
			if _, ok := found[name]; !ok {
				t.Errorf("%s: %s was handed to consumers and is gone", where, name)
			}
		}
	}
	// It goes on, and ends well.
	for id := range int32(2) {
		put(t, s, s.Queue("T0", id), fmt.Sprintf("after%d", id))
	}
	if err := s.Close(); err != nil {
		t.Fatalf("%s: close after recovery: %v", where, err)
	}
	if s, err = Open(cfg); err != nil {
		t.Fatalf("%s: second open: %v", where, err)
	}
	r.sent["after0"], r.sent["after1"] = true, true
	again := checkStore(t, s, where+", second open", r.sent)
	if len(again) != len(found)+2 {
		t.Errorf("%s: %d records after the second open, %d before and 2 new", where, len(again), len(found))
	}
	if err := s.Close(); err != nil {
		t.Fatalf("%s: second close: %v", where, err)
	}
}

// checkStore tests that log, queues and index agree and hold nothing that was
// not sent, and returns what they hold.
func checkStore(t *testing.T, s *Store, where string, sent map[string]bool) map[string]Appended {
	t.Helper()
	found := make(map[string]Appended)
	if err := s.log.Walk(s.MinPhysical(), func(r *message.Record) error {
		uniq, _ := r.Property(message.PropertyUniqueKey)
		name := string(uniq)
		if _, twice := found[name]; twice || !sent[name] {
			t.Errorf("%s: %q is in the log twice, or was never sent", where, name)
		}
		found[name] = Appended{r.PhysicalOffset, r.QueueOffset, r.StoreTimestamp, r.Size}
		q := s.LookupQueue(string(r.Topic), r.QueueID)
		if q == nil {
			t.Errorf("%s: no queue for %q", where, name)
			return nil
		}
		entries, err := s.Entries(nil, q, r.QueueOffset, 1)
		if err != nil || len(entries) != 1 || entries[0] != (Entry{r.PhysicalOffset, r.Size, 0}) {
			t.Errorf("%s: %q stands at %d in the log, its queue entry %d of %d to %d says %+v (%v)", where, name, r.PhysicalOffset, r.QueueOffset, q.Min(), q.Max(), entries, err)
		}
		res, err := s.Query(q.Topic(), name, 32, 0, math.MaxInt64)
		has := false
		for _, offset := range res.Offsets {
			has = has || offset == r.PhysicalOffset
		}
		if err != nil || !has {
			t.Errorf("%s: query for %q: %v, %v, want %d", where, name, res.Offsets, err, r.PhysicalOffset)
		}
		res.Release()
		return nil
	}); err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	queued := 0
	s.RangeQueues(func(q *Queue) bool {
		last := int64(-1)
		for next := q.Min(); next < q.Max(); {
			r, err := s.Get(q, next, 32, 1<<20, Filter{})
			if err != nil || r.NextOffset <= next {
				t.Fatalf("%s: get %s-%d at %d: %+v %v", where, q.topic, q.id, next, r, err)
			}
			for _, b := range r.Records {
				name, rec := nameOf(t, b)
				if found[name].PhysicalOffset != rec.PhysicalOffset || rec.PhysicalOffset <= last || string(rec.Topic) != q.topic || rec.QueueID != q.id {
					t.Errorf("%s: %s-%d holds %q out of place", where, q.topic, q.id, name)
				}
				last = rec.PhysicalOffset
				queued++
			}
			next = r.NextOffset
			r.Release()
		}
		return true
	})
	if queued != len(found) {
		t.Errorf("%s: %d records in the log, %d in the queues", where, len(found), queued)
	}
	return found
}
