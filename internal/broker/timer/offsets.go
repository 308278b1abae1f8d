// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package timer

import (
	"maps"
	"slices"
)

const (
	cellSize  = 64   // bytes of log: no two records begin in one, as a record has at least 91
	pageCells = 2048 // cells of a page: 128 KiB of log
)

// offsets is a set of log offsets of records: a bit for each 64 bytes of the parts
// of the log that it has some of, so at most a 400th of them.
type offsets struct {
	pages map[int64]*[pageCells / 64]uint64
}

func newOffsets() *offsets { return &offsets{pages: make(map[int64]*[pageCells / 64]uint64)} }

func (o *offsets) bit(offset int64) (page int64, word int, mask uint64) {
	cell := offset / cellSize
	return cell / pageCells, int(cell % pageCells / 64), 1 << (cell % 64)
}

func (o *offsets) add(offset int64) {
	page, word, mask := o.bit(offset)
	p := o.pages[page]
	if p == nil {
		p = new([pageCells / 64]uint64)
		o.pages[page] = p
	}
	p[word] |= mask
}

// has tells whether the record at offset is in the set, which may be nil.
func (o *offsets) has(offset int64) bool {
	if o == nil {
		return false
	}
	page, word, mask := o.bit(offset)
	p := o.pages[page]
	return p != nil && p[word]&mask != 0
}

// take is has, and removes it.
func (o *offsets) take(offset int64) bool {
	if !o.has(offset) {
		return false
	}
	page, word, mask := o.bit(offset)
	o.pages[page][word] &^= mask
	return true
}

// len is how many pages there are.
func (o *offsets) len() int { return len(o.pages) }

// lower keeps the lower half of the pages, at least one, and returns the log offset
// behind which nothing is kept.
func (o *offsets) lower() int64 {
	list := slices.Sorted(maps.Keys(o.pages))
	list = list[max(len(list)/2, 1):]
	for _, page := range list {
		delete(o.pages, page)
	}
	return list[0] * pageCells * cellSize
}
