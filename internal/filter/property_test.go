// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"strings"
	"testing"
)

// TestLongNumbers: a text that is read once is the same number wherever it is
// compared, as an integer of either size and as a double, and one that is none
// is none each time.
func TestLongNumbers(t *testing.T) {
	zeros := strings.Repeat("0", 2*longText)
	for _, c := range []struct {
		text, expression string
		want             Truth
	}{
		{zeros + "5", "a = 5 AND a < 6 AND a > 4.9 AND a = 5. AND a BETWEEN 5 AND 3000000000 AND a >= b", True},
		{zeros + "5", "a = 4 OR a = 5.5 OR a > 3000000000", False},
		{zeros + "3000000000", "a = 3000000000 AND a > 2.9e9", True},
		{zeros + "3000000000", "a > 3000000000 OR a = 1", Unknown}, // it fits no 32 bits
		{zeros + "3000000000", "a = 1 OR a = 3000000000", Unknown},
		{"5." + zeros, "a = 5. AND a < 5.1", True},
		{"5." + zeros, "a > 5.1 OR a = 5", Unknown}, // no integer
		{zeros + "x", "a < 1. OR a = 'x'", Unknown},
		{zeros + "x", "a < 1 OR a IS NOT NULL", Unknown},
	} {
		x, err := Compile(c.expression)
		if err != nil {
			t.Fatal(err)
		}
		if got := x.Evaluate([]byte("b\x015\x02a\x01" + c.text + "\x02")); got != c.want {
			t.Errorf("%s is %v of ...%s, want %v", c.expression, got, c.text[len(c.text)-10:], c.want)
		}
	}
}

// TestLongTextIsReadOnce: what an expression does with a long text it does not do
// for each of its thousand conditions. To read one as a double allocates.
func TestLongTextIsReadOnce(t *testing.T) {
	x, err := Compile(strings.Repeat("a < 1. OR ", 1000) + "a < 1.")
	if err != nil {
		t.Fatal(err)
	}
	props := []byte("a\x011." + strings.Repeat("3", 3000) + "\x02")
	if n := testing.AllocsPerRun(10, func() {
		if x.Match(props) {
			t.Error("it is less than 1")
		}
	}); n > 2 {
		t.Errorf("%v allocations: the text is read for each condition", n)
	}
}

// TestCost: what looks at whole texts costs with their length, each time.
func TestCost(t *testing.T) {
	cost := func(expression string, props int) int {
		t.Helper()
		x, err := Compile(expression)
		if err != nil {
			t.Fatal(err)
		}
		return x.Cost(props)
	}
	const long = 30_000
	base := cost("a < 1", long)
	for expression, wantMore := range map[string]int{
		"a < 1 OR a < 2":                    0,
		"a < 1 OR a IN ('x', 'y')":          0,
		"a < 1 OR a CONTAINS 'xy'":          long,
		"a < 1 OR a NOT CONTAINS 'xy'":      long,
		"a < 1 OR a = b":                    long,
		"a < 1 OR a <> b OR a CONTAINS 'x'": 2 * long,
	} {
		if more := cost(expression, long) - base; more < wantMore || more > wantMore+20*costOfTerm {
			t.Errorf("%s costs %d more than one comparison, want %d", expression, more, wantMore)
		}
	}
	if few, many := cost("a < 1", 0), cost(strings.Repeat("a < 1 OR ", 900)+"a < 1", 0); many < 900*few {
		t.Errorf("901 conditions cost %d, one %d", many, few)
	}
}
