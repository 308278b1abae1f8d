// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/broker/popwait"
	"github.com/twostage/twostage/internal/filter"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
)

func properties(pairs ...string) (props []byte) {
	for i := 0; i < len(pairs); i += 2 {
		props = message.AppendProperty(props, pairs[i], pairs[i+1])
	}
	return props
}

func stored(props []byte) []byte {
	return message.AppendRecord(nil, &message.Record{Topic: []byte("T"), Body: []byte("x"), Properties: props})
}

// takes asks a selection as the store does, which must say what it says of an
// arrival.
func takes(t *testing.T, s *Selection, props []byte) bool {
	t.Helper()
	tag, _ := message.Property(props, message.PropertyTags)
	code := message.TagsCode(tag)
	f := s.Store()
	ok := (f.Tags == nil || f.Tags(code)) && (f.Record == nil || f.Record(stored(props)))
	if s.Arrival(code, props) != ok {
		t.Errorf("%q: taken from the store: %v, on arrival %v", props, ok, !ok)
	}
	return ok
}

func TestSelection(t *testing.T) {
	f := NewFilters(true)
	for _, c := range []struct {
		kind, expression string
		props            []byte
		want             bool
	}{
		{"TAG", "*", nil, true},
		{"", "", properties("TAGS", "A"), true},
		{"TAG", " || ", properties("TAGS", "A"), true}, // no tag is every tag
		{"TAG", "A || B", properties("TAGS", "B"), true},
		{"", "A||B", properties("TAGS", "A"), true},
		{"TAG", "A", properties("TAGS", "B"), false},
		{"TAG", "A", nil, false},
		{"TAG", "FB", properties("TAGS", "Ea"), false}, // of one hash code
		{"SQL92", "a > 5", properties("a", "6"), true},
		{"SQL92", "a > 5", properties("a", "5"), false},
		{"SQL92", "a > 5", nil, false},
		{"SQL92", "TAGS = 'A' OR a IS NOT NULL", properties("TAGS", "A"), true},
	} {
		s, err := f.Of("T", c.kind, c.expression)
		if err != nil {
			t.Fatal(err)
		}
		if got := takes(t, s, c.props); got != c.want {
			t.Errorf("%s %q takes %q: %v", c.kind, c.expression, c.props, got)
		}
	}
}

// TestSelectionOfASubscription: a heartbeat's tags are those that it lists.
func TestSelectionOfASubscription(t *testing.T) {
	f := NewFilters(true)
	for _, c := range []struct {
		sub  body.SubscriptionData
		a, b bool // whether messages with these tags are taken
	}{
		{body.SubscriptionData{SubString: "*"}, true, true},
		{body.SubscriptionData{SubString: "A", ExpressionType: "TAG", TagsSet: []string{"A"}, CodeSet: []int32{message.HashCode("A")}}, true, false},
		{body.SubscriptionData{SubString: "A", CodeSet: []int32{message.HashCode("A")}}, true, false}, // by hash only
		{body.SubscriptionData{SubString: "A"}, true, false},                                          // without hashes
		{body.SubscriptionData{SubString: ""}, true, true},
		{body.SubscriptionData{SubString: "TAGS = 'B'", ExpressionType: "SQL92"}, false, true},
	} {
		s, err := f.OfSubscription(&c.sub)
		if err != nil {
			t.Fatal(err)
		}
		if a, b := takes(t, s, properties("TAGS", "A")), takes(t, s, properties("TAGS", "B")); a != c.a || b != c.b {
			t.Errorf("%+v takes A %v, B %v", c.sub, a, b)
		}
	}
}

// TestRecordThatCannotBeDecoded is given: who gets it says what is wrong.
func TestRecordThatCannotBeDecoded(t *testing.T) {
	for kind, expression := range map[string]string{"TAG": "A", "SQL92": "a = 1"} {
		s, err := NewFilters(true).Of("T", kind, expression)
		if err != nil {
			t.Fatal(err)
		}
		if b := stored(nil); s.Store().Record(b) || !s.Store().Record(b[:20]) {
			t.Errorf("%s: a whole one or a broken one is taken wrongly", kind)
		}
	}
}

