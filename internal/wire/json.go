// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import "math"

// maxDepth bounds how deep objects and arrays nest in parts that are skipped.
const maxDepth = 32

// decodeJSON reads a JSON header. b is the frame up to the end of its header; the
// header begins at 4.
//
// It takes what Java's fastjson takes from known clients: white space anywhere,
// numbers in quotes, null for an absent value, field values that are no strings
// (their JSON text becomes the value). A field whose value is null is absent.
// Of names that occur twice the last counts. Other deviations from JSON are
// errors.
func (d *Decoder) decodeJSON(b []byte, c *Command) error {
	if d.repeated(b, c) {
		return nil
	}
	noted := d.shapes.worthNoting()
	d.shapes.notes.reset(noted)
	s := scanner{b: b, i: 4, scratch: d.scratch}
	err := s.header(d, c)
	d.scratch = s.scratch
	if noted && err == nil {
		d.shapes.learn(b, c)
	}
	return err
}

func (s *scanner) header(d *Decoder, c *Command) error {
	s.space()
	if !s.take('{') {
		return s.unexpected("the { of the header")
	}
	s.space()
	for more := !s.take('}'); more; {
		name, err := s.name()
		if err != nil {
			return err
		}
		switch string(name) {
		case "code":
			c.Code, err = s.int32("code")
		case "version":
			c.Version, err = s.int32("version")
		case "opaque":
			at := s.i
			c.Opaque, err = s.int32("opaque")
			d.shapes.notes.opaque = span{int32(at) - 4, int32(s.i) - 4}
		case "flag":
			c.Flag, err = s.int32("flag")
		case "language":
			c.Language, err = s.language()
		case "remark":
			c.Remark, err = s.text()
			if len(c.Remark) == 0 {
				c.Remark = nil
			}
		case "extFields":
			err = s.extFields(d, c)
		default:
			err = s.skip(maxDepth)
		}
		if err != nil {
			return err
		}
		if more, err = s.more("the header"); err != nil {
			return err
		}
	}
	s.space()
	if s.i != len(s.b) {
		return s.unexpected("the end of the header")
	}
	return nil
}

func (s *scanner) extFields(d *Decoder, c *Command) error {
	c.Ext = c.Ext[:0]
	d.seen = nameSet{}
	notes := &d.shapes.notes
	notes.fields, notes.escape = notes.fields[:0], notes.escape[:0]
	if c.HasExt = s.peek() != 'n'; !c.HasExt {
		return s.literal("null")
	}
	if !s.take('{') {
		return s.unexpected("the { of extFields")
	}
	s.space()
	for more := !s.take('}'); more; {
		at, kept := s.i, len(s.scratch)
		name, err := s.name()
		if err != nil {
			return err
		}
		escaped, from := len(s.scratch) > kept, s.i
		if len(name) > MaxFieldName {
			return errorAt(at, "the name of a field has %d bytes, more than %d", len(name), MaxFieldName)
		}
		value, err := s.text()
		if err != nil {
			return err
		}
		if value != nil {
			if err := d.addField(c, name, value, at); err != nil {
				return err
			}
			if notes.on {
				notes.add(at, len(name), escaped, span{int32(from), int32(s.i)}, len(s.scratch) > kept, s.b)
			}
		}
		if more, err = s.more("extFields"); err != nil {
			return err
		}
	}
	return nil
}

// int32 reads a whole number, bare or in quotes, or null as 0.
func (s *scanner) int32(name string) (int32, error) {
	at := s.i
	text, err := s.text()
	if err != nil || text == nil {
		return 0, err
	}
	digits := text
	negative := len(digits) > 0 && digits[0] == '-'
	if negative {
		digits = digits[1:]
	}
	var v int64
	for _, ch := range digits {
		if ch < '0' || ch > '9' {
			return 0, errorAt(at, "%s is %.40q, not a whole number", name, text)
		}
		if v = v*10 + int64(ch-'0'); v > math.MaxInt32+1 {
			return 0, errorAt(at, "%s is %.40s, beyond 32 bits", name, text)
		}
	}
	if len(digits) == 0 {
		return 0, errorAt(at, "%s is %.40q, not a whole number", name, text)
	}
	if negative {
		v = -v
	}
	if v > math.MaxInt32 {
		return 0, errorAt(at, "%s is %.40s, beyond 32 bits", name, text)
	}
	return int32(v), nil
}

// language reads a language by name, or by number as fastjson allows; null is
// Java, as an absent one is.
func (s *scanner) language() (Language, error) {
	if s.peek() != '"' && s.peek() != 'n' {
		at := s.i
		n, err := s.int32("language")
		if err == nil && (n < 0 || n > math.MaxUint8) {
			err = errorAt(at, "language %d is beyond 8 bits", n)
		}
		return Language(n), err
	}
	name, err := s.text()
	if err != nil || name == nil {
		return LanguageJava, err
	}
	return parseLanguage(name), nil
}
