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
)

func TestProgress(t *testing.T) {
	s, a := newRewind(t)
	s.topic("A", 1)
	s.places[slot(addrB, "g", "A", int32(0))] = 10
	p, err := a.Progress(t.Context(), "", "g", "", true)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, q := range p.Queues {
		millis := int64(0)
		if !q.Waiting.IsZero() {
			millis = q.Waiting.UnixMilli()
		}
		got = append(got, fmt.Sprintf("%s next %d end %d lag %d waiting %d", q.Queue, q.Next, q.End, q.Lag, millis))
	}
	want := []string{
		"A/b/0 next 10 end 10 lag 0 waiting 0", "T/a/0 next 11 end 13 lag 2 waiting 200", "T/a/1 next -1 end 10 lag 10 waiting 0",
		"T/b/0 next 11 end 13 lag 2 waiting 200", "T/b/1 next -1 end 10 lag 10 waiting 0",
	}
	if !slices.Equal(got, want) || p.Lag != 24 || p.Rate != 3 || p.Waiting().UnixMilli() != 200 {
		t.Errorf("%q, %+v", got, p)
	}
	if p, err := a.Progress(t.Context(), "C", "g", "A", false); err != nil || len(p.Queues) != 1 {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := a.Progress(t.Context(), "", "nobody", "", true); !errors.Is(err, ErrNoProgress) {
		t.Errorf("%v", err)
	}
	if _, err := a.Progress(t.Context(), "D", "g", "", true); !errors.Is(err, ErrCluster) {
		t.Errorf("%v", err)
	}
	s.w.refusing = addrB
	p, err = a.Progress(t.Context(), "", "g", "", false)
	if err == nil || !strings.Contains(err.Error(), "broker b: ") || len(p.Queues) != 2 {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestGroups(t *testing.T) {
	s, a := newShelf(t)
	only := body.NewSubscriptionGroupConfig("only")
	both := body.NewSubscriptionGroupConfig("both")
	s.groups[addrA] = body.SubscriptionGroupWrapper{SubscriptionGroupTable: map[string]body.SubscriptionGroupConfig{"both": both}}
	s.groups[addrB] = body.SubscriptionGroupWrapper{SubscriptionGroupTable: map[string]body.SubscriptionGroupConfig{"both": both, "only": only}}
	list, err := a.Groups(t.Context(), "")
	if err != nil || len(list) != 2 || list[0].Name != "both" || len(list[0].At) != 2 || list[1].At[0].Broker != "b" {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := a.Group(t.Context(), "", "gone"); !errors.Is(err, ErrNoGroup) {
		t.Errorf("%v", err)
	}
	seven := func(c *body.SubscriptionGroupConfig) { c.RetryMaxTimes = 7 }
	act := func(want []string, wanted error, fn func() ([]Broker, error)) {
		t.Helper()
		s.acts = nil
		if _, err := fn(); !errors.Is(err, wanted) || !slices.Equal(s.acts, want) {
			t.Errorf("%q, %v, want %q, %v", s.acts, err, want, wanted)
		}
	}
	act([]string{"a group new 7 tries", "b group new 7 tries"}, nil, func() ([]Broker, error) { return a.CreateGroup(t.Context(), "", "new", seven) })
	same := func(*body.SubscriptionGroupConfig) {}
	act(nil, ErrGroupExists, func() ([]Broker, error) { return a.CreateGroup(t.Context(), "", "only", seven) })
	act(nil, ErrGroupExists, func() ([]Broker, error) { return a.CreateGroup(t.Context(), "", "both", same) })
	act([]string{"a group only 16 tries"}, nil, func() ([]Broker, error) { return a.CreateGroup(t.Context(), "", "only", same) }) // a joined later
	act([]string{"b group only 7 tries"}, nil, func() ([]Broker, error) { return a.UpdateGroup(t.Context(), "", "only", seven) })
	act(nil, ErrNoGroup, func() ([]Broker, error) { return a.UpdateGroup(t.Context(), "", "gone", seven) })
	act(nil, ErrNoGroup, func() ([]Broker, error) { return a.DeleteGroup(t.Context(), "", "gone", false, false) })
	act([]string{"b 207 only true"}, nil, func() ([]Broker, error) { return a.DeleteGroup(t.Context(), "", "only", false, true) })
	s.topic("%RETRY%both", 1)
	s.topic("%DLQ%both", 1)
	retry := []string{"a 207 both false", "b 207 both false", "a 215 %RETRY%both", "b 215 %RETRY%both", " 216 %RETRY%both"}
	act(retry, nil, func() ([]Broker, error) { return a.DeleteGroup(t.Context(), "", "both", true, false) })
	act(append(retry, "a 215 %DLQ%both", "b 215 %DLQ%both", " 216 %DLQ%both"), nil, func() ([]Broker, error) { return a.DeleteGroup(t.Context(), "", "both", true, true) })
}

func TestMembers(t *testing.T) {
	s, a := newShelf(t)
	s.online["g"] = body.ConsumerConnection{ConnectionSet: []body.Connection{{ClientID: "two"}, {ClientID: "one"}}}
	all, err := a.Members(t.Context(), "", "g", true, true)
	if err != nil || len(all) != 2 || all[0].ClientID != "one" || !slices.Equal(all[0].Brokers, []string{"a", "b"}) || all[1].Info.Jstack != "stack of two" {
		t.Errorf("%+v, %v", all, err)
	}
	if m, err := a.Member(t.Context(), "", "g", "two", true); err != nil || m.Info.Jstack != "stack of two" {
		t.Errorf("%+v, %v", m, err)
	}
	for _, group := range []string{"g", "nobody"} {
		if _, err := a.Member(t.Context(), "", group, "three", true); !errors.Is(err, ErrNotOnline) {
			t.Errorf("%v", err)
		}
	}
}