func TestRefusedSelections(t *testing.T) {
	for _, c := range []struct {
		on               bool
		kind, expression string
		code             int32
		words            string
	}{
		{true, "SQL92", "a = ", wire.SubscriptionParseFailed, "column 5"},
		{true, "SQL", "a = 1", wire.SubscriptionParseFailed, `"SQL"`},
		{true, "SQL92", strings.Repeat(" ", filter.MaxLength) + "a", wire.SubscriptionParseFailed, "32769 bytes"},
		{true, "TAG", strings.Repeat("a", filter.MaxLength+1), wire.SubscriptionParseFailed, "32769 bytes"},
		{true, "", strings.Repeat("a", filter.MaxLength+1), wire.SubscriptionParseFailed, "32769 bytes"},
		{true, "sql92", "a = 1", wire.SubscriptionParseFailed, `"sql92"`},
		{false, "SQL92", "a = 1", wire.SystemError, "does not support consumer to filter message by SQL92"},
	} {
		f := NewFilters(c.on)
		for range 2 { // the second time from what is kept
			_, err := f.Of("T", c.kind, c.expression)
			if r, ok := errors.AsType[*Refusal](err); !ok || r.Code != c.code || !strings.Contains(r.Remark, c.words) {
				t.Errorf("%+v: %+v", c, err)
			}
		}
	}
}

// TestCompiledOnce: an expression is compiled once as long as it is asked for,
// and what is kept is bounded in number and bytes.
func TestCompiledOnce(t *testing.T) {
	f := NewFilters(true)
	k := &f.expressions
	of := func(s string) *Selection {
		t.Helper()
		sel, err := f.Of("T", "SQL92", s)
		if err != nil {
			t.Fatal(err)
		}
		return sel
	}
	first := of("a = 0")
	for i := range 3 * maxKept {
		of(fmt.Sprintf("a = %d", i))
		if of("a = 0") != first {
			t.Fatalf("after %d others it is compiled again", i)
		}
	}
	if len(k.byText) != maxKept || k.order.Len() != maxKept {
		t.Errorf("%d kept, %d in order", len(k.byText), k.order.Len())
	}
	if one := of("a = 5"); one != of("a = 5") {
		t.Error("what was forgotten is not kept again")
	}
	long := strings.Repeat("x", filter.MaxLength-20)
	for i := range 3 * maxKeptBytes / filter.MaxLength {
		of(fmt.Sprintf("a = '%s%d'", long, i))
	}
	if k.bytes > maxKeptBytes || len(k.byText) > maxKeptBytes/len(long) {
		t.Errorf("%d bytes in %d expressions are kept", k.bytes, len(k.byText))
	}
	if _, err := f.Of("T", "SQL92", strings.Repeat(" ", maxKeptBytes+1)); err == nil || k.bytes > maxKeptBytes || len(k.byText) == 0 {
		t.Errorf("one that is too long: %v, %d kept", err, len(k.byText))
	}
}

// TestEqualFiltersAreOneSelection: who asks for the same has the same object, which a
// message is shown to once, and who asks for something else has another.
func TestEqualFiltersAreOneSelection(t *testing.T) {
	f := NewFilters(true)
	of := func(kind, expression string) *Selection {
		t.Helper()
		sel, err := f.Of("T", kind, expression)
		if err != nil {
			t.Fatal(err)
		}
		return sel
	}
	ofTags := func(codes []int32, tags ...string) *Selection {
		t.Helper()
		sel, err := f.OfSubscription(&body.SubscriptionData{Topic: "T", SubString: "said", TagsSet: tags, CodeSet: codes})
		if err != nil {
			t.Fatal(err)
		}
		return sel
	}
	a, b := message.HashCode("A"), message.HashCode("B")
	for i, same := range [][]*Selection{
		{of("TAG", "A"), of("", " A "), of("TAG", "A||A"), ofTags([]int32{a}, "A"), ofTags([]int32{a, a}, "A", "A")},
		{of("TAG", "A || B"), of("TAG", "B||A"), of("", "A || || B || A"), ofTags([]int32{b, a}, "A", "B")},
		{of("SQL92", "a = 1"), of("SQL92", "a = 1")},
		{of("TAG", strings.Repeat("a||b||", filter.MaxLength/6)), of("TAG", "b || a")},
	} {
		for _, sel := range same {
			if sel != same[0] {
				t.Errorf("%d: equal filters are not one: %+v, %+v", i, sel, same[0])
			}
		}
	}
	different := map[*Selection]string{}
	for name, sel := range map[string]*Selection{
		"A": of("TAG", "A"), "B": of("TAG", "B"), "both": of("TAG", "A||B"), "sql": of("SQL92", "a = 1"),
		"only the hash": ofTags([]int32{a}), "another hash": ofTags([]int32{b}, "A"), "one hash": ofTags([]int32{a}, "A", "B"),
		"bar behind": of("TAG", "a| || b"), "bar before": of("TAG", "a || |b"), "number": ofTags([]int32{a}, "A1 B"), "numbers": of("TAG", "1 A||1 B"),
		"hash in a tag": ofTags([]int32{a}, "A#1t"),
	} {
		if other, ok := different[sel]; ok {
			t.Errorf("%q is taken for %q", name, other)
		}
		different[sel] = name
	}
	for i := range 3 * maxKept {
		of("TAG", fmt.Sprint("t", i))
	}
	if k := &f.tags; len(k.byText) != maxKept || k.order.Len() != maxKept {
		t.Errorf("%d kept, %d in order", len(k.byText), k.order.Len())
	}
}

