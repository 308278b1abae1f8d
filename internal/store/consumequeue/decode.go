// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package consumequeue

// DecodeEntry reads the entry that b, of at least EntrySize bytes, begins with.
// It is for those who read files of a Set that is not open.
func DecodeEntry(b []byte) Entry { return decodeEntry(b) }

// Valid tells an entry, padding or not, from the end of the queue.
func (e Entry) Valid() bool { return e.valid() }

// Padding tells that e was written to be skipped: the front of a first file, or
// a gap.
func (e Entry) Padding() bool { return e.padding() }
