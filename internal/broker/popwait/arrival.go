// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package popwait

// work bounds what the filters that one message is shown to may cost together, in
// ns: they run on the goroutine of the message's sender. What is not asked any
// more lets its wait go.
const (
	work       = 1 << 20
	costOfLook = 16 // at one wait
)

// arrival is a message, and what the filters say that it was shown to.
type arrival struct {
	tagsCode int64
	props    []byte
	left     int // of work
	asked    []asked
}

type asked struct {
	f       Filter
	verdict verdict
}

type verdict uint8

const (
	unknown verdict = iota
	turnedDown
	taken
)

// verdict says whether m may let go w; nil lets go any.
func (m *arrival) verdict(w *Wait) verdict {
	if m == nil || w.Filter == nil {
		return taken
	}
	for i := len(m.asked) - 1; i >= 0; i-- {
		if m.asked[i].f == w.Filter {
			return m.asked[i].verdict
		}
	}
	return unknown
}

// ask shows the message to a filter. It is called without the lock.
func (m *arrival) ask(f Filter) {
	v := taken
	if m.left -= f.Cost(m.tagsCode, len(m.props)); m.left >= 0 && !f.Arrival(m.tagsCode, m.props) {
		v = turnedDown
	}
	m.asked = append(m.asked, asked{f, v})
}

// unasked finds a filter that decides which waits a message lets go, and that it
// was not shown to; nil: there is none, or enough was done. h.mu is held.
func (h *Hub) unasked(topic string, queue int32, m *arrival) Filter {
	if m == nil {
		return nil
	}
	for _, in := range h.topics[topic] {
		for _, id := range [2]int32{AnyQueue, queue} {
			q := in.queues[id]
			if q == nil {
				continue
			}
		waits:
			for w := h.first(q); w != nil; w = h.behind(w) {
				if m.left -= costOfLook + len(m.asked); m.left < 0 {
					return nil
				}
				switch m.verdict(w) {
				case unknown:
					return w.Filter
				case taken:
					break waits
				}
			}
		}
	}
	return nil
}

// first is the wait of a key that is let go before the others.
func (h *Hub) first(q *queue) *Wait {
	if h.last {
		return q.newest
	}
	return q.oldest
}

// behind is the wait that is let go after w.
func (h *Hub) behind(w *Wait) *Wait {
	if h.last {
		return w.older
	}
	return w.younger
}
