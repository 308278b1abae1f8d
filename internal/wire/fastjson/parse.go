// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package fastjson

import (
	"bytes"
	"fmt"
)

// ToStandard rewrites a text of the dialect into standard JSON without white
// space. The result is a new slice. Errors are a [*SyntaxError] or wrap
// [ErrLimit].
func ToStandard(text []byte) ([]byte, error) { return Limits{}.ToStandard(text) }

// ToStandard is [ToStandard] within these limits.
func (l Limits) ToStandard(text []byte) ([]byte, error) {
	p := parser{limits: l.orMax()}
	if err := p.checkSize(text); err != nil {
		return nil, err
	}
	p.src = text
	p.out = make([]byte, 0, len(text)+len(text)/16)
	return p.run()
}

// Indent appends a text of the dialect to dst in the layout of the config files
// (see the package comment), with its keys in the order they have. Sets of
// objects are laid out as fastjson lays out a Set: no line between elements.
// Errors are those of [ToStandard].
func Indent(dst, text []byte) ([]byte, error) {
	p := parser{limits: Limits{}.orMax(), pretty: true}
	if err := p.checkSize(text); err != nil {
		return nil, err
	}
	p.src, p.out = text, dst
	return p.run()
}

// parser copies src to out, either rewritten to standard JSON or laid out anew.
type parser struct {
	src     []byte
	pos     int
	out     []byte
	limits  Limits
	depth   int // objects and arrays around pos
	indent  int // objects around pos: arrays do not indent
	objects int
	inKey   bool // inside an object key
	pretty  bool
}

func (p *parser) checkSize(text []byte) error {
	if len(text) > p.limits.Size {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrLimit, len(text), p.limits.Size)
	}
	return nil
}

func (p *parser) run() ([]byte, error) {
	if err := p.value(); err != nil {
		return nil, err
	}
	if p.next() != 0 || p.pos < len(p.src) {
		return nil, p.fail("text after the end of the value")
	}
	return p.out, nil
}

func (p *parser) fail(problem string) error { return &SyntaxError{p.pos, problem} }

// next skips white space and returns the byte at pos without taking it, 0 at the
// end (a zero byte in the text is never valid, so the two need no telling apart).
func (p *parser) next() byte {
	for p.pos < len(p.src) {
		switch c := p.src[p.pos]; c {
		case ' ', '\t', '\n', '\r':
			p.pos++
		default:
			return c
		}
	}
	return 0
}

func (p *parser) value() error {
	switch c := p.next(); {
	case c == '{':
		return p.object()
	case c == '[':
		return p.array()
	case c == '"':
		return p.str()
	case c == '-' || '0' <= c && c <= '9':
		return p.number()
	case c == 't':
		return p.word("true")
	case c == 'f':
		return p.word("false")
	case c == 'n':
		return p.word("null")
	case c == 0 && p.pos >= len(p.src):
		return p.fail("the text ends where a value is wanted")
	default:
		return p.fail(fmt.Sprintf("%q where a value is wanted", c))
	}
}

func (p *parser) enter() error {
	if p.depth++; p.depth > p.limits.Depth {
		return fmt.Errorf("byte %d: %w: nested deeper than %d", p.pos, ErrLimit, p.limits.Depth)
	}
	if p.objects++; p.objects > p.limits.Objects {
		return fmt.Errorf("byte %d: %w: more than %d objects and arrays", p.pos, ErrLimit, p.limits.Objects)
	}
	p.out = append(p.out, p.src[p.pos])
	p.pos++
	return nil
}

func (p *parser) line() {
	p.out = append(p.out, '\n')
	for range p.indent {
		p.out = append(p.out, '\t')
	}
}

func (p *parser) array() error {
	if err := p.enter(); err != nil {
		return err
	}
	for n := 0; ; n++ {
		more, err := p.element(n, ']')
		if err != nil {
			return err
		}
		if !more {
			p.depth--
			p.out = append(p.out, ']')
			return nil
		}
		if err := p.value(); err != nil {
			return err
		}
	}
}

// element takes what stands before element n of an object or array: nothing or
// a comma. It reports false after it took the closing bracket.
func (p *parser) element(n int, closing byte) (more bool, err error) {
	c := p.next()
	switch {
	case c == closing:
		p.pos++
		return false, nil
	case c == 0 && p.pos >= len(p.src):
		return false, p.fail(fmt.Sprintf("the text ends where %q is wanted", closing))
	case n == 0:
		return true, nil
	case c != ',':
		return false, p.fail(fmt.Sprintf("%q where ',' or %q is wanted", c, closing))
	}
	p.pos++
	p.out = append(p.out, ',')
	if p.next() == closing {
		return false, p.fail(fmt.Sprintf("%q after a comma", closing))
	}
	return true, nil
}

