// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"fmt"
	"math/big"
	"regexp"
	"strconv"
	"strings"
)

// A plain evaluator to compare with: trees of values of Go's own types, over a
// map, written after what RocketMQ's expression classes do and sharing nothing
// with the package. nil is null; thrown stands for any Java exception.

type thrown struct{ why string }

// tree is an expression. text has parentheses around everything.
type tree interface {
	text() string
	eval(props map[string]string) any
}

// The kinds that Java's static checks ask for.
type (
	constTree struct {
		src string
		v   any
	}
	propTree struct{ name string }
	negTree  struct{ of tree }
	boolTree struct { // everything that implements BooleanExpression but constants
		src string
		f   func(props map[string]string) any
	}
)

func (t constTree) text() string               { return t.src }
func (t constTree) eval(map[string]string) any { return t.v }
func (t propTree) text() string                { return t.name }
func (t negTree) text() string                 { return "-(" + t.of.text() + ")" }
func (t boolTree) text() string                { return t.src }
func (t boolTree) eval(p map[string]string) any {
	return t.f(p)
}

func (t propTree) eval(p map[string]string) any {
	if v, ok := p[t.name]; ok {
		return v
	}
	return nil
}

func (t negTree) eval(p map[string]string) any {
	switch v := t.of.eval(p).(type) {
	case int32:
		return -v
	case int64:
		return -v
	case float64:
		return -v
	}
	return nil
}

// refuse is what the static checks throw while an expression is parsed.
func refuse(format string, args ...any) { panic(thrown{fmt.Sprintf(format, args...)}) }

func isBool(t tree) bool {
	switch x := t.(type) {
	case boolTree:
		return true
	case constTree:
		_, ok := x.v.(bool)
		return ok || x.v == nil
	}
	return false
}

// cast is asBooleanExpression.
func cast(t tree) tree {
	if isBool(t) {
		return t
	}
	p, ok := t.(propTree)
	if !ok {
		refuse("no boolean: %s", t.text())
	}
	return boolTree{p.name, func(m map[string]string) any {
		if p.eval(m) == nil {
			return nil
		}
		return false // a string is not a Boolean
	}}
}

func notTree(t tree) tree {
	of := cast(t)
	return boolTree{"NOT (" + t.text() + ")", func(p map[string]string) any {
		if v, ok := of.eval(p).(bool); ok {
			return !v
		}
		return nil
	}}
}

func logic(word string, decides bool, l, r tree) tree {
	a, b := cast(l), cast(r)
	return boolTree{"(" + l.text() + ") " + word + " (" + r.text() + ")", func(p map[string]string) any {
		lv := a.eval(p)
		if lv == decides {
			return decides
		}
		rv := b.eval(p)
		if rv == decides {
			return decides
		}
		if lv == nil || rv == nil {
			return nil
		}
		return !decides
	}}
}

func equals(l, r tree) boolTree {
	lc, lok := l.(constTree)
	rc, rok := r.(constTree)
	if lok && lc.v == nil || rok && rc.v == nil {
		refuse("null cannot be compared")
	}
	if lok && rok && isBool(l) && !isBool(r) {
		refuse("TRUE and a constant")
	}
	return boolTree{"(" + l.text() + ") = (" + r.text() + ")", func(p map[string]string) any { return doEqual(l.eval(p), r.eval(p)) }}
}

func isNull(t tree, word string) tree {
	b := boolTree{"(" + t.text() + ") " + word, func(p map[string]string) any { return doEqual(t.eval(p), nil) }}
	if word == "IS NULL" {
		return b
	}
	n := notTree(b).(boolTree)
	return boolTree{b.src, n.f}
}

func doEqual(l, r any) any {
	if (l == nil) != (r == nil) {
		if l == nil {
			return nil
		}
		return false
	}
	if l == nil {
		return true
	}
	if a, ok := l.(string); ok {
		if b, ok := r.(string); ok {
			return a == b
		}
	}
	return javaCompare(l, r) == 0
}

func ordered(word string, l, r tree) tree {
	for _, t := range []tree{l, r} {
		if isBool(t) {
			refuse("boolean in order")
		}
		if c, ok := t.(constTree); ok {
			if _, is := c.v.(string); is {
				refuse("string in order")
			}
		}
	}
	return boolTree{"(" + l.text() + ") " + word + " (" + r.text() + ")", func(p map[string]string) any {
		lv := l.eval(p)
		if lv == nil {
			return nil
		}
		rv := r.eval(p)
		if rv == nil {
			return nil
		}
		a, aok := lv.(string)
		b, bok := rv.(string)
		if aok && bok {
			lv, rv = javaDouble(a), javaDouble(b)
		}
		c := javaCompare(lv, rv)
		return map[string]bool{"<": c < 0, "<=": c <= 0, ">": c > 0, ">=": c >= 0}[word]
	}}
}

