// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

// Bounds of the ring of calls.
const (
	minRing = 16
	maxRing = 1024
)

// calls are the requests of a connection that are not answered yet, by their
// numbers. Numbers follow each other, so most calls have the place in a ring that
// the lowest bits of their number say, which is much quicker than a map; those that
// find it taken, by one that has waited for a whole round, are in a map.
type calls struct {
	ring  []*call // its length is a power of two, or 0
	other map[int32]*call
	n     int // in both
}

func (s *calls) place(opaque int32) **call { return &s.ring[int(opaque)&(len(s.ring)-1)] }

// add puts k in by its number, which no other call has.
func (s *calls) add(k *call) {
	s.n++
	for len(s.ring) < min(2*s.n, maxRing) {
		s.grow()
	}
	s.put(k)
}

func (s *calls) put(k *call) {
	if at := s.place(k.opaque); *at == nil {
		*at = k
		return
	}
	if s.other == nil {
		s.other = make(map[int32]*call)
	}
	s.other[k.opaque] = k
}

func (s *calls) grow() {
	old := s.ring
	s.ring = make([]*call, max(2*len(old), minRing))
	for _, k := range old {
		if k != nil {
			s.put(k)
		}
	}
}

// take takes a call out, nil if it is not there.
func (s *calls) take(opaque int32) (k *call) {
	if len(s.ring) == 0 {
		return nil
	}
	if at := s.place(opaque); *at != nil && (*at).opaque == opaque {
		k, *at = *at, nil
	} else if k = s.other[opaque]; k != nil {
		delete(s.other, opaque)
	} else {
		return nil
	}
	s.n--
	return k
}

// takeIf takes out those of which take says so.
func (s *calls) takeIf(take func(*call) bool) (out []*call) {
	if s.n == 0 {
		return nil
	}
	for i, k := range s.ring {
		if k != nil && take(k) {
			out = append(out, k)
			s.ring[i] = nil
		}
	}
	for opaque, k := range s.other {
		if take(k) {
			out = append(out, k)
			delete(s.other, opaque)
		}
	}
	s.n -= len(out)
	return out
}
