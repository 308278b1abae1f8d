// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package timer

import "slices"

// maxWindow is how many units of a slot are in memory at once: 1 MiB. A slot that
// has more is gone through again for the next ones, in the order of their times.
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

// window is what is in memory of one slot: the earliest units that have not been
// dealt with.
type window struct {
	slot   int64
	loaded bool
	items  []item // a heap, the earliest first
	more   bool   // the slot has units behind limit, which are not in items
	limit  item
}

func (w *window) begin(slot int64) {
	*w = window{slot: slot, items: w.items[:0]}
}

// gather takes in a unit of a pass over the slot, which settle ends.
func (w *window) gather(it item, size int) {
	w.items = append(w.items, it)
	if len(w.items) >= 2*size {
		w.cut(size)
	}
}

// cut keeps the n earliest.
func (w *window) cut(n int) {
	slices.SortFunc(w.items, compareItems)
	if len(w.items) > n {
		w.items = w.items[:n]
		w.more, w.limit = true, w.items[n-1]
	}
}

func (w *window) settle(size int) { w.cut(size) } // what is sorted is a heap

// push takes in a unit of the slot that was put in, or is to be looked at again,
// unless a later pass finds it.
func (w *window) push(it item, size int) {
	if w.more && w.limit.before(it) {
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
	if len(w.items) >= 2*size {
		w.cut(size)
	}
}

// pop takes out the earliest one.
func (w *window) pop() item {
	top, n := w.items[0], len(w.items)-1
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
