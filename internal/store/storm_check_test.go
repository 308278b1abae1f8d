// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// TestStorm cuts storms all over their length, in every way, sometimes again
// during the recovery.
func TestStorm(t *testing.T) {
	for i, e := range stormEndings {
		for _, sync := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/sync=%v", e.name, sync), func(t *testing.T) {
				t.Parallel()
				for seed := uint64(i); ; seed += uint64(len(stormEndings)) {
					// The next run is cut a little later, until one ends by itself.
					stopAt := 1 + int(seed)*stormStride/len(stormEndings)
					if !stormOnce(t, e, sync, seed, stopAt) || t.Failed() {
						return
					}
				}
			})
		}
	}
}

// stormStride is how many operations lie between two cuts of one ending.
const stormStride = 3 * stride

// stormOnce tells whether the run was cut.
func stormOnce(t *testing.T, e ending, sync bool, seed uint64, stopAt int) bool {
	r := newStorm(stopAt, e.kill)
	rng := rand.New(rand.NewPCG(seed, uint64(stopAt)))
	r.m.Fail(r.fault(e, rng))
	r.run(t, seed, sync)
	if r.left == nil {
		if stopAt < 200 {
			t.Fatalf("only %d operations", r.ops)
		}
		return false
	}
	where := fmt.Sprintf("seed %d, operation %d", seed, stopAt)
	for rng.IntN(3) == 0 && r.cutAgain(e, sync, rng) {
		where += ", again during recovery"
	}
	r.check(t, where, e, sync)
	return true
}

// cutAgain ends the recovery of what is left; false when it was over before.
func (r *storm) cutAgain(e ending, sync bool, rng *rand.Rand) bool {
	again := &crashRun{m: r.left, stopAt: 1 + rng.IntN(80)}
	r.left.Fail(again.fault(e, rng))
	if s, err := Open(stormConfig(r.left, sync)); err == nil {
		_ = s.Close()
	}
	r.left.Fail(nil)
	if again.left == nil {
		return false
	}
	r.left = again.left
	return true
}

// check opens what is left and compares; what is there goes on and ends well.
func (r *storm) check(t *testing.T, where string, e ending, sync bool) {
	t.Helper()
	cfg := stormConfig(r.left, sync)
	s, err := Open(cfg)
	if err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	defer func() { _ = s.Close() }()
	found := r.compare(t, s, where)
	if rec := s.Stats().Recovery; (e.name == "kill" || e.name == "power") && len(rec.Damage) > 0 {
		t.Errorf("%s: damage %+v, though nothing was torn", where, rec.Damage)
	}
	if t.Failed() {
		return
	}
	for id := range int32(stormQueues) {
		name := fmt.Sprintf("after%d", id)
		r.told[name] = &told{queue: fmt.Sprintf("T-%d", id), keys: []string{name}, size: 100, begun: r.clock.Add(1)}
		m := r.told[name]
		m.at = put(t, s, s.Queue("T", id), name)[0]
		m.answered = r.clock.Add(1)
		b, release, err := s.Record(m.at.PhysicalOffset)
		if err != nil {
			t.Fatalf("%s: %v", where, err)
		}
		m.stored = string(b)
		release()
	}
	if err := s.Close(); err != nil {
		t.Fatalf("%s: close after recovery: %v", where, err)
	}
	if s, err = Open(cfg); err != nil {
		t.Fatalf("%s: second open: %v", where, err)
	}
	again := r.compare(t, s, where+", second open")
	if len(again) != len(found)+stormQueues {
		t.Errorf("%s: %d records after the second open, %d before and %d new", where, len(again), len(found), stormQueues)
	}
	if err := s.Close(); err != nil {
		t.Fatalf("%s: second close: %v", where, err)
	}
}

