// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"sync"
	"sync/atomic"
	"time"
)

// turn is a mutex that can be waited for with a limit. As with sync.Mutex, whoever
// runs overtakes those that have to be woken, which keeps the log busy, and one of
// these at a time is awake; one that was overtaken for longer than patience is
// given the turn.
type turn struct {
	held    atomic.Bool
	waiting atomic.Int32 // how many are in the queue, or more for a moment
	awake   atomic.Bool  // one was woken and tries: nobody else need be
	hungry  atomic.Bool  // the first of the queue has no patience left

	mu          sync.Mutex // all below
	first, last *entrant   // the queue
	idle        []*entrant
	alarm       *time.Timer
	rings       time.Time // when the alarm goes off; zero: it is not set
}

// patience is how long a waiter lets itself be overtaken.
const patience = time.Millisecond

// entrant is a goroutine that waits for its turn.
type entrant struct {
	woken      chan call
	since      time.Time
	limit      time.Time // zero: none
	prev, next *entrant  // in the queue
}

// call is what a waiter is woken for.
type call uint8

const (
	try    call = iota // the turn may be free
	own                // the turn is its own
	giveUp             // its limit is reached
)

// lock takes the turn, and reports whether it got it within limit; 0: as long as
// it takes.
func (t *turn) lock(limit time.Duration) bool {
	return t.held.CompareAndSwap(false, true) || t.wait(limit)
}

func (t *turn) wait(limit time.Duration) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := t.newEntrant()
	defer t.done(w)
	w.since, w.limit = time.Now(), time.Time{}
	if limit > 0 {
		w.limit = w.since.Add(limit)
	}
	for overtaken := false; ; overtaken = true {
		// Before the last try: unlock looks at both after it has let go.
		t.waiting.Add(1)
		if overtaken {
			t.awake.Store(false)
		}
		if t.held.CompareAndSwap(false, true) {
			t.waiting.Add(-1)
			return true
		}
		if overtaken {
			t.pushFront(w)
			t.hungry.Store(time.Since(w.since) >= patience)
		} else {
			t.pushBack(w)
		}
		t.alert(w.limit)
		t.mu.Unlock()
		c := <-w.woken
		if c == try && t.held.CompareAndSwap(false, true) {
			t.awake.Store(false)
			c = own
		}
		t.mu.Lock()
		if c != try {
			return c == own
		}
	}
}

// unlock gives the turn to whoever has waited for long, or to nobody.
func (t *turn) unlock() {
	if t.hungry.Load() && t.pass() {
		return
	}
	t.held.Store(false)
	if t.waiting.Load() > 0 && !t.awake.Load() { // or one has begun to wait just now
		t.wake()
	}
}

// pass hands the turn over to the first waiter.
func (t *turn) pass() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hungry.Store(false)
	if t.first == nil {
		return false
	}
	t.call(t.first, own)
	return true
}

// wake has the first waiter try.
func (t *turn) wake() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.first != nil && !t.held.Load() && !t.awake.Load() {
		t.awake.Store(true)
		t.call(t.first, try)
	}
}

// alert sees to it that the alarm goes off at a limit, or before. It stays set
// when nobody waits any more: it seldom goes off, and to wait costs no timer.
func (t *turn) alert(limit time.Time) {
	switch {
	case limit.IsZero() || !t.rings.IsZero() && !limit.Before(t.rings):
		return
	case t.alarm == nil:
		t.alarm = time.AfterFunc(time.Until(limit), t.ring)
	default:
		t.alarm.Reset(time.Until(limit))
	}
	t.rings = limit
}

// ring has those give up whose limit is reached.
func (t *turn) ring() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rings = time.Time{}
	now := time.Now()
	for w := t.first; w != nil; {
		next := w.next // call ends w's chain
		if !w.limit.IsZero() && !w.limit.After(now) {
			t.call(w, giveUp)
		} else {
			t.alert(w.limit)
		}
		w = next
	}
}

// call takes a waiter out of the queue and wakes it.
func (t *turn) call(w *entrant, c call) {
	if w.prev == nil {
		t.first = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		t.last = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.prev, w.next = nil, nil
	t.waiting.Add(-1)
	w.woken <- c
}

func (t *turn) pushBack(w *entrant) {
	if w.prev = t.last; w.prev == nil {
		t.first = w
	} else {
		w.prev.next = w
	}
	t.last = w
}

func (t *turn) pushFront(w *entrant) {
	if w.next = t.first; w.next == nil {
		t.last = w
	} else {
		w.next.prev = w
	}
	t.first = w
}

// maxIdle bounds what is kept for those that wait next.
const maxIdle = 64

func (t *turn) newEntrant() *entrant {
	n := len(t.idle)
	if n == 0 {
		return &entrant{woken: make(chan call, 1)}
	}
	w := t.idle[n-1]
	t.idle = t.idle[:n-1]
	return w
}

func (t *turn) done(w *entrant) {
	if len(t.idle) < maxIdle {
		t.idle = append(t.idle, w)
	}
}
