// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package longpoll

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twostage/twostage/internal/pq"
)

// Filter tells which messages concern a pull. Its dynamic type is comparable: a
// message is shown once to equal ones. It is used by several goroutines at once,
// without a lock of the hub.
type Filter interface {
	// Cost is about how long Arrival takes at most, in ns, for a message with this
	// tags code and so many bytes of properties text.
	Cost(tagsCode int64, props int) int
	// Arrival tells whether the message concerns the pull; props is valid during
	// the call.
	Arrival(tagsCode int64, props []byte) bool
}

// Pull is a held pull request. Its exported fields are not changed once it is held.
type Pull struct {
	Offset   int64     // the queue offset it waits for
	Deadline time.Time // when it is let go without a message
	Filter   Filter    // nil: every message concerns it
	Owner    any       // whose pull it is, for Drop: a pointer; nil: nobody's
	// Wake is called at most once, on a goroutine of Serve.
	Wake func(Woken)

	from       int64  // Woken.From
	at         int    // in held
	pos        uint32 // in times
	done       bool   // let go
	prev, next *Pull  // of the same owner
}

// Woken says why a pull is let go.
type Woken struct {
	Arrived bool // there may be something for it; false: its time is up
	// Matched: a message came that its filter took. With Arrived alone there may be
	// messages that were not shown to the filter.
	Matched bool
	// From is where to look, Pull.Offset or behind: the filter took none of the
	// messages before.
	From int64
}

// Hub holds pulls by queue. K names a queue. All methods are safe for
// concurrent use.
type Hub[K comparable] struct {
	limit int
	count atomic.Int64

	mu    sync.Mutex
	held  map[K][]*Pull
	times pq.Queue[*Pull, byDeadline]
	keys  map[*Pull]K
	owned map[any]*Pull // the owner's last pull, the others behind it
	woken []wakeup
	head  int      // of woken
	free  *showing // of one Arrive at a time
	log   *slog.Logger
	kick  chan struct{} // for Run: another first deadline
	work  chan struct{} // for Serve: something in woken
	ended bool          // Run has ended: nothing is held any more
}

type wakeup struct {
	p *Pull
	w Woken
}

// New returns a hub that holds at most limit pulls. What panics in a Wake is logged.
func New[K comparable](limit int, logger *slog.Logger) *Hub[K] {
	return &Hub[K]{limit: limit, log: logger, held: map[K][]*Pull{}, keys: map[*Pull]K{}, owned: map[any]*Pull{}, kick: make(chan struct{}, 1), work: make(chan struct{}, 1)}
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
	p.from, p.at = p.Offset, len(h.held[k])
	h.held[k] = append(h.held[k], p)
	h.keys[p] = k
	h.own(p)
	h.times.Push(p)
	first := h.times.Items()[0] == p
	h.count.Add(1)
	if max() > p.Offset {
		h.release(p, Woken{Arrived: true, Matched: p.Filter == nil})
	}
	h.mu.Unlock()
	if first {
		poke(h.kick)
	}
	return true
}

// Arrive says that the queue k now has an entry at offset, of a message with the
// given tags code and properties text. Its entries come in their order.
func (h *Hub[K]) Arrive(k K, offset, tagsCode int64, props []byte) {
	if h.count.Load() == 0 {
		return
	}
	h.mu.Lock()
	sh := h.free
	h.free = nil
	if sh == nil {
		sh = new(showing)
	}
	list := h.held[k]
	for i := 0; i < len(list); {
		p := list[i]
		switch {
		case offset < p.Offset:
		case p.Filter == nil:
			h.release(p, Woken{Arrived: true, Matched: true}) // puts the last in its place
			list = list[:len(list)-1]
			continue
		default:
			sh.pulls = append(sh.pulls, p)
		}
		i++
	}
	if len(sh.pulls) == 0 {
		h.free = sh
		h.mu.Unlock()
		return
	}
	h.mu.Unlock()
	sh.show(tagsCode, props)
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, p := range sh.pulls {
		switch v := sh.verdicts[i]; {
		case p.done: // meanwhile
		case v != turnedDown:
			h.release(p, Woken{Arrived: true, Matched: v == taken})
		case p.from == offset:
			p.from++
		}
	}
	if sh.empty() {
		h.free = sh
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
			p := list[len(list)-1]
			h.release(p, Woken{Arrived: true, Matched: p.Filter == nil})
			list = h.held[k]
		}
	}
	h.mu.Unlock()
}

// Len is how many pulls are held.
func (h *Hub[K]) Len() int { return int(h.count.Load()) }

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
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
func (h *Hub[K]) release(p *Pull, w Woken) {
	h.take(p)
	w.From = p.from
	h.woken = append(h.woken, wakeup{p, w})
	poke(h.work)
}

// take takes p out of everything.
func (h *Hub[K]) take(p *Pull) {
	p.done = true
	h.disown(p)
	k := h.keys[p]
	delete(h.keys, p)
	h.times.Remove(p.pos)
	list := h.held[k]
	last := len(list) - 1
	list[p.at] = list[last]
	list[p.at].at = p.at
	list[last] = nil
	if list = list[:last]; last == 0 {
		delete(h.held, k)
	} else {
		h.held[k] = list
	}
	h.count.Add(-1)
}
