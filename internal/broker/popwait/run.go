// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package popwait

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"
)

// Run lets go the waits whose time is up, until ctx ends; those still held then
// are let go as if it were.
func (h *Hub) Run(ctx context.Context) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var ask []*Wait
	for {
		stopping := ctx.Err() != nil
		now := time.Now()
		wait := time.Hour
		ask = ask[:0]
		h.mu.Lock()
		h.ended = stopping
		for h.times.Len() > 0 && (stopping || !h.times.Items()[0].at.After(now)) {
			w := h.times.Items()[0]
			if stopping || !w.Deadline.After(now) {
				h.release(w, false)
				continue
			}
			ask = append(ask, w) // once: what comes later is told
			w.at = w.Deadline
			h.times.Fix(1)
		}
		if h.times.Len() > 0 {
			wait = h.times.Items()[0].at.Sub(now)
		}
		h.mu.Unlock()
		for i, w := range ask {
			if h.ready(w) {
				h.found(w)
			}
			ask[i] = nil
		}
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

// Serve calls Wake of the waits that are let go, until ctx ends and nobody is left
// to be woken. A Wake that panics is logged, and costs its request only. Several
// goroutines may run it at once, so that a slow Wake does not stop the others. Run is to end before ctx does: it lets go the last.
func (h *Hub) Serve(ctx context.Context) error {
	for {
		w, arrived, ok := h.nextWoken()
		if ok {
			h.wake(w, arrived)
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
func (h *Hub) wake(w *Wait, arrived bool) {
	defer h.recovered(w)
	w.Wake(arrived)
}

// ready asks Ready; a panic is a no.
func (h *Hub) ready(w *Wait) (ready bool) {
	defer h.recovered(w)
	return w.Ready()
}

// recovered ends a panic; it must be the deferred function itself.
func (h *Hub) recovered(w *Wait) {
	if p := recover(); p != nil {
		h.log.Error("a held request panicked", "group", w.Group, "topic", w.Topic, "queue", w.Queue, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	}
}

// nextWoken takes the first of those to be woken, and sees to it that another
// goroutine takes the next.
func (h *Hub) nextWoken() (w *Wait, arrived, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.head == len(h.woken) {
		return nil, false, false
	}
	next := h.woken[h.head]
	h.woken[h.head] = wakeup{}
	if h.head++; h.head == len(h.woken) {
		h.head, h.woken = 0, h.woken[:0]
	} else {
		poke(h.work)
	}
	return next.w, next.arrived, true
}
