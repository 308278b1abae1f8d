// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package filter

// property is what one message has for a name of the expression.
type property struct {
	text []byte // nil: the message has none
	read *numbers
}

// numbers is what a long text is as a number. It is read once an evaluation,
// however often the expression compares it, which may be a thousand times.
type numbers struct {
	intRead, isInt       bool
	doubleRead, isDouble bool
	int                  int64
	double               float64
}

// longText is from how many bytes on a text is read once: shorter ones are read
// again in no more time than it takes to look.
const longText = 64

// numbers is where the readings of a long string are kept; nil for a short one.
func (v value) numbers(values []property) *numbers {
	if len(v.text) < longText || v.bits == 0 {
		return nil
	}
	p := &values[v.bits-1]
	if p.read == nil {
		p.read = new(numbers)
	}
	return p.read
}

// readInt reads a string as a 64-bit integer.
func (v value) readInt(values []property) (int64, bool) {
	n := v.numbers(values)
	if n == nil {
		return parseInt(v.text)
	}
	if !n.intRead {
		n.intRead = true
		n.int, n.isInt = parseInt(v.text)
	}
	return n.int, n.isInt
}

// readDouble reads a string as a double.
func (v value) readDouble(values []property) (float64, bool) {
	n := v.numbers(values)
	if n == nil {
		return parseDouble(v.text)
	}
	if !n.doubleRead {
		n.doubleRead = true
		n.double, n.isDouble = parseDouble(v.text)
	}
	return n.double, n.isDouble
}
