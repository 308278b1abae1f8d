// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
)

// Types of expressions, as requests name them.
const (
	tagExpression = "TAG"
	sqlExpression = "SQL92"
)

// Filter says which messages of a topic a subscription wants. The zero Filter is
// All. All members of a group must want the same.
type Filter struct {
	kind string // "" means TAG
	text string // "" means *
	tags []string
}

// All wants every message.
var All = Filter{}

// Tags wants the messages with one of the tags: "TagA || TagB". Empty and "*" are
// All. Brokers compare hashes of tags, the client then the tags themselves.
func Tags(expression string) Filter {
	if strings.TrimSpace(expression) == "" || strings.TrimSpace(expression) == "*" {
		return All
	}
	f := Filter{kind: tagExpression, text: expression}
	for tag := range strings.SplitSeq(expression, "||") {
		if tag = strings.TrimSpace(tag); tag != "" && !slices.Contains(f.tags, tag) {
			f.tags = append(f.tags, tag)
		}
	}
	return f
}

// SQL wants the messages whose properties an SQL92 expression is true of: "price >
// 3 AND region IS NOT NULL". A broker refuses a bad expression, or, with
// enablePropertyFilter off, any: the consumer logs that and receives nothing.
func SQL(expression string) Filter { return Filter{kind: sqlExpression, text: expression} }

// String is the expression.
func (f Filter) String() string {
	if f.text == "" {
		return "*"
	}
	return f.text
}

// expressionType is TAG or SQL92.
func (f Filter) expressionType() string {
	if f.kind == "" {
		return tagExpression
	}
	return f.kind
}

func (f Filter) check() error {
	switch {
	case f.kind == sqlExpression && strings.TrimSpace(f.text) == "":
		return errors.New("client: the SQL expression is empty; give All for every message")
	case f.kind == tagExpression && len(f.tags) == 0:
		return fmt.Errorf("client: tags %q name no tag", f.text)
	}
	return nil
}

// wants compares the tag; a broker has compared its hash.
func (f Filter) wants(m *message.Received) bool {
	return len(f.tags) == 0 || slices.Contains(f.tags, m.Tags())
}

// data is the subscription as heartbeats and requests have it.
func (f Filter) data(topic string, version int64) body.SubscriptionData {
	d := body.SubscriptionData{
		Topic: topic, SubString: f.String(), ExpressionType: f.expressionType(), SubVersion: version,
		TagsSet: []string{}, CodeSet: []int32{},
	}
	for _, tag := range f.tags {
		d.TagsSet = append(d.TagsSet, tag)
		d.CodeSet = append(d.CodeSet, message.HashCode(tag))
	}
	return d
}
