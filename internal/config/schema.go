// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Class says what Twostage does with a key; see the package comment.
type Class uint8

// The classes of keys.
const (
	Used Class = iota + 1
	Ignored
	Pending
	Refused
)

func (c Class) String() string {
	switch c {
	case Used:
		return "used"
	case Ignored:
		return "ignored"
	case Pending:
		return "pending"
	case Refused:
		return "refused"
	}
	return "class " + strconv.Itoa(int(c))
}

type kind uint8

const (
	kindBool kind = iota + 1
	kindInt       // Java int
	kindLong      // Java long
	kindDouble
	kindText
)

// key is one row of the table.
type key struct {
	name     string
	kind     kind
	def      string // as text; "" means not set (Java's null), or computed
	class    Class
	why      string   // Refused: the reason; Pending: the part
	min, max int64    // Used numbers
	oneOf    []string // Used texts: all accepted values
	secret   bool     // never printed
}

// check reports what is wrong with text as a value of k, "" when it is good.
func (k *key) check(text string) string {
	switch k.kind {
	case kindBool:
		if !strings.EqualFold(text, "true") && !strings.EqualFold(text, "false") {
			return "accepted are true and false"
		}
	case kindInt, kindLong:
		lo, hi := k.bounds()
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < lo || n > hi {
			return fmt.Sprintf("accepted is a whole number without unit from %d to %d", lo, hi)
		}
	case kindDouble:
		if f, err := strconv.ParseFloat(text, 64); err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return "accepted is a number"
		}
	case kindText:
		if len(k.oneOf) == 0 || text == "" {
			return ""
		}
		for _, v := range k.oneOf {
			if text == v {
				return ""
			}
		}
		return "accepted are " + strings.Join(k.oneOf, ", ")
	}
	return ""
}

func (k *key) bounds() (lo, hi int64) {
	if k.min != 0 || k.max != 0 {
		return k.min, k.max
	}
	if k.kind == kindInt {
		return math.MinInt32, math.MaxInt32
	}
	return math.MinInt64, math.MaxInt64
}

// same reports whether text means the default of k. text has passed check.
func (k *key) same(text string) bool {
	switch k.kind {
	case kindInt, kindLong:
		a, errA := strconv.ParseInt(text, 10, 64)
		b, errB := strconv.ParseInt(k.def, 10, 64)
		return errA == nil && errB == nil && a == b
	case kindDouble:
		a, errA := strconv.ParseFloat(text, 64)
		b, errB := strconv.ParseFloat(k.def, 64)
		return errA == nil && errB == nil && a == b
	}
	return strings.EqualFold(text, k.def)
}

// table is the keys of one file. It is built for each Load and not changed afterwards.
type table struct {
	owner string // "broker" or "name server"
	keys  []*key
	named map[string]*key // by exact name and other spelling
	plain map[string]*key // by name without dots, in lower case, for variables
	other map[string]string
}

func newTable(owner string, groups ...[]*key) *table {
	t := &table{owner: owner, named: map[string]*key{}, plain: map[string]*key{}, other: map[string]string{}}
	for _, group := range groups {
		for _, k := range group {
			if t.named[k.name] != nil {
				continue // the same key in two Java classes; the first group decides
			}
			t.keys = append(t.keys, k)
			t.named[k.name] = k
			t.plain[plainName(k.name)] = k
		}
	}
	for _, a := range aliases {
		if k := t.named[a[1]]; k != nil {
			t.named[a[0]] = k
			t.plain[plainName(a[0])] = k
			t.other[k.name] = a[0]
		}
	}
	return t
}

// plainName is the form in which a variable and a key are compared.
func plainName(s string) string {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '_' || c == '.':
		case c >= 'A' && c <= 'Z':
			b = append(b, c+'a'-'A')
		default:
			b = append(b, c)
		}
	}
	return string(b)
}

// nearest returns the known name closest to name, "" when none is near.
func (t *table) nearest(name string) string {
	best, bestDistance := "", max(2, len(name)/3)+1
	plain := plainName(name)
	for known := range t.named {
		d := editDistance(plain, plainName(known))
		if d < bestDistance || d == bestDistance && best != "" && known < best {
			best, bestDistance = known, d
		}
	}
	return best
}

// editDistance is Levenshtein's, over bytes. Names over 128 bytes are far from everything.
func editDistance(a, b string) int {
	if len(a) > 128 || len(b) > 128 {
		return math.MaxInt32
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			next := min(row[j]+1, row[j-1]+1, diagonal+cost)
			diagonal, row[j] = row[j], next
		}
	}
	return row[len(b)]
}
