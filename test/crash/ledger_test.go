// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package crash

import (
	"maps"
	"testing"
)

func TestLedgerBites(t *testing.T) {
	book := func() *ledger {
		l := newLedger()
		for _, name := range []string{"a", "b"} {
			l.begin(name, "1")
			l.done()
		}
		l.begin("gone", "")
		l.done()
		return l
	}
	good := map[string]string{"a": "1", "b": "1"}
	if got := book().settle(good); len(got) > 0 {
		t.Errorf("problems: %q", got)
	}
	for kind, damage := range map[string]func(now map[string]string){
		"lost":        func(now map[string]string) { delete(now, "a") },
		"changed":     func(now map[string]string) { now["b"] = "2" },
		"resurrected": func(now map[string]string) { now["gone"] = "1" },
	} {
		now := maps.Clone(good)
		damage(now)
		wantProblem(t, book().settle(now), kind)
	}
}

func TestLedgerTakesEitherOutcomeOfAnOpenRequest(t *testing.T) {
	for _, is := range []string{"1", "2"} {
		l := newLedger()
		l.begin("a", "1")
		l.done()
		l.begin("a", "2")
		if got := l.settle(map[string]string{"a": is}); len(got) > 0 {
			t.Errorf("%q: problems %q", is, got)
		}
		if l.state["a"] != is || l.pending {
			t.Errorf("%q is not adopted: %+v", is, l)
		}
		other := map[string]string{"1": "2", "2": "1"}[is]
		wantProblem(t, l.settle(map[string]string{"a": other}), "changed")
	}
	l := newLedger()
	l.begin("new", "1")
	wantProblem(t, l.settle(map[string]string{"new": "3"}), "changed")
}

func TestOffsetsBite(t *testing.T) {
	o := newOffsets("", "")
	k := offsetKey{"g", 0}
	o.sent[k], o.answered[k], o.saved[k] = 9, 7, 5
	for now, want := range map[int64]struct {
		kind  string
		clean bool
	}{4: {"lost", false}, 6: {"lost", true}, 10: {"unknown", false}} {
		wantProblem(t, o.check(map[offsetKey]int64{k: now}, want.clean), want.kind)
	}
	for _, now := range []int64{5, 9} {
		if got := o.check(map[offsetKey]int64{k: now}, false); len(got) > 0 {
			t.Errorf("%d after a kill: problems %q", now, got)
		}
	}
	if got := o.check(map[offsetKey]int64{k: 7}, true); len(got) > 0 {
		t.Errorf("7 after a stop: problems %q", got)
	}
}
