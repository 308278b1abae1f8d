// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package filter

import "fmt"

// equality reads comparisons with =, <> and IS between them.
func (p *parser) equality() (operand, *syntax) {
	left, err := p.comparison()
	for err == nil {
		n := &node{op: opEqual, left: left}
		negated := p.tok.kind == unequal
		switch p.tok.kind {
		case equal, unequal:
			if err = p.advance(); err != nil {
				break
			}
			if n.right, err = p.comparison(); err == nil {
				err = equatable(&n.left, &n.right)
				if n.left.isProperty() && n.right.isProperty() {
					p.scans++
				}
			}
		case kwIs:
			if err = p.advance(); err != nil {
				break
			}
			n.op = opIsNull
			if negated, err = p.take(kwNot); err == nil {
				err = p.need(kwNull, "NULL")
			}
		default:
			return left, nil
		}
		if err == nil {
			left, err = p.negated(n, negated)
		}
	}
	return operand{}, err
}

// negated makes an operand of n, or of NOT n.
func (p *parser) negated(n *node, negated bool) (operand, *syntax) {
	at := n.left.at
	o, err := p.of(n, at)
	if err != nil || !negated {
		return o, err
	}
	return p.of(&node{op: opNot, kids: []*node{n}}, at)
}

// equatable refuses = and <> with NULL, and of TRUE or FALSE with another literal.
func equatable(l, r *operand) *syntax {
	for _, o := range []*operand{l, r} {
		if o.literal && o.value.kind == null {
			return &syntax{o.at, "NULL cannot be compared: write IS NULL or IS NOT NULL"}
		}
	}
	if l.literal && r.literal && l.value.kind == boolean && r.value.kind != boolean {
		return &syntax{l.at, "TRUE and FALSE cannot be compared with another literal"}
	}
	return nil
}

// comparable refuses <, <=, > and >= of anything that is known to be no number.
func comparable(operands ...*operand) *syntax {
	for _, o := range operands {
		if o.isCondition() || o.literal && o.value.kind == str {
			return &syntax{o.at, "only properties and numbers can be compared by order"}
		}
	}
	return nil
}

var orders = map[kind]op{less: opLess, atMost: opAtMost, greater: opGreater, atLeast: opAtLeast}

var searches = map[kind]op{kwContains: opContains, kwStartsWith: opStarts, kwEndsWith: opEnds}

// comparison reads operands with everything but =, <> and IS between them.
func (p *parser) comparison() (operand, *syntax) {
	left, err := p.unary()
	for err == nil {
		if o, ok := orders[p.tok.kind]; ok {
			n := &node{op: o, left: left}
			if err = p.advance(); err != nil {
				break
			}
			if n.right, err = p.unary(); err != nil {
				break
			}
			if err = comparable(&n.left, &n.right); err == nil {
				left, err = p.of(n, left.at)
			}
			continue
		}
		var negated bool
		if negated, err = p.take(kwNot); err != nil {
			break
		}
		switch p.tok.kind {
		case kwContains, kwStartsWith, kwEndsWith:
			left, err = p.search(left, negated)
		case kwBetween:
			left, err = p.between(left, negated)
		case kwIn:
			left, err = p.in(left, negated)
		default:
			if negated {
				return operand{}, p.unexpected("BETWEEN, IN, CONTAINS, STARTSWITH or ENDSWITH behind NOT")
			}
			return left, nil
		}
	}
	return operand{}, err
}

// literalString reads a string that must stand in the expression.
func (p *parser) literalString() ([]byte, *syntax) {
	if p.tok.kind != text {
		return nil, p.unexpected("a string in '")
	}
	if err := p.term(); err != nil {
		return nil, err
	}
	s := unquote(p.image(p.tok))
	return s, p.advance()
}

func (p *parser) search(left operand, negated bool) (operand, *syntax) {
	n := &node{op: searches[p.tok.kind], left: left, negated: negated}
	err := p.advance()
	if err == nil {
		n.search, err = p.literalString()
	}
	if err != nil {
		return operand{}, err
	}
	if n.op == opContains {
		p.scans++
	}
	return p.of(n, left.at)
}

// between makes low <= v AND v <= high, or v < low OR v > high.
func (p *parser) between(left operand, negated bool) (operand, *syntax) {
	err := p.advance()
	if err != nil {
		return operand{}, err
	}
	low, err := p.unary()
	if err == nil {
		err = p.need(kwAnd, "AND")
	}
	if err != nil {
		return operand{}, err
	}
	high, err := p.unary()
	if err != nil {
		return operand{}, err
	}
	if err := comparable(&left, &low, &high); err != nil {
		return operand{}, err
	}
	if low.literal && high.literal && !negated {
		if c, _ := order(high.value, low.value, nil); c < 0 {
			return operand{}, &syntax{low.at, "the lower bound is greater than the upper one"}
		}
	}
	outer, from, to := opAnd, opAtLeast, opAtMost
	if negated {
		outer, from, to = opOr, opLess, opGreater
	}
	n := &node{op: outer}
	parts := []*node{{op: from, left: left, right: low}, {op: to, left: left, right: high}}
	if left.cond != nil { // minus a condition: the second part says what the first did,
		parts = parts[:1] // and to evaluate it again takes twice the time at each level
	}
	for _, c := range parts {
		if _, err := p.of(c, left.at); err != nil {
			return operand{}, err
		}
		n.kids = append(n.kids, c)
	}
	return p.of(n, left.at)
}

// shortList is up to how many elements an IN compares one by one.
const shortList = 4

func (p *parser) in(left operand, negated bool) (operand, *syntax) {
	if !left.isProperty() {
		return operand{}, &syntax{left.at, "only a property can be before IN: write NOT (a IN ('x')) or a NOT IN ('x')"}
	}
	n := &node{op: opIn, left: left, negated: negated}
	err := p.advance()
	if err == nil {
		err = p.need(open, "(")
	}
	for more := true; err == nil && more; {
		var s []byte
		if s, err = p.literalString(); err == nil {
			n.list, n.longest = append(n.list, s), max(n.longest, len(s))
			more, err = p.take(comma)
		}
	}
	if err == nil {
		err = p.need(closing, fmt.Sprintf("%q or )", ","))
	}
	if err != nil {
		return operand{}, err
	}
	if len(n.list) > shortList {
		n.set = make(map[string]struct{}, len(n.list))
		for _, s := range n.list {
			n.set[string(s)] = struct{}{}
		}
		n.list = nil
	}
	return p.of(n, left.at)
}
