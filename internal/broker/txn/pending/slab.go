// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pending

import "math/bits"

// ident names a node; 0 is none.
type ident = uint32

// phase is what the table does with a transaction.
type phase uint8

const (
	waiting  phase = iota // for its due time or its turn: in its group's heap, or with its checks used up in that of the expiring
	urgent                // to be checked next, out of turn
	out                   // its check is with the driver
	expiring              // its expiry was given to the driver
	deciding              // the driver stores its outcome
)

// node is one half message. The first one of a chain, which has the smallest
// queue offset, also stands for the transaction: the fields below head are only
// valid there. 80 bytes, no pointers.
type node struct {
	offset   int64
	physical int64
	stored   int64
	topic    ident // of table.topics
	group    ident // of table.groups
	next     ident // in the chain; the newest half message comes second
	head     ident // the first of the chain

	due       int64
	key       [2]uint64 // hash of the UNIQ_KEY and topic
	checks    uint32    // below 1<<24
	duePos    uint32    // place in the group's heap, from 1; 0: not there
	expiryPos uint32    // place in the heap of the expiring, from 1; while deciding that in table.deciding, from 0
	ticket    uint16    // of the action that was given last
	phase     phase
	unread    uint8 // how often its record could not be read in a row; with the flags
}

// Flags beside node.unread.
const (
	keyed      = 1 << 7 // it has a key
	extra      = 1 << 6 // it gets a check even if all are used up
	unreadMask = 1<<6 - 1
)

func (n *node) has(flag uint8) bool { return n.unread&flag != 0 }

const (
	chunkBits = 10
	chunkLen  = 1 << chunkBits
)

type chunk [chunkLen]node

// chunkUse says which nodes of a chunk are taken.
type chunkUse struct {
	free ident  // a list through node.next
	used uint16 // nodes from there on were never given out
	live uint16
}

// slab holds the nodes in chunks, which go back when they are empty. New nodes
// come from the lowest chunk that has room, so that the others can empty.
type slab struct {
	chunks []*chunk
	use    []chunkUse
	room   []uint64 // a bit for each chunk that is not full
	spare  *chunk   // one empty chunk is kept
}

func (s *slab) at(id ident) *node {
	id--
	return &s.chunks[id>>chunkBits][id&(chunkLen-1)]
}

// take gives out a zeroed node.
func (s *slab) take() ident {
	c := s.withRoom()
	if s.chunks[c] == nil {
		s.chunks[c], s.spare = s.spare, nil
		if s.chunks[c] == nil {
			s.chunks[c] = new(chunk)
		}
		s.use[c] = chunkUse{}
	}
	u := &s.use[c]
	id := u.free
	if id != 0 {
		u.free = s.at(id).next
	} else {
		id = ident(c<<chunkBits) + ident(u.used) + 1
		u.used++
	}
	if u.live++; u.live == chunkLen {
		s.room[c/64] &^= 1 << (c % 64)
	}
	*s.at(id) = node{}
	return id
}

// withRoom returns the lowest chunk that has room.
func (s *slab) withRoom() int {
	for w, set := range s.room {
		if set != 0 {
			if c := w*64 + bits.TrailingZeros64(set); c < len(s.chunks) {
				return c
			}
		}
	}
	c := len(s.chunks)
	s.chunks, s.use = append(s.chunks, nil), append(s.use, chunkUse{})
	if c/64 == len(s.room) {
		s.room = append(s.room, 0)
	}
	s.room[c/64] |= 1 << (c % 64)
	return c
}

// drop takes a node back.
func (s *slab) drop(id ident) {
	c := int(id-1) >> chunkBits
	u := &s.use[c]
	s.at(id).next = u.free
	u.free = id
	s.room[c/64] |= 1 << (c % 64)
	if u.live--; u.live > 0 {
		return
	}
	s.spare, s.chunks[c] = s.chunks[c], nil
	last := len(s.chunks)
	for last > 0 && s.chunks[last-1] == nil {
		last--
		s.room[last/64] &^= 1 << (last % 64)
	}
	s.chunks, s.use = fit(s.chunks[:last]), fit(s.use[:last])
	s.room = fit(s.room[:(last+63)/64])
}

// fit gives memory back when s fills less than a quarter of it.
func fit[T any](s []T) []T {
	if cap(s) <= 64 || len(s) >= cap(s)/4 {
		return s
	}
	return append(make([]T, 0, 2*len(s)+16), s...)
}
