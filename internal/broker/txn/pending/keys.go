// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pending

import "hash/maphash"

// keys finds the undecided transaction of a producer group, topic and UNIQ_KEY. It is
// an open addressing table: an entry has 32 bits of the hash above the node, so
// that searches and moves seldom touch nodes. Entries stand in the order of
// their hashes, as far as collisions let them.
type keys struct {
	seeds [2]maphash.Seed
	slots []uint64
	n     int
}

func (k *keys) hash(key string) [2]uint64 {
	return [2]uint64{maphash.String(k.seeds[0], key), maphash.String(k.seeds[1], key)}
}

// mark is the part of the hash that stands in the entry.
func mark(group ident, hash [2]uint64) uint32 { return uint32(hash[0]>>32) ^ group*0x9E3779B1 }

func (k *keys) home(mark uint32) int { return int(uint64(mark) * uint64(len(k.slots)) >> 32) }

func (k *keys) after(i int) int {
	if i++; i < len(k.slots) {
		return i
	}
	return 0
}

// get returns the node of a group and key, 0 when there is none.
func (k *keys) get(nodes *slab, group ident, hash [2]uint64) ident {
	if k.n == 0 {
		return 0
	}
	m := mark(group, hash)
	for i := k.home(m); k.slots[i] != 0; i = k.after(i) {
		if uint32(k.slots[i]>>32) == m {
			id := ident(k.slots[i])
			if n := nodes.at(id); n.group == group && n.key == hash {
				return id
			}
		}
	}
	return 0
}

// put adds a node whose group and key are not there.
func (k *keys) put(id ident, n *node) {
	if (k.n+1)*5 > len(k.slots)*4 {
		k.resize(max(16, len(k.slots)*7/5))
	}
	k.place(uint64(mark(n.group, n.key))<<32 | uint64(id))
	k.n++
}

func (k *keys) place(e uint64) {
	i := k.home(uint32(e >> 32))
	for k.slots[i] != 0 {
		i = k.after(i)
	}
	k.slots[i] = e
}

func (k *keys) resize(n int) {
	old := k.slots
	k.slots = make([]uint64, n)
	for _, e := range old {
		if e != 0 {
			k.place(e)
		}
	}
}

// drop takes a node out that is there, and closes the gap.
func (k *keys) drop(id ident, n *node) {
	e := uint64(mark(n.group, n.key))<<32 | uint64(id)
	gap := k.home(uint32(e >> 32))
	for k.slots[gap] != e {
		gap = k.after(gap)
	}
	for i := k.after(gap); k.slots[i] != 0; i = k.after(i) {
		// An entry may move to the gap unless its home lies behind that.
		if home := k.home(uint32(k.slots[i] >> 32)); k.distance(home, i) >= k.distance(gap, i) {
			k.slots[gap] = k.slots[i]
			gap = i
		}
	}
	k.slots[gap] = 0
	if k.n--; len(k.slots) > 16 && k.n*4 < len(k.slots) {
		k.resize(max(16, k.n*2))
	}
}

func (k *keys) distance(from, to int) int {
	if to -= from; to < 0 {
		to += len(k.slots)
	}
	return to
}
