// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// scanner reads JSON text from b[i:]. Strings without escapes alias b, others
// are unescaped into scratch, which only ever grows, so that all stay valid.
type scanner struct {
	b       []byte
	i       int
	scratch []byte
}

// unexpected makes the error for finding something else than want at the place
// the scanner is at.
func (s *scanner) unexpected(want string) error {
	if s.i >= len(s.b) {
		return errorAt(s.i, "the header ends before %s", want)
	}
	return errorAt(s.i, "%q instead of %s", s.b[s.i], want)
}

func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

// peek gives the next byte, 0 at the end.
func (s *scanner) peek() byte {
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

// take moves over the next byte if it is ch.
func (s *scanner) take(ch byte) bool {
	if s.i < len(s.b) && s.b[s.i] == ch {
		s.i++
		return true
	}
	return false
}

// name reads the name of a member, its colon and the white space around them.
func (s *scanner) name() ([]byte, error) {
	// The one-letter names of a send, without a look further.
	if b, i := s.b, s.i; len(b)-i > 4 && b[i] == '"' && b[i+2] == '"' && b[i+3] == ':' && b[i+1] != '\\' && b[i+1] != '"' {
		s.i = i + 4
		s.space()
		return b[i+1 : i+2 : i+2], nil
	}
	name, err := s.str("a name in quotes")
	if err != nil {
		return nil, err
	}
	s.space()
	if !s.take(':') {
		return nil, s.unexpected("the colon behind a name")
	}
	s.space()
	return name, nil
}

// more moves over what follows a member of an object: false at its end.
func (s *scanner) more(object string) (bool, error) {
	s.space()
	if s.take(',') {
		s.space()
		return true, nil
	}
	if s.take('}') {
		return false, nil
	}
	return false, s.unexpected("a comma or the } of " + object)
}

// text reads a value: the inside of a string, nil for null, and the JSON text
// of anything else.
func (s *scanner) text() ([]byte, error) {
	start := s.i
	switch s.peek() {
	case '"':
		return s.str("")
	case 'n':
		return nil, s.literal("null")
	}
	if err := s.skip(maxDepth); err != nil {
		return nil, err
	}
	return s.b[start:s.i:s.i], nil
}

// skip moves over a value of any kind that nests at most depth deep.
func (s *scanner) skip(depth int) error {
	switch ch := s.peek(); ch {
	case '"':
		kept := len(s.scratch)
		_, err := s.str("")
		s.scratch = s.scratch[:kept]
		return err
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	case '{', '[':
		if depth == 0 {
			return errorAt(s.i, "values nest deeper than %d", maxDepth)
		}
		s.i++
		return s.skipInside(ch, depth-1)
	default:
		return s.number()
	}
}

// skipInside moves over the rest of the object or array that open begins.
func (s *scanner) skipInside(open byte, depth int) error {
	end := open + 2 // '{' and '}', '[' and ']' are two apart
	s.space()
	if s.take(end) {
		return nil
	}
	for {
		if open == '{' {
			kept := len(s.scratch)
			if _, err := s.name(); err != nil {
				return err
			}
			s.scratch = s.scratch[:kept]
		}
		if err := s.skip(depth); err != nil {
			return err
		}
		s.space()
		if s.take(end) {
			return nil
		}
		if !s.take(',') {
			return s.unexpected("a comma or the end of a nested value")
		}
		s.space()
	}
}

func (s *scanner) literal(word string) error {
	if len(s.b)-s.i < len(word) || string(s.b[s.i:s.i+len(word)]) != word {
		return s.unexpected(word)
	}
	s.i += len(word)
	return nil
}

// number moves over a number.
func (s *scanner) number() error {
	s.take('-')
	// A digit behind a leading 0 is found by whatever comes next.
	if !s.take('0') && !s.digits() {
		return s.unexpected("a value")
	}
	if s.take('.') && !s.digits() {
		return s.unexpected("the digits behind a decimal point")
	}
	if s.take('e') || s.take('E') {
		if !s.take('-') {
			s.take('+')
		}
		if !s.digits() {
			return s.unexpected("the digits of an exponent")
		}
	}
	return nil
}

func (s *scanner) digits() bool {
	start := s.i
	for s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9' {
		s.i++
	}
	return s.i > start
}

