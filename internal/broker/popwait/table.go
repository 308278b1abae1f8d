// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package popwait

import (
	"slices"

	"github.com/twostage/twostage/message"
)

// enter puts w behind the others of its key, unless a limit is reached; h.mu is
// held, as by everything here.
func (h *Hub) enter(w *Wait) bool {
	if h.times.Len() >= h.limits.Waits {
		return false
	}
	in := h.topics[w.Topic][w.Group]
	var q *queue
	if in != nil {
		q = in.queues[w.Queue]
	}
	if q == nil {
		if h.keys >= h.limits.Keys {
			return false
		}
		if in == nil {
			in = h.interested(w.Group, w.Topic)
		}
		q = &queue{in: in, id: w.Queue}
		in.queues[w.Queue] = q
		h.keys++
	}
	if q.n >= h.limits.OneKey {
		return false
	}
	k := h.kind(q, w.Filter)
	h.seq++
	w.kind, w.seq, w.older, w.younger = k, h.seq, k.newest, nil
	if k.newest != nil {
		k.newest.younger = w
	} else {
		k.oldest = w
	}
	k.newest = w
	q.n++
	return true
}

// kind finds or makes the one of a filter.
func (h *Hub) kind(q *queue, f Filter) *kind {
	k := h.kinds[kindKey{q, f}]
	if k == nil {
		k = &kind{of: q, filter: f, at: len(q.kinds)}
		q.kinds = append(q.kinds, k)
		h.kinds[kindKey{q, f}] = k
	}
	return k
}

// unkind takes a kind without waits out of its queue.
func (h *Hub) unkind(k *kind) {
	q := k.of
	delete(h.kinds, kindKey{q, k.filter})
	last := len(q.kinds) - 1
	q.kinds[k.at] = q.kinds[last]
	q.kinds[k.at].at = k.at
	q.kinds[last] = nil
	q.kinds = q.kinds[:last]
}

func (h *Hub) interested(group, topic string) *interest {
	in := &interest{group: group, topic: topic, queues: map[int32]*queue{}}
	groups := h.topics[topic]
	if groups == nil {
		groups = map[string]*interest{}
		h.topics[topic] = groups
	}
	groups[group] = in
	for _, name := range message.PopRetryTopics(group, topic) {
		h.retries[name] = append(h.retries[name], in)
	}
	return in
}

// leave takes w out of its key, and the key out of the tables when it was the
// last.
func (h *Hub) leave(w *Wait) {
	k := w.kind
	if w.older != nil {
		w.older.younger = w.younger
	} else {
		k.oldest = w.younger
	}
	if w.younger != nil {
		w.younger.older = w.older
	} else {
		k.newest = w.older
	}
	w.kind, w.older, w.younger = nil, nil, nil
	if k.oldest == nil {
		h.unkind(k)
	}
	q := k.of
	if q.n--; q.n > 0 {
		return
	}
	in := q.in
	delete(in.queues, q.id)
	h.keys--
	if len(in.queues) > 0 {
		return
	}
	groups := h.topics[in.topic]
	if delete(groups, in.group); len(groups) == 0 {
		delete(h.topics, in.topic)
	}
	for _, name := range message.PopRetryTopics(in.group, in.topic) {
		list := h.retries[name]
		if len(list) == 1 {
			delete(h.retries, name)
			continue
		}
		// A new slice: Arrive may be going through this one.
		h.retries[name] = slices.DeleteFunc(slices.Clone(list), func(o *interest) bool { return o == in })
	}
}

// release lets w go.
func (h *Hub) release(w *Wait, arrived bool) {
	h.take(w)
	h.woken = append(h.woken, wakeup{w, arrived})
	poke(h.work)
}

// take takes w out of everything.
func (h *Hub) take(w *Wait) {
	w.done = true
	h.leave(w)
	h.disown(w)
	h.times.Remove(w.pos)
	h.count.Add(-1)
}

// own puts w before the other waits of its owner.
func (h *Hub) own(w *Wait) {
	if w.Owner == nil {
		return
	}
	if w.next = h.owned[w.Owner]; w.next != nil {
		w.next.prev = w
	}
	h.owned[w.Owner] = w
}

func (h *Hub) disown(w *Wait) {
	switch {
	case w.Owner == nil:
		return
	case w.prev != nil:
		w.prev.next = w.next
	case w.next != nil:
		h.owned[w.Owner] = w.next
	default:
		delete(h.owned, w.Owner)
	}
	if w.next != nil {
		w.next.prev = w.prev
	}
	w.prev, w.next = nil, nil
}

// byTime orders waits by when they are looked at.
type byTime struct{}

func (byTime) Before(a, b *Wait) bool     { return a.at.Before(b.at) }
func (byTime) Placed(x *Wait, pos uint32) { x.pos = pos }
