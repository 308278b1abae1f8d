// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package index

import (
	"encoding/binary"
	"fmt"

	"github.com/twostage/twostage/internal/vfs"
)

const (
	pageSize  = 4096
	firstTail = 16 << 10 / entrySize * entrySize
	maxTail   = 256 << 10 / entrySize * entrySize
)

// shape is what all files of an index have in common.
type shape struct {
	slots, entries int
}

func (s shape) entriesStart() int64 { return headerSize + slotSize*int64(s.slots) }
func (s shape) fileSize() int64     { return s.entriesStart() + entrySize*int64(s.entries) }
func (s shape) pages() int          { return int((s.entriesStart() + pageSize - 1) / pageSize) }
func (s shape) at(entry int32) int64 {
	return s.entriesStart() + entrySize*int64(entry)
}

// slot returns where the slot of a hash is: in which page, at which byte of it.
// Slots are aligned to their size, so none lies in two pages.
func (s shape) slot(hash int32) (page, at int) {
	pos := headerSize + slotSize*(int(hash)%s.slots)
	return pos / pageSize, pos % pageSize
}

// page is a page of the file that holds slots, or nothing.
type page struct {
	data    *[pageSize]byte // nil: as it is on disk
	written bool            // it may be other than zeros on disk
	dirty   bool
	touched bool // since the last flush
}

// file is an index file. Those that may hold what is not on disk (Index.active,
// Index.filled) have f, pages and tail; of the others hdr is all there is.
// Index.mu guards everything; f may be used without.
type file struct {
	shape
	name string
	hdr  Header

	f     vfs.File // nil: closed
	pages []page
	tail  []byte // entries from number tailStart on that are not in f
	users int    // of f, besides the Index
	done  bool   // no longer used by the Index: the last user closes f

	changed  bool // since the last flush
	flushing bool // its flush has let go of Index.mu
}

func (f *file) full() bool       { return int64(f.hdr.Count) >= int64(f.entries) }
func (f *file) empty() bool      { return f.hdr.Count <= 1 }
func (f *file) tailStart() int32 { return f.hdr.Count - int32(len(f.tail)/entrySize) }

// page returns the slots of a page, from disk when need be.
func (f *file) page(n int) (*page, error) {
	p := &f.pages[n]
	if p.data == nil {
		data := new([pageSize]byte)
		if p.written {
			// The last page may reach over the end of a small file.
			size := min(pageSize, f.fileSize()-int64(n)*pageSize)
			if got, err := f.f.ReadAt(data[:size], int64(n)*pageSize); int64(got) < size {
				return nil, fmt.Errorf("index: read slots of %s: %w", f.name, err)
			}
		}
		p.data = data
	}
	return p, nil
}

// head returns the newest entry of the slot of a hash, 0 for none. A number that
// cannot be is none.
func (f *file) head(p *page, at int) int32 {
	n := int32(binary.BigEndian.Uint32(p.data[at:]))
	if n <= 0 || n >= f.hdr.Count {
		return 0
	}
	return n
}

// add puts an entry behind the others, which must not be full. After an error
// nothing has changed.
func (f *file) add(hash int32, offset, storeTime int64) error {
	n, at := f.slot(hash)
	p, err := f.page(n)
	if err != nil {
		return err
	}
	if len(f.tail)+entrySize > cap(f.tail) {
		if cap(f.tail) < maxTail {
			f.tail = append(make([]byte, 0, min(max(firstTail, 4*cap(f.tail)), maxTail)), f.tail...)
		} else if err := f.writeTail(); err != nil {
			return err
		}
	}
	prev := f.head(p, at)
	f.tail = appendItem(f.tail, item{hash, offset, f.hdr.seconds(storeTime), prev})
	binary.BigEndian.PutUint32(p.data[at:], uint32(f.hdr.Count))
	p.dirty, p.touched, f.changed = true, true, true
	if f.empty() {
		f.hdr.BeginTime, f.hdr.BeginOffset = storeTime, offset
	}
	if prev == 0 {
		f.hdr.Slots++
	}
	f.hdr.Count++
	f.hdr.EndTime, f.hdr.EndOffset = storeTime, offset
	return nil
}

func (f *file) writeTail() error {
	if len(f.tail) == 0 {
		return nil
	}
	if _, err := f.f.WriteAt(f.tail, f.at(f.tailStart())); err != nil {
		return fmt.Errorf("index: write entries: %w", err)
	}
	f.tail = f.tail[:0]
	return nil
}

// entry reads an entry that is in the tail, or else in the file, which nobody
// changes there.
func (f *file) entry(n int32) (item, error) {
	if at := int(n-f.tailStart()) * entrySize; at >= 0 {
		return decodeItem(f.tail[at:]), nil
	}
	return readEntry(f.f, f.shape, n, make([]byte, entrySize))
}

// readEntry needs a buffer of entrySize.
func readEntry(r vfs.File, s shape, n int32, buf []byte) (item, error) {
	if got, err := r.ReadAt(buf, s.at(n)); got < len(buf) {
		return item{}, fmt.Errorf("index: read entry %d: %w", n, err)
	}
	return decodeItem(buf), nil
}

// holds tells whether the record at offset has an entry with hash, given that
// no later record has any.
func (f *file) holds(hash int32, offset int64) (bool, error) {
	n, at := f.slot(hash)
	p, err := f.page(n)
	if err != nil {
		return false, err
	}
	for n := f.head(p, at); n > 0; {
		i, err := f.entry(n)
		if err != nil || i.offset < offset {
			return false, err
		}
		if i.hash == hash && i.offset == offset {
			return true, nil
		}
		if i.prev >= n {
			break
		}
		n = i.prev
	}
	return false, nil
}
