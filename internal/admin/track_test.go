// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
)

func TestTracks(t *testing.T) {
	s, a := newShelf(t)
	s.topic("T", 1)
	s.put(addrB, "T", 0, 100, message.Properties{"UNIQ_KEY": "U1", "TAGS": "A"})
	m, err := a.Message(t.Context(), "T", "U1")
	if err != nil {
		t.Fatal(err)
	}
	s.readers = []string{"waits", "done", "filters", "sql", "away", "all", "gone"}
	online := func(group string, model body.MessageModel, tags ...string) {
		s.online[group] = body.ConsumerConnection{MessageModel: model, SubscriptionTable: map[string]body.SubscriptionData{"T": {Topic: "T", TagsSet: tags}}}
	}
	for group, next := range map[string]int64{"waits": firstOffset, "done": firstOffset + 1, "filters": firstOffset + 1, "sql": firstOffset + 1, "away": firstOffset, "all": firstOffset} {
		s.places[slot(addrB, group, "T", int32(0))] = next
	}
	online("waits", body.Clustering)
	online("done", body.Clustering, "A", "B")
	online("filters", body.Clustering, "B")
	online("sql", body.Clustering) // what it selects can't be told by tags
	online("all", body.Broadcasting)
	tracks, err := a.Tracks(t.Context(), m)
	var got []string
	for _, k := range tracks {
		got = append(got, k.Group+" "+k.State)
	}
	if want := "all broadcast, away offline, done consumed, filters filtered, gone unknown, sql consumed, waits waiting"; err != nil || strings.Join(got, ", ") != want {
		t.Errorf("%q, %v", got, err)
	}
	s.w.refusing = addrB
	if _, err := a.Tracks(t.Context(), m); err == nil {
		t.Error("nobody answers, and that is no error")
	}
	m.QueueID = 9
	if _, err := a.Tracks(t.Context(), m); !errors.Is(err, ErrNoQueue) {
		t.Errorf("%v", err)
	}
}

func TestProducers(t *testing.T) {
	s, a := newShelf(t)
	one := body.ProducerInfo{ClientID: "one", RemoteIP: "/10.0.0.1:5", Language: "JAVA", Version: 399, LastUpdateTimestamp: 5000}
	later := one
	later.LastUpdateTimestamp = 7000
	s.producers = map[string]map[string][]body.ProducerInfo{addrA: {"shop": {{ClientID: "two"}, one}}, addrB: {"shop": {later}, "bank": {one}}}
	list, err := a.Producers(t.Context(), "", "")
	var got []string
	for _, p := range list {
		got = append(got, fmt.Sprintf("%s %s %s %s %d %v", p.Group, p.ClientID, p.Address, strings.Join(p.Brokers, "+"), p.Seen.Unix(), p.Seen.IsZero()))
	}
	if want := []string{"bank one 10.0.0.1:5 b 5 false", "shop one 10.0.0.1:5 a+b 7 false", "shop two  a -62135596800 true"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
	if list, err := a.Producers(t.Context(), "C", "bank"); err != nil || len(list) != 1 {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := a.Producers(t.Context(), "", "nobody"); !errors.Is(err, ErrNoProducer) {
		t.Errorf("%v", err)
	}
}

func TestRequestModes(t *testing.T) {
	s, a := newShelf(t)
	s.topic("T", 1)
	s.groups[addrA] = body.SubscriptionGroupWrapper{SubscriptionGroupTable: map[string]body.SubscriptionGroupConfig{"g": {}}}
	done, err := a.SetRequestMode(t.Context(), "", "g", "T", body.RequestPop, 3)
	if !errors.Is(err, ErrNoGroup) || len(done) != 1 || done[0].Name != "a" || !slices.Equal(s.acts, []string{"a mode g T POP 3"}) {
		t.Errorf("%+v, %v, %q", done, err, s.acts)
	}
	if _, err := a.SetRequestMode(t.Context(), "", "g", "gone", body.RequestPop, 3); !errors.Is(err, ErrNoTopic) {
		t.Errorf("%v", err)
	}
	list, err := a.RequestModes(t.Context(), "", "g")
	if want := []RequestMode{{"a", "T", body.RequestPop, 0}, {"b", "T", body.RequestPop, 0}}; err != nil || !slices.Equal(list, want) {
		t.Errorf("%+v, %v", list, err)
	}
}
