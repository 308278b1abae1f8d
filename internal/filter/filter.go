// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// Limits of an expression.
const (
	MaxLength = 32 << 10 // bytes
	MaxDepth  = 128      // parentheses, signs, NOTs and chained comparisons inside each other
	MaxTerms  = 2048     // properties, literals and the elements of IN
)

// Truth is the value of an expression.
type Truth uint8

// The values of three-valued logic.
const (
	Unknown Truth = iota // null, or a string could not be read as what it is compared with
	False
	True

	// failed ends the evaluation of the whole expression; Evaluate makes Unknown
	// of it.
	failed
)

// String names the value.
func (t Truth) String() string {
	switch t {
	case False:
		return "False"
	case True:
		return "True"
	}
	return "Unknown"
}

// Error says why an expression does not compile.
type Error struct {
	Column int    // characters from the beginning of the expression, from 1
	Cause  string // what is wrong there
}

// Error is one line.
func (e *Error) Error() string { return fmt.Sprintf("column %d: %s", e.Column, e.Cause) }

// Expr is a compiled expression.
type Expr struct {
	root  *node
	names []string       // of the properties, by slot
	slots map[string]int // of names, when there are many
	terms int            // properties, literals and the elements of IN
	scans int            // conditions that look at the whole of a property
}

// Compile reads an expression. Errors are of type *Error.
func Compile(expression string) (*Expr, error) {
	if len(expression) > MaxLength {
		return nil, &Error{1, fmt.Sprintf("the expression has %d bytes, at most %d are allowed", len(expression), MaxLength)}
	}
	p := parser{lexer: lexer{text: expression}, slots: map[string]int{}}
	root, err := p.parse()
	if err != nil {
		return nil, &Error{utf8.RuneCountInString(expression[:min(err.at, len(expression))]) + 1, err.cause}
	}
	e := &Expr{root: root, names: p.names, terms: p.terms, scans: p.scans}
	if len(e.names) > fewNames {
		e.slots = p.slots
	}
	return e, nil
}

// fewNames is up to how many properties their values have a place on the stack
// and their names are compared one by one.
const fewNames = 8

// What an evaluation takes, in the bytes that could be looked at instead.
const (
	costOfTerm  = 16 // a term, and the condition it is in
	costOfReads = 8  // a byte of a property that is found, and read as a number
)

// Cost is, roughly, how long Evaluate takes for a properties text of so many
// bytes, at most: in ns, on a core of 2020.
func (e *Expr) Cost(props int) int { return e.terms*costOfTerm + props*(costOfReads+e.scans) }

// Weight is how many times as long as for one comparison Evaluate takes, about.
func (e *Expr) Weight() int { return 1 + (e.scans+e.terms/costOfTerm)/costOfReads }

// Match tells whether the expression is True. See Evaluate.
func (e *Expr) Match(props []byte) bool { return e.Evaluate(props) == True }

// Evaluate gives the value of the expression for a message with the given
// properties text (name 0x01 value 0x02, as a record holds it; of equal names the
// last counts). It does not allocate for expressions with up to 8 properties and
// strings of up to 32 bytes where numbers are compared.
func (e *Expr) Evaluate(props []byte) Truth {
	var few [fewNames]property
	values := few[:]
	if e.slots != nil {
		values = make([]property, len(e.names))
	}
	e.collect(values, props)
	if t := e.root.eval(values); t != failed {
		return t
	}
	return Unknown
}

// collect fills in the values of the properties that the expression names.
func (e *Expr) collect(values []property, props []byte) {
	for len(props) > 0 {
		piece := props
		if i := bytes.IndexByte(props, 0x02); i >= 0 {
			piece, props = props[:i], props[i+1:]
		} else {
			props = nil
		}
		mark := bytes.IndexByte(piece, 0x01)
		if mark <= 0 || mark == len(piece)-1 {
			continue
		}
		name, value := piece[:mark], piece[mark+1:]
		if e.slots != nil {
			if slot, ok := e.slots[string(name)]; ok {
				values[slot].text = value
			}
			continue
		}
		for slot, want := range e.names {
			if want == string(name) {
				values[slot].text = value
				break
			}
		}
	}
}
