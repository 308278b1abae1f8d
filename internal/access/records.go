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

// compile makes subjects of the records, and of the user that servers sign with, whom
// the configuration alone makes; none without a name.
func (k *records) compile(inner config.Secret) (map[string]*auth.Subject, error) {
	m := make(map[string]*auth.Subject, len(k.Users))
	for i := range k.Users {
		u := &k.Users[i]
		s, err := auth.NewSubject(u, k.acl(u.Username))
		if err != nil {
			return nil, err
		}
		m[u.Username] = s
	}
	if inner.Name == "" {
		return m, nil
	}
	u := auth.User{Username: inner.Name, Password: inner.Reveal(), UserType: auth.Super}
	err := u.Check()
	if err == nil {
		m[u.Username], err = auth.NewSubject(&u, nil)
	}
	if err != nil {
		return nil, fmt.Errorf("innerClientAuthenticationCredentials: %w", err)
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
	data, err := vfs.ReadFile(g.fs, g.path())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		data = []byte("{}")
	case err != nil:
		return fmt.Errorf("authenticationEnabled=true: %w", err)
	}
	kept, err := parseRecords(data)
	if err != nil {
		return fmt.Errorf("%s: %w (mend the file, or put a copy in its place)", g.path(), err)
	}
	made, err := g.configured(&kept)
	if err != nil {
		return err
	}
	if made {
		return g.store(kept)
	}
	users, err := kept.compile(g.cfg.Inner)
	if err != nil {
		return fmt.Errorf("%s: %w", g.path(), err)
	}
	g.publish(kept, users)
	return nil
}

// configured adds the user of initAuthenticationUser where there is no user yet: one
// that was deleted stays away. What the configuration says and is not so is logged.
func (g *Guard) configured(kept *records) (made bool, err error) {
	first, inner := g.cfg.InitUser, g.cfg.Inner
	if inner.Name != "" && kept.user(inner.Name) != nil {
		g.log.Warn("a user has the name of innerClientAuthenticationCredentials: the secret of the configuration counts, not the user's; delete or rename one of them", "user", inner.Name)
	}
	others := slices.ContainsFunc(kept.Users, func(u auth.User) bool { return u.Username != inner.Name })
	old := kept.user(first.Name)
	switch {
	case first.Name == "" || first.Name == inner.Name:
	case !others:
		u := auth.User{Username: first.Name, Password: first.Reveal(), UserType: auth.Super}
		if err := u.Check(); err != nil {
			return false, fmt.Errorf("initAuthenticationUser: %w", err)
		}
		kept.Users = append(kept.Users, u)
		return true, nil
	case old == nil:
		g.log.Warn("initAuthenticationUser is not made, because there are users already: create it as one of them, or take the key out", "user", first.Name)
	case old.Password != first.Reveal():
		g.log.Warn("initAuthenticationUser has another password than the user, whose own counts: change it with a request, or take the key out", "user", first.Name)
	}
	if !others {
		g.log.Warn("authentication is on and there is no user: set initAuthenticationUser, or nobody gets in")
	}
	return false, nil
}

// store writes the records with fsync and publishes them. g.mu is held.
func (g *Guard) store(k records) error {
	users, err := k.compile(g.cfg.Inner)
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
	g.publish(k, users)
	return nil
}

// publish makes records and the subjects of them what holds. g.mu is held.
func (g *Guard) publish(k records, users map[string]*auth.Subject) {
	g.kept = k
	g.now.Store(&state{users: users, plain: g.now.Load().plain})
}
