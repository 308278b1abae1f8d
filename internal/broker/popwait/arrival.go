// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package popwait

// work bounds what one message may cost its sender, on whose goroutine the filters
// run: the looks at the waits and what all filters cost together, in ns. What is
// not asked any more lets its wait go.
const (
	work       = 1 << 20
	costOfLook = 64 // at the waits of a key that have one filter
)

// arrival is a message, and what the filters say that it was shown to.
type arrival struct {
	tagsCode int64
	props    []byte
	left     int                // of work
	asked    map[Filter]verdict // of the topic's filters, each once
}

type verdict uint8

const (
	unasked verdict = iota
	turnedDown
	taken
)

// verdict says whether m may let go the waits of a filter; a nil m, and a nil
// filter, let go any.
func (m *arrival) verdict(f Filter) verdict {
	if m == nil || f == nil {
		return taken
	}
	return m.asked[f]
}

// collect notes the filters that decide which waits a message lets go, as long as
// there is work left. h.mu is held.
func (h *Hub) collect(topic string, queue int32, m *arrival) {
	for _, in := range h.topics[topic] {
		for _, id := range [2]int32{AnyQueue, queue} {
			q := in.queues[id]
			if q == nil {
				continue
			}
			for _, k := range q.kinds {
				if m.left -= costOfLook; m.left < 0 {
					return
				}
				if k.filter == nil {
					continue
				}
				if m.asked == nil {
					m.asked = make(map[Filter]verdict)
				}
				m.asked[k.filter] = unasked
			}
		}
	}
}

// ask shows the message to the filters that were collected. It is called without
// the lock. One that costs more than what is left is not asked, others are.
func (m *arrival) ask() {
	for f := range m.asked {
		cost := f.Cost(m.tagsCode, len(m.props))
		if cost > m.left {
			continue
		}
		m.left -= cost
		m.asked[f] = taken
		if !f.Arrival(m.tagsCode, m.props) {
			m.asked[f] = turnedDown
		}
	}
}

// pick lets go the first wait of a key that m concerns; h.mu is held. The interest
// stays valid, though it may be gone from the tables.
func (h *Hub) pick(in *interest, id int32, m *arrival) bool {
	q := in.queues[id]
	if q == nil {
		return false
	}
	var first *Wait
	for _, k := range q.kinds {
		if m.verdict(k.filter) == turnedDown {
			continue
		}
		if w := h.first(k); first == nil || h.before(w, first) {
			first = w
		}
		if m != nil && m.left < 0 {
			break // enough was done
		}
	}
	if first != nil {
		h.release(first, true)
	}
	return first != nil
}

// first is the wait of a kind that is let go before the others.
func (h *Hub) first(k *kind) *Wait {
	if h.last {
		return k.newest
	}
	return k.oldest
}

// before says which of two waits of a key is let go first.
func (h *Hub) before(w, o *Wait) bool { return (w.seq < o.seq) != h.last }
