// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

// Sound tells whether a record stands at the offset at of b, the bytes of a log
// from position 0 on, and its size. It knows the format from its description
// alone (docs/format/commitlog.md), decodes nothing that recovery need not, and
// looks at no file ends.
func Sound(b []byte, at int) (size int, ok bool) {
	if at < 0 || len(b)-at < 91 {
		return 0, false
	}
	r := b[at:]
	u32 := func(i int) int { return int(int32(binary.BigEndian.Uint32(r[i:]))) }
	size = u32(0)
	if size < 91 || size > len(r) || int(binary.BigEndian.Uint64(r[28:])) != at {
		return 0, false
	}
	r = r[:size]
	topicLength := 1
	switch binary.BigEndian.Uint32(r[4:]) {
	case 0xDAA320A7:
	case 0xDAA320AB:
		topicLength = 2
	default:
		return 0, false
	}
	i := 48
	for _, bit := range []int{1 << 4, 1 << 5} { // born host and store host are IPv6
		host := 8
		if u32(36)&bit != 0 {
			host = 20
		}
		if i += host; i > size-19 || u32(i-4) < 0 || u32(i-4) > 65535 {
			return 0, false
		}
		if bit == 1<<4 {
			i += 8 // store timestamp
		}
	}
	i += 12 // consumed again, prepared offset
	if i+4 > size {
		return 0, false
	}
	body := u32(i)
	if i += 4; body < 0 || body > size-i-topicLength-2 {
		return 0, false
	}
	if crc := crc32.ChecksumIEEE(r[i : i+body]); body > 0 && int(crc&0x7fffffff) != u32(8) {
		return 0, false
	}
	i += body
	topic := int(int8(r[i]))
	if topicLength == 2 {
		topic = int(int16(binary.BigEndian.Uint16(r[i:])))
	}
	if i += topicLength; topic < 0 || topic > size-i-2 || bytes.IndexByte(r[i:i+topic], 0) >= 0 {
		return 0, false
	}
	i += topic
	props := int(int16(binary.BigEndian.Uint16(r[i:])))
	return size, props >= 0 && i+2+props == size
}

// Blank tells whether the marker for the end of a file stands at the offset at
// of b, the bytes of a log whose files have fileSize bytes.
func Blank(b []byte, at, fileSize int) bool {
	rest := fileSize - at%fileSize
	return at+8 <= len(b) && rest >= 8 && int(binary.BigEndian.Uint32(b[at:])) == rest && binary.BigEndian.Uint32(b[at+4:]) == 0xCBD43194
}