func (p *parser) object() error {
	start := p.pos
	if err := p.enter(); err != nil {
		return err
	}
	p.indent++
	for n := 0; ; n++ {
		more, err := p.element(n, '}')
		if err != nil {
			return err
		}
		if !more {
			p.depth--
			if p.indent--; p.pretty && n > 0 {
				p.line()
			}
			p.out = append(p.out, '}')
			return nil
		}
		keyAt := len(p.out)
		if err := p.key(); err != nil {
			return err
		}
		key := p.out[keyAt:]
		if p.next() != ':' {
			return p.fail("':' is wanted after a key")
		}
		p.pos++
		p.out = append(p.out, ':')
		p.next()
		valueAt := p.pos
		if err := p.value(); err != nil {
			return err
		}
		if n == 0 && string(bytes.TrimSpace(key)) == `"$ref"` && isReference(p.src[valueAt:p.pos]) && p.next() == '}' {
			return &SyntaxError{start, "fastjson reference: the value is elsewhere in the text"}
		}
	}
}

// isReference reports whether the text of a value can be that of a $ref: a
// string that begins as fastjson's paths do ("$", "$.a", "@", "..").
func isReference(value []byte) bool {
	return len(value) > 2 && value[0] == '"' && (value[1] == '$' || value[1] == '@' || value[1] == '.')
}

// key copies a key: a string, an integer or an object.
func (p *parser) key() error {
	switch c := p.next(); {
	case c == '"':
		if p.pretty {
			p.line()
		}
		return p.str()
	case c == '-' || '0' <= c && c <= '9':
		return p.integerKey()
	case c == '{' && p.inKey:
		return p.fail("object key inside an object key")
	case c == '{':
		return p.objectKey()
	default:
		return p.fail(fmt.Sprintf("%q where a key is wanted", c))
	}
}

func (p *parser) integerKey() error {
	start := p.pos
	if p.src[p.pos] == '-' {
		p.pos++
	}
	if err := p.digits(); err != nil {
		return err
	}
	if p.pretty {
		p.out = append(p.out, p.src[start:p.pos]...)
		return nil
	}
	p.out = append(p.out, '"')
	p.out = append(p.out, p.src[start:p.pos]...)
	p.out = append(p.out, '"')
	return nil
}

func (p *parser) objectKey() error {
	start := len(p.out)
	p.inKey = true
	err := p.object()
	p.inKey = false
	if err != nil || p.pretty {
		return err
	}
	text := bytes.Clone(p.out[start:])
	p.out = appendQuotedText(p.out[:start], text)
	return nil
}

// appendQuotedText appends text, which is JSON, as a JSON string.
func appendQuotedText(dst, text []byte) []byte {
	dst = append(dst, '"')
	for _, c := range text {
		if c == '"' || c == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, c)
	}
	return append(dst, '"')
}

// str copies a string. Its escapes are checked and kept.
func (p *parser) str() error {
	start := p.pos
	for p.pos++; p.pos < len(p.src); p.pos++ {
		switch c := p.src[p.pos]; {
		case c == '"':
			p.pos++
			p.out = append(p.out, p.src[start:p.pos]...)
			return nil
		case c == '\\':
			if err := p.escape(); err != nil {
				return err
			}
		case c < 0x20:
			return p.fail("control character in a string")
		}
	}
	return p.fail("the text ends inside a string")
}

// escape moves pos from the backslash to the last byte of the escape.
func (p *parser) escape() error {
	rest := p.src[p.pos+1:]
	if len(rest) == 0 {
		return p.fail("the text ends inside an escape")
	}
	switch rest[0] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		p.pos++
		return nil
	case 'u':
		if len(rest) >= 5 && isHex(rest[1]) && isHex(rest[2]) && isHex(rest[3]) && isHex(rest[4]) {
			p.pos += 5
			return nil
		}
	}
	return p.fail("unknown escape in a string")
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// digits takes 0 or a number without leading zeros.
func (p *parser) digits() error {
	start := p.pos
	p.anyDigits()
	if p.pos == start || p.src[start] == '0' && p.pos > start+1 {
		return &SyntaxError{start, "malformed number"}
	}
	return nil
}

func (p *parser) anyDigits() {
	for p.pos < len(p.src) && '0' <= p.src[p.pos] && p.src[p.pos] <= '9' {
		p.pos++
	}
}

// take moves past the byte at pos if it is one of set.
func (p *parser) take(set string) bool {
	if p.pos < len(p.src) && bytes.IndexByte([]byte(set), p.src[p.pos]) >= 0 {
		p.pos++
		return true
	}
	return false
}

func (p *parser) number() error {
	start := p.pos
	p.take("-")
	if err := p.digits(); err != nil {
		return err
	}
	if p.take(".") {
		at := p.pos
		if p.anyDigits(); p.pos == at {
			return p.fail("malformed number")
		}
	}
	if p.take("eE") {
		p.take("+-")
		at := p.pos
		if p.anyDigits(); p.pos == at {
			return p.fail("malformed number")
		}
	}
	p.out = append(p.out, p.src[start:p.pos]...)
	return nil
}

func (p *parser) word(w string) error {
	if !bytes.HasPrefix(p.src[p.pos:], []byte(w)) {
		return p.fail(fmt.Sprintf("%q where a value is wanted", p.src[p.pos]))
	}
	p.pos += len(w)
	p.out = append(p.out, w...)
	return nil
}
