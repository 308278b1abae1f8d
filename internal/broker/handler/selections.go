// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire/body"
)

// selections are those of the last pulls of a connection, so that a pull makes
// nothing and waits for nobody. They belong to the connection's reader.
type selections struct {
	heartbeats map[*body.SubscriptionData]*Selection // which are replaced, never changed
	tags, sql  map[string]*Selection                 // by the expression that a pull brings
	bytes      int                                   // of tags and sql
}

// Limits of what one connection keeps: beyond, it begins anew. An expression that
// is longer is not kept.
const (
	maxPulled      = 256
	maxPulledBytes = 64 << 10
)

// ofPull is Of for an expression that a pull brings.
func (f *Filters) ofPull(r *remoting.Request, topic string, kind, expression []byte) (*Selection, error) {
	sql := string(kind) == expressionSQL92
	switch {
	case sql:
	case len(kind) > 0 && string(kind) != expressionTag:
		return f.Of(topic, string(kind), string(expression)) // which refuses it
	case len(expression) == 0 || string(expression) == subscribeAll:
		return everything, nil
	}
	s := &connOf(r).pulled
	kept := s.tags
	if sql {
		kept = s.sql
	}
	if sel := kept[string(expression)]; sel != nil {
		return sel, nil
	}
	sel, err := f.Of(topic, string(kind), string(expression))
	if err == nil {
		s.keep(sql, string(expression), sel)
	}
	return sel, err
}

func (s *selections) keep(sql bool, expression string, sel *Selection) {
	if len(expression) > maxPulledBytes {
		return
	}
	if len(s.tags)+len(s.sql) >= maxPulled || s.bytes+len(expression) > maxPulledBytes || s.tags == nil {
		s.tags, s.sql, s.bytes = map[string]*Selection{}, map[string]*Selection{}, 0
	}
	s.bytes += len(expression)
	if sql {
		s.sql[expression] = sel
	} else {
		s.tags[expression] = sel
	}
}

// ofHeartbeat is OfSubscription for a pull.
func (f *Filters) ofHeartbeat(r *remoting.Request, sub *body.SubscriptionData) (*Selection, error) {
	if isEverything(sub) {
		return everything, nil
	}
	s := &connOf(r).pulled
	if sel := s.heartbeats[sub]; sel != nil {
		return sel, nil
	}
	sel, err := f.OfSubscription(sub)
	if err != nil {
		return nil, err
	}
	if s.heartbeats == nil || len(s.heartbeats) >= maxPulled {
		s.heartbeats = map[*body.SubscriptionData]*Selection{}
	}
	s.heartbeats[sub] = sel
	return sel, nil
}
