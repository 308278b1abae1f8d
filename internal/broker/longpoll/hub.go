// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package longpoll

import (
	"container/heap"
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Pull is a held pull request.
type Pull struct {
	Offset   int64            // the queue offset it waits for
	Deadline time.Time        // when it is let go without a message
	Match    func(int64) bool // whether a message with this tags code wakes it; nil: any
	// Wake is called once, on the goroutine of Run: arrived tells a message from
	// the deadline. It must not block.
	Wake func(arrived bool)

	pos  int  // in the heap
	done bool // let go
}

// Hub holds pulls by queue. K names a queue. All methods are safe for
// concurrent use.
type Hub[K comparable] struct {
	limit int
	count atomic.Int64

	mu    sync.Mutex
	held  map[K][]*Pull
	times deadlines
	keys  map[*Pull]K
	woken []wakeup
	kick  chan struct{}
	ended bool // Run has ended: nothing is held any more
}

type wakeup struct {
	p       *Pull
	arrived bool
}

// New returns a hub that holds at most limit pulls.
func New[K comparable](limit int) *Hub[K] {
	return &Hub[K]{limit: limit, held: map[K][]*Pull{}, keys: map[*Pull]K{}, kick: make(chan struct{}, 1)}
}

// Hold keeps p until a message arrives at k or its deadline comes, and reports
// whether there was room. max tells the queue's current max offset: a message
// that arrived between the caller's look and Hold is not missed.
func (h *Hub[K]) Hold(k K, p *Pull, max func() int64) bool {
	h.mu.Lock()
	if h.ended || len(h.keys) >= h.limit {
		h.mu.Unlock()
		return false
	}
	h.held[k] = append(h.held[k], p)
	h.keys[p] = k
	heap.Push(&h.times, p)
	first := h.times[0] == p
	h.count.Add(1)
	if max() > p.Offset {
		h.release(p, true)
		first = true
	}
	h.mu.Unlock()
	if first {
		h.poke()
	}
	return true
}

// Arrive says that the queue k now has an entry at offset, with the given tags
// code.
func (h *Hub[K]) Arrive(k K, offset, tagsCode int64) {
	if h.count.Load() == 0 {
		return
	}
	h.mu.Lock()
	woke := false
	for i := 0; i < len(h.held[k]); {
		p := h.held[k][i]
		if offset >= p.Offset && (p.Match == nil || p.Match(tagsCode)) {
			h.release(p, true) // takes p out of held[k]
			woke = true
			continue
		}
		i++
	}
	h.mu.Unlock()
	if woke {
		h.poke()
	}
}

// Len is how many pulls are held.
func (h *Hub[K]) Len() int { return int(h.count.Load()) }

func (h *Hub[K]) poke() {
	select {
	case h.kick <- struct{}{}:
	default:
	}
}

// release lets p go; h.mu is held.
func (h *Hub[K]) release(p *Pull, arrived bool) {
	if p.done {
		return
	}
	p.done = true
	k := h.keys[p]
	delete(h.keys, p)
	heap.Remove(&h.times, p.pos)
	list := h.held[k]
	for i, q := range list {
		if q == p {
			list[i] = list[len(list)-1]
			list[len(list)-1] = nil
			list = list[:len(list)-1]
			break
		}
	}
	if len(list) == 0 {
		delete(h.held, k)
	} else {
		h.held[k] = list
	}
	h.count.Add(-1)
	h.woken = append(h.woken, wakeup{p, arrived})
}

// Run calls Wake for the pulls that are let go, until ctx ends; those still
// held then are let go as if their time were up.
func (h *Hub[K]) Run(ctx context.Context) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var batch []wakeup
	for {
		h.mu.Lock()
		now := time.Now()
		stopping := ctx.Err() != nil
		h.ended = stopping
		for len(h.times) > 0 && (stopping || !h.times[0].Deadline.After(now)) {
			h.release(h.times[0], false)
		}
		batch, h.woken = h.woken, batch[:0]
		wait := time.Hour
		if len(h.times) > 0 {
			wait = h.times[0].Deadline.Sub(now)
		}
		h.mu.Unlock()
		for i, w := range batch {
			w.p.Wake(w.arrived)
			batch[i] = wakeup{}
		}
		if stopping {
			return nil
		}
		if len(batch) > 0 {
			continue
		}
		timer.Reset(wait)
		select {
		case <-h.kick:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
}

// deadlines is a heap of pulls by deadline.
type deadlines []*Pull

func (d deadlines) Len() int           { return len(d) }
func (d deadlines) Less(i, j int) bool { return d[i].Deadline.Before(d[j].Deadline) }
func (d deadlines) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].pos, d[j].pos = i, j
}
func (d *deadlines) Push(v any) {
	p := v.(*Pull)
	p.pos = len(*d)
	*d = append(*d, p)
}
func (d *deadlines) Pop() any {
	old := *d
	p := old[len(old)-1]
	old[len(old)-1] = nil
	*d = old[:len(old)-1]
	return p
}
