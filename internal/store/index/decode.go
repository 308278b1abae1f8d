// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package index

import "fmt"

// Sizes of the parts of a file, in bytes.
const (
	HeaderSize = headerSize
	SlotSize   = slotSize
	EntrySize  = entrySize
)

// FileSize is the size of a file with so many slots and entries, in bytes.
func FileSize(slots, entries int) int64 { return shape{slots, entries}.fileSize() }

// SlotAt is where a slot stands in a file, EntryAt where an entry does, in bytes
// from its start.
func SlotAt(slot int) int64 { return headerSize + slotSize*int64(slot) }

// EntryAt is described with SlotAt; slots is how many slots the file has.
func EntryAt(slots int, entry int32) int64 { return shape{slots: slots}.at(entry) }

// IsName tells whether a file of the index can have the name.
func IsName(name string) bool { return isName(name) }

// Entry is an entry of a file: one key of one record.
type Entry struct {
	Hash    int32 // of topic#key; its slot is Hash modulo the number of slots
	Offset  int64 // of the record in the commit log, bytes
	Seconds int32 // from Header.BeginTime to the store time of the record
	Prev    int32 // number of the next older entry of the slot, 0 for none
}

// DecodeEntry reads the entry that b, of at least EntrySize bytes, begins with.
func DecodeEntry(b []byte) Entry {
	i := decodeItem(b)
	return Entry{i.hash, i.offset, i.seconds, i.prev}
}

// Check tells what a file with so many slots and entries cannot have in its
// header.
func (h *Header) Check(slots, entries int) error {
	if err := h.check(slots, entries); err != nil {
		return fmt.Errorf("index: the header %w", err)
	}
	return nil
}
