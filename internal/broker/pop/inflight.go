// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pop

import "math/bits"

// Place names a group's place in a queue.
type Place struct {
	Group, Topic string
	Queue        int32
}

// Progress is how far a group has popped a queue.
type Progress struct {
	// Next is the offset that it pops next, as far as that is ahead of the consumer
	// offset; -1: the consumer offset is it.
	Next int64
	// InFlight is how many messages it was given and has neither acked nor got
	// again, and Oldest the offset of the first of them.
	InFlight, Oldest int64
}

// InFlight is the progress of every group in every queue that it has open
// checkpoints of. What it does for long it does not under a lock.
func (s *Service) InFlight() map[Place]Progress {
	s.mu.Lock()
	open := s.open.snapshot()
	next := make(map[queueKey]int64, len(s.pending))
	for k, p := range s.pending {
		if p.base == s.query(k) {
			next[k] = p.next
		}
	}
	s.mu.Unlock()
	m := make(map[Place]Progress, len(next))
	for k, n := range next {
		m[Place{k.group, k.topic, k.queue}] = Progress{Next: n, Oldest: -1}
	}
	for _, c := range open {
		left := c.all() &^ c.done
		if left == 0 {
			continue
		}
		at := Place{c.group, c.topic, c.queue}
		p, ok := m[at]
		if !ok {
			p = Progress{Next: -1, Oldest: -1}
		}
		p.InFlight += int64(bits.OnesCount32(left))
		if first := c.start + int64(c.diffs[bits.TrailingZeros32(left)]); p.Oldest < 0 || first < p.Oldest {
			p.Oldest = first
		}
		m[at] = p
	}
	return m
}
