// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package longpoll

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"
)

// Run lets go the pulls whose time is up, until ctx ends; those still held then
// are let go as if it were.
func (h *Hub[K]) Run(ctx context.Context) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		h.mu.Lock()
		now := time.Now()
		stopping := ctx.Err() != nil
		h.ended = stopping
		for h.times.Len() > 0 && (stopping || !h.times.Items()[0].Deadline.After(now)) {
			h.release(h.times.Items()[0], Woken{})
		}
		wait := time.Hour
		if h.times.Len() > 0 {
			wait = h.times.Items()[0].Deadline.Sub(now)
		}
		h.mu.Unlock()
		if stopping {
			return nil
		}
		timer.Reset(wait)
		select {
		case <-h.kick:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
}

// Serve calls Wake of the pulls that are let go, until ctx ends and nobody is left
// to be woken. A Wake that panics is logged, and costs its pull only. Several
// goroutines may run it at once, so that a slow Wake does not stop the others. Run is to end before ctx does: it lets go the last.
func (h *Hub[K]) Serve(ctx context.Context) error {
	for {
		next, ok := h.nextWoken()
		if ok {
			h.wake(next)
			continue
		}
		if ctx.Err() != nil {
			return nil
		}
		select {
		case <-h.work:
		case <-ctx.Done():
		}
	}
}

// wake calls Wake, which works on what clients have sent.
func (h *Hub[K]) wake(next wakeup) {
	defer func() {
		if p := recover(); p != nil {
			h.log.Error("a held pull panicked", "offset", next.p.Offset, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
	}()
	next.p.Wake(next.w)
}

// nextWoken takes the first of those to be woken, and sees to it that another
// goroutine takes the next.
func (h *Hub[K]) nextWoken() (next wakeup, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.head == len(h.woken) {
		return wakeup{}, false
	}
	next = h.woken[h.head]
	h.woken[h.head] = wakeup{}
	if h.head++; h.head == len(h.woken) {
		h.head, h.woken = 0, h.woken[:0]
	} else {
		poke(h.work)
	}
	return next, true
}

// byDeadline orders pulls by deadline.
type byDeadline struct{}

func (byDeadline) Before(a, b *Pull) bool     { return a.Deadline.Before(b.Deadline) }
func (byDeadline) Placed(x *Pull, pos uint32) { x.pos = pos }
