// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package consumequeue_test

import (
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/twostage/twostage/internal/store/consumequeue"
	"github.com/twostage/twostage/internal/vfs"
)

// crashRun is a workload on two queues, and what is known of the log.
type crashRun struct {
	size   int64 // of the files
	all    int   // Options.SyncAll
	log    []logged
	end    int64 // of the log
	safe   int64 // end of the log at the last Flush that succeeded
	gone   int64 // what the log no longer has
	models [2]*queueModel
}

type logged struct {
	id    int32
	index int64
	entry entry
}

// newCrashRun has files of 5 entries, many of them, or of 55, of which some lie
// in two sectors. Each is synced, or the whole file system from one or two dirty
// queues on.
func newCrashRun(seed uint64) *crashRun {
	r := &crashRun{end: 1, size: 100 + 1000*int64(seed%2), all: []int{-1, 1, 2}[seed/2%3]}
	for i := range r.models {
		r.models[i] = &queueModel{entries: map[int64]entry{}}
	}
	return r
}

func (r *crashRun) options(fs vfs.FS) consumequeue.Options {
	return consumequeue.Options{FS: fs, Dir: dir, FileSize: r.size, MaxOpen: 2, SyncAll: r.all}
}

func (r *crashRun) open(t *testing.T, fs vfs.FS) *consumequeue.Set {
	t.Helper()
	s, err := consumequeue.Open(r.options(fs))
	must(t, err)
	return s
}

// work runs steps until one fails, which must be the crash.
func (r *crashRun) work(t *testing.T, s *consumequeue.Set, rng *rand.Rand, steps int) {
	t.Helper()
	for range steps {
		var err error
		switch rng.IntN(8) {
		case 0:
			end := r.end
			if err = s.Flush(); err == nil {
				r.safe = end
			}
		case 1:
			r.gone = max(r.gone, r.safe-200+rng.Int64N(200))
			for id, m := range r.models {
				m.setMin(r.gone)
				if err == nil {
					err = s.Queue("T", int32(id)).SetMin(r.gone)
				}
			}
		default:
			id := rng.Int32N(2)
			m := r.models[id]
			for range 1 + rng.IntN(20) {
				l := logged{id, m.next, entry{r.end, 10, rng.Int64()}}
				if rng.IntN(20) == 0 {
					l.index += rng.Int64N(15)
				}
				r.end += 10
				r.log = append(r.log, l)
				m.append(l.index, l.entry)
				if err == nil {
					err = s.Queue("T", id).Append(l.index, l.entry)
				}
			}
		}
		if err != nil {
			wantErr(t, err, vfs.ErrCrashed)
			return
		}
	}
	if err := s.Close(); err != nil {
		wantErr(t, err, vfs.ErrCrashed)
	} else {
		r.safe = r.end
	}
}

// recover does what a store does after a stop: drop what may be damaged and
// carry the log on from there.
func (r *crashRun) recover(t *testing.T, fs *vfs.Mem, from int64) *consumequeue.Set {
	t.Helper()
	s := r.open(t, fs)
	for id, m := range r.models {
		q := s.Queue("T", int32(id))
		must(t, q.TruncatePhysical(from))
		for _, l := range r.log {
			if l.id == int32(id) && l.entry.Offset >= max(from, r.gone) {
				must(t, q.Append(l.index, l.entry))
			}
		}
		must(t, q.SetMin(r.gone))
		if m.low == m.next && q.Min() == q.Max() {
			continue // its files may be gone as well
		}
		m.check(t, q)
	}
	return s
}

// stopAt makes m stop, by calling crash, at one of the operations that change
// something. after ends that and returns what is left, nil if it never came to
// it.
func stopAt(m *vfs.Mem, stop int, crash func() *vfs.Mem) (after func() *vfs.Mem) {
	var (
		mu   sync.Mutex // Flush works on several queues at once
		ops  int
		left *vfs.Mem
	)
	m.Fail(func(op vfs.Op, _ string) error {
		mu.Lock()
		defer mu.Unlock()
		if op.Changes() && left == nil {
			if ops++; ops > stop {
				left = crash()
			}
		}
		if left != nil {
			return vfs.ErrCrashed
		}
		return nil
	})
	return func() *vfs.Mem {
		m.Fail(nil)
		return left
	}
}

// A stop at every operation, with everything, nothing or some of what was not
// synced, and again during and after the recovery.
func TestCrashAtEveryOperation(t *testing.T) {
	modes := map[string]func(*vfs.Mem, *rand.Rand) *vfs.Mem{
		"killed":      func(m *vfs.Mem, _ *rand.Rand) *vfs.Mem { return m.Kill() },
		"synced only": func(m *vfs.Mem, _ *rand.Rand) *vfs.Mem { return m.Crash(vfs.CrashOptions{}) },
		"torn": func(m *vfs.Mem, rng *rand.Rand) *vfs.Mem {
			return m.Crash(vfs.CrashOptions{Data: vfs.KeepSome, Names: vfs.KeepSome, Rand: rng})
		},
	}
	for name, crash := range modes {
		t.Run(name, func(t *testing.T) {
			crashed := 0
			for seed := range uint64(8) {
				for stop := 0; ; stop++ {
					rng := rand.New(rand.NewPCG(seed, uint64(stop)))
					m := newMem(t)
					r := newCrashRun(seed)
					s := r.open(t, m)
					after := stopAt(m, stop, func() *vfs.Mem { return crash(m, rng) })
					r.work(t, s, rand.New(rand.NewPCG(seed, 7)), 40)
					left := after()
					if left == nil {
						break // the workload has fewer operations
					}
					crashed++
					must(t, r.recover(t, left, r.safe).Close())
				}
			}
			if crashed < 300 {
				t.Errorf("only %d crashes", crashed)
			}
		})
	}
}

// A second power cut during recovery, and work after it.
func TestCrashDuringRecovery(t *testing.T) {
	for seed := range uint64(400) {
		rng := rand.New(rand.NewPCG(seed, 3))
		fs := newMem(t)
		r := newCrashRun(seed)
		for range 4 {
			m, tear := fs, rand.New(rand.NewPCG(seed, rng.Uint64()))
			after := stopAt(m, rng.IntN(60), func() *vfs.Mem {
				return m.Crash(vfs.CrashOptions{Data: vfs.KeepSome, Names: vfs.KeepSome, Rand: tear})
			})
			s, err := consumequeue.Open(r.options(m))
			for id := range r.models {
				if err != nil {
					break
				}
				q := s.Queue("T", int32(id))
				err = q.TruncatePhysical(r.safe)
				for _, l := range r.log {
					if err == nil && l.id == int32(id) && l.entry.Offset >= max(r.safe, r.gone) {
						err = q.Append(l.index, l.entry)
					}
				}
			}
			if err != nil {
				wantErr(t, err, vfs.ErrCrashed)
			} else {
				r.work(t, s, rng, 10)
			}
			if fs = after(); fs == nil {
				fs = m.Kill()
			}
		}
		must(t, r.recover(t, fs, r.safe).Close())
	}
}
