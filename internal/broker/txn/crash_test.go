// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// acts is what the producers of a scene did and what they were answered.
type acts struct {
	halves  map[string]bool    // stored, and answered
	decided map[string]Outcome // answered with success
	asked   map[string]Outcome
	refused []string
}

func newActs() *acts {
	return &acts{halves: map[string]bool{}, decided: map[string]Outcome{}, asked: map[string]Outcome{}}
}

// intent is what the producer wants with a transaction: it says the same
// whenever it is asked.
func intent(key string) Outcome {
	if strings.HasSuffix(key, "r") {
		return Rollback
	}
	return Commit
}

// scene stores half messages and decides about most of them; every third waits
// for its check. It goes on when the file system has died.
func (r *rig) scene(a *acts, round int) {
	for i := range 6 {
		key := fmt.Sprintf("%d-%d-%s", round, i, []string{"c", "r"}[i%2])
		at, err := r.tryHalf(prepared("g", key))
		if err != nil {
			continue
		}
		a.halves[key] = true
		if i%3 != 2 {
			a.asked[key] = intent(key)
			ans := r.end(at, "g", intent(key))
			switch ans.code {
			case wire.Success:
				a.decided[key] = intent(key)
			case wire.IllegalOperation:
				a.refused = append(a.refused, key)
			}
		}
		after(700 * time.Millisecond)
	}
	after(2 * time.Second)
}

// finish lets a producer answer every check.
func (r *rig) finish() (checked map[string]int) {
	checked = map[string]int{}
	p := &producer{}
	p.answer = func(req *wire.Request) {
		h := req.Header.(*header.CheckTransactionRequest)
		checked[h.MsgID]++
		r.svc.End(End{Group: "g", QueueOffset: h.TranStateTableOffset, Physical: h.CommitLogOffset, Outcome: intent(h.MsgID), FromCheck: true},
			func(int32, string) {})
	}
	r.online("g", p)
	after(time.Minute)
	r.offline("g")
	return checked
}

// committed counts the messages of the topic by key.
func (r *rig) committed() map[string]int {
	n := map[string]int{}
	for _, rec := range r.records("T", 2) {
		n[property(&rec, message.PropertyUniqueKey)]++
	}
	return n
}

// TestRule1EndAtEveryPoint ends a run at each operation that changes the file system,
// and a second one too. Whatever is left: no transaction is committed twice, none
// that was rolled back is committed, what was answered as durable is there and
// undisturbed, and everything else that was stored ends as its producer wants it.
func TestRule1EndAtEveryPoint(t *testing.T) {
	type ending struct {
		durable bool // what was answered without a sync survives too
		sync    bool
		end     func(m *vfs.Mem, rng *rand.Rand) *vfs.Mem
	}
	kill := func(m *vfs.Mem, _ *rand.Rand) *vfs.Mem { return m.Kill() }
	power := func(m *vfs.Mem, _ *rand.Rand) *vfs.Mem { return m.Crash(vfs.CrashOptions{}) }
	torn := func(m *vfs.Mem, rng *rand.Rand) *vfs.Mem {
		return m.Crash(vfs.CrashOptions{Data: vfs.KeepSome, Names: vfs.KeepSome, Rand: rng})
	}
	endings := map[string]ending{
		"kill, async": {true, false, kill}, "kill, sync": {true, true, kill},
		"power, async": {false, false, power}, "power, sync": {true, true, power},
		"torn, async": {false, false, torn}, "torn, sync": {true, true, torn},
	}
	step := 1
	if testing.Short() {
		step = 5
	}
	for _, name := range slices.Sorted(maps.Keys(endings)) {
		e := endings[name]
		t.Run(name, func(t *testing.T) {
			points, most := 0, 0
			for point := 1; ; point += step {
				reached := false
				synctest.Test(t, func(t *testing.T) {
					rng := rand.New(rand.NewPCG(uint64(point), 7))
					m, marks := vfs.NewMem(), newMarks()
					a := newActs()
					var change []option
					if e.sync {
						change = append(change, syncFlush)
					}
					for round, at := range []int{point, 1 + rng.IntN(100)} {
						left := runUntil(t, m, marks, change, a, round, at, func() *vfs.Mem { return e.end(m, rng) })
						if left == nil {
							return
						}
						m, reached = left, true
						if !e.durable { // what was answered may be lost
							clear(a.halves)
							clear(a.decided)
						}
					}
					r := start(t, m, marks, change...)
					what := fmt.Sprintf("%s at operation %d", name, point)
					open := r.open()
					for key, o := range a.decided {
						if open[key] != 0 {
							t.Errorf("%s: %s was answered as %v and is undecided again", what, key, o)
						}
						if got := r.committed()[key]; (got == 1) != (o == Commit) {
							t.Errorf("%s: %s was answered as %v, the topic has it %d times", what, key, o, got)
						}
					}
					if len(a.refused) > 0 {
						t.Errorf("%s: refused: %v", what, a.refused)
					}
					r.finish()
					got := r.committed()
					most = max(most, len(got))
					for key, n := range got {
						if n != 1 || intent(key) != Commit {
							t.Errorf("%s: %s is in the topic %d times, its producer wants it %v", what, key, n, intent(key))
						}
					}
					for key := range a.halves {
						if intent(key) == Commit && got[key] != 1 {
							t.Errorf("%s: %s was answered as stored and is lost", what, key)
						}
					}
					if n := r.pending(); n != 0 {
						t.Errorf("%s: %d undecided at the end", what, n)
					}
					r.stop()
				})
				if !reached || t.Failed() {
					break
				}
				points++
			}
			if !t.Failed() && (points*step < 40 || most < 4) {
				t.Errorf("%d points, at most %d committed: the test shows nothing", points, most)
			}
		})
	}
}

// runUntil runs the scene on m and ends it at the nth change of the file system.
// It returns what is left; nil when n was not reached.
func runUntil(t *testing.T, m *vfs.Mem, marks *marks, change []option, a *acts, round, n int, end func() *vfs.Mem) (left *vfs.Mem) {
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
	saved := newMarks()
	r, err := tryStart(t, m, frozen(marks, saved, func() bool { mu.Lock(); defer mu.Unlock(); return left != nil }), change...)
	if err == nil {
		r.scene(a, round)
		r.stop()
	}
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
