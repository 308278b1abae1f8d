// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"slices"
	"strings"

	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
)

const (
	expressionTag   = "TAG"
	expressionSQL92 = "SQL92"
	subscribeAll    = "*"
)

// tagSubscription reads an expression of tags, "TagA || TagB", as RocketMQ's
// FilterAPI does; the empty one is everything.
func tagSubscription(topic, expression string) *body.SubscriptionData {
	sub := &body.SubscriptionData{Topic: topic, SubString: expression, ExpressionType: expressionTag}
	if expression == "" || expression == subscribeAll {
		sub.SubString = subscribeAll
		return sub
	}
	for _, tag := range strings.Split(expression, "||") {
		tag = strings.TrimSpace(tag)
		if tag == "" || slices.Contains(sub.TagsSet, tag) {
			continue
		}
		sub.TagsSet = append(sub.TagsSet, tag)
		sub.CodeSet = append(sub.CodeSet, message.HashCode(tag))
	}
	return sub
}