func between(v, low, high tree, negated bool) tree {
	lc, lok := low.(constTree)
	hc, hok := high.(constTree)
	if lok && hok && !negated {
		if lc.v == nil || hc.v == nil {
			refuse("null bound")
		}
		if javaCompare(hc.v, lc.v) < 0 {
			refuse("bounds")
		}
	}
	word, t := ") BETWEEN (", tree(nil)
	if negated {
		word, t = ") NOT BETWEEN (", logic("OR", true, ordered("<", v, low), ordered(">", v, high))
	} else {
		t = logic("AND", false, ordered(">=", v, low), ordered("<=", v, high))
	}
	return boolTree{"(" + v.text() + word + low.text() + ") AND (" + high.text() + ")", t.(boolTree).f}
}

func in(v tree, list []string, negated bool) tree {
	if _, ok := v.(propTree); !ok {
		refuse("no property before IN")
	}
	var quoted []string
	for _, s := range list {
		quoted = append(quoted, quote(s))
	}
	word := " IN ("
	if negated {
		word = " NOT IN ("
	}
	return boolTree{"(" + v.text() + ")" + word + strings.Join(quoted, ", ") + ")", func(p map[string]string) any {
		s, ok := v.eval(p).(string)
		if !ok {
			return nil
		}
		for _, e := range list {
			if e == s {
				return !negated
			}
		}
		return negated
	}}
}

func search(word string, v tree, s string, negated bool) tree {
	f := map[string]func(string, string) bool{"CONTAINS": strings.Contains, "STARTSWITH": strings.HasPrefix, "ENDSWITH": strings.HasSuffix}[word]
	if negated {
		word = "NOT " + word
	}
	return boolTree{"(" + v.text() + ") " + word + " " + quote(s), func(p map[string]string) any {
		if s == "" {
			return false
		}
		x, ok := v.eval(p).(string)
		return ok && f(x, s) != negated
	}}
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// javaCompare is ComparisonExpression.__compare with string conversion.
func javaCompare(l, r any) int {
	switch a := l.(type) {
	case string:
		switch b := r.(type) {
		case string:
			return strings.Compare(a, b)
		case bool:
			l = strings.EqualFold(a, "true")
		case int32:
			l = javaInteger(a, 32)
		case int64:
			l = javaInteger(a, 64)
		case float64:
			l = javaDouble(a)
		}
	case bool:
		if _, ok := r.(string); ok {
			panic(thrown{"ClassCastException"})
		}
	}
	if b, ok := r.(string); ok {
		switch l.(type) {
		case int32:
			r = javaInteger(b, 32)
		case int64:
			r = javaInteger(b, 64)
		case float64:
			r = javaDouble(b)
		}
	}
	a, aok := l.(bool)
	b, bok := r.(bool)
	switch {
	case aok != bok:
		return -1
	case aok:
		switch {
		case a == b:
			return 0
		case a:
			return 1
		}
		return -1
	}
	return compareNumbers(l, r)
}

// compareNumbers compares as doubles when there is one, else as longs.
func compareNumbers(l, r any) int {
	lf, lok := l.(float64)
	rf, rok := r.(float64)
	if !lok && !rok {
		return big.NewInt(toLong(l)).Cmp(big.NewInt(toLong(r)))
	}
	if !lok {
		lf = float64(toLong(l))
	}
	if !rok {
		rf = float64(toLong(r))
	}
	switch nanL, nanR := lf != lf, rf != rf; {
	case nanL && nanR:
		return 0
	case nanL:
		return 1
	case nanR:
		return -1
	case lf < rf:
		return -1
	case lf > rf:
		return 1
	case lf == 0 && 1/lf != 1/rf: // zeros of different sign
		if 1/lf < 0 {
			return -1
		}
		return 1
	}
	return 0
}

func toLong(v any) int64 {
	if i, ok := v.(int32); ok {
		return int64(i)
	}
	return v.(int64)
}

var integerForm = regexp.MustCompile(`^[+-]?[0-9]+$`)

func javaInteger(s string, bits int) any {
	if !integerForm.MatchString(s) {
		panic(thrown{"NumberFormatException"})
	}
	n, err := strconv.ParseInt(strings.TrimPrefix(s, "+"), 10, bits)
	if err != nil {
		panic(thrown{"NumberFormatException"})
	}
	if bits == 32 {
		return int32(n)
	}
	return n
}

// doubleForm is the one that the documentation of Double.valueOf gives.
var doubleForm = regexp.MustCompile(`^[\x00-\x20]*[+-]?(NaN|Infinity|((([0-9]+\.?([0-9]+)?([eE][+-]?[0-9]+)?)|(\.[0-9]+([eE][+-]?[0-9]+)?)|((0[xX][0-9a-fA-F]+\.?|0[xX][0-9a-fA-F]*\.[0-9a-fA-F]+)[pP][+-]?[0-9]+))[fFdD]?))[\x00-\x20]*$`)

func javaDouble(s string) any {
	if !doubleForm.MatchString(s) {
		panic(thrown{"NumberFormatException"})
	}
	s = strings.Trim(s, " \t\n\r\x00")
	if !strings.HasSuffix(s, "NaN") && !strings.HasSuffix(s, "Infinity") {
		s = strings.TrimRight(s, "fFdD")
	}
	f, _ := strconv.ParseFloat(strings.TrimSuffix(strings.TrimPrefix(s, "+"), "inity"), 64)
	if strings.HasSuffix(s, "NaN") {
		f, _ = strconv.ParseFloat("NaN", 64)
	}
	return f
}
