// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"bytes"
	"math"
)

// valueKind is the type of a value.
type valueKind uint8

const (
	null valueKind = iota
	boolean
	int32s // a literal that fits 32 bits
	int64s
	double
	str
)

// value is what an operand is for one message.
type value struct {
	kind valueKind
	// boolean: 0 or 1; integers; double: its IEEE 754 bits; str: the slot of the
	// property whose text it is, and 1, or 0 for the expression's
	bits uint64
	text []byte
}

func intValue(k valueKind, n int64) value { return value{kind: k, bits: uint64(n)} }
func doubleValue(f float64) value         { return value{kind: double, bits: math.Float64bits(f)} }
func textValue(s []byte) value            { return value{kind: str, text: s} }

func boolValue(b bool) value {
	if b {
		return value{kind: boolean, bits: 1}
	}
	return value{kind: boolean}
}

// number is the value as a double; it must be a number.
func (v value) number() float64 {
	if v.kind == double {
		return math.Float64frombits(v.bits)
	}
	return float64(int64(v.bits))
}

// operand is a part of the expression that has a value.
type operand struct {
	at      int // where it begins
	depth   int
	literal bool // the value stands in the expression, without a minus
	// One of: the condition, the property, the value.
	cond  *node
	minus bool // of the condition: null, once it has been evaluated
	slot  int  // of the property; -1
	value value
}

// isCondition tells operands whose value is a truth: AND, OR and NOT take them.
func (o *operand) isCondition() bool {
	return o.cond != nil && !o.minus || o.literal && (o.value.kind == boolean || o.value.kind == null)
}

func (o *operand) isProperty() bool { return o.slot >= 0 }

// eval gives the operand's value; ok is false when the evaluation of all has
// failed.
func (o *operand) eval(values []property) (v value, ok bool) {
	switch {
	case o.slot >= 0:
		if s := values[o.slot].text; s != nil {
			return value{kind: str, text: s, bits: uint64(o.slot) + 1}, true
		}
		return value{}, true
	case o.cond == nil:
		return o.value, true
	}
	switch t := o.cond.eval(values); {
	case t == failed:
		return value{}, false
	case t == Unknown || o.minus:
		return value{}, true
	default:
		return boolValue(t == True), true
	}
}

// op is what a node does.
type op uint8

const (
	opAnd   op = iota // kids
	opOr              // kids
	opNot             // kids[0]
	opTruth           // left as a truth
	opEqual           // left, right
	opLess            // left, right, and so on
	opAtMost
	opGreater
	opAtLeast
	opIsNull   // left
	opIn       // left, set
	opContains // left, search, negated; and so on
	opStarts
	opEnds
)

// node is a condition.
type node struct {
	op          op
	negated     bool
	depth       int
	left, right operand
	kids        []*node
	search      []byte
	list        [][]byte            // of IN, when it is short
	set         map[string]struct{} // else
	longest     int                 // bytes of an element of IN
}

// eval gives the node's truth for a message with the given properties, by slot.
func (n *node) eval(values []property) Truth {
	switch n.op {
	case opAnd:
		return n.all(values, False)
	case opOr:
		return n.all(values, True)
	case opNot:
		return not(n.kids[0].eval(values))
	}
	if n.op >= opContains && len(n.search) == 0 {
		return False
	}
	v, ok := n.left.eval(values)
	if !ok {
		return failed
	}
	switch n.op {
	case opIsNull:
		return truth(v.kind == null)
	case opTruth:
		if v.kind == null {
			return Unknown
		}
		return truth(v.kind == boolean && v.bits != 0)
	case opIn:
		if v.kind != str {
			return Unknown
		}
		return truth(n.has(v.text) != n.negated)
	case opEqual:
		return n.equal(v, values)
	case opContains, opStarts, opEnds:
		if v.kind != str {
			return False
		}
		return truth(n.found(v.text) != n.negated)
	}
	return n.compare(v, values)
}

// all is AND, which False decides, or OR, which True does.
func (n *node) all(values []property, decides Truth) Truth {
	unknown := false
	for _, kid := range n.kids {
		switch t := kid.eval(values); t {
		case decides, failed:
			return t
		case Unknown:
			unknown = true
		}
	}
	if unknown {
		return Unknown
	}
	return not(decides)
}

func not(t Truth) Truth {
	switch t {
	case True:
		return False
	case False:
		return True
	}
	return t
}

func truth(b bool) Truth {
	if b {
		return True
	}
	return False
}

func (n *node) has(s []byte) bool {
	if len(s) > n.longest {
		return false
	}
	if n.set != nil {
		_, ok := n.set[string(s)]
		return ok
	}
	for _, e := range n.list {
		if bytes.Equal(e, s) {
			return true
		}
	}
	return false
}

func (n *node) found(s []byte) bool {
	switch n.op {
	case opStarts:
		return bytes.HasPrefix(s, n.search)
	case opEnds:
		return bytes.HasSuffix(s, n.search)
	}
	return bytes.Contains(s, n.search)
}

func (n *node) equal(l value, values []property) Truth {
	r, ok := n.right.eval(values)
	switch {
	case !ok:
		return failed
	case l.kind == null && r.kind == null:
		return True
	case l.kind == null:
		return Unknown
	case r.kind == null:
		return False
	case l.kind == str && r.kind == str:
		return truth(bytes.Equal(l.text, r.text))
	}
	c, ok := order(l, r, values)
	if !ok {
		return failed
	}
	return truth(c == 0)
}

func (n *node) compare(l value, values []property) Truth {
	if l.kind == null {
		return Unknown
	}
	r, ok := n.right.eval(values)
	switch {
	case !ok:
		return failed
	case r.kind == null:
		return Unknown
	case l.kind == str && r.kind == str:
		a, okA := l.readDouble(values)
		b, okB := r.readDouble(values)
		if !okA || !okB {
			return failed
		}
		return n.holds(compareDoubles(a, b))
	}
	c, ok := order(l, r, values)
	if !ok {
		return failed
	}
	return n.holds(c)
}

// holds tells whether the comparison is true when left has the given order to
// right.
func (n *node) holds(c int) Truth {
	switch n.op {
	case opLess:
		return truth(c < 0)
	case opAtMost:
		return truth(c <= 0)
	case opGreater:
		return truth(c > 0)
	}
	return truth(c >= 0)
}

// order compares two values that are not null and not both strings. ok is false
// where RocketMQ throws. A boolean and a number have no order: -1.
func order(l, r value, values []property) (c int, ok bool) {
	switch {
	case l.kind == str:
		if l, ok = l.as(r.kind, values); !ok {
			return 0, false
		}
	case r.kind == str:
		if l.kind == boolean { // its class cast fails
			return 0, false
		}
		if r, ok = r.as(l.kind, values); !ok {
			return 0, false
		}
	}
	switch {
	case (l.kind == boolean) != (r.kind == boolean):
		return -1, true
	case l.kind == double || r.kind == double:
		return compareDoubles(l.number(), r.number()), true
	}
	return compareInts(int64(l.bits), int64(r.bits)), true
}

// as reads a string as a value of that kind.
func (v value) as(k valueKind, values []property) (value, bool) {
	switch k {
	case boolean:
		return boolValue(parseBool(v.text)), true
	case double:
		f, ok := v.readDouble(values)
		return doubleValue(f), ok
	}
	n, ok := v.readInt(values)
	return intValue(k, n), ok && (k == int64s || n == int64(int32(n)))
}
