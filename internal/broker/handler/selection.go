// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

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

// Filters makes selections of subscriptions. An expression is read once and kept,
// those that were asked for last: also what is wrong with bad ones. Equal filters
// give the same Selection as long as it is kept, so that a message is shown once to
// all who have it. It is safe for concurrent use.
type Filters struct {
	sql         bool
	expressions kept // of SQL92
	tags        kept // by tagsKey
}

// NewFilters makes one. Without propertyFilter every SQL92 expression is refused,
// as RocketMQ does when its enablePropertyFilter is false.
func NewFilters(propertyFilter bool) *Filters {
	return &Filters{sql: propertyFilter}
}

// Of is the selection of an expression, as pulls and pops have it in their
// header: tags ("A || B") when the type is TAG or empty, or SQL92, of at most
// filter.MaxLength bytes. Errors are of type *Refusal.
func (f *Filters) Of(topic, expressionType, expression string) (*Selection, error) {
	if len(expression) > filter.MaxLength {
		return nil, &Refusal{wire.SubscriptionParseFailed, fmt.Sprintf("the expression has %d bytes, at most %d are allowed", len(expression), filter.MaxLength)}
	}
	if expressionType != "" && expressionType != expressionTag {
		return f.compile(expressionType, expression)
	}
	return f.byTags(tagSubscription(topic, expression)), nil
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
	return f.byTags(sub), nil
}

func byTags(sub *body.SubscriptionData) bool {
	return sub.ExpressionType == "" || sub.ExpressionType == expressionTag
}

// isEverything tells subscriptions without a filter.
func isEverything(sub *body.SubscriptionData) bool {
	return byTags(sub) && (len(sub.CodeSet) == 0 || sub.SubString == subscribeAll)
}

func (f *Filters) byTags(sub *body.SubscriptionData) *Selection {
	if isEverything(sub) {
		return everything
	}
	codes := slices.Compact(slices.Sorted(slices.Values(sub.CodeSet)))
	tags := slices.Compact(slices.Sorted(slices.Values(sub.TagsSet)))
	key := tagsKey(codes, tags)
	c, ok := f.tags.get(key)
	if !ok {
		for i := range tags {
			tags[i] = strings.Clone(tags[i]) // and not all that the client sent
		}
		c = f.tags.put(key, made{selection: newSelection(codes, tags, nil)})
	}
	return c.selection
}

// tagsKey names a selection of tags. What clients say is not trusted: the hashes
// need not be those of the tags, and a tag may be any text.
func tagsKey(codes []int32, tags []string) string {
	var key []byte
	for _, tag := range tags {
		key = strconv.AppendInt(key, int64(len(tag)), 10)
		key = append(append(key, ' '), tag...)
	}
	key = append(key, '#')
	for _, code := range codes {
		key = append(strconv.AppendInt(key, int64(code), 36), ' ')
	}
	return string(key)
}

func (f *Filters) compile(expressionType, expression string) (*Selection, error) {
	switch {
	case !f.sql:
		return nil, &Refusal{wire.SystemError, "The broker does not support consumer to filter message by " + expressionType}
	case expressionType != expressionSQL92:
		return nil, &Refusal{wire.SubscriptionParseFailed, fmt.Sprintf("the expression type %q is not known: it is TAG or SQL92", expressionType)}
	}
	c, ok := f.expressions.get(expression)
	if !ok {
		if x, err := filter.Compile(expression); err == nil {
			c.selection = newSelection(nil, nil, x)
		} else {
			c.err = &Refusal{wire.SubscriptionParseFailed, "the SQL92 expression cannot be used, " + err.Error()}
		}
		c = f.expressions.put(expression, c)
	}
	return c.selection, c.err
}

// asRefusal is err as an answer.
func asRefusal(err error) *Refusal {
	if r, ok := errors.AsType[*Refusal](err); ok {
		return r
	}
	return &Refusal{wire.SystemError, err.Error()}
}
