// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"sync"
	"sync/atomic"
	"time"
)

// turn is a mutex that can be waited for with a limit. Like sync.Mutex it lets
// whoever runs overtake those that have to be woken, which keeps the log busy, but
// not one that has waited for patience.
type turn struct {
	held    atomic.Bool
	waiting atomic.Int32 // len(queue), or more for a moment

	mu    sync.Mutex // queue, idle
	queue []*entrant
	idle  []*entrant
}

// patience is how long a waiter lets itself be overtaken.
const patience = time.Millisecond

// entrant is a goroutine that waits for its turn.
type entrant struct {
	woken chan bool // true: the turn is its own; false: it is to try
	since time.Time
	timer *time.Timer
}

// lock takes the turn, and reports whether it got it within limit; 0: as long as
// it takes.
func (t *turn) lock(limit time.Duration) bool {
	return t.held.CompareAndSwap(false, true) || t.wait(limit)
}

func (t *turn) wait(limit time.Duration) bool {
	w := t.newEntrant()
	defer t.done(w)
	w.since = time.Now()
	var up <-chan time.Time
	if limit > 0 {
		w.timer.Reset(limit)
		defer w.timer.Stop()
		up = w.timer.C
	}
	for first := true; ; first = false {
		t.mu.Lock()
		t.waiting.Add(1) // before the last try: unlock looks at it after it has let go
		if t.held.CompareAndSwap(false, true) {
			t.waiting.Add(-1)
			t.mu.Unlock()
			return true
		}
		if t.queue = append(t.queue, w); !first { // it was overtaken
			copy(t.queue[1:], t.queue)
			t.queue[0] = w
		}
		t.mu.Unlock()
		select {
		case own := <-w.woken:
			if own || t.held.CompareAndSwap(false, true) {
				return true
			}
		case <-up:
			if t.leave(w) {
				return false
			}
			return <-w.woken || t.held.CompareAndSwap(false, true) // it was woken just now
		}
	}
}

func (t *turn) newEntrant() *entrant {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.idle); n > 0 {
		w := t.idle[n-1]
		t.idle = t.idle[:n-1]
		return w
	}
	w := &entrant{woken: make(chan bool, 1), timer: time.NewTimer(time.Hour)}
	w.timer.Stop()
	return w
}

// maxIdle bounds what is kept for those that wait next.
const maxIdle = 64

func (t *turn) done(w *entrant) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.idle) < maxIdle {
		t.idle = append(t.idle, w)
	}
}

// leave takes w out of the queue; false: it is not there any more.
func (t *turn) leave(w *entrant) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, other := range t.queue {
		if other == w {
			t.queue = append(t.queue[:i], t.queue[i+1:]...)
			t.waiting.Add(-1)
			return true
		}
	}
	return false
}

// unlock gives the turn to whoever has waited for long, or to nobody.
func (t *turn) unlock() {
	if t.waiting.Load() > 0 && t.pass() {
		return
	}
	t.held.Store(false)
	if t.waiting.Load() > 0 { // one may have begun to wait in between
		t.wake()
	}
}

// pass hands the turn over to a waiter whose patience is at its end.
func (t *turn) pass() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.queue) == 0 || time.Since(t.queue[0].since) < patience {
		return false
	}
	t.pop().woken <- true
	return true
}

// wake has the first waiter try.
func (t *turn) wake() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.queue) > 0 && !t.held.Load() {
		t.pop().woken <- false
	}
}

func (t *turn) pop() *entrant {
	w := t.queue[0]
	t.queue = append(t.queue[:0], t.queue[1:]...)
	t.waiting.Add(-1)
	return w
}
