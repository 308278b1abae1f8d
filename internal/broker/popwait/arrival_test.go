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
// asked, their waits are let go; equal ones count once, wherever they stand, and one
// that costs too much takes no other's place.
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
		d.filtered("most", "before", most)
		d.filtered("most", "g", most)
		h.Arrive("t", 0, 5, 0, nil)
		d.want("too much for one filter", "most,most")
		if costly.asked != 2 || cheap.asked != 2 || most.asked != 0 {
			t.Errorf("asked %d, %d and %d times", costly.asked, cheap.asked, most.asked)
		}
	})
}

// TestManyWaitsCostWhatTheirFiltersDo: a message goes through the distinct filters,
// not through the waits, asks each once, and lets nobody go for want of time.
func TestManyWaitsCostWhatTheirFiltersDo(t *testing.T) {
	const waits = 2000
	for _, distinct := range []int{1, 10, waits} {
		inBubble(t, Limits{Waits: waits, Keys: 2, OneKey: waits}, false, func(h *Hub, d *held) {
			filters := make([]*probe, distinct)
			for i := range filters {
				filters[i] = &probe{cost: 9}
			}
			for i := range waits { // equal ones never stand side by side, but for one
				d.filtered("", "g", filters[i%distinct])
			}
			m := &arrival{left: work}
			h.mu.Lock()
			h.collect("t", 0, m)
			h.mu.Unlock()
			if looks := (work - m.left) / costOfLook; looks != distinct || len(m.asked) != distinct {
				t.Errorf("%d waits by %d filters: %d looks, %d filters are to be asked", waits, distinct, looks, len(m.asked))
			}
			const messages = 3
			for range messages {
				h.Arrive("t", 0, 5, 0, nil)
			}
			if h.Len() != waits {
				t.Errorf("%d waits by %d filters: %d let go for nothing", waits, distinct, waits-h.Len())
			}
			for _, f := range filters {
				if f.asked != messages {
					t.Fatalf("%d waits by %d filters: one was asked %d times", waits, distinct, f.asked)
				}
			}
		})
	}
}

// TestTooManyFiltersLetGo: beyond the bound nobody is asked, and one wait of each key
// is let go.
func TestTooManyFiltersLetGo(t *testing.T) {
	const waits = work/costOfLook + 1
	inBubble(t, Limits{Waits: waits, Keys: 2, OneKey: waits}, false, func(h *Hub, d *held) {
		for range waits {
			d.filtered("let go", "g", &probe{})
		}
		h.Arrive("t", 0, 5, 0, nil)
		d.want("a message", "let go")
	})
}

// TestOrderAmongFilters: the first wait is let go, whatever filters are between.
func TestOrderAmongFilters(t *testing.T) {
	for newest, want := range map[bool][]string{false: {"1", "2", "4", "5"}, true: {"5", "4", "2", "1"}} {
		inBubble(t, roomy, newest, func(h *Hub, d *held) {
			a, b := &probe{takes: true}, &probe{takes: true}
			for i, f := range []Filter{a, b, &probe{}, a, nil} {
				d.filtered([]string{"1", "2", "3", "4", "5"}[i], "g", f)
			}
			for _, name := range append(want, "") {
				h.Arrive("t", 0, 5, 0, nil)
				d.want("a message", name)
			}
		})
	}
}
