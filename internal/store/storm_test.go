// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// A storm is a load of many goroutines on a store whose files are all small, so
// that log, queue and index files roll all the time; cut somewhere. What it has
// seen is compared with what is left: see storm_check_test.go.

// stormEndings are the ways in which a machine leaves what was not synced.
var stormEndings = []ending{
	endings[0], endings[1], endings[2],
	{"pages", func(m *vfs.Mem, rng *rand.Rand) *vfs.Mem { // runs of sectors
		return m.Crash(vfs.CrashOptions{Data: vfs.KeepSome, Names: vfs.KeepSome, Rand: rand.New(&runs{from: rng})})
	}, false},
	{"names", func(m *vfs.Mem, _ *rand.Rand) *vfs.Mem {
		return m.Crash(vfs.CrashOptions{Data: vfs.KeepSynced, Names: vfs.KeepAll})
	}, false},
	{"bytes", func(m *vfs.Mem, _ *rand.Rand) *vfs.Mem {
		return m.Crash(vfs.CrashOptions{Data: vfs.KeepAll, Names: vfs.KeepSynced})
	}, false},
}

// runs is a source whose values come in runs.
type runs struct {
	from  *rand.Rand
	value uint64
	left  int
}

func (r *runs) Uint64() uint64 {
	if r.left == 0 {
		r.value, r.left = r.from.Uint64(), 1+r.from.IntN(16)
	}
	r.left--
	return r.value
}

const (
	stormSenders = 3
	stormSteps   = 10 // batches of each sender
	stormQueues  = 3
	doomed       = "D" // the topic that is deleted now and then
)

// told is a message that was handed to Append.
type told struct {
	queue           string
	keys            []string
	size            int   // of the body
	generation      int   // of the doomed topic
	durable         bool  // nobody may see it before it is safe
	seen            bool  // handed to a consumer
	begun, answered int64 // ticks; answered 0: no promise was made
	at              Appended
	stored          string // the record
}

// storm is one run, as seen from outside of the store.
type storm struct {
	crashRun
	clock atomic.Int64
	kill  bool

	// under crashRun.mu
	told    map[string]*told
	deleted int  // generations of the doomed topic that are gone for good
	trying  bool // to delete another
}

func newStorm(stopAt int, kill bool) *storm {
	return &storm{crashRun: crashRun{m: vfs.NewMem(), stopAt: stopAt}, told: make(map[string]*told), kill: kill}
}

// stormConfig: queue files of 10 entries, or of 27, which is more than a sector;
// index files of 39 keys.
func stormConfig(m *vfs.Mem, sync bool) Config {
	cfg := memConfig(m)
	cfg.CommitLogFileSize, cfg.SyncFlush = 4096, sync
	if sync {
		cfg.ConsumeQueueFileSize = 540
	}
	return cfg
}

// run loads the store until all is sent or the run is cut.
func (r *storm) run(t *testing.T, seed uint64, sync bool) {
	cfg := stormConfig(r.m, sync)
	cfg.OnArrive = func(_ *Queue, _, _, _ int64, props []byte) {
		uniq, _ := message.Property(props, message.PropertyUniqueKey)
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.left == nil {
			r.told[string(uniq)].seen = true
		}
	}
	s, err := Open(cfg)
	if err != nil {
		return // cut during Open
	}
	var work waiting
	for i := range stormSenders {
		work.Go(func() { r.send(t, s, i, rand.New(rand.NewPCG(seed, uint64(i)))) })
	}
	work.Go(func() { r.deleteTopics(t, s, rand.New(rand.NewPCG(seed, 50))) })
	work.Wait()
	_ = s.Close()
}

// waiting has this name because sync is that of the flush here.
type waiting = sync.WaitGroup

// over tells whether the run was cut.
func (r *storm) over() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.left != nil
}

// mayFail holds that nothing fails before the run is cut.
func (r *storm) mayFail(t *testing.T, err error) {
	if err != nil && !r.over() {
		t.Errorf("before the run was cut: %v", err)
	}
}

