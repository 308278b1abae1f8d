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
