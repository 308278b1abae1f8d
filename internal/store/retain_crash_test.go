// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/store/retention"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// retainRun is a crashRun with retention rounds in between.
type retainRun struct {
	crashRun
	all   map[string]stored // whatever Append has stored
	asked []Deletion        // what BeforeDelete was told
	min   int64             // the log began here when a round had returned
	used  float64
}

// stored is a record as Append has left it.
type stored struct {
	Appended
	topic string
	id    int32
	bytes []byte
}

// retainConfig keeps 8 s, about 11 readings of the clock.
func (r *retainRun) config(sync bool) Config {
	cfg := r.crashRun.config()
	cfg.SyncFlush = sync
	cfg.CommitLogFileSize, cfg.ConsumeQueueFileSize, cfg.IndexEntries = 4096, 200, 20
	cfg.Retention = &retention.Policy{Reserved: 8 * time.Second, MaxUsed: 75, CleanForcibly: 85, Warning: 90, Forcibly: true, Batch: 2}
	cfg.RetentionInterval = time.Hour
	cfg.DiskUsed = func() (float64, error) { return r.used, nil }
	return cfg
}

// put appends to random queues; false when the run is over. One goroutine calls
// it, so that names and offsets can be noted around Append.
func (r *retainRun) put(t *testing.T, s *Store, b *Batch, list []string) bool {
	r.mu.Lock()
	for _, name := range list {
		r.sent[name] = true
	}
	r.mu.Unlock()
	err := s.Append(b)
	for i := range b.Written() {
		var rec message.Record
		if _, err := message.DecodeRecord(b.Encoded(i), &rec, true); err != nil {
			t.Error(err)
		}
		r.all[list[i]] = stored{b.Result(i), string(rec.Topic), rec.QueueID, bytes.Clone(b.Encoded(i))}
	}
	return err == nil
}

// keep notes that all that is stored now must be there afterwards.
func (r *retainRun) keep() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.left != nil {
		return // after the end: no promise
	}
	for name, a := range r.all {
		r.safe[name] = a.Appended
	}
}

func (r *retainRun) work(t *testing.T, rng *rand.Rand, e ending, sync bool) {
	cfg := r.config(sync)
	var s *Store
	cfg.BeforeDelete = func(d Deletion) error {
		r.asked = append(r.asked, d)
		if rng.IntN(5) == 0 {
			return fmt.Errorf("not now")
		}
		name := fmt.Sprintf("discarded%d.%d", d.End, len(r.asked))
		b := Batch{Vital: true}
		if err := b.Add(s.Queue("Discarded", 0), rec(name, 20)); err != nil {
			t.Error(err)
		}
		r.put(t, s, &b, []string{name})
		return nil
	}
	var err error
	if s, err = Open(cfg); err != nil {
		return // ended during Open
	}
	defer func() {
		if s != nil {
			_ = s.Close()
		}
	}()
	var b Batch
	for step := range 26 {
		b.Reset()
		var list []string
		for i := range 1 + rng.IntN(4) {
			name := fmt.Sprintf("m%d.%d", step, i)
			topic := "T"
			if rng.IntN(2) == 0 {
				topic = fmt.Sprintf("Early%d", step/6) // all of its records will be gone
			}
			if err := b.Add(s.Queue(topic, int32(rng.IntN(2))), rec(name, 200+rng.IntN(700))); err != nil {
				t.Error(err)
			}
			list = append(list, name)
		}
		if r.put(t, s, &b, list) && e.kill {
			r.keep()
		}
		switch rng.IntN(8) {
		case 0:
			if s.Flush(s.MaxPhysical()) == nil {
				r.keep()
			}
		case 1:
			if s.WaitDispatched(s.MaxPhysical()) == nil {
				_ = s.flushViews()
			}
		case 2, 3, 4:
			r.used = []float64{0.5, 0.5, 0.8, 0.88, 0.93}[rng.IntN(5)]
			r.round(s)
			r.used = 0
			r.round(s) // so that records are taken again
		case 5:
			if rng.IntN(3) == 0 {
				_ = s.Close()
				if s, err = Open(cfg); err != nil {
					s = nil
					return
				}
			}
		}
		if s.ReadOnly() != nil {
			return
		}
	}
}

func (r *retainRun) round(s *Store) {
	d, err := s.Retain(true)
	if err != nil || d.Files == 0 {
		return
	}
	r.keep() // the log was flushed first
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.left == nil {
		r.min = d.End
	}
}

func TestCrashDuringRetention(t *testing.T) {
	for _, e := range endings {
		for _, sync := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/sync=%v", e.name, sync), func(t *testing.T) {
				t.Parallel()
				for seed := range seeds {
					retentionCrashes(t, e, sync, seed)
				}
			})
		}
	}
}

