// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package timer

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// ledger is what a history of sends and recalls expects.
type ledger struct {
	sent     map[string]int64 // time of delivery, by the clock
	recalled map[string]bool
	open     map[string]bool // sends and recalls of which it is not known whether they are stored
	n        int
}

// scene sends, recalls and lets time pass. It goes on when the file system has
// died.
func (r *rig) scene(l *ledger, rng *rand.Rand) {
	for range 12 {
		for range 1 + rng.IntN(6) {
			name := fmt.Sprint("m", l.n)
			l.n++
			d := 1 + rng.Int64N(3000)
			if rng.IntN(3) == 0 {
				d = rng.Int64N(4 * 60_000) // rolled
			}
			at := r.wall() + d
			var err error
			if rng.IntN(2) == 0 {
				err = r.send("A", 0, timed(name, message.PropertyTimerDeliver, at))
			} else {
				err = r.send("A", 0, timed(name, message.PropertyTimerDelayMillis, d))
			}
			l.sent[name] = at
			if err != nil {
				l.open[name] = true
				continue
			}
			if rng.IntN(4) == 0 && d > 2500 {
				if r.recall("A", name, at) != nil {
					l.open[name] = true
				} else {
					l.recalled[name] = true
				}
			}
		}
		after(time.Duration(rng.IntN(900)) * time.Millisecond)
	}
}

// check compares what was delivered with the ledger. With lost, a power cut may
// have taken sends, recalls and deliveries.
func (r *rig) check(l *ledger, what string, lost bool) (delivered int) {
	r.t.Helper()
	times := map[string]int{}
	for _, rec := range r.records("A", 0) {
		name := string(rec.Body)
		times[name]++
		delivered++
		at, ok := l.sent[name]
		if !ok || rec.StoreTimestamp < at {
			r.t.Errorf("%s: %s for %d is delivered at %d", what, name, at, rec.StoreTimestamp)
		}
	}
	for name := range l.sent {
		n := times[name]
		switch {
		case l.open[name] || lost:
			if n > 1 {
				r.t.Errorf("%s: %s is delivered %d times", what, name, n)
			}
		case l.recalled[name] && n != 0:
			r.t.Errorf("%s: %s is delivered although it was recalled", what, name)
		case !l.recalled[name] && n != 1:
			r.t.Errorf("%s: %s is delivered %d times", what, name, n)
		}
	}
	return delivered
}

func small(_ *store.Config, c *Config) { c.RollWindow = time.Minute }

// TestEndAtEveryPoint ends a run at each operation that changes the file system,
// and again a second one, and looks at what has been delivered when all is due.
// After a kill nothing is early, missing or there twice, and nothing that was
// recalled is there; a power cut may take sends that were not durable.
func TestEndAtEveryPoint(t *testing.T) {
	endings := map[string]func(m *vfs.Mem, rng *rand.Rand) *vfs.Mem{
		"kill":  func(m *vfs.Mem, _ *rand.Rand) *vfs.Mem { return m.Kill() },
		"power": func(m *vfs.Mem, _ *rand.Rand) *vfs.Mem { return m.Crash(vfs.CrashOptions{}) },
		"torn": func(m *vfs.Mem, rng *rand.Rand) *vfs.Mem {
			return m.Crash(vfs.CrashOptions{Data: vfs.KeepSome, Names: vfs.KeepSome, Rand: rng})
		},
	}
	step := 17
	if testing.Short() || raceEnabled {
		step = 41
	}
	for name, end := range endings {
		t.Run(name, func(t *testing.T) {
			most, points := 0, 0
			for point := 1; ; point += step {
				ended := false
				synctest.Test(t, func(t *testing.T) {
					rng := rand.New(rand.NewPCG(uint64(point), 1))
					dice := rand.New(rand.NewPCG(uint64(point), 2)) // of the goroutine that ends it
					m := vfs.NewMem()
					l := &ledger{sent: map[string]int64{}, recalled: map[string]bool{}, open: map[string]bool{}}
					for _, at := range []int{point, 1 + rng.IntN(200)} {
						left := runUntil(t, m, l, rng, at, func() *vfs.Mem { return end(m, dice) })
						if left == nil {
							return
						}
						m, ended = left, true
					}
					r := start(t, m, small)
					after(10 * time.Minute)
					most = max(most, r.check(l, fmt.Sprintf("ended at operation %d", point), name != "kill"))
					r.close()
				})
				if !ended || t.Failed() {
					break
				}
				points++
			}
			if !t.Failed() && (most < 40 || points*step < 100) {
				t.Errorf("%d points, at most %d messages delivered: the test shows nothing", points, most)
			}
		})
	}
}

// runUntil runs the scene on m and ends it at the nth change of the file system,
// or when the scene is over. It returns what is left; nil when n was not reached.
func runUntil(t *testing.T, m *vfs.Mem, l *ledger, rng *rand.Rand, n int, end func() *vfs.Mem) (left *vfs.Mem) {
	var mu sync.Mutex
	ops := 0
	m.Fail(func(op vfs.Op, _ string) error {
		mu.Lock()
		defer mu.Unlock()
		if op.Changes() && left == nil {
			if ops++; ops == n {
				left = end()
			}
		}
		return nil
	})
	r, err := tryStart(t, m, new(atomic.Int64), small)
	if err == nil {
		r.scene(l, rng)
		r.stop()
	}
	return left
}

// TestLostFiles: without its files the wheel is built again from the log. Nothing
// that was delivered or recalled comes again.
func TestLostFiles(t *testing.T) {
	for _, lost := range []string{"/data/timerwheel", "/data/timerlog", "/data/config/timercheck", "all", "damaged"} {
		t.Run(lost, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := vfs.NewMem()
				l := &ledger{sent: map[string]int64{}, recalled: map[string]bool{}, open: map[string]bool{}}
				rng := rand.New(rand.NewPCG(5, 5))
				r := start(t, m, small)
				for range 6 {
					r.scene(l, rng)
				}
				before := len(r.bodies())
				r.close()
				switch lost {
				case "all":
					for _, name := range []string{"/data/timerwheel", "/data/timerlog", "/data/config/timercheck", "/data/config/timercheck.bak"} {
						_ = m.RemoveAll(name)
					}
				case "damaged":
					f, err := m.OpenFile("/data/timerlog/00000000000000000000", 2)
					if err != nil {
						t.Fatal(err)
					}
					for at := int64(0); at < 4000; at += 52 {
						if _, err := f.WriteAt([]byte{1, 2, 3, 4, 5, 6}, at); err != nil {
							t.Fatal(err)
						}
					}
					_ = f.Close()
				default:
					_ = m.RemoveAll(lost)
					_ = m.RemoveAll(lost + ".bak")
				}
				r = start(t, m, small)
				r.scene(l, rng)
				after(10 * time.Minute)
				if n := r.check(l, lost, false); n < 150 {
					t.Errorf("%d delivered, %d before: the test shows nothing", n, before)
				}
				r.close()
			})
		})
	}
}
