// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package state

import (
	"encoding/binary"
	"math/bits"
)

const (
	wordBytes    = 8
	pageWords    = 512
	pageBytes    = pageWords * wordBytes
	segmentPages = 256
	segmentWords = segmentPages * pageWords
	segmentBytes = segmentWords * wordBytes
	cleanPages   = 256 // kept in memory though the file has them
)

// page is a page of a segment in memory. It is in one of three states: queued
// (it may have words that the file does not have), in the ring of clean pages,
// or, inside of Get and Clear only, in none.
type page struct {
	seg    *segment
	number int64                  // half queue offset / pageWords
	words  [pageWords]uint64      // those in set, all of them when whole
	set    [pageWords / 64]uint64 // the words that the file does not have
	whole  bool

	queued     bool  // in File.dirty, or in the list of a Write under way
	prev, next *page // in the ring of clean pages
}

// at returns the place of the page in its segment, in bytes.
func (p *page) at() int64 { return p.number % segmentPages * pageBytes }

func (p *page) put(i int64, v uint64) {
	p.words[i] = v
	p.set[i/64] |= 1 << (i % 64)
}

func (p *page) has(i int64) bool { return p.whole || p.set[i/64]&(1<<(i%64)) != 0 }

// merge completes the page with what its segment holds.
func (p *page) merge(b []byte) {
	for i := range int64(pageWords) {
		if !p.has(i) {
			p.words[i] = binary.BigEndian.Uint64(b[i*wordBytes:])
		}
	}
	p.whole = true
}

// encode writes the words [from,to) of the page that are known to b, which is
// what the file holds there.
func (p *page) encode(b []byte, from, to int64) {
	for i := from; i < to; i++ {
		if p.has(i) {
			binary.BigEndian.PutUint64(b[(i-from)*wordBytes:], p.words[i])
		}
	}
}

// span returns the first word in set and the one after the last, 0 and 0 when
// there is none.
func (p *page) span() (from, to int64) {
	first := true
	for i, m := range p.set {
		if m == 0 {
			continue
		}
		if first {
			from, first = int64(i*64+bits.TrailingZeros64(m)), false
		}
		to = int64(i*64 + bits.Len64(m))
	}
	return from, to
}

// ring is a list of clean pages, the last used one first.
type ring struct {
	head  page // prev is the page that was not used for the longest time
	count int
}

func (r *ring) init() { r.head.prev, r.head.next = &r.head, &r.head }

func (r *ring) push(p *page) {
	p.prev, p.next = &r.head, r.head.next
	p.prev.next, p.next.prev = p, p
	r.count++
}

// remove does nothing when p is not in the ring.
func (r *ring) remove(p *page) {
	if p.next == nil {
		return
	}
	p.prev.next, p.next.prev = p.next, p.prev
	p.prev, p.next = nil, nil
	r.count--
}

// The methods below want the lock of the pages.

// find returns the page if it is in memory, else nil.
func (f *File) find(number int64) *page {
	if f.last != nil && f.last.number == number {
		return f.last
	}
	seg := f.segments[number/segmentPages]
	if seg == nil || seg.pages == nil {
		return nil
	}
	p := seg.pages[number%segmentPages]
	if p != nil {
		f.last = p
	}
	return p
}

// create makes a page that is not in memory. Its words are not known, but where
// the file has none.
func (f *File) create(number int64) *page {
	seg := f.segments[number/segmentPages]
	if seg == nil {
		seg = f.newSegment(number / segmentPages)
	}
	if seg.pages == nil {
		seg.pages = new([segmentPages]*page)
	}
	p := &page{seg: seg, number: number}
	p.whole = p.at() >= seg.size
	seg.pages[number%segmentPages] = p
	seg.held++
	f.last = p
	return p
}

// dirtied queues a page whose words were set.
func (f *File) dirtied(p *page) {
	if p.queued {
		return
	}
	f.clean.remove(p)
	p.queued = true
	f.dirty = append(f.dirty, p)
}

// load completes a page from its file.
func (f *File) load(p *page) error {
	if p.whole {
		return nil
	}
	if err := f.read(p.seg, f.scratch[:pageBytes], p.at()); err != nil {
		return err
	}
	p.merge(f.scratch[:])
	return nil
}

// used puts a page that is not queued in front of the clean ones, of which the
// last may have to go.
func (f *File) used(p *page) {
	f.clean.remove(p)
	f.clean.push(p)
	for f.clean.count > cleanPages {
		f.forget(f.clean.head.prev)
	}
}

// forget takes a page that is not queued out of memory.
func (f *File) forget(p *page) {
	f.clean.remove(p)
	if f.last == p {
		f.last = nil
	}
	seg := p.seg
	seg.pages[p.number%segmentPages] = nil
	seg.held--
	if seg.held > 0 {
		return
	}
	seg.pages = nil
	if !seg.exists {
		delete(f.segments, seg.number)
	}
}
