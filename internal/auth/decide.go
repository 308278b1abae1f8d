// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"fmt"
	"net/netip"
	"sort"
	"strings"
)

// rule is an entry ready to be asked.
type rule struct {
	resource Resource
	actions  Actions
	from     Addresses
	deny     bool
}

func (e *Entry) compile() (rule, error) {
	var r rule
	var err error
	if r.resource, err = ParseResource(e.Resource); err != nil {
		return r, err
	}
	if r.actions, err = ParseActions(e.Actions); err != nil {
		return r, err
	}
	if r.from, err = ParseSources(e.SourceIPs); err != nil {
		return r, err
	}
	if e.Decision == "" {
		return r, fmt.Errorf("the entry for %s has no decision: write %s or %s", e.Resource, Allow, Deny)
	}
	word, err := canonical("decision", e.Decision, Allow, Deny, "")
	r.deny = word == Deny
	return r, err
}

// rules are those of one policy type, by how specific they are.
type rules struct {
	named    [Group + 1]map[string][]rule
	prefixes []rule // longest first, those of a type before those of any
}

func (s *rules) add(r rule) {
	if !r.resource.Prefix {
		if s.named[r.resource.Kind] == nil {
			s.named[r.resource.Kind] = map[string][]rule{}
		}
		s.named[r.resource.Kind][r.resource.Name] = append(s.named[r.resource.Kind][r.resource.Name], r)
		return
	}
	s.prefixes = append(s.prefixes, r)
	sort.SliceStable(s.prefixes, func(i, j int) bool {
		a, b := s.prefixes[i].resource, s.prefixes[j].resource
		if (a.Kind == AnyKind) != (b.Kind == AnyKind) {
			return b.Kind == AnyKind
		}
		return len(a.Name) > len(b.Name)
	})
}

// Ask is one thing that a request needs: any of the actions on the resource.
type Ask struct {
	Actions Actions
	Kind    Kind
	Name    []byte
}

func (r *rule) matches(a *Ask, from netip.Addr) bool {
	return r.actions&a.Actions != 0 && r.from.Has(from)
}

// find is the most specific rule that matches.
func (s *rules) find(a *Ask, from netip.Addr) *rule {
	named := s.named[a.Kind][string(a.Name)]
	for i := range named {
		if named[i].matches(a, from) {
			return &named[i]
		}
	}
	for i := range s.prefixes {
		r := &s.prefixes[i]
		if r.resource.Kind != AnyKind && (r.resource.Kind != a.Kind || len(a.Name) < len(r.resource.Name) ||
			string(a.Name[:len(r.resource.Name)]) != r.resource.Name) {
			continue
		}
		if r.matches(a, from) {
			return r
		}
	}
	return nil
}

// Subject is a user, or an account of plain_acl.yml, ready to be asked.
type Subject struct {
	Name     string
	Plain    bool // of plain_acl.yml
	Super    bool // may do everything
	Disabled bool
	Key      *Key
	White    Addresses // of an account: from there it needs neither signature nor permission

	custom, defaults rules
}

// NewSubject makes a subject of a user and its policies, both as Check leaves them.
// acl may be nil: there are none.
func NewSubject(u *User, acl *ACL) (*Subject, error) {
	s := &Subject{Name: u.Username, Super: u.UserType == Super, Disabled: u.UserStatus == Disabled, Key: NewKey(u.Password)}
	if acl == nil {
		return s, nil
	}
	for _, p := range acl.Policies {
		into := &s.custom
		if p.PolicyType == Default {
			into = &s.defaults
		}
		for i := range p.Entries {
			r, err := p.Entries[i].compile()
			if err != nil {
				return nil, fmt.Errorf("policies of %s: %w", u, err)
			}
			into.add(r)
		}
	}
	return s, nil
}

// Refusal says why a request is refused. It holds no secret.
type Refusal struct {
	Reason string // for counting: one of the Because constants
	Text   string // for the client
}

func (r *Refusal) Error() string { return r.Text }

// Why requests are refused.
const (
	BecauseAnonymous  = "no_credentials"
	BecauseUnknown    = "unknown_user"
	BecauseDisabled   = "disabled_user"
	BecauseSignature  = "bad_signature"
	BecausePermission = "no_permission"
	BecauseMalformed  = "unreadable_request"
	BecauseRemote     = "protected_request"
)

// Decide says whether the subject may do all that is asked, from an address: nil, or
// a *Refusal. That it is who it says is for the caller to have seen.
func (s *Subject) Decide(asks []Ask, from netip.Addr) error {
	if s.Disabled {
		return &Refusal{BecauseDisabled, fmt.Sprintf("User:%s is disabled.", s.Name)}
	}
	if s.Super {
		return nil
	}
	for i := range asks {
		r := s.custom.find(&asks[i], from)
		if r == nil {
			r = s.defaults.find(&asks[i], from)
		}
		if r == nil || r.deny {
			return s.refusal(&asks[i], r, from)
		}
	}
	return nil
}

func (s *Subject) refusal(a *Ask, r *rule, from netip.Addr) error {
	detail := "no matched policies."
	switch {
	case s.Plain && a.Actions&(Pub|Sub|Get|List) == 0:
		detail = "that needs an account with admin: true."
	case s.Plain:
		detail = "its permissions in plain_acl.yml do not allow " + strings.Join(a.Actions.Names(), " or ") + "."
	case r != nil:
		detail = "the decision is deny."
	}
	return &Refusal{BecausePermission, fmt.Sprintf("User:%s has no permission to access %s:%.300s from %s, %s", s.Name, a.Kind, a.Name, from, detail)}
}