// TestHeldPopsByTagAreLeftAlone: however many pops are held by tags that a message does
// not have, it asks few filters, and lets no pop look in vain.
func TestHeldPopsByTagAreLeftAlone(t *testing.T) {
	const pops = 2000
	f := NewFilters(true)
	h := popwait.New(popwait.Limits{Waits: pops, Keys: 1, OneKey: pops}, false, slog.New(slog.DiscardHandler))
	distinct := map[popwait.Filter]bool{}
	for i := range pops {
		sel, err := f.Of("T", "TAG", []string{"a", "a || b", "b||a"}[i%3])
		if err != nil {
			t.Fatal(err)
		}
		distinct[sel] = true
		if h.Hold(&popwait.Wait{Group: "g", Topic: "T", Queue: popwait.AnyQueue, Filter: sel, Deadline: time.Now().Add(time.Hour)}) != popwait.Held {
			t.Fatal("not held")
		}
	}
	h.Arrive("T", 0, 1, message.TagsCode([]byte("c")), properties("TAGS", "c"))
	if h.Len() != pops || len(distinct) != 2 {
		t.Errorf("%d of %d pops by %d filters were let go for nothing", pops-h.Len(), pops, len(distinct))
	}
	h.Arrive("T", 0, 2, message.TagsCode([]byte("b")), properties("TAGS", "b"))
	if h.Len() != pops-1 {
		t.Errorf("a message let go %d pops, want 1", pops-h.Len())
	}
}

// TestManyTagsAreOneSelection: the longest expression of tags is kept too.
func TestManyTagsAreOneSelection(t *testing.T) {
	f := NewFilters(true)
	var text []byte
	for i := 0; len(text) < filter.MaxLength-8; i++ {
		text = fmt.Appendf(text, "%c||", rune('!'+i))
	}
	one, err := f.Of("T", "TAG", string(text))
	if again, _ := f.Of("T", "TAG", string(text)); err != nil || one != again {
		t.Errorf("%d bytes: two selections; %v", len(text), err)
	}
}

func TestFiltersConcurrently(t *testing.T) {
	f := NewFilters(true)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 2000 {
				n := (i*7 + g) % (2 * maxKept)
				s, err := f.Of("T", "SQL92", fmt.Sprintf("a = %d", n))
				if err != nil || !s.Arrival(0, properties("a", fmt.Sprint(n))) {
					t.Errorf("a = %d: %v", n, err)
				}
			}
		})
	}
	wg.Wait()
}

// TestPlainSelectionCostsNothing: a pull of everything makes nothing.
func TestPlainSelectionCostsNothing(t *testing.T) {
	f := NewFilters(true)
	sub := &body.SubscriptionData{Topic: "T", SubString: "*", ExpressionType: "TAG"}
	if n := testing.AllocsPerRun(100, func() {
		s, err := f.OfSubscription(sub)
		if got := s.Store(); err != nil || !s.All() || got.Tags != nil || got.Record != nil {
			t.Error("this takes not everything")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
