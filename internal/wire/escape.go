// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import "unicode/utf8"

const upperHex = "0123456789ABCDEF"

// escapes says what fastjson does with a byte inside a string: 0 nothing, 'u'
// write it as \u00XX, anything else write a backslash and that letter. Bytes
// from 0x80 are part of a longer sequence and looked at apart.
var escapes = [256]byte{
	0: 'u', 1: 'u', 2: 'u', 3: 'u', 4: 'u', 5: 'u', 6: 'u', 7: 'u',
	'\b': 'b', '\t': 't', '\n': 'n', 0x0B: 'u', '\f': 'f', '\r': 'r', 0x0E: 'u', 0x0F: 'u',
	0x10: 'u', 0x11: 'u', 0x12: 'u', 0x13: 'u', 0x14: 'u', 0x15: 'u', 0x16: 'u', 0x17: 'u',
	0x18: 'u', 0x19: 'u', 0x1A: 'u', 0x1B: 'u', 0x1C: 'u', 0x1D: 'u', 0x1E: 'u', 0x1F: 'u',
	'"': '"', '\\': '\\', 0x7F: 'u',
	0xC2: '?', // leads U+0080 to U+009F, which fastjson escapes
	0xE2: '?', // leads U+2028 and U+2029, which fastjson escapes
}

// appendEscaped writes the inside of a JSON string as fastjson 1.2 does with its
// usual features: short escapes, \u00XX in upper-case hex for other control
// characters up to U+009F and for U+2028 and U+2029, all else as it is.
func appendEscaped[T string | []byte](dst []byte, s T) []byte {
	start := 0
	for i := 0; i < len(s); i++ {
		for len(s)-i >= 8 && plain8(s, i) {
			i += 8
		}
		if i == len(s) {
			break
		}
		e := escapes[s[i]]
		if e == 0 {
			continue
		}
		if e == '?' {
			n := escapedRune(s, i)
			if n == 0 {
				continue
			}
			dst = append(dst, s[start:i]...)
			r, _ := utf8.DecodeRuneInString(string(s[i : i+n]))
			dst = append(dst, '\\', 'u', upperHex[r>>12&15], upperHex[r>>8&15], upperHex[r>>4&15], upperHex[r&15])
			i += n - 1
			start = i + 1
			continue
		}
		dst = append(dst, s[start:i]...)
		if e == 'u' {
			dst = append(dst, '\\', 'u', '0', '0', upperHex[s[i]>>4], upperHex[s[i]&15])
		} else {
			dst = append(dst, '\\', e)
		}
		start = i + 1
	}
	return append(dst, s[start:]...)
}

// plain8 tells whether none of the eight bytes from i on needs a look: all are ASCII,
// no control characters, quotes or backslashes. It works as special does; taking 32
// from each byte sets the top bit of a byte below that.
func plain8[T string | []byte](s T, i int) bool {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	x := uint64(s[i]) | uint64(s[i+1])<<8 | uint64(s[i+2])<<16 | uint64(s[i+3])<<24 |
		uint64(s[i+4])<<32 | uint64(s[i+5])<<40 | uint64(s[i+6])<<48 | uint64(s[i+7])<<56
	q, e, d := x^ones*'"', x^ones*'\\', x^ones*0x7F
	return (x|(x-ones*0x20)|(q-ones)&^q|(e-ones)&^e|(d-ones)&^d)&tops == 0
}

// escapedRune gives the length of the character at i if it is one of those
// beyond ASCII that are escaped, and 0 otherwise.
func escapedRune[T string | []byte](s T, i int) int {
	if s[i] == 0xC2 && i+1 < len(s) && s[i+1] >= 0x80 && s[i+1] <= 0x9F {
		return 2
	}
	if s[i] == 0xE2 && i+2 < len(s) && s[i+1] == 0x80 && (s[i+2] == 0xA8 || s[i+2] == 0xA9) {
		return 3
	}
	return 0
}
