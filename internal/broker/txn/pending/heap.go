// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pending

// order is how a heap compares its elements, and tells each where it stands.
type order[T any] interface {
	before(a, b T) bool
	placed(x T, pos uint32) // from 1; 0: no longer in the heap
}

// heap is a binary heap whose elements know their places, so that any can be
// taken out.
type heap[T any, O order[T]] struct {
	order O
	items []T
}

func (h *heap[T, O]) push(x T) {
	h.items = append(h.items, x)
	h.up(len(h.items) - 1)
}

// fix restores the order after the element at pos changed.
func (h *heap[T, O]) fix(pos uint32) {
	if i := int(pos) - 1; !h.down(i) {
		h.up(i)
	}
}

// remove takes out the element at pos.
func (h *heap[T, O]) remove(pos uint32) {
	i, last := int(pos)-1, len(h.items)-1
	h.order.placed(h.items[i], 0)
	moved := h.items[last]
	var none T
	h.items[last] = none
	h.items = h.items[:last]
	if i < last {
		h.items[i] = moved
		h.fix(pos)
	}
	h.items = fit(h.items)
}

func (h *heap[T, O]) up(i int) {
	x := h.items[i]
	for i > 0 {
		parent := (i - 1) / 2
		if !h.order.before(x, h.items[parent]) {
			break
		}
		h.items[i] = h.items[parent]
		h.order.placed(h.items[i], uint32(i+1))
		i = parent
	}
	h.items[i] = x
	h.order.placed(x, uint32(i+1))
}

// down reports whether the element moved.
func (h *heap[T, O]) down(i int) bool {
	x, from := h.items[i], i
	for {
		child := 2*i + 1
		if child >= len(h.items) {
			break
		}
		if right := child + 1; right < len(h.items) && h.order.before(h.items[right], h.items[child]) {
			child = right
		}
		if !h.order.before(h.items[child], x) {
			break
		}
		h.items[i] = h.items[child]
		h.order.placed(h.items[i], uint32(i+1))
		i = child
	}
	h.items[i] = x
	h.order.placed(x, uint32(i+1))
	return i != from
}

// byDue orders the transactions of a group by when their checks are due, equal
// times by age.
type byDue struct{ *slab }

func (o byDue) before(a, b ident) bool {
	x, y := o.at(a), o.at(b)
	if x.due != y.due {
		return x.due < y.due
	}
	return x.offset < y.offset
}

func (o byDue) placed(id ident, pos uint32) { o.at(id).duePos = pos }

// byExpiry orders transactions by when they expire.
type byExpiry struct{ t *Table }

func (o byExpiry) before(a, b ident) bool {
	x, y := o.t.nodes.at(a), o.t.nodes.at(b)
	if p, q := o.t.expiry(x), o.t.expiry(y); p != q {
		return p < q
	}
	return x.offset < y.offset
}

func (o byExpiry) placed(id ident, pos uint32) { o.t.nodes.at(id).expiryPos = pos }

// byReady orders groups by when their next check may go, equal times always the
// same way.
type byReady struct{}

func (byReady) before(a, b *group) bool {
	if a.at != b.at {
		return a.at < b.at
	}
	return a.id < b.id
}

func (byReady) placed(g *group, pos uint32) { g.pos = pos }