// str reads a string. want names it in the error when there is none.
func (s *scanner) str(want string) ([]byte, error) {
	b, start := s.b, s.i+1
	if s.i >= len(b) || b[s.i] != '"' {
		return nil, s.unexpected(want)
	}
	i := special(b, start)
	if i < len(b) && b[i] == '"' {
		s.i = i + 1
		return b[start:i:i], nil
	}
	from := len(s.scratch)
	for i < len(b) {
		s.scratch = append(s.scratch, b[start:i]...)
		if b[i] == '"' {
			s.i = i + 1
			return s.scratch[from:len(s.scratch):len(s.scratch)], nil
		}
		if ch, ok := control(b, i); ok { // what separates properties
			s.scratch = append(s.scratch, ch)
			start = i + 6
		} else {
			s.i = i
			if err := s.escape(); err != nil {
				return nil, err
			}
			start = s.i
		}
		i = special(b, start)
	}
	return nil, errorAt(i, "the header ends inside a string")
}

// special finds the next quote or backslash from i on, or the end. It looks at
// eight bytes at a time: a byte of x^pattern is zero where x has the pattern's,
// and taking one from each byte sets the top bit of a zero byte.
func special(b []byte, i int) int {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	for len(b)-i >= 8 {
		x := binary.LittleEndian.Uint64(b[i:])
		q, e := x^ones*'"', x^ones*'\\'
		if hit := ((q-ones)&^q | (e-ones)&^e) & tops; hit != 0 {
			return i + bits.TrailingZeros64(hit)/8
		}
		i += 8
	}
	for i < len(b) && b[i] != '"' && b[i] != '\\' {
		i++
	}
	return i
}

// control reads an escape from \u0000 to \u0009.
func control(b []byte, i int) (ch byte, ok bool) {
	if len(b)-i < 6 || binary.LittleEndian.Uint32(b[i:]) != '\\'|'u'<<8|'0'<<16|'0'<<24 || b[i+4] != '0' {
		return 0, false
	}
	ch = b[i+5] - '0'
	return ch, ch < 10
}

// escape reads the escape at the scanner's place into scratch.
func (s *scanner) escape() error {
	at := s.i
	if len(s.b)-at < 2 {
		return errorAt(at, "the header ends inside an escape")
	}
	s.i += 2
	ch := s.b[at+1]
	switch ch {
	case '"', '\\', '/':
	case 'b':
		ch = '\b'
	case 'f':
		ch = '\f'
	case 'n':
		ch = '\n'
	case 'r':
		ch = '\r'
	case 't':
		ch = '\t'
	case 'u':
		return s.escapedRune(at)
	default:
		return errorAt(at, "invalid escape \\%c", rune(ch))
	}
	s.scratch = append(s.scratch, ch)
	return nil
}

// escapedRune reads the digits of a \u escape that begins at at, and those of a
// second one if both are a surrogate pair. A surrogate alone becomes U+FFFD.
func (s *scanner) escapedRune(at int) error {
	r, ok := s.hex4(at + 2)
	if !ok {
		return errorAt(at, "invalid \\u escape: four hex digits must follow")
	}
	s.i = at + 6
	if r < utf8.RuneSelf {
		s.scratch = append(s.scratch, byte(r))
		return nil
	}
	if utf16.IsSurrogate(r) {
		pair := rune(utf8.RuneError)
		if len(s.b)-s.i >= 2 && s.b[s.i] == '\\' && s.b[s.i+1] == 'u' {
			low, ok := s.hex4(s.i + 2)
			if !ok {
				return errorAt(s.i, "invalid \\u escape: four hex digits must follow")
			}
			if pair = utf16.DecodeRune(r, low); pair != utf8.RuneError {
				s.i += 6
			}
		}
		r = pair
	}
	s.scratch = utf8.AppendRune(s.scratch, r)
	return nil
}

// hex4 reads the four hex digits at i.
func (s *scanner) hex4(i int) (rune, bool) {
	if len(s.b)-i < 4 {
		return 0, false
	}
	a, b, c, d := hexDigit[s.b[i]], hexDigit[s.b[i+1]], hexDigit[s.b[i+2]], hexDigit[s.b[i+3]]
	if a|b|c|d > 15 {
		return 0, false
	}
	return rune(a)<<12 | rune(b)<<8 | rune(c)<<4 | rune(d), true
}

// hexDigit gives the worth of a hex digit, 255 for any other byte.
var hexDigit = func() (t [256]uint8) {
	for i := range t {
		t[i] = 255
	}
	for i := range 10 {
		t['0'+i] = uint8(i)
	}
	for i := range 6 {
		t['a'+i], t['A'+i] = uint8(10+i), uint8(10+i)
	}
	return t
}()
