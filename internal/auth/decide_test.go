// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

// subject makes a user with entries "TYPE RESOURCE ACTIONS DECISION [SOURCE]".
func subject(t *testing.T, entries ...string) *Subject {
	t.Helper()
	acl := &ACL{Subject: "User:alice"}
	for _, e := range entries {
		f := strings.Fields(e)
		entry := Entry{Resource: f[1], Actions: strings.Split(f[2], ","), Decision: f[3], SourceIPs: f[4:]}
		acl.Merge(ACL{Policies: []Policy{{PolicyType: f[0], Entries: []Entry{entry}}}})
	}
	if len(acl.Policies) > 0 {
		if err := acl.Check(); err != nil {
			t.Fatal(err)
		}
	}
	s, err := NewSubject(&User{Username: "alice", Password: "x", UserType: Normal, UserStatus: Enabled}, acl)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTheMostSpecificPolicyDecides(t *testing.T) {
	s := subject(t, "Custom * All Deny", "Custom Topic:* Sub Allow", "Custom Topic:or* Pub Allow", "Custom Topic:order-* Pub Deny",
		"Custom Topic:order-1 Pub Allow", "Default Cluster:c Update Allow", "Custom Group:g Sub Allow 10.0.0.0/24")
	for what, want := range map[string]bool{
		"sub:any": true, "pub:any": false, "pub:oregon": true, "pub:order-2": false, "pub:order-1": true,
		"sub:order-2": true, "create:order-1": false, "group:g": true, "group:h": false, "cluster:c": false,
	} {
		if may(s, what) != want {
			t.Errorf("%s: allowed is %v", what, !want)
		}
	}
	if s.Decide([]Ask{{Sub, Group, []byte("g")}}, netip.MustParseAddr("10.0.1.7")) == nil {
		t.Error("allowed from an address that the policy does not name")
	}
}

func TestDefaultPoliciesAreAskedLast(t *testing.T) {
	s := subject(t, "Default Topic:t All Allow", "Custom Topic:* Pub Deny")
	if may(s, "pub:t") || !may(s, "sub:t") {
		t.Error("a custom policy must win over a default one, and leave it what it says nothing about")
	}
}

func TestRefusalsSayWhy(t *testing.T) {
	s := subject(t, "Custom Topic:t Pub Deny")
	for text, asks := range map[string][]Ask{
		"User:alice has no permission to access Topic:t from 10.0.0.7, the decision is deny.": {{Pub, Topic, []byte("t")}},
		"User:alice has no permission to access Group:g from 10.0.0.7, no matched policies.":  {{Sub, Group, []byte("g")}},
	} {
		err := s.Decide(asks, here)
		refused, ok := errors.AsType[*Refusal](err)
		if !ok || refused.Text != text || refused.Reason != BecausePermission {
			t.Errorf("%v, want %s", err, text)
		}
	}
	s.Disabled, s.Super = true, true
	if refused, ok := errors.AsType[*Refusal](s.Decide(nil, here)); !ok || refused.Reason != BecauseDisabled {
		t.Error("a disabled super user was let in")
	}
	s.Disabled = false
	if err := s.Decide([]Ask{{Update, Cluster, nil}}, here); err != nil {
		t.Error(err)
	}
}

func TestPoliciesAreChecked(t *testing.T) {
	entry := func(resource, action, source, decision string) ACL {
		e := Entry{Resource: resource, Actions: []string{action}, Decision: decision}
		if source != "" {
			e.SourceIPs = []string{source}
		}
		return ACL{Subject: "user:a", Policies: []Policy{{PolicyType: "custom", Entries: []Entry{e}}}}
	}
	good := entry("topic:a*", "pub", "10.0.0.0/8", "allow")
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	if e := good.Policies[0].Entries[0]; good.Subject != "User:a" || e.Resource != "Topic:a*" || e.Actions[0] != "Pub" || e.Decision != Allow || good.Policies[0].PolicyType != Custom {
		t.Errorf("not canonical: %+v", good)
	}
	for want, bad := range map[string]ACL{
		"subject":      {Subject: "Group:g", Policies: good.Policies},
		"policies":     {Subject: "User:a"},
		"entries":      {Subject: "User:a", Policies: []Policy{{}}},
		"resource":     entry("Queue:a", "Pub", "", Allow),
		"at the end":   entry("Topic:a*b", "Pub", "", Allow),
		"no name":      entry("Topic:", "Pub", "", Allow),
		"action":       entry("Topic:a", "Any", "", Allow),
		"source":       entry("Topic:a", "Pub", "10.0.0.*", Allow),
		"10.0.0.0/99":  entry("Topic:a", "Pub", "10.0.0.0/99", Allow),
		"decision":     entry("Topic:a", "Pub", "", "Perhaps"),
		"has no decis": entry("Topic:a", "Pub", "", ""),
	} {
		if err := bad.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestMergeAndRemove(t *testing.T) {
	a := ACL{Subject: "User:a"}
	entry := func(resource, decision string) ACL {
		return ACL{Policies: []Policy{{PolicyType: Custom, Entries: []Entry{{Resource: resource, Actions: []string{"Pub"}, Decision: decision}}}}}
	}
	a.Merge(entry("Topic:a", Allow))
	a.Merge(entry("Topic:b", Allow))
	before := a.Clone()
	a.Merge(entry("Topic:a", Deny))
	if e := a.Policies[0].Entries; len(e) != 2 || e[0].Decision != Deny || before.Policies[0].Entries[0].Decision != Allow {
		t.Errorf("%+v", a)
	}
	a.Remove(Default, "Topic:a")
	a.Remove(Custom, "Topic:a")
	if e := a.Policies[0].Entries; len(e) != 1 || e[0].Resource != "Topic:b" {
		t.Errorf("%+v", a)
	}
	a.Remove(Custom, "Topic:b")
	if len(a.Policies) != 0 || len(before.Policies[0].Entries) != 2 {
		t.Errorf("%+v", a)
	}
}
