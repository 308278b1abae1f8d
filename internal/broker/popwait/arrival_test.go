// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package popwait

import "testing"

// probe is a filter that notes what it is asked.
type probe struct {
	cost   int
	takes  bool
	during func() // what goes on while it is asked
	asked  int
}

func (f *probe) Cost(int64, int) int { return f.cost }

func (f *probe) Arrival(int64, []byte) bool {
	f.asked++
	if f.during != nil {
		f.during()
	}
	return f.takes
}

func (d *held) filtered(name, group string, f Filter) {
	d.t.Helper()
	w := d.wait(name, group, "t", AnyQueue)
	w.Filter, w.Owner = f, d
	d.hold(w)
}

// TestFiltersRunWithoutTheLock: whoever else uses the hub does not wait for a
// filter, and what happens meanwhile counts.
func TestFiltersRunWithoutTheLock(t *testing.T) {
	inBubble(t, roomy, false, func(h *Hub, d *held) {
		f := &probe{takes: true}
		f.during = func() {
			f.during = nil
			h.Arrive("other", 0, 0, 0, nil)
			d.filtered("new", "g", &probe{})
			h.Drop(t) // nobody
		}
		d.filtered("old", "g", f)
		h.Arrive("t", 0, 5, 0, nil)
		d.want("a message", "old")
		f.during = func() { h.Drop(d) }
		d.filtered("gone", "g2", f)
		h.Arrive("t", 0, 5, 0, nil)
		d.want("one whose waits are gone", "")
	})
}

// TestWorkOfAMessageIsBounded: filters that would cost too much together are not
// asked, their waits are let go; equal ones count once, wherever they stand.
func TestWorkOfAMessageIsBounded(t *testing.T) {
	inBubble(t, roomy, false, func(h *Hub, d *held) {
		costly, cheap, most := &probe{cost: work / 2}, &probe{cost: 9}, &probe{cost: work + 1}
		for range 10 {
			d.filtered("costly", "g", costly)
			d.filtered("cheap", "g", cheap)
		}
		h.Arrive("t", 0, 5, 0, nil)
		d.want("what all turn down", "")
		if costly.asked != 1 || cheap.asked != 1 {
			t.Errorf("asked %d and %d times", costly.asked, cheap.asked)
		}
		d.filtered("most", "g", most)
		h.Arrive("t", 0, 5, 0, nil)
		d.want("too much for the last", "most")
		if most.asked != 0 {
			t.Error("it was asked")
		}
	})
}
