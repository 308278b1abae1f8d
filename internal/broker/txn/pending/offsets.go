// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pending

import (
	"math"
	"slices"
	"sort"
)

// blockLen makes a block 2 KiB.
const blockLen = 254

// block is a sorted run of half queue offsets: each entry is the distance from
// base in the upper 32 bits, the node in the lower.
type block struct {
	base    int64
	n       int
	entries [blockLen]uint64
}

// offsets finds nodes by half queue offset and lists them in order. Blocks are
// in order too, base <= every entry's offset < the next block's base. Offsets
// come nearly in order, and then blocks are full but for what was taken out.
type offsets struct {
	bases  []int64 // of the blocks: the search touches nothing else
	blocks []*block
}

func (b *block) offset(i int) int64 { return b.base + int64(b.entries[i]>>32) }

// find returns the place of the first entry at or above off.
func (b *block) find(off int64) int {
	if far(b.base, off) {
		return b.n
	}
	least := uint64(off-b.base) << 32
	low, high := 0, b.n
	for low < high {
		if mid := (low + high) / 2; b.entries[mid] < least {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

// far reports whether off is too far above base for an entry.
func far(base, off int64) bool { return uint64(off-base) > math.MaxUint32 }

// blockOf returns the block that off belongs to, -1 when off is below all.
func (o *offsets) blockOf(off int64) int {
	if last := len(o.bases) - 1; last >= 0 && o.bases[last] <= off {
		return last
	}
	return sort.Search(len(o.bases), func(i int) bool { return o.bases[i] > off }) - 1
}

// get returns the node of an offset, 0 when there is none.
func (o *offsets) get(off int64) ident {
	i := o.blockOf(off)
	if i < 0 {
		return 0
	}
	b := o.blocks[i]
	if at := b.find(off); at < b.n && b.offset(at) == off {
		return ident(b.entries[at])
	}
	return 0
}

// set puts the node of an offset, new or not.
func (o *offsets) set(off int64, id ident) {
	i := o.blockOf(off)
	if i < 0 && len(o.blocks) > 0 && o.lower(off) {
		i = 0
	}
	if i < 0 || far(o.bases[i], off) {
		i++
		o.insert(i, &block{base: off})
	}
	b := o.blocks[i]
	at := b.find(off)
	if at < b.n && b.offset(at) == off {
		b.entries[at] = b.entries[at]&^math.MaxUint32 | uint64(id)
		return
	}
	if b.n == blockLen {
		b, at = o.split(i, at, off)
	}
	copy(b.entries[at+1:b.n+1], b.entries[at:b.n])
	b.entries[at] = uint64(off-b.base)<<32 | uint64(id)
	b.n++
}

// lower moves the base of the first block down to off, if it has room.
func (o *offsets) lower(off int64) bool {
	b := o.blocks[0]
	if b.n == blockLen || far(off, b.offset(b.n-1)) {
		return false
	}
	for i := range b.entries[:b.n] {
		b.entries[i] += uint64(b.base-off) << 32
	}
	b.base, o.bases[0] = off, off
	return true
}

// split makes room in the full block i for an entry at place at, and returns the
// block and place where it goes.
func (o *offsets) split(i, at int, off int64) (*block, int) {
	b := o.blocks[i]
	if at == b.n { // as when offsets come in order: leave the block full
		right := &block{base: off}
		o.insert(i+1, right)
		return right, 0
	}
	const half = blockLen / 2
	right := &block{base: b.offset(half)}
	right.n = b.copyTo(right, half)
	b.n = half
	o.insert(i+1, right)
	if at <= half {
		return b, at
	}
	return right, at - half
}

// copyTo appends the entries from place from on to another block, and returns
// how many it has then.
func (b *block) copyTo(to *block, from int) int {
	n := to.n
	for _, e := range b.entries[from:b.n] {
		to.entries[n] = e + uint64(b.base-to.base)<<32
		n++
	}
	return n
}

func (o *offsets) insert(i int, b *block) {
	o.bases = slices.Insert(o.bases, i, b.base)
	o.blocks = slices.Insert(o.blocks, i, b)
}

func (o *offsets) remove(i int) {
	o.bases = fit(slices.Delete(o.bases, i, i+1))
	o.blocks = fit(slices.Delete(o.blocks, i, i+1))
}

// drop takes an offset out that is there.
func (o *offsets) drop(off int64) {
	i := o.blockOf(off)
	b := o.blocks[i]
	at := b.find(off)
	copy(b.entries[at:b.n-1], b.entries[at+1:b.n])
	if b.n--; b.n == 0 {
		o.remove(i)
		return
	}
	if b.n > blockLen/4 {
		return
	}
	if !o.merge(i) && i > 0 {
		o.merge(i - 1)
	}
}

// merge moves the block after i into block i, if both leave room for more.
func (o *offsets) merge(i int) bool {
	if i+1 == len(o.blocks) {
		return false
	}
	b, right := o.blocks[i], o.blocks[i+1]
	if b.n+right.n > blockLen*3/4 || far(b.base, right.offset(right.n-1)) {
		return false
	}
	b.n = right.copyTo(b, 0)
	o.remove(i + 1)
	return true
}

// first returns the smallest offset.
func (o *offsets) first() (int64, bool) {
	if len(o.blocks) == 0 {
		return 0, false
	}
	return o.blocks[0].offset(0), true
}

// from calls fn for each offset from off on, in order, until it returns false.
func (o *offsets) from(off int64, fn func(ident) bool) {
	i := max(o.blockOf(off), 0)
	for ; i < len(o.blocks); i++ {
		b := o.blocks[i]
		at := 0
		if b.base < off {
			at = b.find(off)
		}
		for ; at < b.n; at++ {
			if !fn(ident(b.entries[at])) {
				return
			}
		}
	}
}
