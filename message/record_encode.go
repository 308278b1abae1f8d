// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package message

import (
	"encoding/binary"
	"hash/crc32"
	"slices"
)

// EncodedSize is the number of bytes AppendRecord adds for r: 0 if a length of r
// does not fit its field (see Check).
func EncodedSize(r *Record) int { return encodedSize(r, len(r.Properties)) }

// encodedSize is the size of r with properties of that length.
func encodedSize(r *Record, properties int) int {
	if !r.encodable() || properties > MaxPropertiesLength {
		return 0
	}
	size := MinRecordSize + len(r.Body) + len(r.Topic) + properties
	if len(r.Topic) > maxTopicV1 {
		size++
	}
	if isV6(r.BornHost) {
		size += addedByV6
	}
	if isV6(r.StoreHost) {
		size += addedByV6
	}
	return size
}

// AppendRecord writes r behind dst. It computes the size, the body's CRC, the
// magic (MagicV2 only for a topic longer than 127 bytes) and the host bits of
// the system flag, and leaves r alone. An IPv6 form of an IPv4 address is
// written as IPv4, an invalid host as 0.0.0.0:0, and a zone is lost.
//
// If r does not pass Check because of a length, dst comes back as it was:
// nothing is ever cut. It does not allocate if dst has room for EncodedSize.
func AppendRecord(dst []byte, r *Record) []byte {
	size := EncodedSize(r)
	if size == 0 {
		return dst
	}
	start := len(dst)
	dst = slices.Grow(dst, size)[:start+size]
	copy(encode(dst[start:], r, len(r.Properties)), r.Properties)
	return dst
}

// encode writes all of r but its properties, which have the given length, to b,
// which has just the size of the record, and returns the place for them.
func encode(b []byte, r *Record, properties int) []byte {
	size := len(b)
	magic, flag := uint32(MagicV1), r.SysFlag&^(FlagBornHostV6|FlagStoreHostV6)
	if len(r.Topic) > maxTopicV1 {
		magic = MagicV2
	}
	if isV6(r.BornHost) {
		flag |= FlagBornHostV6
	}
	if isV6(r.StoreHost) {
		flag |= FlagStoreHostV6
	}

	be := binary.BigEndian
	be.PutUint32(b, uint32(size))
	be.PutUint32(b[4:], magic)
	be.PutUint32(b[atBodyCRC:], bodyCRC(r.Body))
	be.PutUint32(b[atQueueID:], uint32(r.QueueID))
	be.PutUint32(b[atFlag:], uint32(r.Flag))
	be.PutUint64(b[atQueueOffset:], uint64(r.QueueOffset))
	be.PutUint64(b[atPhysicalOffset:], uint64(r.PhysicalOffset))
	be.PutUint32(b[atSysFlag:], uint32(flag))
	be.PutUint64(b[atBornTimestamp:], uint64(r.BornTimestamp))
	b = b[atBornHost:]
	b = b[putHost(b, r.BornHost):]
	be.PutUint64(b, uint64(r.StoreTimestamp))
	b = b[8:]
	b = b[putHost(b, r.StoreHost):]
	be.PutUint32(b, uint32(r.ReconsumeTimes))
	be.PutUint64(b[4:], uint64(r.PreparedOffset))
	be.PutUint32(b[12:], uint32(len(r.Body)))
	b = b[16:]
	b = b[copy(b, r.Body):]
	if magic == MagicV2 {
		be.PutUint16(b, uint16(len(r.Topic)))
		b = b[2:]
	} else {
		b[0] = byte(len(r.Topic))
		b = b[1:]
	}
	b = b[copy(b, r.Topic):]
	be.PutUint16(b, uint16(properties))
	return b[2:]
}

// AppendBlank writes the marker for a commit log file of which rest bytes are
// left, the marker's own BlankSize included.
func AppendBlank(dst []byte, rest int32) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(rest))
	return binary.BigEndian.AppendUint32(dst, MagicBlank)
}

func bodyCRC(body []byte) uint32 { return crc32.ChecksumIEEE(body) & 0x7FFFFFFF }
