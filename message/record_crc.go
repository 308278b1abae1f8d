// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package message

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"slices"
)

// A record may end with a property that covers all of it, where the CRC in its
// head covers nothing but the body:
//
//	... properties | 0x02 | __CRC32# | 0x01 | 10 digits | 0x02
//	                 (a)    ^------------ 20 bytes ---------^
//
// (a) stands behind other properties only, and once. The digits are those of the
// CRC-32 (IEEE) of all bytes of the record before the name, without its highest
// bit, the last digit first: 1234 is 4321000000. Sizes in the record count the
// 20 bytes, and so does the CRC, which goes over the sizes. Offsets and store
// timestamp are covered as well, so the CRC is set once these are known.
//
// RocketMQ 5 writes it with enabledAppendPropCRC=true, and reads it with
// forceVerifyPropCRC=true only. In a batch it may write the name right behind a
// value, without the 0x02; the property then belongs to that value for every
// reader, RocketMQ's too: such a record counts as one without a CRC.
// Source: MessageExtEncoder, CommitLog and MessageDecoder.createCrc32 of Apache
// RocketMQ 5.3.3.
const (
	// PropertyCRCSize is the length of the property PropertyCRC32 as a record
	// ends with it, bytes. Behind other properties that do not end with 0x02 it
	// takes one more.
	PropertyCRCSize = len(PropertyCRC32) + 1 + crcDigits + 1

	crcDigits = 10
	crcName   = PropertyCRC32 + "\x01"
	crcEmpty  = crcName + "0000000000\x02"
)

// EncodedSizeCRC is the number of bytes that AppendRecordCRC adds for r: 0 if a
// length of r does not fit its field. It allocates only where r has a property
// PropertyCRC32 already.
func EncodedSizeCRC(r *Record) int { return encodedSize(r, crcProperties(r)) }

// CheckCRC is Check for a record that AppendRecordCRC is to encode: its
// properties must leave room for PropertyCRCSize and, behind others, 0x02.
func (r *Record) CheckCRC() error {
	if n := crcProperties(r); n > MaxPropertiesLength {
		return propertiesError(n)
	}
	return r.Check()
}

// crcProperties is the length of the properties of r with a CRC.
func crcProperties(r *Record) int {
	props := withoutCRC(r.Properties)
	return len(props) + missingMark(props) + PropertyCRCSize
}

// missingMark is 1 for properties behind which 0x02 has to be written.
func missingMark(props []byte) int {
	if n := len(props); n > 0 && props[n-1] != propertyMark {
		return 1
	}
	return 0
}

// withoutCRC is props without the properties PropertyCRC32 in it, which say
// nothing about a new record.
func withoutCRC(props []byte) []byte {
	if _, ok := Property(props, PropertyCRC32); ok {
		return DeleteProperty(nil, props, PropertyCRC32)
	}
	return props
}

// AppendRecordCRC is AppendRecord with the property PropertyCRC32 at the end,
// instead of those of that name that r has. Its digits are 0: PatchCRC sets them
// once PatchPosition has been called. If r does not pass CheckCRC because of a
// length, dst comes back as it was. It does not allocate if dst has room for
// EncodedSizeCRC and r has no such property yet.
func AppendRecordCRC(dst []byte, r *Record) []byte {
	props := withoutCRC(r.Properties)
	mark := missingMark(props)
	length := len(props) + mark + PropertyCRCSize
	size := encodedSize(r, length)
	if size == 0 {
		return dst
	}
	start := len(dst)
	dst = slices.Grow(dst, size)[:start+size]
	b := encode(dst[start:], r, length)
	b = b[copy(b, props):]
	if mark > 0 {
		b[0] = propertyMark
		b = b[1:]
	}
	copy(b, crcEmpty)
	return dst
}

// PatchCRC sets the property PropertyCRC32 that rec ends with, and tells whether
// it has one: if not, nothing happens. It comes after the last other change. rec
// must begin with a record that AppendRecord, AppendRecordCRC or RocketMQ made.
// It reads the whole record and does not allocate.
func PatchCRC(rec []byte) bool {
	rec = rec[:binary.BigEndian.Uint32(rec)]
	if !endsWithCRC(rec[propertiesAt(rec):]) {
		return false
	}
	covered, digits := splitCRC(rec)
	crc := recordCRC(covered)
	for i := range digits {
		digits[i] = '0' + byte(crc%10)
		crc /= 10
	}
	return true
}

// HasCRC tells whether the record ends with a property PropertyCRC32, which then
// covers all of it. Whether it is right is for DecodeRecord to say.
func (r *Record) HasCRC() bool { return endsWithCRC(r.Properties) }

// endsWithCRC tells whether the last property of a properties text is a CRC, of
// whatever digits.
func endsWithCRC(props []byte) bool {
	at := len(props) - PropertyCRCSize
	return at >= 0 && props[len(props)-1] == propertyMark && string(props[at:at+len(crcName)]) == crcName &&
		(at == 0 || props[at-1] == propertyMark)
}

// splitCRC cuts a whole record that ends with a CRC.
func splitCRC(rec []byte) (covered, digits []byte) {
	n := len(rec) - 1
	return rec[:len(rec)-PropertyCRCSize], rec[n-crcDigits : n]
}

// recordCRC is the CRC of what it covers of a record.
func recordCRC(covered []byte) uint32 { return crc32.ChecksumIEEE(covered) & 0x7FFFFFFF }

// statedCRC reads digits; ok is false if they are no CRC.
func statedCRC(digits []byte) (crc uint32, ok bool) {
	var n uint64
	for i := len(digits) - 1; i >= 0; i-- {
		c := digits[i]
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return uint32(n), n <= math.MaxInt32
}

// propertiesAt is where the properties text of an encoded record begins.
func propertiesAt(rec []byte) int {
	be := binary.BigEndian
	at := storeTimestampAt(rec) + 8 + hostSize
	if SysFlag(be.Uint32(rec[atSysFlag:])).Has(FlagStoreHostV6) {
		at += addedByV6
	}
	at += 4 + 8
	at += 4 + int(be.Uint32(rec[at:]))
	if be.Uint32(rec[4:]) == MagicV2 {
		return at + 2 + int(be.Uint16(rec[at:])) + 2
	}
	return at + 1 + int(rec[at]) + 2
}
