// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package index

import (
	"encoding/binary"
	"fmt"
)

// rebuild reads the entries of an open file that has no pages in memory, makes
// the slots from them, and cuts the file where beyond holds or the entries stop
// making sense.
func (f *file) rebuild(beyond func(item) bool) (cut bool, err error) {
	old := f.hdr
	f.hdr.Count, f.hdr.Slots, f.hdr.EndOffset = 1, 0, f.hdr.BeginOffset
	for n := range f.pages {
		f.pages[n].written = false // as if new; see clearSlots
	}
	buf := make([]byte, maxTail)
scan:
	for f.hdr.Count < old.Count {
		b := buf[:min(len(buf), int(old.Count-f.hdr.Count)*entrySize)]
		if got, err := f.f.ReadAt(b, f.at(f.hdr.Count)); got < len(b) {
			return false, fmt.Errorf("read entry %d: %w", f.hdr.Count, err)
		}
		for ; len(b) > 0; b = b[entrySize:] {
			e := decodeItem(b)
			ok, err := f.readd(e, old.EndOffset, beyond)
			if err != nil {
				return false, err
			}
			if !ok {
				break scan
			}
		}
	}
	if cut = f.hdr.Count < old.Count; cut && !f.empty() {
		last, err := f.entry(f.hdr.Count - 1)
		if err != nil {
			return false, err
		}
		f.hdr.EndTime = f.hdr.time(last) // exactly, once the record is put again
	}
	return cut, f.clearSlots()
}

// readd counts the next entry if it may stand there.
func (f *file) readd(e item, endOffset int64, beyond func(item) bool) (bool, error) {
	if e.hash < 0 || e.seconds < 0 || e.offset < f.hdr.EndOffset || e.offset > endOffset || beyond(e) {
		return false, nil
	}
	n, at := f.slot(e.hash)
	p, err := f.page(n)
	if err != nil {
		return false, err
	}
	prev := f.head(p, at)
	if prev != e.prev {
		return false, nil
	}
	if prev == 0 {
		f.hdr.Slots++
	}
	binary.BigEndian.PutUint32(p.data[at:], uint32(f.hdr.Count))
	p.dirty = true
	f.hdr.Count++
	f.hdr.EndOffset = e.offset
	return true, nil
}

// clearSlots finds the pages without slots that have some on disk, and makes
// them dirty.
func (f *file) clearSlots() error {
	buf := make([]byte, run)
	for pos := int64(0); pos < f.entriesStart(); pos += int64(len(buf)) {
		b := buf[:min(int64(len(buf)), f.entriesStart()-pos)]
		if got, err := f.f.ReadAt(b, pos); got < len(b) {
			return fmt.Errorf("read slots: %w", err)
		}
		if pos == 0 {
			clear(b[:headerSize])
		}
		for n := int(pos / pageSize); len(b) > 0; n++ {
			part := b[:min(pageSize, len(b))]
			b = b[len(part):]
			p := &f.pages[n]
			for _, v := range part {
				if v != 0 {
					p.written = true
					break
				}
			}
			if p.written && p.data == nil {
				p.data, p.dirty = new([pageSize]byte), true
			}
		}
	}
	return nil
}
