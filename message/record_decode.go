// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package message

import (
	"encoding/binary"
	"fmt"
	"math"
)

// DecodeRecord reads the record b begins with into r and returns its size. The
// slices of r are parts of b. With check the body is compared with its CRC, or,
// where the record ends with PropertyCRC32, all of the record with that.
//
// Errors match one of the errors of this package; r is then not to be used.
//
//   - ErrShort: b ends before the record does. Both this and ErrBlank come as
//     they are, without allocation.
//   - ErrBlank: b begins with the marker at the end of a commit log file; n is
//     the number of bytes to skip, which may be more than b has.
//   - ErrBodyCRC, ErrCRC: all else is in order; n is the size of the record.
//   - all others: n is 0.
//
// It does not allocate unless it fails.
func DecodeRecord(b []byte, r *Record, check bool) (n int, err error) {
	if len(b) < BlankSize {
		return 0, ErrShort
	}
	be := binary.BigEndian
	size, magic := int32(be.Uint32(b)), be.Uint32(b[4:])
	topicLength, maxTopic := 1, maxTopicV1 // width and limit of the field
	switch magic {
	case MagicV1:
	case MagicV2:
		topicLength, maxTopic = 2, maxTopicV2
	case MagicBlank:
		if size < BlankSize {
			return 0, fmt.Errorf("%w: %d in the marker at the end of a commit log file", ErrSize, size)
		}
		return int(size), ErrBlank
	default:
		return 0, fmt.Errorf("%w: %#08x", ErrMagic, magic)
	}
	if size < MinRecordSize {
		return 0, fmt.Errorf("%w: %d, the smallest has %d bytes", ErrSize, size, MinRecordSize)
	}
	if int(size) > len(b) {
		return 0, ErrShort
	}
	b = b[:size:size]

	r.Size, r.Magic = size, magic
	r.BodyCRC = be.Uint32(b[atBodyCRC:])
	r.QueueID = int32(be.Uint32(b[atQueueID:]))
	r.Flag = int32(be.Uint32(b[atFlag:]))
	r.QueueOffset = int64(be.Uint64(b[atQueueOffset:]))
	r.PhysicalOffset = int64(be.Uint64(b[atPhysicalOffset:]))
	r.SysFlag = SysFlag(be.Uint32(b[atSysFlag:]))
	r.BornTimestamp = int64(be.Uint64(b[atBornTimestamp:]))

	born, store := hostSize, hostSize
	if r.SysFlag.Has(FlagBornHostV6) {
		born = maxHostSize
	}
	if r.SysFlag.Has(FlagStoreHostV6) {
		store = maxHostSize
	}
	if least := MinRecordSize + born + store - 2*hostSize + topicLength - 1; int(size) < least {
		return 0, fmt.Errorf("%w: %d, with these hosts and version the smallest has %d bytes", ErrSize, size, least)
	}
	at, ok := atBornHost, false
	if r.BornHost, ok = readHost(b[at : at+born]); !ok {
		return 0, fmt.Errorf("%w: born host has port %d", ErrHost, be.Uint32(b[at+born-4:]))
	}
	at += born
	r.StoreTimestamp = int64(be.Uint64(b[at:]))
	at += 8
	if r.StoreHost, ok = readHost(b[at : at+store]); !ok {
		return 0, fmt.Errorf("%w: store host has port %d", ErrHost, be.Uint32(b[at+store-4:]))
	}
	at += store
	r.ReconsumeTimes = int32(be.Uint32(b[at:]))
	r.PreparedOffset = int64(be.Uint64(b[at+4:]))

	// From here on each length must leave room for the fields after it.
	body := int(int32(be.Uint32(b[at+12:])))
	at += 16
	if room := len(b) - at - topicLength - 2; body < 0 || body > room {
		return 0, fmt.Errorf("%w: %d, the record has room for %d", ErrBody, body, room)
	}
	r.Body = b[at : at+body : at+body]
	at += body

	topic := int(b[at])
	if topicLength == 2 {
		topic = int(be.Uint16(b[at:]))
	}
	at += topicLength
	if room := len(b) - at - 2; topic > maxTopic || topic > room {
		return 0, fmt.Errorf("%w: %d, the record has room for %d", ErrTopic, topic, min(room, maxTopic))
	}
	r.Topic = b[at : at+topic : at+topic]
	at += topic

	properties := int(be.Uint16(b[at:]))
	at += 2
	if room := len(b) - at; properties > math.MaxInt16 || properties > room {
		return 0, fmt.Errorf("%w: %d, the record has room for %d", ErrProperties, properties, min(room, MaxPropertiesLength))
	}
	r.Properties = b[at : at+properties : at+properties]
	if at += properties; at != len(b) {
		return 0, fmt.Errorf("%w: %d, its parts have %d bytes", ErrSize, size, at)
	}

	switch {
	case !check:
	case endsWithCRC(r.Properties): // it covers the body and the body's own CRC too
		covered, digits := splitCRC(b)
		crc := recordCRC(covered)
		if stated, ok := statedCRC(digits); !ok || stated != crc {
			return len(b), fmt.Errorf("%w: it has %d, the record says %q, last digit first", ErrCRC, crc, digits)
		}
	case len(r.Body) > 0:
		if crc := bodyCRC(r.Body); crc != r.BodyCRC {
			return len(b), fmt.Errorf("%w: it has %#08x, the record says %#08x", ErrBodyCRC, crc, r.BodyCRC)
		}
	}
	return len(b), nil
}

// RangeRecords decodes the records that b consists of, the body of a pull
// answer, and calls fn for each until fn returns an error, which it returns. The
// record is reused for the next call; its slices are parts of b. Errors of
// DecodeRecord are returned with the place.
func RangeRecords(b []byte, check bool, fn func(*Record) error) error {
	var r Record
	for at := 0; at < len(b); {
		n, err := DecodeRecord(b[at:], &r, check)
		if err != nil {
			return fmt.Errorf("record at byte %d of %d: %w", at, len(b), err)
		}
		if err := fn(&r); err != nil {
			return err
		}
		at += n
	}
	return nil
}
