// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// parser reads an expression by recursive descent, one function for each rule of
// the grammar, and makes the nodes as it goes.
type parser struct {
	lexer
	tok   token // the next one
	names []string
	slots map[string]int
	depth int // of the recursion
	terms int
	scans int
}

func (p *parser) parse() (*node, *syntax) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	o, err := p.or()
	if err != nil {
		return nil, err
	}
	if rest := p.text[p.tok.at:]; p.tok.kind != end && !strings.HasPrefix(rest, "--") {
		return nil, p.unexpected("the end, or AND, OR or a comparison")
	}
	return p.condition(o)
}

// advance reads the next token.
func (p *parser) advance() *syntax {
	tok, err := p.next()
	if err == nil {
		p.tok = tok
	}
	return err
}

// take reads the next token when it is of kind k.
func (p *parser) take(k kind) (bool, *syntax) {
	if p.tok.kind != k {
		return false, nil
	}
	return true, p.advance()
}

func (p *parser) need(k kind, what string) *syntax {
	if p.tok.kind != k {
		return p.unexpected(what)
	}
	return p.advance()
}

func (p *parser) image(t token) string { return p.text[t.at:t.to] }

func (p *parser) unexpected(want string) *syntax {
	if p.tok.kind == end {
		return &syntax{p.tok.at, "the expression ends where " + want + " should stand"}
	}
	have := p.image(p.tok)
	if len(have) > 40 {
		have = strings.ToValidUTF8(have[:40], "") + "..."
	}
	return &syntax{p.tok.at, fmt.Sprintf("%s stands where %s should", have, want)}
}

// enter and leave count how deep the recursion is.
func (p *parser) enter() *syntax {
	if p.depth++; p.depth > MaxDepth {
		return p.deep(p.tok.at)
	}
	return nil
}

func (p *parser) leave() { p.depth-- }

func (p *parser) deep(at int) *syntax {
	return &syntax{at, fmt.Sprintf("more than %d levels of parentheses, signs, NOTs and chained comparisons", MaxDepth)}
}

func (p *parser) term() *syntax {
	if p.terms++; p.terms > MaxTerms {
		return &syntax{p.tok.at, fmt.Sprintf("more than %d properties, literals and elements of IN", MaxTerms)}
	}
	return nil
}

// condition is the operand as a truth.
func (p *parser) condition(o operand) (*node, *syntax) {
	switch {
	case o.cond != nil && !o.minus:
		return o.cond, nil
	case o.isCondition() || o.isProperty():
		return &node{op: opTruth, left: o, depth: o.depth}, nil
	}
	return nil, &syntax{o.at, "this is no condition: it is never true or false"}
}

// of makes an operand of a node.
func (p *parser) of(n *node, at int) (operand, *syntax) {
	n.depth = max(n.left.depth, n.right.depth) + 1
	for _, kid := range n.kids {
		n.depth = max(n.depth, kid.depth+1)
	}
	if n.depth > MaxDepth {
		return operand{}, p.deep(p.tok.at)
	}
	return operand{at: at, slot: -1, cond: n, depth: n.depth}, nil
}

func (p *parser) or() (operand, *syntax)  { return p.chain(opOr, kwOr, p.and) }
func (p *parser) and() (operand, *syntax) { return p.chain(opAnd, kwAnd, p.equality) }

// chain reads what the keyword k stands between, as one node.
func (p *parser) chain(o op, k kind, part func() (operand, *syntax)) (operand, *syntax) {
	first, err := part()
	if err != nil || p.tok.kind != k {
		return first, err
	}
	n := &node{op: o}
	for next := first; ; {
		kid, err := p.condition(next)
		if err != nil {
			return operand{}, err
		}
		n.kids = append(n.kids, kid)
		more, err := p.take(k)
		if err != nil {
			return operand{}, err
		}
		if !more {
			return p.of(n, first.at)
		}
		if next, err = part(); err != nil {
			return operand{}, err
		}
	}
}

func (p *parser) unary() (operand, *syntax) {
	if err := p.enter(); err != nil {
		return operand{}, err
	}
	defer p.leave()
	start := p.tok
	switch start.kind {
	case plus, minus, kwNot:
	default:
		return p.primary()
	}
	if err := p.advance(); err != nil {
		return operand{}, err
	}
	o, err := p.unary()
	if err != nil {
		return operand{}, err
	}
	switch start.kind {
	case plus:
		return o, nil
	case minus:
		return negate(o, start.at), nil
	}
	kid, err := p.condition(o)
	if err != nil {
		return operand{}, err
	}
	return p.of(&node{op: opNot, kids: []*node{kid}}, start.at)
}

// negate puts a minus before an operand: null, unless it is a number.
func negate(o operand, at int) operand {
	o.at, o.literal = at, false
	switch o.value.kind {
	case int32s, int64s:
		o.value.bits = -o.value.bits
	case double:
		o.value = doubleValue(-o.value.number())
	default:
		o.value, o.slot, o.minus = value{}, -1, true
	}
	return o
}

func (p *parser) primary() (operand, *syntax) {
	t := p.tok
	if t.kind != open {
		if err := p.term(); err != nil {
			return operand{}, err
		}
	}
	o := operand{at: t.at, slot: -1, literal: true}
	switch t.kind {
	case open:
		if err := p.advance(); err != nil {
			return operand{}, err
		}
		inner, err := p.or()
		if err != nil {
			return operand{}, err
		}
		return inner, p.need(closing, ")")
	case word:
		o.literal, o.slot = false, p.slot(p.image(t))
	case text:
		o.value = textValue(unquote(p.image(t)))
	case integer:
		n, err := strconv.ParseInt(strings.TrimRight(p.image(t), "lL"), 10, 64)
		if err != nil {
			return operand{}, &syntax{t.at, fmt.Sprintf("the integer is greater than %d", math.MaxInt64)}
		}
		if o.value = intValue(int64s, n); n <= math.MaxInt32 {
			o.value.kind = int32s
		}
	case float:
		f, _ := strconv.ParseFloat(p.image(t), 64)
		switch {
		case math.IsInf(f, 1):
			return operand{}, &syntax{t.at, fmt.Sprintf("the number is greater than %g", math.MaxFloat64)}
		case f == 0:
			return operand{}, &syntax{t.at, fmt.Sprintf("the number is less than %g (zero is written 0)", math.SmallestNonzeroFloat64)}
		}
		o.value = doubleValue(f)
	case kwTrue, kwFalse:
		o.value = boolValue(t.kind == kwTrue)
	case kwNull:
	default:
		return operand{}, p.unexpected("a property, a literal or (")
	}
	return o, p.advance()
}

// slot is the place of a property's value.
func (p *parser) slot(name string) int {
	n, ok := p.slots[name]
	if !ok {
		n = len(p.names)
		p.slots[name] = n
		p.names = append(p.names, name)
	}
	return n
}

func unquote(image string) []byte {
	return []byte(strings.ReplaceAll(image[1:len(image)-1], "''", "'"))
}
