// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package consume

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// step is something that is done to a world at a time.
type step struct {
	at    time.Duration
	what  string // "join", "leave", "crash", "return", "freeze" or "kill"
	group int
	who   string
	long  time.Duration // of a freeze; until it comes back
}

const startMembers = 3 // of each group

// schedule draws the steps of a world, in order. The first kill is in the first
// half. A client that crashed comes back as who it was, after a while: nobody else
// gets its locks before they expire.
func schedule(cfg options) []step {
	rng := rand.New(rand.NewPCG(cfg.seed, 99))
	var steps []step
	part := cfg.duration * 8 / 10 / time.Duration(max(cfg.kills, 1))
	var kills []time.Duration
	for i := 0; i < cfg.kills; i++ {
		at := cfg.duration/10 + part*time.Duration(i) + time.Duration(rng.Int64N(int64(part)))
		kills = append(kills, at)
		steps = append(steps, step{at: at, what: "kill"})
		if i+1 < cfg.kills && rng.IntN(4) == 0 { // what the start did must withstand one too
			steps = append(steps, step{at: at, what: "kill"})
			i++
		}
	}
	for g := range cfg.groups {
		var in []string
		joined := 0
		name := func() string {
			joined++
			return fmt.Sprintf("%s-%d", cfg.groups[g].name, joined)
		}
		for range startMembers {
			who := name()
			in = append(in, who)
			steps = append(steps, step{what: "join", group: g, who: who})
		}
		busy := make(map[string]time.Duration) // crashed or frozen until
		for at := 500 * time.Millisecond; at < cfg.duration*9/10; at += 200*time.Millisecond + time.Duration(rng.Int64N(int64(1300*time.Millisecond))) {
			free := slices.DeleteFunc(slices.Clone(in), func(who string) bool { return busy[who] > at })
			switch n := rng.IntN(10); {
			case n < 3 && len(in) < 6 || len(free) == 0:
				who := name()
				in = append(in, who)
				steps = append(steps, step{at: at, what: "join", group: g, who: who})
			case n < 5:
				if len(in) > 2 {
					who := free[rng.IntN(len(free))]
					in = slices.DeleteFunc(in, func(s string) bool { return s == who })
					steps = append(steps, step{at: at, what: "leave", group: g, who: who})
				}
			case n < 8:
				who := free[rng.IntN(len(free))]
				back := at + 100*time.Millisecond + time.Duration(rng.Int64N(int64(1500*time.Millisecond)))
				steps = append(steps, step{at: at, what: "crash", group: g, who: who})
				// A killed broker knows no locks: then it may stay away, and another comes.
				// In a long round that may take as long as locks last.
				forgotten := cfg.duration >= maxRound || slices.ContainsFunc(kills, func(k time.Duration) bool { return k > at })
				if forgotten && rng.IntN(2) == 0 && len(in) > 2 {
					in = slices.DeleteFunc(in, func(s string) bool { return s == who })
					break
				}
				busy[who] = back
				steps = append(steps, step{at: back, what: "return", group: g, who: who})
			default:
				who := free[rng.IntN(len(free))]
				long := 200*time.Millisecond + time.Duration(rng.Int64N(int64(expiry+time.Second)))
				busy[who] = at + long
				steps = append(steps, step{at: at, what: "freeze", group: g, who: who, long: long})
			}
		}
	}
	slices.SortStableFunc(steps, func(a, b step) int { return int(a.at - b.at) })
	return steps
}

// play carries out the schedule.
func (w *world) play() {
	w.t.Helper()
	begin := time.Now()
	var thaws []func()
	defer func() {
		for _, thaw := range thaws {
			thaw()
		}
	}()
	for _, s := range schedule(w.cfg) {
		if d := time.Until(begin.Add(s.at)); d > 0 {
			w.wait(d)
		}
		switch s.what {
		case "kill":
			w.kill()
		case "join", "return":
			w.enter(w.cfg.groups[s.group], s.who)
		case "leave":
			w.members[s.who].part()
			delete(w.members, s.who)
		case "crash":
			w.members[s.who].crash()
			delete(w.members, s.who)
		case "freeze":
			thaw := w.members[s.who].freeze()
			timer := time.AfterFunc(s.long, thaw)
			thaws = append(thaws, func() { timer.Stop(); thaw() })
		}
	}
	w.wait(time.Until(begin.Add(w.cfg.duration)))
}

// leastRate is how many messages a second there are to be: a tenth of what a machine
// with nothing else to do makes.
const leastRate = 50

// linger lets a world go on that has not made enough yet, for four times as long.
func (w *world) linger() {
	enough := int64(leastRate * w.cfg.duration.Seconds())
	for end := time.Now().Add(4 * w.cfg.duration); w.stored.Load() < enough && time.Now().Before(end); {
		w.wait(100 * time.Millisecond)
	}
}

// wait lets the world go on.
func (w *world) wait(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	<-t.C
}

// TestScheduleReplays holds that the seed makes the schedule, and that it can be
// carried out.
func TestScheduleReplays(t *testing.T) {
	for s := range uint64(300) {
		cfg := options{seed: s, duration: time.Duration(5+s%50) * time.Second, kills: int(s % 4), groups: []group{{name: "a"}, {name: "b"}}}
		steps := schedule(cfg)
		if again := schedule(cfg); !slices.Equal(steps, again) {
			t.Fatalf("seed %d: %v, then %v", s, steps, again)
		}
		in, kills := make(map[string]bool), 0
		for i, step := range steps {
			if i > 0 && step.at < steps[i-1].at || step.at > cfg.duration+2*time.Second {
				t.Fatalf("seed %d: step %d of %v", s, i, steps)
			}
			switch step.what {
			case "kill":
				kills++
				continue
			case "join", "return":
				if in[step.who] {
					t.Fatalf("seed %d: %+v is there", s, step)
				}
				in[step.who] = true
				continue
			}
			if !in[step.who] {
				t.Fatalf("seed %d: %+v is not there", s, step)
			}
			if step.what != "freeze" {
				delete(in, step.who)
			}
		}
		if kills != cfg.kills || len(in) < 2*2 {
			t.Errorf("seed %d: %d kills, %v at the end", s, kills, in)
		}
	}
}