func retentionCrashes(t *testing.T, e ending, sync bool, seed uint64) {
	for stopAt := 1 + int(seed)%stride; ; stopAt += stride {
		r := newRetainRun(stopAt)
		r.m.Fail(r.fault(e, rand.New(rand.NewPCG(seed, uint64(stopAt)))))
		r.work(t, rand.New(rand.NewPCG(seed, 98)), e, sync)
		if r.left == nil {
			if r.min < 5*4096 {
				t.Fatalf("little was deleted: to %d, in %d operations", r.min, r.ops)
			}
			return // the run was over before
		}
		where := fmt.Sprintf("seed %d, operation %d", seed, stopAt)
		for rng := rand.New(rand.NewPCG(seed, uint64(stopAt)+1e6)); rng.IntN(2) == 0; {
			if !r.stopRecovery(e, sync, rng) {
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

// stopRecovery is stopAgain with retention.
func (r *retainRun) stopRecovery(e ending, sync bool, rng *rand.Rand) bool {
	again := newRetainRun(1 + rng.IntN(60))
	again.m = r.left
	r.left.Fail(again.fault(e, rng))
	if s, err := Open(again.config(sync)); err == nil {
		_ = s.Close()
	}
	r.left.Fail(nil)
	if again.left == nil {
		return false
	}
	r.left = again.left
	return true
}

func (r *retainRun) check(t *testing.T, where string, sync bool) {
	t.Helper()
	r.m = r.left
	s, err := Open(r.config(sync))
	if err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	min := s.MinPhysical()
	found := checkStore(t, s, where, r.sent)
	r.checkMin(t, where, min, found)
	for name, a := range r.safe {
		if a.PhysicalOffset >= min && found[name] != a {
			t.Errorf("%s: %s is at %+v, it was acknowledged at %+v; the log begins at %d; %+v", where, name, found[name], a, min, s.Stats().Recovery)
		}
	}
	if sync {
		for _, name := range r.arrived {
			if _, ok := found[name]; !ok && r.all[name].PhysicalOffset >= min {
				t.Errorf("%s: %s was handed to consumers and is gone", where, name)
			}
		}
	}
	for name, a := range found {
		if was, ok := r.all[name]; ok && was.Appended == a {
			got, release, err := s.Record(a.PhysicalOffset)
			if err != nil || !bytes.Equal(got, was.bytes) {
				t.Errorf("%s: %s is not as it was stored: %v", where, name, err)
			}
			release()
		}
	}
	ends := r.checkQueues(t, s, where, found)
	// It goes on where it was, and ends well.
	for q, end := range ends {
		name := fmt.Sprintf("after %s-%d", q.topic, q.id)
		r.sent[name] = true
		if at := put(t, s, q, name); at[0].QueueOffset != end {
			t.Errorf("%s: the next offset of %s-%d is %d, want %d", where, q.topic, q.id, at[0].QueueOffset, end)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatalf("%s: close after recovery: %v", where, err)
	}
	if s, err = Open(r.config(sync)); err != nil {
		t.Fatalf("%s: second open: %v", where, err)
	}
	again := checkStore(t, s, where+", second open", r.sent)
	if len(again) != len(found)+len(ends) {
		t.Errorf("%s: %d records after the second open, %d before and %d new", where, len(again), len(found), len(ends))
	}
	r.checkQueues(t, s, where+", second open", again)
	if err := s.Close(); err != nil {
		t.Fatalf("%s: second close: %v", where, err)
	}
}

// checkMin: the log begins where a round has left it, or further on as far as
// somebody was told; and what was then said is there.
func (r *retainRun) checkMin(t *testing.T, where string, min int64, found map[string]Appended) {
	t.Helper()
	if min < r.min {
		t.Errorf("%s: the log begins at %d, it began at %d", where, min, r.min)
	}
	said := slices.ContainsFunc(r.asked, func(d Deletion) bool {
		if min <= d.From || min > d.End {
			return false
		}
		for name, a := range r.all {
			if _, there := found[name]; strings.HasPrefix(name, fmt.Sprintf("discarded%d.", d.End)) && (there || a.PhysicalOffset < min) {
				return true
			}
		}
		return false
	})
	if min > 0 && !said {
		t.Errorf("%s: the log begins at %d, and nothing is there that was said before that; asked %+v", where, min, r.asked)
	}
}

// checkQueues: each queue begins with its first record that is in the log, and
// ends behind all of its records that ever were below there.
func (r *retainRun) checkQueues(t *testing.T, s *Store, where string, found map[string]Appended) map[*Queue]int64 {
	t.Helper()
	first, end := make(map[*Queue]int64), make(map[*Queue]int64)
	s.RangeQueues(func(q *Queue) bool {
		first[q], end[q] = math.MaxInt64, q.Max()
		return true
	})
	if err := s.log.Walk(s.MinPhysical(), func(rec *message.Record) error {
		q := s.LookupQueue(string(rec.Topic), rec.QueueID)
		first[q] = min(first[q], rec.QueueOffset)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for name, a := range r.all {
		_, there := found[name]
		if _, safe := r.safe[name]; !there && !safe && a.PhysicalOffset >= s.MinPhysical() {
			continue // it was lost, and may have been
		}
		if q := s.LookupQueue(a.topic, a.id); q == nil || q.Max() <= a.QueueOffset {
			t.Errorf("%s: %s had offset %d in %s-%d, which is now %+v", where, name, a.QueueOffset, a.topic, a.id, q)
		}
	}
	for q, want := range first {
		if want == math.MaxInt64 {
			want = q.Max()
		}
		if q.Min() != want {
			t.Errorf("%s: %s-%d begins at %d, want %d; it ends at %d", where, q.topic, q.id, q.Min(), want, q.Max())
		}
	}
	return end
}

func newRetainRun(stopAt int) *retainRun {
	r := &retainRun{all: make(map[string]stored)}
	r.m, r.sent, r.safe, r.stopAt = vfs.NewMem(), make(map[string]bool), make(map[string]Appended), stopAt
	return r
}
