// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pop

import (
	"container/heap"
	"maps"
	"slices"
)

// wakes is which orderly queues are blocked, and until when.
type wakes struct {
	byKey  map[queueKey]*wake
	byTime wakeHeap
}

type wake struct {
	key queueKey
	at  int64 // ms since 1970
	pos int
}

func newWakes() wakes { return wakes{byKey: make(map[queueKey]*wake)} }

// set says until when a queue is blocked, 0: it is not.
func (w *wakes) set(k queueKey, at int64) {
	one := w.byKey[k]
	switch {
	case at == 0 && one != nil:
		heap.Remove(&w.byTime, one.pos)
		delete(w.byKey, k)
	case at == 0:
	case one != nil:
		one.at = at
		heap.Fix(&w.byTime, one.pos)
	default:
		one = &wake{key: k, at: at}
		w.byKey[k] = one
		heap.Push(&w.byTime, one)
	}
}

// take gives the queues that are free by now.
func (w *wakes) take(now int64) (list []queueKey) {
	for len(w.byTime) > 0 && w.byTime[0].at <= now {
		list = append(list, w.byTime[0].key)
		w.set(w.byTime[0].key, 0)
	}
	return list
}

// next is when take has something, false: never.
func (w *wakes) next() (at int64, ok bool) {
	if len(w.byTime) == 0 {
		return 0, false
	}
	return w.byTime[0].at, true
}

func (w *wakes) keys() []queueKey { return slices.Collect(maps.Keys(w.byKey)) }

type wakeHeap []*wake

func (h wakeHeap) Len() int           { return len(h) }
func (h wakeHeap) Less(i, j int) bool { return h[i].at < h[j].at }
func (h wakeHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].pos, h[j].pos = i, j
}

// Push is of heap.Interface.
func (h *wakeHeap) Push(v any) {
	w := v.(*wake)
	w.pos = len(*h)
	*h = append(*h, w)
}

// Pop is of heap.Interface.
func (h *wakeHeap) Pop() any {
	last := len(*h) - 1
	w := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return w
}
