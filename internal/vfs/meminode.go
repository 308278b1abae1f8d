// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package vfs

import (
	"bytes"
	"slices"
	"sync"
	"syscall"
)

const (
	sectorSize = 512  // what a disk writes whole
	blockSize  = 4096 // what a file system allocates
)

// inode is the content of a file.
//
// Invariants: buf[len:cap] is zero. A sector that is not in dirty has the
// durable bytes in buf, where bytes past a size count as zero.
type inode struct {
	space *space

	mu          sync.RWMutex
	refs        int // names, handles and mappings; at 0 the blocks are free
	buf         []byte
	views       []*memMapping
	allocated   blockSet
	written     blockSet
	durableSize int64
	dirty       map[int64]*sector // by sector number
}

// sector is one that changed since the last Sync.
type sector struct {
	before []byte // the durable bytes, nil for zeros; never changed
	lost   bool   // by a failed Sync: the next one will not make it durable
}

func newInode(s *space) *inode {
	return &inode{space: s, dirty: make(map[int64]*sector)}
}

func (f *inode) unref() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refs--
	if f.refs == 0 {
		f.space.giveBack(f.allocated.cutFrom(0))
	}
}

// write copies p to off, as far as there is space. Locked, as for all below.
func (f *inode) write(p []byte, off int64) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, err := len(p), error(nil)
	for block := off / blockSize; block*blockSize < off+int64(len(p)); block++ {
		if !f.allocate(block) {
			n, err = int(max(block*blockSize-off, 0)), syscall.ENOSPC
			break
		}
		f.written.add(block)
	}
	if n == 0 {
		return 0, err
	}
	p = p[:n]
	end := off + int64(n)
	f.grow(end)
	f.markDirty(off, end)
	copy(f.buf[off:], p)
	for _, v := range f.views {
		if v.stale && off < int64(len(v.b)) {
			copy(v.b[off:], p)
		}
	}
	return n, err
}

func (f *inode) allocate(block int64) bool {
	if f.allocated.has(block) {
		return true
	}
	if !f.space.take() {
		return false
	}
	f.allocated.add(block)
	return true
}

// grow makes the file at least size long.
func (f *inode) grow(size int64) {
	have := int64(len(f.buf))
	if size <= have {
		return
	}
	if size > int64(cap(f.buf)) {
		newCap := size
		if have > 0 {
			newCap = max(size, 2*int64(cap(f.buf)))
		}
		buf := make([]byte, have, newCap)
		copy(buf, f.buf)
		f.buf = buf
		// The views now show a buffer of the past: write keeps them up to date.
		for _, v := range f.views {
			v.stale = true
		}
	}
	f.buf = f.buf[:size]
}

// resize sets the size.
func (f *inode) resize(size int64) {
	have := int64(len(f.buf))
	if size >= have {
		f.grow(size)
		return
	}
	for block := size / blockSize; block*blockSize < have; block++ {
		if f.written.has(block) {
			from, to := max(block*blockSize, size), min((block+1)*blockSize, have)
			f.markDirty(from, to)
			clear(f.buf[from:to])
			for _, v := range f.views {
				if v.stale && from < int64(len(v.b)) {
					clear(v.b[from:min(to, int64(len(v.b)))])
				}
			}
		}
	}
	f.buf = f.buf[:size]
	firstFree := (size + blockSize - 1) / blockSize
	f.space.giveBack(f.allocated.cutFrom(firstFree))
	f.written.cutFrom(firstFree)
}

// markDirty saves the durable bytes of the sectors of [from,to), which are
// about to change and lie within buf.
func (f *inode) markDirty(from, to int64) {
	for s := from / sectorSize; s*sectorSize < to; s++ {
		if old := f.dirty[s]; old != nil {
			old.lost = false // the rewritten sector is whole and will be synced
			continue
		}
		f.dirty[s] = &sector{before: nonZero(f.sector(s))}
	}
}

// sector returns the bytes of a sector, shorter at the end of the file.
func (f *inode) sector(s int64) []byte {
	return f.buf[s*sectorSize : min((s+1)*sectorSize, int64(len(f.buf)))]
}

// nonZero returns a copy of b, or nil when b is all zero.
func nonZero(b []byte) []byte {
	if blank(b) {
		return nil
	}
	return bytes.Clone(b)
}

func (f *inode) sync() {
	for s, sec := range f.dirty {
		if !sec.lost {
			delete(f.dirty, s)
		}
	}
	f.durableSize = int64(len(f.buf))
}

// failSync leaves what is unsynced in doubt: the kernel drops pages that it
// could not write.
func (f *inode) failSync() {
	for _, sec := range f.dirty {
		sec.lost = true
	}
}

// dirtySectors returns the numbers of the dirty sectors in order, so that
// random choices over them repeat for the same seed.
func (f *inode) dirtySectors() []int64 {
	numbers := make([]int64, 0, len(f.dirty))
	for s := range f.dirty {
		numbers = append(numbers, s)
	}
	slices.Sort(numbers)
	return numbers
}

// blockSet is a set of block numbers.
type blockSet []uint64

func (b blockSet) has(block int64) bool {
	return block/64 < int64(len(b)) && b[block/64]&(1<<(block%64)) != 0
}

func (b *blockSet) add(block int64) {
	for block/64 >= int64(len(*b)) {
		*b = append(*b, 0)
	}
	(*b)[block/64] |= 1 << (block % 64)
}

// cutFrom removes the blocks from first on and returns how many there were.
func (b *blockSet) cutFrom(first int64) (removed int64) {
	for block := first; block/64 < int64(len(*b)); block++ {
		if b.has(block) {
			(*b)[block/64] &^= 1 << (block % 64)
			removed++
		}
	}
	return removed
}

// copyOf copies what of buf lies in the blocks of the set, the rest being zeros, into a
// buffer of its length with room for size. A large file that nobody wrote costs next
// to nothing.
func (b blockSet) copyOf(buf []byte, size int64) []byte {
	made := make([]byte, len(buf), size)
	for block := int64(0); block*blockSize < int64(len(buf)); block++ {
		if b.has(block) {
			copy(made[block*blockSize:], buf[block*blockSize:min((block+1)*blockSize, int64(len(buf)))])
		}
	}
	return made
}
