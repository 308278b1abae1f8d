// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import "encoding/binary"

// binaryHead is the length of a binary header without remark and fields.
const binaryHead = 2 + 1 + 2 + 4 + 4 + 4 + 4

// decodeBinary reads a header in RocketMQ's binary encoding
// (RocketMQSerializable in 4.9.8). b is the frame up to the end of its header;
// the header begins at 4. A remark of length 0 is an absent one.
//
//	 4  i16 code        the lower 16 bits, see CanonicalCode
//	 6  i8  language
//	 7  i16 version
//	 9  i32 opaque
//	13  i32 flag
//	17  i32 remark length, remark in UTF-8
//	    i32 length of all fields
//	    per field: i16 length, name in UTF-8, i32 length, value in UTF-8
func (d *Decoder) decodeBinary(b []byte, c *Command) error {
	if len(b) < 4+binaryHead {
		return errorAt(0, "header length %d is below the %d bytes of a binary header", len(b)-4, binaryHead)
	}
	c.Code = int32(int16(binary.BigEndian.Uint16(b[4:])))
	c.Language = Language(b[6])
	c.Version = int32(int16(binary.BigEndian.Uint16(b[7:])))
	c.Opaque = int32(binary.BigEndian.Uint32(b[9:]))
	c.Flag = int32(binary.BigEndian.Uint32(b[13:]))
	if !c.IsResponse() {
		c.Code = CanonicalCode(c.Code)
	}
	// From here on each part is checked against the space that is left, with the
	// four bytes of the fields' length set aside.
	n := int32(binary.BigEndian.Uint32(b[17:]))
	if n < 0 || int(n) > len(b)-4-binaryHead {
		return errorAt(17, "remark length %d, where the header has room for %d", n, len(b)-4-binaryHead)
	}
	at := 21 + int(n)
	if n > 0 {
		c.Remark = b[21:at:at]
	}
	n = int32(binary.BigEndian.Uint32(b[at:]))
	if int(n) != len(b)-at-4 {
		return errorAt(at, "extFields length %d, where the header has %d bytes left", n, len(b)-at-4)
	}
	c.HasExt = n > 0
	at += 4
	for at < len(b) {
		start := at
		key, err := lengthPrefixed(b, &at, 2, "name")
		if err != nil {
			return err
		}
		value, err := lengthPrefixed(b, &at, 4, "value")
		if err != nil {
			return err
		}
		if err := d.addField(c, key, value, start); err != nil {
			return err
		}
	}
	return nil
}

// lengthPrefixed takes bytes behind a signed length of width 2 or 4 at *at, and
// moves *at behind them.
func lengthPrefixed(b []byte, at *int, width int, what string) ([]byte, error) {
	i := *at
	if len(b)-i < width {
		return nil, errorAt(i, "extFields end inside the length of a field's %s", what)
	}
	var n int
	if width == 2 {
		n = int(int16(binary.BigEndian.Uint16(b[i:])))
	} else {
		n = int(int32(binary.BigEndian.Uint32(b[i:])))
	}
	if n < 0 || n > len(b)-i-width {
		return nil, errorAt(i, "length %d of a field's %s, where %d bytes are left", n, what, len(b)-i-width)
	}
	i += width
	*at = i + n
	return b[i : i+n : i+n], nil
}
