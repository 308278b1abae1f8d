// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package fastjson

import (
	"bytes"
	"math"
	"strconv"
	"unicode/utf8"
)

const upperHex = "0123456789ABCDEF"

// AppendString appends s as fastjson writes a string: short escapes for
// \b \t \n \f \r " and \, \uXXXX for the other control characters (also those
// from 7F to 9F) and for the line separators U+2028 and U+2029.
func AppendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r == '\b':
			dst = append(dst, `\b`...)
		case r == '\t':
			dst = append(dst, `\t`...)
		case r == '\n':
			dst = append(dst, `\n`...)
		case r == '\f':
			dst = append(dst, `\f`...)
		case r == '\r':
			dst = append(dst, `\r`...)
		case r < 0x20 || 0x7F <= r && r <= 0x9F || r == 0x2028 || r == 0x2029:
			dst = append(dst, '\\', 'u', upperHex[r>>12&15], upperHex[r>>8&15], upperHex[r>>4&15], upperHex[r&15])
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return append(dst, '"')
}

// appendDouble appends x as Java's Double.toString does: plain with at least
// one digit after the point from 0.001 to below 10 million, else as d.dEn.
func appendDouble(dst []byte, x float64) []byte {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return append(dst, "null"...)
	}
	start := len(dst)
	abs := math.Abs(x)
	if abs == 0 || 1e-3 <= abs && abs < 1e7 {
		dst = strconv.AppendFloat(dst, x, 'f', -1, 64)
		if bytes.IndexByte(dst[start:], '.') < 0 {
			dst = append(dst, ".0"...)
		}
		return dst
	}
	var scratch [32]byte
	text := strconv.AppendFloat(scratch[:0], x, 'e', -1, 64) // d.ddde+06
	mantissa, exponent, _ := bytes.Cut(text, []byte{'e'})
	dst = append(dst, mantissa...)
	if bytes.IndexByte(mantissa, '.') < 0 {
		dst = append(dst, ".0"...)
	}
	dst = append(dst, 'E')
	if exponent[0] == '-' {
		dst = append(dst, '-')
	}
	return append(dst, bytes.TrimLeft(exponent[1:], "0")...)
}
