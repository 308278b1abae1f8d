// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package timer

import (
	"math"
	"slices"
)

// maxWindow is how many units of a slot are in memory at once, up to twice as many
// for a moment: 1 to 2 MiB. Of a slot that has more the next ones are read when
// these have been delivered (see Service.fill).
const maxWindow = 1 << 16

// item is a unit of a slot: when it is due, and where it stands.
type item struct{ due, pos int64 }

func (a item) before(b item) bool { return a.due < b.due || a.due == b.due && a.pos < b.pos }

func compareItems(a, b item) int {
	switch {
	case a.before(b):
		return -1
	case a == b:
		return 0
	}
	return 1
}

// earliest is before all units.
var earliest = item{math.MinInt64, 0}

// window is what is in memory of one slot: the earliest units that have not been
// dealt with.
type window struct {
	slot   int64
	loaded bool   // there was a whole pass over the slot
	items  []item // a heap, the earliest first; in no order while a pass runs
	more   bool   // the slot has units behind limit, which are not in items
	limit  item
	high   item // the last that was taken out

	pass     pass    // under way
	marks    []int64 // units of the chain, a window of units between each, the newest first
	draining bool    // what is behind limit comes from mark to mark; what is put in goes into items
	drained  int64   // the mark up to which it has come
	top      int64   // the newest of the marks
}

// later tells whether a unit of the slot that is not in items is still to be read.
func (w *window) later(it item) bool {
	switch {
	case w.draining && it.pos > w.top:
		return false
	case w.draining && !w.pass.mark:
		low := w.drained
		if w.pass.running {
			low = w.pass.low
		}
		return it.pos > low && w.limit.before(it)
	case w.pass.running:
		return w.pass.after.before(it)
	}
	return w.more && w.limit.before(it)
}

// gather takes in a unit during a pass over the slot, which settle ends.
func (w *window) gather(it item, size int) {
	if w.more && !w.draining && w.limit.before(it) {
		return
	}
	w.items = append(w.items, it)
	if len(w.items)%size == 0 && len(w.items) >= 2*size {
		w.cut(size)
	}
}

// cut keeps the n earliest. A later pass finds the others again, so none of them
// may be before one that has been taken out.
func (w *window) cut(n int) {
	slices.SortFunc(w.items, compareItems)
	if len(w.items) > n && !w.draining && w.high.before(w.items[n-1]) {
		w.items = w.items[:n]
		w.more, w.limit = true, w.items[n-1]
	}
}

func (w *window) settle(size int) { w.cut(size) } // what is sorted is a heap

// push takes in a unit of the slot that was put in, or is to be looked at again,
// unless a later pass finds it.
func (w *window) push(it item, size int) {
	if w.pass.running {
		w.gather(it, size)
		return
	}
	if w.more && !w.draining && w.limit.before(it) {
		return
	}
	w.items = append(w.items, it)
	for i := len(w.items) - 1; i > 0; {
		parent := (i - 1) / 2
		if !w.items[i].before(w.items[parent]) {
			break
		}
		w.items[i], w.items[parent] = w.items[parent], w.items[i]
		i = parent
	}
	if len(w.items)%size == 0 && len(w.items) >= 2*size {
		w.cut(size)
	}
}

// pop takes out the earliest one.
func (w *window) pop() item {
	top, n := w.items[0], len(w.items)-1
	if w.high.before(top) {
		w.high = top
	}
	w.items[0] = w.items[n]
	w.items = w.items[:n]
	for i := 0; ; {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < n; c++ {
			if w.items[c].before(w.items[least]) {
				least = c
			}
		}
		if least == i {
			return top
		}
		w.items[i], w.items[least] = w.items[least], w.items[i]
		i = least
	}
}
