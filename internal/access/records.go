// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/twostage/twostage/internal/auth"
	"github.com/twostage/twostage/internal/config"
	"github.com/twostage/twostage/internal/vfs"
)

// records are the users and policies as they are on disk.
//
//	{"users":[{"username":...,"password":...,"userType":...,"userStatus":...}],
//	 "acls":[{"subject":"User:NAME","policies":[...]}]}
type records struct {
	Users []auth.User `json:"users"`
	ACLs  []auth.ACL  `json:"acls"`
}

func (k *records) clone() records {
	c := records{Users: slices.Clone(k.Users)}
	for _, a := range k.ACLs {
		c.ACLs = append(c.ACLs, a.Clone())
	}
	return c
}

func (k *records) user(name string) *auth.User {
	for i := range k.Users {
		if k.Users[i].Username == name {
			return &k.Users[i]
		}
	}
	return nil
}

func (k *records) acl(user string) *auth.ACL {
	for i := range k.ACLs {
		if k.ACLs[i].Subject == "User:"+user {
			return &k.ACLs[i]
		}
	}
	return nil
}

// parseRecords reads and checks the file.
func parseRecords(data []byte) (records, error) {
	var k records
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&k); err != nil {
		return k, err
	}
	seen := map[string]bool{}
	for i := range k.Users {
		u := &k.Users[i]
		if err := u.Check(); err != nil {
			return k, fmt.Errorf("user %d: %w", i+1, err)
		}
		if seen[u.Username] {
			return k, fmt.Errorf("%s stands there twice", u)
		}
		seen[u.Username] = true
	}
	for i := range k.ACLs {
		if err := k.ACLs[i].Check(); err != nil {
			return k, fmt.Errorf("policies of %s: %w", k.ACLs[i].Subject, err)
		}
		if seen[k.ACLs[i].Subject] {
			return k, fmt.Errorf("policies of %s stand there twice", k.ACLs[i].Subject)
		}
		seen[k.ACLs[i].Subject] = true
	}
	return k, nil
}

// compile makes subjects of the records.
func (k *records) compile() (map[string]*auth.Subject, error) {
	m := make(map[string]*auth.Subject, len(k.Users))
	for i := range k.Users {
		u := &k.Users[i]
		s, err := auth.NewSubject(u, k.acl(u.Username))
		if err != nil {
			return nil, err
		}
		m[u.Username] = s
	}
	return m, nil
}

func (g *Guard) path() string { return filepath.Join(g.cfg.Dir, "access.json") }

// Open reads users, policies and access files, and makes the users that the
// configuration names. Without access control it does nothing.
func (g *Guard) Open() error {
	if !g.Enabled() {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cfg.Authentication {
		if err := g.openRecords(); err != nil {
			return err
		}
	}
	if g.cfg.Plain {
		files, err := g.readPlain()
		if err == nil {
			err = g.usePlain(files)
		}
		if err != nil {
			return fmt.Errorf("aclEnable=true: %w", err)
		}
	}
	return nil
}

func (g *Guard) openRecords() error {
	if err := vfs.MkdirAllSync(g.fs, g.cfg.Dir); err != nil {
		return fmt.Errorf("authenticationEnabled=true: %w", err)
	}
	data, backup, err := vfs.ReadConfigFile(g.fs, g.path())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		data = []byte("{}")
	case err != nil:
		return fmt.Errorf("authenticationEnabled=true: %w", err)
	case backup:
		g.log.Warn("users and policies were read from their backup: the file itself is missing or empty", "path", g.path())
	}
	kept, err := parseRecords(data)
	if err != nil {
		return fmt.Errorf("%s: %w", g.path(), err)
	}
	fresh := false
	for _, c := range []config.Secret{g.cfg.InitUser, g.cfg.Inner} {
		if c.Name == "" || kept.user(c.Name) != nil {
			continue
		}
		u := auth.User{Username: c.Name, Password: c.Reveal(), UserType: auth.Super}
		if err := u.Check(); err != nil {
			return fmt.Errorf("initAuthenticationUser or innerClientAuthenticationCredentials: %w", err)
		}
		kept.Users = append(kept.Users, u)
		fresh = true
	}
	if len(kept.Users) == 0 {
		g.log.Warn("authentication is on and there is no user: set initAuthenticationUser, or nobody gets in")
	}
	if fresh {
		return g.store(kept)
	}
	users, err := kept.compile()
	if err != nil {
		return fmt.Errorf("%s: %w", g.path(), err)
	}
	g.kept = kept
	g.now.Store(&state{users: users, plain: g.now.Load().plain})
	return nil
}

// store writes the records with fsync and publishes them. g.mu is held.
func (g *Guard) store(k records) error {
	users, err := k.compile()
	if err != nil {
		return err
	}
	data, err := json.MarshalIndent(&k, "", "  ")
	if err != nil {
		return err
	}
	if err := vfs.ReplaceSecret(g.fs, g.path(), append(data, '\n')); err != nil {
		return err
	}
	g.kept = k
	g.now.Store(&state{users: users, plain: g.now.Load().plain})
	return nil
}

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
