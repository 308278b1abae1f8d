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
	Offset   int64     // the queue offset it waits for
	Deadline time.Time // when it is let go without a message
	// Match tells whether a message with this tags code and properties text wakes
	// it; nil: any does. It runs under the hub's lock, so it must be quick and call
	// nothing of the hub, and props is valid during the call.
	Match func(tagsCode int64, props []byte) bool
	Owner any // whose pull it is, for Drop: a pointer; nil: nobody's
	// Wake is called at most once, on the goroutine of Run: arrived tells a
	// message from the deadline. It must not block.
	Wake func(arrived bool)

	pos        int   // in the heap
	done       bool  // let go
	prev, next *Pull // of the same owner
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
	owned map[any]*Pull // the owner's last pull, the others behind it
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
	return &Hub[K]{limit: limit, held: map[K][]*Pull{}, keys: map[*Pull]K{}, owned: map[any]*Pull{}, kick: make(chan struct{}, 1)}
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
	h.own(p)
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

// Arrive says that the queue k now has an entry at offset, of a message with the
// given tags code and properties text.
func (h *Hub[K]) Arrive(k K, offset, tagsCode int64, props []byte) {
	if h.count.Load() == 0 {
		return
	}
	h.mu.Lock()
	woke := false
	for i := 0; i < len(h.held[k]); {
		p := h.held[k][i]
		if offset >= p.Offset && (p.Match == nil || p.Match(tagsCode, props)) {
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

// Drop forgets the pulls of an owner that is gone: Wake is not called.
func (h *Hub[K]) Drop(owner any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for p := h.owned[owner]; p != nil; {
		next := p.next // take ends p's chain
		h.take(p)
		p = next
	}
}

// LetGo wakes, as if a message had arrived, the pulls of the keys that gone
// names. It looks at every key, under the lock.
func (h *Hub[K]) LetGo(gone func(K) bool) {
	h.mu.Lock()
	for k, list := range h.held {
		if !gone(k) {
			continue
		}
		for len(list) > 0 {
			h.release(list[len(list)-1], true)
			list = h.held[k]
		}
	}
	h.mu.Unlock()
	h.poke()
}

// Len is how many pulls are held.
func (h *Hub[K]) Len() int { return int(h.count.Load()) }

func (h *Hub[K]) poke() {
	select {
	case h.kick <- struct{}{}:
	default:
	}
}

// own puts p before the other pulls of its owner.
func (h *Hub[K]) own(p *Pull) {
	if p.Owner == nil {
		return
	}
	if p.next = h.owned[p.Owner]; p.next != nil {
		p.next.prev = p
	}
	h.owned[p.Owner] = p
}

func (h *Hub[K]) disown(p *Pull) {
	switch {
	case p.Owner == nil:
		return
	case p.prev != nil:
		p.prev.next = p.next
	case p.next != nil:
		h.owned[p.Owner] = p.next
	default:
		delete(h.owned, p.Owner)
	}
	if p.next != nil {
		p.next.prev = p.prev
	}
	p.prev, p.next = nil, nil
}

// release lets p go; h.mu is held.
func (h *Hub[K]) release(p *Pull, arrived bool) {
	if p.done {
		return
	}
	h.take(p)
	h.woken = append(h.woken, wakeup{p, arrived})
}

// take takes p out of everything.
func (h *Hub[K]) take(p *Pull) {
	p.done = true
	h.disown(p)
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
