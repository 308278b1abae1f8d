// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"container/list"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/twostage/twostage/internal/filter"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
)

// Selection is which messages of a topic a consumer gets. It is immutable; the
// zero value is all of them.
type Selection struct {
	codes []int32  // of the tags; empty: any
	tags  []string // empty: any that has one of the codes
	expr  *filter.Expr
	store store.Filter
}

var everything = new(Selection)

// newSelection makes one of tags or of an expression.
func newSelection(codes []int32, tags []string, expr *filter.Expr) *Selection {
	s := &Selection{codes: codes, tags: tags, expr: expr}
	if len(codes) > 0 {
		s.store.Tags = s.hasCode
	}
	if len(tags) > 0 || expr != nil {
		s.store.Record = s.record
	}
	if expr != nil {
		s.store.Weight = expr.Weight()
	}
	return s
}

// All tells that every message is selected.
func (s *Selection) All() bool { return len(s.codes) == 0 && s.expr == nil }

// Store is the selection as Store.Get takes it.
func (s *Selection) Store() store.Filter { return s.store }

// Cost is about how long Arrival takes at most, in ns.
func (s *Selection) Cost(tagsCode int64, props int) int {
	const look = 8
	cost := look + len(s.codes)
	switch {
	case s.expr != nil:
		return cost + s.expr.Cost(props)
	case s.hasCode(tagsCode):
		return cost + look*len(s.tags) + props
	}
	return cost
}

// Arrival tells whether a message is selected, by the tags code of its queue
// entry and its properties text. It does not allocate where filter.Expr does not.
func (s *Selection) Arrival(tagsCode int64, props []byte) bool {
	return (len(s.codes) == 0 || s.hasCode(tagsCode)) && s.properties(props)
}

func (s *Selection) hasCode(code int64) bool { return slices.Contains(s.codes, int32(code)) }

// record looks at a stored record. One that cannot be decoded is given: who gets
// it says what is wrong with it.
func (s *Selection) record(b []byte) bool {
	var rec message.Record
	if _, err := message.DecodeRecord(b, &rec, false); err != nil {
		return true
	}
	return s.properties(rec.Properties)
}

// properties is the part of the selection that properties decide: equal hashes
// are not equal tags.
func (s *Selection) properties(props []byte) bool {
	if len(s.tags) > 0 {
		tag, _ := message.Property(props, message.PropertyTags)
		if !slices.ContainsFunc(s.tags, func(want string) bool { return want == string(tag) }) {
			return false
		}
	}
	return s.expr == nil || s.expr.Match(props)
}

// Refusal is why there is no selection: an answer's code and remark.
type Refusal struct {
	Code   int32
	Remark string
}

// Error is the remark.
func (r *Refusal) Error() string { return r.Remark }

// Limits of the compiled expressions that are kept: how many, and how many bytes
// of text they have together. What a compiled one takes is in proportion.
const (
	maxKept      = 1024
	maxKeptBytes = 2 << 20
)

// Filters makes selections of subscriptions. Expressions are compiled once and
// kept, those that were asked for last: also what is wrong with bad ones. It is
// safe for concurrent use.
type Filters struct {
	sql bool

	mu    sync.Mutex
	kept  map[string]*list.Element // by expression
	order list.List                // of *compiled, the last asked for first
	bytes int
}

type compiled struct {
	expression string
	selection  *Selection
	err        error
}

// NewFilters makes one. Without propertyFilter every SQL92 expression is refused,
// as RocketMQ does when its enablePropertyFilter is false.
func NewFilters(propertyFilter bool) *Filters {
	return &Filters{sql: propertyFilter, kept: map[string]*list.Element{}}
}

// Of is the selection of an expression, as pulls and pops have it in their
// header: tags ("A || B") when the type is TAG or empty, or SQL92. Errors are of
// type *Refusal.
func (f *Filters) Of(topic, expressionType, expression string) (*Selection, error) {
	if expressionType != "" && expressionType != expressionTag {
		return f.compile(expressionType, expression)
	}
	return tagSelection(tagSubscription(topic, expression)), nil
}

// OfSubscription is the selection of a subscription that a heartbeat brought. Its
// tags are those that the client says beside its expression, or, when it says none,
// the expression's. Errors are of type *Refusal.
func (f *Filters) OfSubscription(sub *body.SubscriptionData) (*Selection, error) {
	if !byTags(sub) {
		return f.compile(sub.ExpressionType, sub.SubString)
	}
	if len(sub.CodeSet) == 0 && sub.SubString != subscribeAll {
		sub = tagSubscription(sub.Topic, sub.SubString)
	}
	return tagSelection(sub), nil
}

func byTags(sub *body.SubscriptionData) bool {
	return sub.ExpressionType == "" || sub.ExpressionType == expressionTag
}

// isEverything tells subscriptions without a filter.
func isEverything(sub *body.SubscriptionData) bool {
	return byTags(sub) && (len(sub.CodeSet) == 0 || sub.SubString == subscribeAll)
}

func tagSelection(sub *body.SubscriptionData) *Selection {
	if isEverything(sub) {
		return everything
	}
	return newSelection(sub.CodeSet, sub.TagsSet, nil)
}

func (f *Filters) compile(expressionType, expression string) (*Selection, error) {
	switch {
	case !f.sql:
		return nil, &Refusal{wire.SystemError, "The broker does not support consumer to filter message by " + expressionType}
	case expressionType != expressionSQL92:
		return nil, &Refusal{wire.SubscriptionParseFailed, fmt.Sprintf("the expression type %q is not known: it is TAG or SQL92", expressionType)}
	}
	f.mu.Lock()
	if e, ok := f.kept[expression]; ok {
		f.order.MoveToFront(e)
		f.mu.Unlock()
		c := e.Value.(*compiled)
		return c.selection, c.err
	}
	f.mu.Unlock()
	c := &compiled{expression: expression}
	if x, err := filter.Compile(expression); err == nil {
		c.selection = newSelection(nil, nil, x)
	} else {
		c.err = &Refusal{wire.SubscriptionParseFailed, "the SQL92 expression cannot be used, " + err.Error()}
	}
	f.keep(c)
	return c.selection, c.err
}

// keep keeps c and forgets what is too much.
func (f *Filters) keep(c *compiled) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.kept[c.expression]; ok || len(c.expression) > filter.MaxLength {
		return
	}
	f.kept[c.expression] = f.order.PushFront(c)
	f.bytes += len(c.expression)
	for len(f.kept) > maxKept || f.bytes > maxKeptBytes {
		last := f.order.Remove(f.order.Back()).(*compiled)
		delete(f.kept, last.expression)
		f.bytes -= len(last.expression)
	}
}

// asRefusal is err as an answer.
func asRefusal(err error) *Refusal {
	if r, ok := errors.AsType[*Refusal](err); ok {
		return r
	}
	return &Refusal{wire.SystemError, err.Error()}
}
