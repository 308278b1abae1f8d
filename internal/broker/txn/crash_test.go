// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
)

// death is how a machine dies.
type death struct {
	kill bool // the process only: nothing written is lost
	end  func(m *vfs.Mem, rng *rand.Rand) *vfs.Mem
}

var deaths = map[string]death{
	"kill":  {true, func(m *vfs.Mem, _ *rand.Rand) *vfs.Mem { return m.Kill() }},
	"power": {false, func(m *vfs.Mem, _ *rand.Rand) *vfs.Mem { return m.Crash(vfs.CrashOptions{}) }},
	"torn": {false, func(m *vfs.Mem, rng *rand.Rand) *vfs.Mem {
		return m.Crash(vfs.CrashOptions{Data: vfs.KeepSome, Names: vfs.KeepSome, Rand: rng})
	}},
}

// TestRule1EndAtEveryPoint ends random scenes at each operation that changes the
// file system, and what comes after it a second time. Whatever is left: no
// transaction has two outcomes; what was answered is there, is answered again,
// its contrary is refused and nobody is asked about it; what was discarded stays
// so until it is resumed; all that was stored ends as its producer wants it; and
// a Java broker finds nothing to commit again. Power cuts under ASYNC_FLUSH may
// lose what was answered; then this is so of what survived.
func TestRule1EndAtEveryPoint(t *testing.T) {
	seeds, width := 8, 7
	if raceEnabled || testing.Short() {
		seeds, width = 2, 11
	}
	for _, policy := range slices.Sorted(maps.Keys(policies)) {
		for _, how := range slices.Sorted(maps.Keys(deaths)) {
			t.Run(how+", "+policy, func(t *testing.T) {
				var sum ledger
				points, twice := 0, 0
				for seed := range seeds {
					for point := 1 + seed%width; ; point += width {
						c := crash{deaths[how], how != "kill" && policy == "async", policies[policy], uint64(seed), point}
						ends := c.run(t, &sum)
						if ends == 2 {
							twice++
						}
						if ends == 0 || t.Failed() {
							break
						}
						points++
					}
				}
				t.Logf("%d points, %d of them twice: %d half messages and %d sent again, %d answers, %d refusals, %d checks, %d discarded, %d resumed; lost %d half messages and %d outcomes",
					points, twice, sum.halves, sum.again, sum.answers, sum.refusals, sum.checks, sum.parked, sum.resumed, sum.lostHalves, sum.lostOutcomes)
				lossy := how != "kill" && policy == "async"
				for what, n := range map[string]int{"points": points, "second ends": twice, "sent again": sum.again, "refusals": sum.refusals,
					"checks": sum.checks, "discarded": sum.parked, "resumed": sum.resumed} {
					if n < 5 && !t.Failed() {
						t.Errorf("%d %s: the test shows nothing", n, what)
					}
				}
				if lossy != (sum.lostHalves > 0 && sum.lostOutcomes > 0) {
					t.Errorf("lost %d half messages and %d outcomes", sum.lostHalves, sum.lostOutcomes)
				}
			})
		}
	}
}

// crash is one run: it ends at an operation, and once more.
type crash struct {
	death
	lossy  bool
	change []option
	seed   uint64
	point  int
}

// run returns how often the machine died.
func (c crash) run(t *testing.T, sum *ledger) (ends int) {
	synctest.Test(t, func(t *testing.T) {
		l, m, marks := newLedger(), vfs.NewMem(), newMarks()
		l.lossy = c.lossy
		scenes := rand.New(rand.NewPCG(c.seed, 1)) // up to the first end they don't depend on it
		rng := rand.New(rand.NewPCG(c.seed, uint64(c.point)))
		change := append([]option{sceneConfig(l)}, c.change...)
		for life, at := range []int{c.point, 1 + rng.IntN(300), 0} {
			left := l.live(t, m, marks, change, at, func() *vfs.Mem { return c.end(m, rng) }, func() {
				if life > 0 && c.lossy {
					l.rebase()
				}
				l.verify(rng)
				if life < 2 {
					l.scene(scenes, life)
				} else {
					l.finish(rng)
				}
			})
			if life < 2 && left == nil { // the scene is over
				if life == 0 {
					break
				}
				continue
			}
			if left != nil {
				m = left
				ends++
			}
			if c.kill || life == 2 {
				for _, found := range javaFindings(t, m, marks, life == 2) {
					l.note("a Java broker after life %d: %v", life, found)
				}
			}
		}
		for _, wrong := range l.wrong {
			t.Errorf("seed %d, operation %d: %s", c.seed, c.point, wrong)
		}
		sum.add(l)
	})
	return ends
}

func (l *ledger) add(o *ledger) {
	for _, p := range []struct{ to, from *int }{{&l.halves, &o.halves}, {&l.again, &o.again}, {&l.answers, &o.answers}, {&l.refusals, &o.refusals},
		{&l.checks, &o.checks}, {&l.parked, &o.parked}, {&l.resumed, &o.resumed}, {&l.lostHalves, &o.lostHalves}, {&l.lostOutcomes, &o.lostOutcomes}} {
		*p.to += *p.from
	}
}

// live runs a broker on m, and ends the machine at the nth change of the file
// system; n is 0: not at all. It returns what is left, nil when nothing ended.
func (l *ledger) live(t *testing.T, m *vfs.Mem, marks *marks, change []option, n int, end func() *vfs.Mem, do func()) (left *vfs.Mem) {
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
	l.dead = func() bool { mu.Lock(); defer mu.Unlock(); return left != nil }
	l.there = map[string]bool{}
	saved := newMarks()
	r, err := tryStart(t, m, frozen(marks, saved, l.dead), change...)
	switch {
	case err == nil:
		l.rig = r
		l.online("g")
		do()
		r.stop()
	case !l.dead():
		t.Fatal(fmt.Errorf("start: %w", err))
	}
	m.Fail(nil)
	marks.m = saved.m
	return left
}

// frozen is the marks of a machine that may die: saved has what was noted before.
func frozen(m, saved *marks, dead func() bool) *marks {
	saved.m = maps.Clone(m.m)
	out := newMarks()
	out.m = maps.Clone(m.m)
	out.saved, out.dead = saved, dead
	return out
}

var _ Log = (*store.Store)(nil)
