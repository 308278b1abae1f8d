// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package fsck

import (
	"errors"
	"fmt"

	"github.com/twostage/twostage/internal/store/index"
)

// ErrIndexShape is wrapped when no index file has the size that the configured
// numbers of slots and entries give.
var ErrIndexShape = errors.New("the index was written with other numbers of slots and entries")

// CheckIndex tells whether the index can be read with the configured numbers of
// slots and entries: if not, the error wraps ErrIndexShape.
func (d *Dir) CheckIndex() error { return d.checkShape() }

// checkShape decides which index files can be read. An error says that the
// configuration is not theirs.
func (d *Dir) checkShape() error {
	want := index.FileSize(d.slots(), d.entries())
	right := 0
	for _, f := range d.indexes {
		if f.size == want {
			right++
		}
	}
	if n := len(d.indexes); n > 0 && right == 0 && d.o.IndexSlots == 0 && d.o.IndexEntries == 0 {
		f := d.indexes[n-1]
		return fmt.Errorf("%w: %s has %d bytes, %d slots and %d entries make %d: say which it has with maxHashSlotNum and maxIndexNum",
			ErrIndexShape, f.path, f.size, d.slots(), d.entries(), want)
	}
	for i, f := range d.indexes {
		if f.size == 0 && d.aborted && i == len(d.indexes)-1 {
			continue // it could not be made; the next start removes it
		}
		f.ok = f.size == want
		d.checkSize(f.path, f.size, want, d.aborted && i == len(d.indexes)-1)
		if !f.ok {
			continue
		}
		if err := f.hdr.Check(d.slots(), d.entries()); err != nil {
			f.broken = true
			d.listed.add(Finding{Level: Damage, Kind: KindIndex, File: f.path, Offset: 0, Length: index.HeaderSize, Text: err.Error()})
		}
	}
	return nil
}

// indexItem is an entry and where it is.
type indexItem struct {
	index.Entry
	file   int // in Dir.indexes
	number int32
}

// indexReader reads the entries of all files that can be read, in order.
type indexReader struct {
	d      *Dir
	file   int
	number int32 // the next one
	buf    []byte
	ended  []int32 // by file: the number behind the last entry that is not all zeros; 0: not known yet
}

func (d *Dir) newIndexReader() *indexReader {
	return &indexReader{d: d, number: 1, ended: make([]int32, len(d.indexes))}
}

// next appends up to n entries to dst, none behind the last one.
func (r *indexReader) next(dst []indexItem, n int) ([]indexItem, error) {
	for n > 0 && r.file < len(r.d.indexes) {
		f := r.d.indexes[r.file]
		if !f.ok {
			r.file++
			continue
		}
		if r.ended[r.file] == 0 {
			end, err := r.findEnd(f)
			if err != nil {
				return dst, err
			}
			r.ended[r.file] = end
		}
		count := int(min(int64(n), int64(r.ended[r.file]-r.number)))
		if count <= 0 {
			r.file, r.number = r.file+1, 1
			continue
		}
		if cap(r.buf) < count*index.EntrySize {
			r.buf = make([]byte, count*index.EntrySize)
		}
		b := r.buf[:count*index.EntrySize]
		got, err := r.d.files.readAt(f.path, b, index.EntryAt(r.d.slots(), r.number))
		if err != nil {
			return dst, err
		}
		if got < len(b) {
			return dst, fmt.Errorf("%s was made shorter meanwhile", f.path)
		}
		for ; len(b) > 0; b = b[index.EntrySize:] {
			dst = append(dst, indexItem{index.DecodeEntry(b), r.file, r.number})
			r.number++
		}
		n -= count
	}
	return dst, nil
}

// findEnd is the number behind the last entry: as the header says, but for zeros
// before it, and for further entries up to the record that the header has as the
// last. A broken header says nothing.
func (r *indexReader) findEnd(f *indexFile) (int32, error) {
	const step = 4096
	buf := make([]byte, step*index.EntrySize)
	read := func(from, to int32) ([]byte, error) {
		b := buf[:(to-from)*index.EntrySize]
		_, err := r.d.files.readAt(f.path, b, index.EntryAt(r.d.slots(), from))
		return b, err
	}
	end := f.hdr.Count
	if f.broken {
		end = int32(r.d.entries())
	}
	for end > 1 {
		from := max(1, end-step)
		b, err := read(from, end)
		if err != nil {
			return 0, err
		}
		if _, last := nonZero(b); last >= 0 {
			end = from + int32((last-1)/index.EntrySize) + 1
			break
		}
		end = from
	}
	if f.broken || f.hdr.Count == 1 && f.hdr.EndTime == 0 { // the next start has emptied it
		return end, nil
	}
	last, reached := end, end
	for before := int64(0); last < int32(r.d.entries()); last++ {
		b, err := read(last, last+1)
		if err != nil {
			return 0, err
		}
		e := index.DecodeEntry(b)
		if e == (index.Entry{}) || e.Offset > f.hdr.EndOffset || e.Offset < before {
			break
		}
		if before = e.Offset; e.Offset == f.hdr.EndOffset {
			reached = last + 1
		}
	}
	return reached, nil
}
