// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package timer

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// Recalls count in slots that are read a window at a time, of which many follow one
// another: when the directory is closed in the middle and opened again, when it is
// killed there, and when the wheel is lost and built again. Nobody waits for it.
func TestRecallsInACrowd(t *testing.T) {
	seeds := uint64(3)
	if raceEnabled {
		seeds = 1
	}
	for _, what := range []string{"goes on", "closed", "killed", "lost"} {
		for seed := range seeds {
			t.Run(fmt.Sprint(what, seed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					rng := rand.New(rand.NewPCG(seed, 77))
					m := vfs.NewMem()
					few := func(sc *store.Config, c *Config) { larger(sc, c); c.keep, c.rebuildPages = 16, 1 }
					r := start(t, m, few)
					first := r.wall()/1000*1000 + 5000
					const n, slots = 600, 3
					due := make([]int64, n)
					r.crowd(n, func(i int) int64 {
						if due[i] = first + 1 + int64(i%slots)*1000 + rng.Int64N(1000); i%2 == 0 {
							due[i] = first + 500 + int64(i%slots)*1000
						}
						return due[i]
					})
					gone := map[string]bool{}
					for i := range n {
						if rng.IntN(3) == 0 {
							name := fmt.Sprint("c", i)
							gone[name] = true
							r.recallAt(name, r.svc.floor(due[i]))
						}
					}
					late := 0
					for r.wall() < first+slots*1000 {
						if late++; r.wall() < first+1300 { // due while the crowd is
							r.in(fmt.Sprint("late", late), 1+rng.Int64N(1500))
						} else if late--; what != "goes on" {
							break
						}
						after(time.Duration(10+rng.IntN(50)) * time.Millisecond)
					}
					switch what {
					case "closed":
						r.close()
					case "killed":
						left := m.Kill()
						r.stop()
						m = left
					case "lost":
						r.close()
						lose(t, m)
					}
					if what != "goes on" {
						r = start(t, m, few)
					}
					r.in("last", 10)
					after(5 * time.Second)
					got := map[string]int{}
					for _, rec := range r.records("A", 0) {
						got[string(rec.Body)]++
						if took := rec.StoreTimestamp - num(&rec, message.PropertyTimerDeliver); what == "goes on" && strings.HasPrefix(string(rec.Body), "c") && (took < 0 || took > 20) {
							t.Fatalf("%s is %d ms late", rec.Body, took)
						}
					}
					for i := range n {
						name := fmt.Sprint("c", i)
						if want := map[bool]int{false: 1}[gone[name]]; got[name] != want {
							t.Fatalf("%s, recalled %t, is delivered %d times", name, gone[name], got[name])
						}
						delete(got, name)
					}
					for name, times := range got {
						if times != 1 {
							t.Errorf("%s is delivered %d times", name, times)
						}
					}
					if len(got) != late+1 {
						t.Errorf("%d of %d late ones delivered", len(got)-1, late)
					}
					r.close()
				})
			})
		}
	}
}

// While entries from before a slot are to be put in first, the next round comes at
// once, or when the disk is tried again: nothing else would call it.
func TestNextRoundPutsIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, vfs.NewMem())
		r.in("m", 100_000)
		synctest.Wait() // Run waits
		s := r.svc
		s.target = s.put + 1
		for _, again := range []int64{0, s.clock.Now() + 300} {
			s.work.puts.at = again
			if at, err := s.deliverDue(&s.work, false); err != nil || at != max(again, s.clock.Now()) {
				t.Errorf("the next round is %d ms from now, %v", at-s.clock.Now(), err)
			}
		}
		s.target, s.work.puts = s.put, retry{}
		r.close()
	})
}
