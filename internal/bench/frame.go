// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/twostage/twostage/internal/wire"
)

// frameAt tells the length of the whole frame at the start of b, 0 if it has
// not arrived completely.
func frameAt(b []byte) (int, error) {
	if len(b) < 4 {
		return 0, nil
	}
	n := int(int32(binary.BigEndian.Uint32(b)))
	if n < 4 || n > wire.MaxFrame {
		return 0, fmt.Errorf("the peer sent a frame of %d bytes", n)
	}
	if len(b) < 4+n {
		return 0, nil
	}
	return 4 + n, nil
}

// opaqueOf reads the opaque of a whole frame without decoding the rest.
func opaqueOf(frame []byte) (int32, bool) {
	mark := binary.BigEndian.Uint32(frame[4:])
	n := int(mark & 0xFFFFFF)
	if n > len(frame)-8 {
		return 0, false
	}
	h := frame[8 : 8+n]
	if wire.Encoding(mark>>24) == wire.Binary {
		if n < 9 {
			return 0, false
		}
		return int32(binary.BigEndian.Uint32(h[5:])), true
	}
	return intAfter(h, `"opaque":`)
}

// succeeded says whether a response frame is a plain success.
func succeeded(frame []byte) bool {
	mark := binary.BigEndian.Uint32(frame[4:])
	n := int(mark & 0xFFFFFF)
	if n > len(frame)-8 || n < 2 {
		return false
	}
	h := frame[8 : 8+n]
	if wire.Encoding(mark>>24) == wire.Binary {
		return h[0] == 0 && h[1] == 0
	}
	code, ok := intAfter(h, `"code":`)
	return ok && code == 0
}

func intAfter(h []byte, name string) (int32, bool) {
	i := bytes.Index(h, []byte(name))
	if i < 0 {
		return 0, false
	}
	var v int32
	digits := 0
	for _, c := range h[i+len(name):] {
		if c < '0' || c > '9' {
			break
		}
		v = v*10 + int32(c-'0')
		digits++
	}
	return v, digits > 0
}
