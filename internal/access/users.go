// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twostage/twostage/internal/auth"
)

// change applies edit to a copy of the records and stores it.
func (g *Guard) change(edit func(*records) error) error {
	if !g.cfg.Authentication {
		return ErrNoUsers
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	k := g.kept.clone()
	if err := edit(&k); err != nil {
		return err
	}
	return g.store(k)
}

// Errors of changes. Their text is for the client.
var (
	ErrNoUsers = errors.New("users and policies are kept only with authenticationEnabled=true: set it in the server's configuration")
	ErrDenied  = errors.New("refused")
)

func denied(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrDenied}, args...)...)
}

// super says whether the sender of a request may touch super users: it is one, or
// nobody has to say who they are.
func (g *Guard) super(by string) bool {
	st := g.now.Load()
	u := st.users[by]
	if u == nil {
		u = st.plain.Subjects[by]
	}
	return by == "" || u != nil && u.Super
}

// CreateUser adds a user for by, the access key of the request.
func (g *Guard) CreateUser(by string, u auth.User) error {
	if err := u.Check(); err != nil {
		return denied("%v", err)
	}
	return g.change(func(k *records) error {
		switch {
		case u.UserType == auth.Super && !g.super(by):
			return denied("the super user can only be created by a super user")
		case u.Username == g.cfg.Inner.Name:
			return denied("the user %s is made by innerClientAuthenticationCredentials", u.Username)
		case k.user(u.Username) != nil:
			return denied("the user %s exists already", u.Username)
		}
		k.Users = append(k.Users, u)
		return nil
	})
}

// UpdateUser changes what u says of the user: its empty fields stay as they were.
func (g *Guard) UpdateUser(by string, u auth.User) error {
	return g.change(func(k *records) error {
		old := k.user(u.Username)
		if u.Username != "" && u.Username == g.cfg.Inner.Name {
			return denied("the user %s is made by innerClientAuthenticationCredentials: change it there", u.Username)
		}
		if old == nil {
			return denied("the user %s does not exist", u.Username)
		}
		next := *old
		for _, f := range []struct {
			into *string
			from string
		}{{&next.Password, u.Password}, {&next.UserType, u.UserType}, {&next.UserStatus, u.UserStatus}} {
			if f.from != "" {
				*f.into = f.from
			}
		}
		if err := next.Check(); err != nil {
			return denied("%v", err)
		}
		if (old.UserType == auth.Super || next.UserType == auth.Super) && !g.super(by) {
			return denied("the super user can only be updated by a super user")
		}
		*old = next
		return nil
	})
}

// DeleteUser deletes a user with its policies. That there is none is no error.
func (g *Guard) DeleteUser(by, name string) error {
	return g.change(func(k *records) error {
		u := k.user(name)
		if u != nil && u.UserType == auth.Super && !g.super(by) {
			return denied("the super user can only be deleted by a super user")
		}
		k.Users = slices.DeleteFunc(k.Users, func(u auth.User) bool { return u.Username == name })
		k.ACLs = slices.DeleteFunc(k.ACLs, func(a auth.ACL) bool { return a.Subject == "User:"+name })
		return nil
	})
}

// Users gives the users whose name holds the filter, without their passwords.
func (g *Guard) Users(filter string) ([]auth.User, error) {
	if !g.cfg.Authentication {
		return nil, ErrNoUsers
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	var list []auth.User
	for _, u := range g.kept.Users {
		if strings.Contains(u.Username, filter) {
			u.Password = ""
			list = append(list, u)
		}
	}
	return list, nil
}

// User gives one user, nil if there is none, without the password.
func (g *Guard) User(name string) (*auth.User, error) {
	list, err := g.Users(name)
	for i := range list {
		if list[i].Username == name {
			return &list[i], nil
		}
	}
	return nil, err
}

// PutACL adds entries to the policies of a subject, or changes those for the same
// resource.
func (g *Guard) PutACL(a auth.ACL) error {
	if err := a.Check(); err != nil {
		return denied("%v", err)
	}
	return g.change(func(k *records) error {
		name, _ := auth.SubjectUser(a.Subject)
		if k.user(name) == nil {
			return denied("the subject of %s does not exist", a.Subject)
		}
		if old := k.acl(name); old != nil {
			old.Merge(a)
			return nil
		}
		fresh := auth.ACL{Subject: a.Subject}
		fresh.Merge(a)
		k.ACLs = append(k.ACLs, fresh)
		return nil
	})
}

// DeleteACL takes the entry for a resource out of the policies of a subject, all of
// them when resource is empty. kind is Custom when empty.
func (g *Guard) DeleteACL(subject, kind, resource string) error {
	name, err := auth.SubjectUser(subject)
	if err != nil {
		return denied("%v", err)
	}
	if resource != "" {
		r, err := auth.ParseResource(resource)
		if err != nil {
			return denied("%v", err)
		}
		resource = r.String()
	}
	switch {
	case kind == "" || strings.EqualFold(kind, auth.Custom):
		kind = auth.Custom
	case strings.EqualFold(kind, auth.Default):
		kind = auth.Default
	default:
		return denied("policyType %q is neither %s nor %s", kind, auth.Custom, auth.Default)
	}
	return g.change(func(k *records) error {
		old := k.acl(name)
		if old == nil {
			return denied("the acl of %s does not exist", subject)
		}
		if resource != "" {
			old.Remove(kind, resource)
		}
		if resource == "" || len(old.Policies) == 0 {
			k.ACLs = slices.DeleteFunc(k.ACLs, func(a auth.ACL) bool { return a.Subject == "User:"+name })
		}
		return nil
	})
}

// ACLs gives the policies of the subjects whose name holds the filter, and of them
// the entries whose resource holds the other one.
func (g *Guard) ACLs(subject, resource string) ([]auth.ACL, error) {
	if !g.cfg.Authentication {
		return nil, ErrNoUsers
	}
	g.mu.Lock()
	k := g.kept.clone()
	g.mu.Unlock()
	var list []auth.ACL
	for _, a := range k.ACLs {
		if !strings.Contains(a.Subject, subject) {
			continue
		}
		var left []auth.Policy
		for _, p := range a.Policies {
			p.Entries = slices.DeleteFunc(p.Entries, func(e auth.Entry) bool { return !strings.Contains(e.Resource, resource) })
			if len(p.Entries) > 0 {
				left = append(left, p)
			}
		}
		if a.Policies = left; len(left) > 0 {
			list = append(list, a)
		}
	}
	return list, nil
}

// ACL gives the policies of a subject, nil if it has none.
func (g *Guard) ACL(subject string) (*auth.ACL, error) {
	name, err := auth.SubjectUser(subject)
	if err != nil {
		return nil, denied("%v", err)
	}
	if !g.cfg.Authentication {
		return nil, ErrNoUsers
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.kept.user(name) == nil {
		return nil, denied("the subject of %s does not exist", subject)
	}
	if a := g.kept.acl(name); a != nil {
		c := a.Clone()
		return &c, nil
	}
	return nil, nil
}
