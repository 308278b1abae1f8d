// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package txn

// recentMax bounds how many decided transactions are remembered, so that an
// answer that is sent again is recognised. At about 100 bytes each.
const recentMax = 1 << 14

// decided is what is remembered of a decided half message.
type decided struct {
	physical int64
	group    string
	outcome  Outcome
}

// recentOutcomes remembers the last recentMax decisions by half queue offset.
type recentOutcomes struct {
	m    map[int64]decided
	ring []int64
	at   int
}

func newRecentOutcomes() recentOutcomes { return recentOutcomes{m: map[int64]decided{}} }

func (r *recentOutcomes) get(off int64) (decided, bool) {
	d, ok := r.m[off]
	return d, ok
}

func (r *recentOutcomes) put(off int64, d decided) {
	if len(r.ring) < recentMax {
		r.ring = append(r.ring, off)
	} else {
		delete(r.m, r.ring[r.at])
		r.ring[r.at] = off
		r.at = (r.at + 1) % recentMax
	}
	r.m[off] = d
}
