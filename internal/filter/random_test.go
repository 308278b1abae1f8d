// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"math/rand/v2"
	"testing"
)

// Names and values that a random expression and a random message are made of.
var (
	someNames  = []string{"a", "b", "c", "TAGS", "_d"}
	someValues = []string{"x", "5", "-3", "+7", "5.5", "true", "TRUE", "false", "abc", "2147483647", "2147483648", "-2147483648", "-2147483649", "-9223372036854775808",
		"9223372036854775808", "NaN", "-Infinity", " 5 ", "0x1p3", "1e400", "1e-400", "-0.0", "0", "0.0", "5f", "5.5d", "it's", "1_0", "inf", "-", ".", "1e"}
	someLiterals = []constTree{
		{"5", int32(5)}, {"0", int32(0)}, {"7L", int32(7)}, {"2147483647", int32(2147483647)}, {"2147483648", int64(2147483648)},
		{"9223372036854775807", int64(9223372036854775807)}, {"5.5", 5.5}, {"8.", 8.0}, {".5e1", 5.0}, {"1e300", 1e300},
		{"TRUE", true}, {"false", false}, {"NULL", nil}, {"'x'", "x"}, {"'5'", "5"}, {"'true'", "true"}, {"'it''s'", "it's"}, {"''", ""},
	}
)

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// random makes an expression of at most the given depth. It panics with thrown
// where RocketMQ refuses what it makes.
func random(r *rand.Rand, depth int) tree {
	if depth == 0 || r.IntN(8) == 0 {
		if r.IntN(5) < 3 {
			return propTree{pick(r, someNames)}
		}
		return pick(r, someLiterals)
	}
	sub := func() tree { return random(r, depth-1) }
	negated := r.IntN(2) == 0
	switch r.IntN(13) {
	case 0, 1:
		return logic("AND", false, sub(), sub())
	case 2, 3:
		return logic("OR", true, sub(), sub())
	case 4:
		return notTree(sub())
	case 5:
		return equals(sub(), sub())
	case 6:
		l, r := sub(), sub()
		return boolTree{"(" + l.text() + ") <> (" + r.text() + ")", notTree(equals(l, r)).(boolTree).f}
	case 7:
		return ordered(pick(r, []string{"<", "<=", ">", ">="}), sub(), sub())
	case 8:
		return between(sub(), sub(), sub(), negated)
	case 9:
		var list []string
		for range 1 + r.IntN(7) {
			list = append(list, pick(r, someValues))
		}
		return in(propTree{pick(r, someNames)}, list, negated)
	case 10:
		return search(pick(r, []string{"CONTAINS", "STARTSWITH", "ENDSWITH"}), sub(), pick(r, []string{"", "x", "5", "e", "-", "it's"}), negated)
	case 11:
		return isNull(sub(), pick(r, []string{"IS NULL", "IS NOT NULL"}))
	}
	return negTree{sub()}
}

// try runs f and tells whether it threw.
func try(f func()) (threw bool) {
	defer func() {
		if e := recover(); e != nil {
			if _, ok := e.(thrown); !ok {
				panic(e)
			}
			threw = true
		}
	}()
	f()
	return false
}

// TestAgainstPlainEvaluation compares compiled random expressions with trees
// that are evaluated as RocketMQ's classes do it.
func TestAgainstPlainEvaluation(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 92))
	seen := map[Truth]int{}
	refused := 0
	for range 30_000 {
		var e tree
		if try(func() { e = cast(random(r, 1+r.IntN(5))) }) {
			refused++
			continue
		}
		x, err := Compile(e.text())
		if err != nil {
			t.Fatalf("%s: %v", e.text(), err)
		}
		for range 4 {
			m := map[string]string{}
			var props []byte
			for _, name := range someNames {
				if r.IntN(4) > 0 {
					m[name] = pick(r, someValues)
					props = appendProperty(props, name, m[name])
				}
			}
			want := Unknown
			try(func() {
				switch e.eval(m) {
				case true:
					want = True
				case false:
					want = False
				}
			})
			if got := x.Evaluate(props); got != want {
				t.Fatalf("%s\nwith %v is %v, plainly %v", e.text(), m, got, want)
			}
			seen[want]++
		}
	}
	if refused == 0 || seen[True] < 1000 || seen[False] < 1000 || seen[Unknown] < 1000 {
		t.Errorf("%v, %d refused: this shows little", seen, refused)
	}
}

// TestRefusedAsPlainly: what the plain evaluator's static checks refuse does not
// compile, and the rest does.
func TestRefusedAsPlainly(t *testing.T) {
	operands := []tree{propTree{"a"}, negTree{propTree{"a"}}, negTree{someLiterals[0]}, isNull(propTree{"a"}, "IS NULL")}
	for _, l := range someLiterals {
		operands = append(operands, l)
	}
	check := func(text string, build func()) {
		_, err := Compile(text)
		if threw := try(build); threw != (err != nil) {
			t.Errorf("%s: refused plainly: %v, compiled: %v", text, threw, err)
		}
	}
	for _, l := range operands {
		check("NOT ("+l.text()+")", func() { notTree(l) })
		check("("+l.text()+") IN ('x')", func() { in(l, []string{"x"}, false) })
		for _, r := range operands {
			l2, r2 := "("+l.text()+") ", " ("+r.text()+")"
			check(l2+"="+r2, func() { equals(l, r) })
			check(l2+"<>"+r2, func() { equals(l, r) })
			check(l2+"<"+r2, func() { ordered("<", l, r) })
			check(l2+">="+r2, func() { ordered(">=", l, r) })
			check(l2+"AND"+r2, func() { logic("AND", false, l, r) })
			check("a BETWEEN "+l2+"AND"+r2, func() { between(propTree{"a"}, l, r, false) })
			check("a NOT BETWEEN "+l2+"AND"+r2, func() { between(propTree{"a"}, l, r, true) })
		}
	}
}

func FuzzCompile(f *testing.F) {
	for _, l := range readLines(f) {
		f.Add(l.expression, l.props)
	}
	f.Fuzz(func(t *testing.T, expression string, props []byte) {
		x, err := Compile(expression)
		if err != nil {
			if e := err.(*Error); e.Column < 1 || e.Column > len(expression)+1 || e.Cause == "" {
				t.Errorf("%q: %+v", expression, e)
			}
			return
		}
		got := x.Evaluate(props)
		if got > True {
			t.Errorf("%q: %d", expression, got)
		}
		// In parentheses and behind two NOTs it is worth the same.
		same, err := Compile("NOT NOT (" + expression + "\n)")
		if err == nil && same.Evaluate(props) != got {
			t.Errorf("%q is %v, not not %v", expression, got, same.Evaluate(props))
		}
	})
}
