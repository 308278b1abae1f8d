// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Numbers in strings are read as Java reads them: Integer.valueOf, Long.valueOf
// and Double.valueOf.

// parseInt reads a sign and decimal digits, of any script that has its digits in
// Unicode's first plane, as Java does. It fails when the number does not fit 64
// bits.
func parseInt(s []byte) (int64, bool) {
	negative := false
	if len(s) > 0 && (s[0] == '-' || s[0] == '+') {
		negative, s = s[0] == '-', s[1:]
	}
	if len(s) == 0 {
		return 0, false
	}
	most := uint64(math.MaxInt64)
	if negative {
		most++
	}
	n := uint64(0)
	for len(s) > 0 {
		d, size := uint64(s[0]-'0'), 1
		if d > 9 { // also what is below '0'
			if d, size = foreignDigit(s); size == 0 {
				return 0, false
			}
		}
		if n > (most-d)/10 {
			return 0, false
		}
		n, s = n*10+d, s[size:]
	}
	if negative {
		return -int64(n), true // of the smallest, n is that itself
	}
	return int64(n), true
}

// foreignDigit reads a decimal digit that is no ASCII; size is 0 for anything else.
func foreignDigit(s []byte) (digit uint64, size int) {
	r, size := utf8.DecodeRune(s)
	if r < utf8.RuneSelf || r > 0xFFFF {
		return 0, 0
	}
	for _, block := range unicode.Nd.R16 { // the digits of a script follow each other
		if r >= rune(block.Lo) && r <= rune(block.Hi) {
			return uint64(r-rune(block.Lo)) % 10, size
		}
	}
	return 0, 0
}

// parseDouble reads what Java's Double.valueOf does: white space around, a sign,
// NaN or Infinity, decimal digits with point and exponent, hexadecimal ones with
// their exponent, an f or d at the end of a number. What is too great is infinite.
func parseDouble(b []byte) (float64, bool) {
	for len(b) > 0 && b[0] <= ' ' {
		b = b[1:]
	}
	for len(b) > 0 && b[len(b)-1] <= ' ' {
		b = b[:len(b)-1]
	}
	body := b
	if len(body) > 0 && (body[0] == '+' || body[0] == '-') {
		body = body[1:]
	}
	switch {
	case len(body) == 0:
		return 0, false
	case string(body) == "NaN":
		return math.NaN(), true
	case string(body) == "Infinity":
		if b[0] == '-' {
			return math.Inf(-1), true
		}
		return math.Inf(1), true
	}
	switch body[len(body)-1] {
	case 'f', 'F', 'd', 'D':
		body, b = body[:len(body)-1], b[:len(b)-1]
	}
	if !isNumber(body) {
		return 0, false
	}
	f, _ := strconv.ParseFloat(string(b), 64) // a range error comes with the right value
	return f, true
}

// isNumber tells whether s is digits with point and exponent: decimal, or
// hexadecimal, where the exponent has to be there.
func isNumber(s []byte) bool {
	mark, valid := byte('e'), isDigit
	hex := len(s) > 1 && s[0] == '0' && s[1]|0x20 == 'x'
	if hex {
		mark, valid, s = 'p', isHexDigit, s[2:]
	}
	before := run(s, valid)
	s = s[before:]
	after := 0
	if len(s) > 0 && s[0] == '.' {
		after = run(s[1:], valid)
		s = s[1+after:]
	}
	if before+after == 0 {
		return false
	}
	if len(s) == 0 {
		return !hex
	}
	if s[0]|0x20 != mark {
		return false
	}
	if s = s[1:]; len(s) > 0 && (s[0] == '+' || s[0] == '-') {
		s = s[1:]
	}
	return len(s) > 0 && run(s, isDigit) == len(s)
}

// run is how many bytes at the beginning are valid.
func run(s []byte, valid func(byte) bool) int {
	n := 0
	for n < len(s) && valid(s[n]) {
		n++
	}
	return n
}

func isHexDigit(c byte) bool { return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'f' }

// parseBool is Boolean.valueOf: no error, and false for all but true.
func parseBool(s []byte) bool { return len(s) == 4 && strings.EqualFold(string(s), "true") }

// compareDoubles is Double.compareTo: NaN is equal to itself and above all, and
// -0 is below 0.
func compareDoubles(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return compareInts(orderedBits(a), orderedBits(b))
}

// orderedBits tells equal doubles, zeros and NaNs from each other.
func orderedBits(f float64) int64 {
	if math.IsNaN(f) {
		return math.MaxInt64
	}
	return int64(math.Float64bits(f))
}

func compareInts(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