// compare holds that the store has what was promised and nothing that was not
// sent, that queues and index agree with the log, and gives what the log has.
func (r *storm) compare(t *testing.T, s *Store, where string) map[string]string {
	t.Helper()
	problem := func(format string, args ...any) {
		t.Helper()
		t.Errorf("%s: %s (recovery %+v)", where, fmt.Sprintf(format, args...), s.Stats().Recovery)
	}
	found := make(map[string]string) // the records of the log
	if err := s.log.Walk(s.MinPhysical(), func(rec *message.Record) error {
		uniq, _ := rec.Property(message.PropertyUniqueKey)
		name := string(uniq)
		b, release, err := s.Record(rec.PhysicalOffset)
		if err != nil {
			return err
		}
		defer release()
		m := r.told[name]
		switch {
		case m == nil:
			problem("the log holds %q, which nobody sent", name)
		case found[name] != "":
			problem("%q is in the log twice", name)
		case len(rec.Body) != m.size || fmt.Sprintf("%s-%d", rec.Topic, rec.QueueID) != m.queue:
			problem("%q has a body of %d bytes in %s-%d, it was sent with %d to %s", name, len(rec.Body), rec.Topic, rec.QueueID, m.size, m.queue)
		}
		nameOf(t, b)
		found[name] = string(b)
		return nil
	}); err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	for name, m := range r.told {
		if m.answered > 0 && found[name] != m.stored {
			problem("%s was promised at %+v, and the log has %d other bytes of it", name, m.at, len(found[name]))
		}
		if m.seen && (r.kill || m.durable || s.SyncFlush()) && found[name] == "" {
			problem("%s was handed to a consumer and is gone", name)
		}
	}
	queued := r.compareQueues(t, s, found, problem)
	for name := range found {
		if m := r.told[name]; m != nil && !queued[name] && m.queue[:1] != doomed {
			problem("%s is in the log and not in %s", name, m.queue)
		}
	}
	r.compareKeys(t, s, found, problem)
	return found
}

// compareQueues reads all queues and gives what they hold. Of the deleted topic
// one generation is there, whole, and none of those that are gone for good.
func (r *storm) compareQueues(t *testing.T, s *Store, found map[string]string, problem func(string, ...any)) map[string]bool {
	t.Helper()
	queued := make(map[string]bool)
	generations := make(map[int]bool)
	s.RangeQueues(func(q *Queue) bool {
		var names []string
		for next := q.Min(); next < q.Max(); {
			res, err := s.Get(q, next, 7, 1<<20, Filter{})
			if err != nil || res.NextOffset <= next {
				t.Fatalf("get %s-%d at %d: %+v %v", q.topic, q.id, next, res, err)
			}
			for _, b := range res.Records {
				name, rec := nameOf(t, b)
				m := r.told[name]
				if m == nil || found[name] != string(b) || m.queue != fmt.Sprintf("%s-%d", q.topic, q.id) {
					problem("%s-%d holds %q, which is not what the log has there", q.topic, q.id, name)
					continue
				}
				e, err := s.Entries(nil, q, rec.QueueOffset, 1)
				if err != nil || len(e) != 1 || e[0] != (Entry{rec.PhysicalOffset, rec.Size, 0}) {
					problem("%q says that it is entry %d of %s-%d; that is %+v (%v)", name, rec.QueueOffset, q.topic, q.id, e, err)
				}
				queued[name] = true
				generations[m.generation] = generations[m.generation] || q.topic == doomed
				names = append(names, name)
			}
			next = res.NextOffset
			res.Release()
		}
		r.compareOrder(q, names, problem)
		return true
	})
	of := slices.DeleteFunc(slices.Sorted(maps.Keys(generations)), func(g int) bool { return !generations[g] })
	if len(of) > 1 || len(of) == 1 && of[0] < r.deleted {
		problem("topic %s has records of generations %v, those below %d are deleted", doomed, of, r.deleted)
	}
	// Whatever generation is there, it is there as a whole; what was promised of
	// one that nobody has begun to delete is there in any case.
	for name, m := range r.told {
		if m.queue[:1] != doomed || found[name] == "" || queued[name] {
			continue
		}
		if len(of) == 1 && m.generation == of[0] {
			problem("%s of generation %d is in the log, others of it are in the queue", name, m.generation)
		}
		if m.answered > 0 && m.generation == r.last() {
			problem("%s was promised, generation %d was not deleted, and it is not in the queue", name, m.generation)
		}
	}
	return queued
}

