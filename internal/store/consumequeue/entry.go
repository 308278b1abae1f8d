// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package consumequeue

import (
	"encoding/binary"
	"math"
)

// EntrySize is the size of an entry on disk in bytes.
const EntrySize = 20

// Entry says where a record is.
type Entry struct {
	Offset int64 // of the record in the commit log, bytes
	Size   int32 // of the record, bytes
	Tags   int64 // hash of the tags; the time of delivery in SCHEDULE_TOPIC_XXXX
}

// blankEntry fills the front of a first file, and gaps.
var blankEntry = Entry{Size: math.MaxInt32}

// Blank tells that there is no record behind e: padding, or a hole that a stop
// of the machine left.
func (e Entry) Blank() bool { return e.padding() || !e.valid() }

// padding is narrower than Blank: an entry that was written to be skipped.
func (e Entry) padding() bool { return e.Offset == 0 && e.Size == math.MaxInt32 }

// valid tells an entry, blank or not, from the end of the queue.
func (e Entry) valid() bool { return e.Offset >= 0 && e.Size > 0 }

// end is the log offset behind the record.
func (e Entry) end() int64 { return e.Offset + int64(e.Size) }

func appendEntry(dst []byte, e Entry) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(e.Offset))
	dst = binary.BigEndian.AppendUint32(dst, uint32(e.Size))
	return binary.BigEndian.AppendUint64(dst, uint64(e.Tags))
}

// decodeEntry reads the first EntrySize bytes of b.
func decodeEntry(b []byte) Entry {
	_ = b[EntrySize-1]
	return Entry{
		Offset: int64(binary.BigEndian.Uint64(b)),
		Size:   int32(binary.BigEndian.Uint32(b[8:])),
		Tags:   int64(binary.BigEndian.Uint64(b[12:])),
	}
}
