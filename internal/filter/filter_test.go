// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"bufio"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
)

// line is a line of testdata/expressions.txt.
type line struct {
	number     int
	props      []byte
	want       string
	expression string
}

func readLines(t testing.TB) (lines []line) {
	t.Helper()
	f, err := os.Open("testdata/expressions.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var props []byte
	s := bufio.NewScanner(f)
	for n := 1; s.Scan(); n++ {
		text := s.Text()
		switch {
		case text == "" || text[0] == '#':
			continue
		case text[0] == '@':
			props = nil
			for field := range strings.FieldsSeq(text[1:]) {
				name, value, _ := strings.Cut(unescape(t, field), "=")
				props = appendProperty(props, name, value)
			}
			continue
		}
		quoted := text[0] == '"'
		if quoted {
			text = unescape(t, text[1:len(text)-1])
		}
		want, expression, ok := strings.Cut(text, " ")
		if !ok {
			t.Fatalf("line %d: %q", n, text)
		}
		lines = append(lines, line{n, props, want, expression})
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

func unescape(t testing.TB, s string) string {
	t.Helper()
	u, err := strconv.Unquote(`"` + s + `"`)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return u
}

func appendProperty(props []byte, name, value string) []byte {
	return append(props, name+"\x01"+value+"\x02"...)
}

func TestExpressions(t *testing.T) {
	truths := map[string]Truth{"T": True, "F": False, "U": Unknown}
	lines := readLines(t)
	if len(lines) < 200 {
		t.Errorf("%d expressions", len(lines))
	}
	for _, l := range lines {
		x, err := Compile(l.expression)
		want, compiles := truths[l.want]
		switch e, _ := errors.AsType[*Error](err); {
		case compiles && err != nil:
			t.Errorf("line %d: %s: %v", l.number, l.expression, err)
		case compiles:
			if got := x.Evaluate(l.props); got != want {
				t.Errorf("line %d: %s is %v, want %v", l.number, l.expression, got, want)
			}
			if x.Match(l.props) != (want == True) {
				t.Errorf("line %d: %s: Match says something else than Evaluate", l.number, l.expression)
			}
		case err == nil:
			t.Errorf("line %d: %s compiles, want an error in column %s", l.number, l.expression, l.want)
		case strconv.Itoa(e.Column) != l.want || e.Cause == "" || x != nil:
			t.Errorf("line %d: %s: %v, want column %s", l.number, l.expression, err, l.want)
		}
	}
}

func TestLimits(t *testing.T) {
	list := func(n int) string { return "a IN ('x'" + strings.Repeat(",'x'", n-1) + ")" }
	for _, c := range []struct {
		name, expression string
		column           int // 0: it compiles
		cause            string
	}{
		{"parentheses", strings.Repeat("(", 100) + "a = 1" + strings.Repeat(")", 100), 0, ""},
		{"many parentheses", strings.Repeat("(", 10_000) + "a = 1" + strings.Repeat(")", 10_000), MaxDepth + 1, "levels"},
		{"open parentheses", strings.Repeat("(", MaxLength), MaxDepth + 1, "levels"},
		{"NOTs", strings.Repeat("NOT ", 5000) + "a = 1", 4*MaxDepth + 1, "levels"},
		{"minuses", "a = " + strings.Repeat("-", 5000) + "1", 5 + MaxDepth, "levels"},
		{"pluses", "a = " + strings.Repeat("+ ", 5000) + "1", 5 + 2*MaxDepth, "levels"},
		{"a chain of =", "a" + strings.Repeat(" = b", 1000), 3 + 4*(MaxDepth+1), "levels"},
		{"a chain of IS NULL", "a" + strings.Repeat(" IS NULL", 1000), 3 + 8*(MaxDepth+1), "levels"},
		{"a chain of CONTAINS", "a" + strings.Repeat(" CONTAINS 'x'", 1000), 3 + 13*(MaxDepth+1), "levels"},
		{"IN", list(MaxTerms - 1), 0, ""},
		{"a huge IN", list(MaxTerms), 4 + 4*MaxTerms - 1, "elements of IN"},
		{"many ANDs", "a = 1" + strings.Repeat(" AND a = 1", MaxTerms/2-1), 0, ""},
		{"too many ANDs", "a = 1" + strings.Repeat(" AND a = 1", MaxTerms/2), 10*MaxTerms/2 + 1, "properties"},
		{"length", "a = '" + strings.Repeat("x", MaxLength-6) + "'", 0, ""},
		{"too long", "a = '" + strings.Repeat("x", MaxLength-5) + "'", 1, "bytes"},
	} {
		_, err := Compile(c.expression)
		e, _ := errors.AsType[*Error](err)
		switch {
		case c.column == 0 && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.column != 0 && (e == nil || e.Column != c.column || !strings.Contains(e.Cause, c.cause)):
			t.Errorf("%s: %v, want column %d and %q", c.name, err, c.column, c.cause)
		}
	}
}

// TestMinusTakesNoTime: BETWEEN evaluates its operand twice, and one inside
// another would take twice the time at each level.
func TestMinusTakesNoTime(t *testing.T) {
	s := "a BETWEEN 1 AND 2"
	for range 40 {
		s = "-(" + s + ") BETWEEN 1 AND 2"
	}
	x, err := Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	if got := x.Evaluate(appendProperty(nil, "a", "1")); got != Unknown {
		t.Error(got)
	}
}

// TestProperties: what of a properties text is a property, as in RocketMQ.
func TestProperties(t *testing.T) {
	for _, c := range []struct {
		props, expression string
		want              Truth
	}{
		{"a\x01x", "a = 'x'", True},
		{"a\x01x\x02", "a = 'x'", True},
		{"a\x01x\x02a\x01y", "a = 'y'", True}, // the last counts
		{"a\x01x\x02a\x01\x02a", "a = 'x'", True},
		{"\x02\x02a\x01x", "a = 'x'", True},
		{"\x01x\x02ab\x01y\x02b\x01", "a IS NULL AND b IS NULL AND ab = 'y'", True},
		{"a\x01x\x01y", "a = 'x\x01y'", True},
		{"a", "a IS NULL", True},
		{"", "a IS NULL", True},
	} {
		x, err := Compile(c.expression)
		if err != nil {
			t.Fatal(err)
		}
		if got := x.Evaluate([]byte(c.props)); got != c.want {
			t.Errorf("%q: %s is %v", c.props, c.expression, got)
		}
	}
}

// TestManyProperties: from nine on they are found through a map.
func TestManyProperties(t *testing.T) {
	for n := 1; n <= 40; n++ {
		var parts []string
		var props []byte
		for i := range n {
			name := "p" + strconv.Itoa(i)
			parts = append(parts, name+" = '"+strconv.Itoa(i)+"'")
			props = appendProperty(appendProperty(props, name, strconv.Itoa(i)), name+"x", "other")
		}
		x, err := Compile(strings.Join(parts, " AND "))
		if err != nil {
			t.Fatal(err)
		}
		if !x.Match(props) || x.Match(props[1:]) {
			t.Errorf("%d properties", n)
		}
	}
}

func TestNoAllocation(t *testing.T) {
	props := []byte("UNIQ_KEY\x017F0000010BB42A139F4C5C3D0B1E0001\x02TAGS\x01TagA\x02region\x01eu\x02amount\x01150\x02rate\x012.5\x02WAIT\x01true")
	for _, s := range []string{
		"TAGS = 'TagA' AND amount BETWEEN 100 AND 200 AND region IN ('eu', 'us')",
		"amount > 3000000000 OR rate > 2.4 AND region <> 'us'",
		"region IN ('a', 'b', 'c', 'd', 'eu') AND NOT (TAGS CONTAINS 'x') AND missing IS NULL",
	} {
		x, err := Compile(s)
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(100, func() {
			if !x.Match(props) {
				t.Error(s)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", s, n)
		}
	}
}

func BenchmarkMatch(b *testing.B) {
	props := []byte("UNIQ_KEY\x017F0000010BB42A139F4C5C3D0B1E0001\x02TAGS\x01TagA\x02region\x01eu\x02amount\x01150\x02rate\x012.5\x02WAIT\x01true")
	x, err := Compile("TAGS = 'TagA' AND amount > 149 AND region IN ('eu', 'us')")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if !x.Match(props) {
			b.Fatal("no match")
		}
	}
}
