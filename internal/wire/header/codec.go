// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package header

import (
	"bytes"
	"fmt"
	"math"

	"github.com/twostage/twostage/internal/wire"
)

// Error says which field of which header is wrong.
type Error struct {
	Header string // the type's name
	Field  string // the name on the wire
	Reason string
}

func (e *Error) Error() string {
	return fmt.Sprintf("header %s: field %s %s", e.Header, e.Field, e.Reason)
}

// codec goes through the fields of one header, either to read or to write them,
// so that each header lists its fields once. It keeps the first error.
type codec struct {
	header string
	fields wire.Fields     // read from, if w is nil
	w      *wire.ExtWriter // written to
	err    error
}

func reading(header string, f wire.Fields) codec { return codec{header: header, fields: f} }

func writing(w *wire.ExtWriter) codec { return codec{w: w} }

func (c *codec) fail(field, reason string) {
	if c.err == nil {
		c.err = &Error{Header: c.header, Field: field, Reason: reason}
	}
}

// str is a required string, which may be empty.
func (c *codec) str(name string, p *string) {
	if c.w != nil {
		c.w.String(name, *p)
		return
	}
	v, ok := c.fields.Get(name)
	*p = string(v)
	if !ok {
		c.fail(name, "is missing")
	}
}

// optStr is a string that is left out when empty.
func (c *codec) optStr(name string, p *string) {
	if c.w != nil {
		if *p != "" {
			c.w.String(name, *p)
		}
		return
	}
	v, _ := c.fields.Get(name)
	*p = string(v)
}

// number reads a number that may be absent.
func (c *codec) number(name string, least, most int64) (v int64, ok bool) {
	text, _ := c.fields.Get(name)
	if len(text) == 0 {
		return 0, false
	}
	v, reason := parseInt(text, least, most)
	if reason != "" {
		c.fail(name, reason)
		return 0, true
	}
	return v, true
}

// i32 is a required number.
func (c *codec) i32(name string, p *int32) {
	if c.w != nil {
		c.w.Int32(name, *p)
		return
	}
	v, ok := c.number(name, math.MinInt32, math.MaxInt32)
	*p = int32(v)
	if !ok {
		c.fail(name, "is missing")
	}
}

// i64 is a required number.
func (c *codec) i64(name string, p *int64) {
	if c.w != nil {
		c.w.Int64(name, *p)
		return
	}
	v, ok := c.number(name, math.MinInt64, math.MaxInt64)
	*p = v
	if !ok {
		c.fail(name, "is missing")
	}
}

// softI32 is a number that is 0 when absent and always written.
func (c *codec) softI32(name string, p *int32) {
	has := true
	c.maybeI32(name, p, &has)
}

// optI32 is a number that is left out when 0.
func (c *codec) optI32(name string, p *int32) {
	has := *p != 0
	c.maybeI32(name, p, &has)
}

// optI64 is a number that is left out when 0.
func (c *codec) optI64(name string, p *int64) {
	has := *p != 0
	c.maybeI64(name, p, &has)
}

// maybeI32 is a number whose presence says something.
func (c *codec) maybeI32(name string, p *int32, has *bool) {
	if c.w != nil {
		if *has {
			c.w.Int32(name, *p)
		}
		return
	}
	v, ok := c.number(name, math.MinInt32, math.MaxInt32)
	*p, *has = int32(v), ok
}

// maybeI64 is a number whose presence says something.
func (c *codec) maybeI64(name string, p *int64, has *bool) {
	if c.w != nil {
		if *has {
			c.w.Int64(name, *p)
		}
		return
	}
	*p, *has = c.number(name, math.MinInt64, math.MaxInt64)
}

// boolean is a required truth value.
func (c *codec) boolean(name string, p *bool) {
	if c.w != nil {
		c.w.Bool(name, *p)
		return
	}
	v, ok := c.fields.Get(name)
	*p = parseBool(v)
	if !ok {
		c.fail(name, "is missing")
	}
}

// flag is a truth value that is false when absent and always written.
func (c *codec) flag(name string, p *bool) {
	if c.w != nil {
		c.w.Bool(name, *p)
		return
	}
	v, _ := c.fields.Get(name)
	*p = parseBool(v)
}

// optFlag is a truth value that is false when absent and written only when true.
func (c *codec) optFlag(name string, p *bool) {
	if c.w == nil || *p {
		c.flag(name, p)
	}
}

// maybeFlag is a truth value whose presence says something. Empty is absent.
func (c *codec) maybeFlag(name string, p, has *bool) {
	if c.w != nil {
		if *has {
			c.w.Bool(name, *p)
		}
		return
	}
	v, _ := c.fields.Get(name)
	*p, *has = parseBool(v), len(v) > 0
}

// refusal is a truth value that is true when absent: *p is set when it is
// there and false, and only then it is written.
func (c *codec) refusal(name string, p *bool) {
	if c.w != nil {
		if *p {
			c.w.Bool(name, false)
		}
		return
	}
	v, ok := c.fields.Get(name)
	*p = ok && len(v) > 0 && !parseBool(v)
}

// parseInt reads a whole number in decimal with an optional sign, as Java's
// parseLong does for ASCII digits. A reason other than "" says what is wrong.
func parseInt(v []byte, least, most int64) (n int64, reason string) {
	digits := v
	negative := v[0] == '-'
	if negative || v[0] == '+' {
		digits = v[1:]
	}
	if len(digits) == 0 {
		return 0, fmt.Sprintf("is %.40q, not a whole number", v)
	}
	// Counted downwards, where the range is larger by one.
	for _, ch := range digits {
		d := int64(ch - '0')
		if d > 9 {
			return 0, fmt.Sprintf("is %.40q, not a whole number", v)
		}
		if n < math.MinInt64/10 || n*10 < math.MinInt64+d {
			return 0, fmt.Sprintf("is %.40s, beyond 64 bits", v)
		}
		n = n*10 - d
	}
	if !negative {
		if n == math.MinInt64 {
			return 0, fmt.Sprintf("is %.40s, beyond 64 bits", v)
		}
		n = -n
	}
	if n < least || n > most {
		return 0, fmt.Sprintf("is %d, beyond 32 bits", n)
	}
	return n, ""
}

func parseBool(v []byte) bool {
	return len(v) == 4 && (string(v) == "true" || bytes.EqualFold(v, []byte("true")))
}

// Empty is the header of answers that have a header object without fields: their
// extFields are there and empty.
type Empty struct{}

// DecodeExt reads nothing.
func (Empty) DecodeExt(wire.Fields) error { return nil }

// EncodeExt writes nothing.
func (Empty) EncodeExt(*wire.ExtWriter) {}
