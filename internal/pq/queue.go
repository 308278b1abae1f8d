// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pq

// Order is how a Queue compares its elements, and tells each where it stands.
type Order[T any] interface {
	// Before tells whether a's turn comes before b's.
	Before(a, b T) bool
	// Placed says where x stands from now on, from 1; 0: no longer in the queue.
	Placed(x T, pos uint32)
}

// Queue is a priority queue. Of its zero value only Order needs to be set, where it
// needs anything.
type Queue[T any, O Order[T]] struct {
	Order O
	items []T
}

// Len is how many elements there are.
func (q *Queue[T, O]) Len() int { return len(q.items) }

// Items are the elements: the first one first, and none before the one at half its
// index (counted from 1). They are the queue's own, valid until it changes.
func (q *Queue[T, O]) Items() []T { return q.items }

// Push puts an element in.
func (q *Queue[T, O]) Push(x T) {
	q.items = append(q.items, x)
	q.up(len(q.items) - 1)
}

// Pop takes the first element out. There must be one.
func (q *Queue[T, O]) Pop() T {
	x := q.items[0]
	q.Remove(1)
	return x
}

// Fix restores the order after the turn of the element at pos has changed.
func (q *Queue[T, O]) Fix(pos uint32) {
	if i := int(pos) - 1; !q.down(i) {
		q.up(i)
	}
}

// Remove takes out the element at pos. A queue that has become much shorter gives
// its memory back.
func (q *Queue[T, O]) Remove(pos uint32) {
	i, last := int(pos)-1, len(q.items)-1
	q.Order.Placed(q.items[i], 0)
	moved := q.items[last]
	var none T
	q.items[last] = none
	q.items = q.items[:last]
	if i < last {
		q.items[i] = moved
		q.Fix(pos)
	}
	if cap(q.items) > 64 && last < cap(q.items)/4 {
		q.items = append(make([]T, 0, 2*last+16), q.items...)
	}
}

func (q *Queue[T, O]) up(i int) {
	x := q.items[i]
	for i > 0 {
		parent := (i - 1) / 2
		if !q.Order.Before(x, q.items[parent]) {
			break
		}
		q.items[i] = q.items[parent]
		q.Order.Placed(q.items[i], uint32(i+1))
		i = parent
	}
	q.items[i] = x
	q.Order.Placed(x, uint32(i+1))
}

// down reports whether the element moved.
func (q *Queue[T, O]) down(i int) bool {
	x, from := q.items[i], i
	for {
		child := 2*i + 1
		if child >= len(q.items) {
			break
		}
		if right := child + 1; right < len(q.items) && q.Order.Before(q.items[right], q.items[child]) {
			child = right
		}
		if !q.Order.Before(q.items[child], x) {
			break
		}
		q.items[i] = q.items[child]
		q.Order.Placed(q.items[i], uint32(i+1))
		i = child
	}
	q.items[i] = x
	q.Order.Placed(x, uint32(i+1))
	return i != from
}
