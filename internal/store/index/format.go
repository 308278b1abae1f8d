// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package index

import (
	"encoding/binary"
	"fmt"
	"math"
)

const (
	headerSize = 40
	slotSize   = 4
	entrySize  = 20
)

// MaxTime is far beyond all clocks, and leaves room for what is added to it.
const MaxTime = 1 << 53

// Header is the start of an index file.
type Header struct {
	BeginTime, EndTime     int64 // store times of the first and the last record, ms since 1970
	BeginOffset, EndOffset int64 // log offsets of the first and the last record
	Slots                  int32 // used
	Count                  int32 // number of the next entry; the first is 1
}

func (h *Header) encode(b *[headerSize]byte) {
	binary.BigEndian.PutUint64(b[0:], uint64(h.BeginTime))
	binary.BigEndian.PutUint64(b[8:], uint64(h.EndTime))
	binary.BigEndian.PutUint64(b[16:], uint64(h.BeginOffset))
	binary.BigEndian.PutUint64(b[24:], uint64(h.EndOffset))
	binary.BigEndian.PutUint32(b[32:], uint32(h.Slots))
	binary.BigEndian.PutUint32(b[36:], uint32(h.Count))
}

// decode takes a count of 0 for 1, as RocketMQ does.
func (h *Header) decode(b *[headerSize]byte) {
	*h = Header{
		BeginTime:   int64(binary.BigEndian.Uint64(b[0:])),
		EndTime:     int64(binary.BigEndian.Uint64(b[8:])),
		BeginOffset: int64(binary.BigEndian.Uint64(b[16:])),
		EndOffset:   int64(binary.BigEndian.Uint64(b[24:])),
		Slots:       int32(binary.BigEndian.Uint32(b[32:])),
		Count:       max(1, int32(binary.BigEndian.Uint32(b[36:]))),
	}
}

// ReadHeader decodes the header of a file.
func ReadHeader(b []byte) (Header, error) {
	if len(b) < headerSize {
		return Header{}, fmt.Errorf("index: %d bytes are no header, it has %d", len(b), headerSize)
	}
	var h Header
	h.decode((*[headerSize]byte)(b))
	return h, nil
}

// check tells whether a file with room for entries entries can have h. The
// clock of the machine that wrote it may have gone back.
func (h *Header) check(slots, entries int) error {
	switch {
	case int64(h.Count) > int64(entries):
		return fmt.Errorf("counts %d entries of %d", h.Count, entries)
	case h.BeginOffset < 0 || h.EndOffset < h.BeginOffset:
		return fmt.Errorf("is about log offsets %d to %d", h.BeginOffset, h.EndOffset)
	case h.BeginTime < 0 || h.BeginTime > MaxTime || h.EndTime < 0 || h.EndTime > MaxTime:
		return fmt.Errorf("is about times %d to %d", h.BeginTime, h.EndTime)
	case h.Slots < 0 || int64(h.Slots) > int64(slots):
		return fmt.Errorf("counts %d used slots of %d", h.Slots, slots)
	}
	return nil
}

// overlaps tells whether a record of the file can have a time in [begin, end].
func (h *Header) overlaps(begin, end int64) bool {
	return begin < h.BeginTime && end > h.EndTime ||
		begin >= h.BeginTime && begin <= h.EndTime ||
		end >= h.BeginTime && end <= h.EndTime
}

// item is an entry.
type item struct {
	hash    int32
	offset  int64
	seconds int32 // since Header.BeginTime
	prev    int32
}

func appendItem(dst []byte, i item) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(i.hash))
	dst = binary.BigEndian.AppendUint64(dst, uint64(i.offset))
	dst = binary.BigEndian.AppendUint32(dst, uint32(i.seconds))
	return binary.BigEndian.AppendUint32(dst, uint32(i.prev))
}

func decodeItem(b []byte) item {
	_ = b[entrySize-1]
	return item{
		hash:    int32(binary.BigEndian.Uint32(b)),
		offset:  int64(binary.BigEndian.Uint64(b[4:])),
		seconds: int32(binary.BigEndian.Uint32(b[12:])),
		prev:    int32(binary.BigEndian.Uint32(b[16:])),
	}
}

// seconds is the time of a record as its entry holds it.
func (h *Header) seconds(storeTime int64) int32 {
	if h.Count <= 1 {
		return 0
	}
	return int32(min(max((storeTime-h.BeginTime)/1000, 0), math.MaxInt32))
}

// time is what is known of the time of a record: it lies in the second from
// there on.
func (h *Header) time(i item) int64 { return h.BeginTime + int64(i.seconds)*1000 }