// send is one sender.
func (r *storm) send(t *testing.T, s *Store, id int, rng *rand.Rand) {
	var b Batch
	for step := range stormSteps {
		b.Reset()
		b.Durable = rng.IntN(8) == 0
		var names []string
		for i := range 1 + rng.IntN(4) {
			name := fmt.Sprintf("s%d.%d.%d", id, step, i)
			r.add(t, &b, s.Queue("T", int32(rng.IntN(stormQueues)*rng.IntN(2))), name, 0, rng)
			names = append(names, name)
		}
		b.Atomic = rng.IntN(4) == 0 && int64(b.Size()) <= s.log.MaxSize()
		if err := r.put(s, &b, names, rng); err != nil || r.over() {
			r.mayFail(t, err)
			return
		}
		if rng.IntN(4) == 0 {
			wake(s.viewWake) // queues, index and checkpoint
		}
	}
}

// add puts a message into the batch and remembers that it was sent.
func (r *storm) add(t *testing.T, b *Batch, q *Queue, name string, generation int, rng *rand.Rand) {
	size := rng.IntN(400)
	if rng.IntN(12) == 0 {
		size = 2000
	}
	keys := []string{name}
	var props []string
	if rng.IntN(2) == 0 {
		shared := fmt.Sprintf("k%d", rng.IntN(4))
		keys = append(keys, shared, "only."+name)
		props = []string{message.PropertyKeys, shared + " only." + name}
	}
	m := rec(name, size, props...)
	r.mu.Lock()
	r.told[name] = &told{queue: fmt.Sprintf("%s-%d", q.topic, q.id), keys: keys, size: len(m.Body), generation: generation, durable: b.Durable, begun: r.clock.Add(1)}
	r.mu.Unlock()
	if err := b.Add(q, m); err != nil {
		t.Error(err)
	}
}

// put appends the batch, and writes down what is promised as soon as it is.
func (r *storm) put(s *Store, b *Batch, names []string, rng *rand.Rand) error {
	err := s.Append(b)
	n := b.Written()
	at, stored := make([]Appended, n), make([]string, n)
	for i := range n {
		at[i], stored[i] = b.Result(i), string(b.Encoded(i))
	}
	promise := func(err error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.left != nil || err != nil {
			return
		}
		for i, name := range names[:n] {
			m := r.told[name]
			m.at, m.stored, m.answered = at[i], stored[i], r.clock.Add(1)
		}
	}
	if err != nil || n == 0 {
		return err
	}
	if r.kill {
		promise(nil)
	}
	end := at[n-1].PhysicalOffset + int64(at[n-1].Size)
	switch flushed := func(err error) {
		if !r.kill {
			promise(err)
		}
	}; {
	case s.SyncFlush(): // one sync for all who wait
		done := make(chan struct{})
		s.WhenFlushed(end, func(err error) { flushed(err); close(done) })
		<-done
	case rng.IntN(3) == 0:
		flushed(s.Flush(end))
	default:
		s.WhenFlushed(end, flushed)
	}
	return nil
}

// deleteTopics fills a topic and deletes it, again and again.
func (r *storm) deleteTopics(t *testing.T, s *Store, rng *rand.Rand) {
	var b Batch
	for generation := range 5 {
		for step := range 1 + rng.IntN(4) {
			b.Reset()
			var names []string
			for i := range 1 + rng.IntN(5) {
				name := fmt.Sprintf("d%d.%d.%d", generation, step, i)
				r.add(t, &b, s.Queue(doomed, int32(rng.IntN(2))), name, generation, rng)
				names = append(names, name)
			}
			if err := r.put(s, &b, names, rng); err != nil || r.over() {
				r.mayFail(t, err)
				return
			}
		}
		if generation == 4 {
			return // the last one stays
		}
		r.mu.Lock()
		r.trying = r.left == nil
		r.mu.Unlock()
		if err := s.DeleteTopic(doomed); err != nil {
			r.mayFail(t, err)
			return
		}
		r.mu.Lock()
		if r.left == nil {
			r.deleted, r.trying = generation+1, false
		}
		r.mu.Unlock()
	}
}
