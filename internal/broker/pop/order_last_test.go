// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pop

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
)

// inOrder pops up to most messages of queue 0 in order.
func (r *rig) inOrder(most int, invisible int64) []got {
	r.t.Helper()
	list, err := r.pop(Request{Group: "g", Topic: "T", Queue: 0, Max: most, Invisible: invisible, Order: true})
	r.must(err)
	return list
}

// TestOrderAndClock: what counts after a kill is the last pop in the log, whatever
// the clock said.
func TestOrderAndClock(t *testing.T) {
	for name, step := range map[string]int64{"the same millisecond": 0, "set back": -1000} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.must(r.send(0, "0", "1", "2", "3"))
			for range 3 {
				list := r.inOrder(1, 60_000)
				if len(list) != 1 {
					t.Fatalf("%+v", list)
				}
				r.must(r.ack(&list[0]))
				r.now += step
			}
			r.restart((*vfs.Mem).Kill)
			if list := r.inOrder(1, 60_000); len(list) != 1 || list[0].text != "3" {
				t.Fatalf("after the kill %+v", list)
			}
		})
	}
}

// TestOrderSmallerPop: what is acked behind the first message stays so when fewer
// messages are given next, also after kills.
func TestOrderSmallerPop(t *testing.T) {
	for _, kill := range []bool{false, true} {
		r := newRig(t)
		again := func() {
			if kill {
				r.must(r.s.Note())
				r.restart((*vfs.Mem).Kill)
			}
		}
		r.must(r.send(0, "0", "1", "2", "3", "4"))
		list := r.inOrder(4, 1000)
		for _, i := range []int{2, 3} {
			r.must(r.ack(&list[i]))
		}
		for _, want := range []string{"0", "1"} {
			r.now += 2000
			again()
			if list = r.inOrder(1, 1000); len(list) != 1 || list[0].text != want {
				t.Fatalf("killed %v: given %+v, want %s", kill, list, want)
			}
			again()
			r.must(r.ack(&list[0]))
		}
		again()
		if list = r.inOrder(3, 1000); len(list) != 1 || list[0].text != "4" {
			t.Errorf("killed %v: in the end %+v", kill, list)
		}
	}
}

// TestOrderChangeLasts: a change in order is there after a kill.
func TestOrderChangeLasts(t *testing.T) {
	r := newRig(t)
	r.must(r.send(0, "0", "1"))
	list := r.inOrder(1, 1000)
	if _, _, err := r.s.Change("g", "T", 0, &list[0].handle, 0, 50_000); err != nil {
		t.Fatal(err)
	}
	r.restart((*vfs.Mem).Kill)
	r.now += 49_999
	if list := r.inOrder(1, 1000); len(list) != 0 {
		t.Errorf("given too early: %+v", list)
	}
	r.now++
	if list := r.inOrder(1, 1000); len(list) != 1 || list[0].text != "0" {
		t.Errorf("then %+v", list)
	}
}

// TestOrderWakes: who waits for an orderly queue is told when it can be popped, not
// while the ack has it.
func TestOrderWakes(t *testing.T) {
	r := newRig(t)
	r.must(r.send(0, "0", "1"))
	var woken []got
	r.s.cfg.Wake = func(string, string, int32) { woken = append(woken, r.inOrder(1, 1000)...) }
	list := r.inOrder(1, 1000)
	r.must(r.ack(&list[0]))
	if len(woken) != 1 || woken[0].text != "1" {
		t.Fatalf("the pop that was woken got %+v", woken)
	}
	r.now += 999
	r.must(r.turn())
	if len(woken) != 1 {
		t.Fatalf("woken while blocked: %+v", woken)
	}
	r.now++
	r.must(r.turn())
	if len(woken) != 2 || woken[1].text != "1" {
		t.Fatalf("woken at the end of the time: %+v", woken)
	}
}

// TestOrderModel: random pops in order of random size, acks, changes, clocks set
// back and kills. Nothing is given after its ack or before its time, messages come
// in order, and none is lost.
func TestOrderModel(t *testing.T) {
	runs := 12
	if raceEnabled {
		runs = 5
	}
	for seed := range runs {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			r, rng := newRig(t), rand.New(rand.NewPCG(uint64(seed), 3))
			acked, until, sent := map[string]bool{}, map[string]int64{}, 0
			var has []got // of the last pop
			for step := 0; step < 400 || len(acked) < sent; step++ {
				if step > 4000 {
					t.Fatalf("%d of %d messages are acked", len(acked), sent)
				}
				switch n := rng.IntN(100); {
				case n < 15 && step < 400:
					r.must(r.send(0, fmt.Sprint(sent)))
					sent++
				case n < 40:
					list := r.inOrder(1+rng.IntN(6), 1000)
					last := -1
					for i := range list {
						g := &list[i]
						var number int
						if _, err := fmt.Sscan(g.text, &number); err != nil || number <= last {
							t.Fatalf("%s comes after %d", g.text, last)
						}
						last = number
						if acked[g.text] || r.now < until[g.text] {
							t.Fatalf("%s is given again: acked %v, invisible until %d, now %d", g.text, acked[g.text], until[g.text], r.now)
						}
						until[g.text] = r.now + 1000
					}
					if len(list) > 0 {
						for number := range last {
							if text := fmt.Sprint(number); !acked[text] && until[text] != r.now+1000 {
								t.Fatalf("%d is given before %s", last, text)
							}
						}
						has = list
					}
				case n < 70 && len(has) > 0:
					g := &has[rng.IntN(len(has))]
					r.must(r.ack(g))
					acked[g.text] = true
				case n < 75 && len(has) > 0:
					g := &has[rng.IntN(len(has))]
					if _, _, err := r.s.Change("g", "T", 0, &g.handle, g.handle.Offset, 3000); err == nil {
						until[g.text] = r.now + 3000
					} else if !acked[g.text] {
						t.Fatal(err)
					}
				case n < 80:
					r.must(r.s.Note())
				case n < 85:
					r.restart((*vfs.Mem).Kill)
				case n < 87:
					for text, at := range until {
						if at <= r.now { // it has been visible
							until[text] = 0
						}
					}
					r.now -= 500
				default:
					r.now += int64(rng.IntN(800))
				}
			}
		})
	}
}