// last is the generation of the deleted topic that was sent last and that no
// deletion can have touched: none was tried after it.
func (r *storm) last() int {
	if r.trying {
		return -1
	}
	last := -1
	for _, m := range r.told {
		if m.queue[:1] == doomed {
			last = max(last, m.generation)
		}
	}
	return last
}

// compareOrder: what was sent after another was promised stands behind it.
func (r *storm) compareOrder(q *Queue, names []string, problem func(string, ...any)) {
	first := int64(math.MaxInt64) // the earliest promise of those behind
	for _, name := range slices.Backward(names) {
		m := r.told[name]
		if m.begun > first {
			problem("%s stands in %s-%d before one that was promised before it was sent", name, q.topic, q.id)
		}
		if m.answered > 0 {
			first = min(first, m.answered)
		}
	}
}

// compareKeys finds every record by each of its keys, and nothing else.
func (r *storm) compareKeys(t *testing.T, s *Store, found map[string]string, problem func(string, ...any)) {
	t.Helper()
	want := make(map[[2]string][]int64)
	for name, b := range found {
		m := r.told[name]
		if m == nil {
			continue
		}
		_, _, at, _ := message.Position([]byte(b))
		for _, key := range m.keys {
			k := [2]string{m.queue[:1], key}
			want[k] = append(want[k], at)
		}
	}
	for k, offsets := range want {
		slices.Sort(offsets)
		res, err := s.Query(k[0], k[1], 1000, 0, math.MaxInt64)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(res.Offsets, offsets) {
			problem("key %q of topic %s is found at %v, want %v", k[1], k[0], res.Offsets, offsets)
		}
		res.Release()
	}
}

// TestStormUncut: a storm that nothing stops ends with all it has sent, also when
// it is opened again, and every kind of file has rolled.
func TestStormUncut(t *testing.T) {
	for _, sync := range []bool{false, true} {
		r := newStorm(0, false)
		r.run(t, 7, sync)
		for name, m := range r.told {
			if m.answered == 0 {
				t.Errorf("%s was not answered", name)
			}
		}
		for dir, least := range map[string]int{"commitlog": 8, "consumequeue/T/0": 2, "index": 4} {
			names, err := r.m.ReadDir("/data/store/" + dir)
			if err != nil || len(names) < least {
				t.Errorf("%s has %d files, want %d: %v", dir, len(names), least, err)
			}
		}
		s := open(t, stormConfig(r.m, sync))
		r.compare(t, s, "uncut")
		if n := s.Stats().Recovery.Records; n != 1 {
			t.Errorf("%d records are read after a clean stop", n)
		}
		closeStore(t, s)
	}
}

// TestStormDisk: a disk that fails anywhere, for good, costs nothing that was
// promised before, and makes the store read-only.
func TestStormDisk(t *testing.T) {
	broken := errors.New("test: the disk is broken")
	for stopAt := 1; ; stopAt += 7 * stride {
		r := newStorm(stopAt, true)
		bad := ending{name: "disk", stop: func(m *vfs.Mem, _ *rand.Rand) *vfs.Mem { return m }, kill: true}
		cut := r.fault(bad, nil)
		r.m.Fail(func(op vfs.Op, name string) error {
			err := cut(op, name)
			if op.Changes() && r.over() {
				return broken
			}
			return err
		})
		r.run(t, uint64(stopAt), stopAt%2 == 0)
		if r.left == nil {
			return
		}
		r.left.Fail(nil)
		r.left = r.left.Kill()
		r.check(t, fmt.Sprintf("operation %d", stopAt), bad, stopAt%2 == 0)
		if t.Failed() {
			return
		}
	}
}
