// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"path"
	"strings"
	"sync/atomic"
	"testing"
)

// listed is a difference that is expected, and why. Scenario and At are patterns
// of path.Match; empty fields fit everything.
type listed struct {
	Scenario string
	Codes    []int32
	At       string
	Want     string
	Have     string
	Reason   string

	used atomic.Bool
}

func (l *listed) fits(d difference) bool {
	match := func(pattern, s string) bool {
		ok, err := path.Match(pattern, strings.ReplaceAll(s, "/", "_"))
		if err != nil {
			panic(err)
		}
		return pattern == "" || ok
	}
	code := len(l.Codes) == 0
	for _, c := range l.Codes {
		code = code || c == d.code
	}
	return code && match(l.Scenario, d.scenario) && match(l.At, d.at) && match(l.Want, d.want) && match(l.Have, d.have)
}

// excused says whether a difference is in a table, and marks the entry.
func excused(d difference) bool {
	for _, table := range [][]*listed{runDependent, differences} {
		for _, l := range table {
			if l.fits(d) {
				l.used.Store(true)
				return true
			}
		}
	}
	return false
}

// unused fails the test for each entry that no difference needed.
func unused(t *testing.T) {
	t.Helper()
	for _, table := range [][]*listed{runDependent, differences} {
		for _, l := range table {
			if !l.used.Load() {
				t.Errorf("listed, but there is no such difference: %s %v %s (%s)", l.Scenario, l.Codes, l.At, l.Reason)
			}
		}
	}
}
