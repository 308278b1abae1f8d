// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pop

import (
	"github.com/twostage/twostage/internal/pq"

	"maps"
	"slices"
)

// wakes is which orderly queues are blocked, and until when.
type wakes struct {
	byKey  map[queueKey]*wake
	byTime pq.Queue[*wake, byTime]
}

type wake struct {
	key queueKey
	at  int64  // ms since 1970
	pos uint32 // in wakes.byTime
}

func newWakes() wakes { return wakes{byKey: make(map[queueKey]*wake)} }

// set says until when a queue is blocked, 0: it is not.
func (w *wakes) set(k queueKey, at int64) {
	one := w.byKey[k]
	switch {
	case at == 0 && one != nil:
		w.byTime.Remove(one.pos)
		delete(w.byKey, k)
	case at == 0:
	case one != nil:
		one.at = at
		w.byTime.Fix(one.pos)
	default:
		one = &wake{key: k, at: at}
		w.byKey[k] = one
		w.byTime.Push(one)
	}
}

// take gives the queues that are free by now.
func (w *wakes) take(now int64) (list []queueKey) {
	for w.byTime.Len() > 0 && w.byTime.Items()[0].at <= now {
		list = append(list, w.byTime.Items()[0].key)
		w.set(w.byTime.Items()[0].key, 0)
	}
	return list
}

// next is when take has something, false: never.
func (w *wakes) next() (at int64, ok bool) {
	if w.byTime.Len() == 0 {
		return 0, false
	}
	return w.byTime.Items()[0].at, true
}

func (w *wakes) keys() []queueKey { return slices.Collect(maps.Keys(w.byKey)) }

// byTime orders blocked queues by when they are free.
type byTime struct{}

// Before is of pq.Order.
func (byTime) Before(a, b *wake) bool { return a.at < b.at }

// Placed is of pq.Order.
func (byTime) Placed(w *wake, pos uint32) { w.pos = pos }
