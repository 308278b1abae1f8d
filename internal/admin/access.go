// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twostage/twostage/internal/auth"
	"github.com/twostage/twostage/internal/rpc"
)

// Servers are those whose users and policies are looked at or changed, each of which
// has its own: the masters of a cluster, the name servers too, or one address.
type Servers struct {
	Cluster     string // the only one when empty
	NameServers bool   // these as well
	Addr        string // this one alone
}

// ErrNoUser: no server has the user.
var ErrNoUser = errors.New("no such user")

func (a *Admin) accessServers(ctx context.Context, s Servers) ([]string, error) {
	if s.Addr != "" {
		return []string{s.Addr}, nil
	}
	brokers, err := a.masters(ctx, s.Cluster)
	if err != nil {
		return nil, err
	}
	var addrs []string
	for _, b := range brokers {
		addrs = append(addrs, b.Addrs[0])
	}
	if s.NameServers {
		addrs = append(addrs, a.servers...)
	}
	return addrs, nil
}

// changeAccess calls fn with each server, and gives those where it was done.
func (a *Admin) changeAccess(ctx context.Context, s Servers, fn func(ctx context.Context, addr string) error) (done []string, err error) {
	addrs, err := a.accessServers(ctx, s)
	if err != nil {
		return nil, err
	}
	err = a.each(ctx, addrs, func(ctx context.Context, addr string) error {
		if err := fn(ctx, addr); err != nil {
			return err
		}
		done = append(done, addr)
		return nil
	})
	return done, err
}

// CreateUser makes a user at each of the servers.
func (a *Admin) CreateUser(ctx context.Context, s Servers, u auth.User) ([]string, error) {
	return a.changeAccess(ctx, s, func(ctx context.Context, addr string) error { return rpc.CreateUser(ctx, a.caller, addr, u) })
}

// UpdateUser changes what u says of a user at each of the servers.
func (a *Admin) UpdateUser(ctx context.Context, s Servers, u auth.User) ([]string, error) {
	return a.changeAccess(ctx, s, func(ctx context.Context, addr string) error { return rpc.UpdateUser(ctx, a.caller, addr, u) })
}

// DeleteUser deletes a user with its policies at each of the servers.
func (a *Admin) DeleteUser(ctx context.Context, s Servers, name string) ([]string, error) {
	return a.changeAccess(ctx, s, func(ctx context.Context, addr string) error { return rpc.DeleteUser(ctx, a.caller, addr, name) })
}

// PutPolicy adds an entry to the policies of a user at each of the servers, or replaces
// that for the same resource.
func (a *Admin) PutPolicy(ctx context.Context, s Servers, user string, e auth.Entry) ([]string, error) {
	acl := auth.ACL{Subject: "User:" + user, Policies: []auth.Policy{{PolicyType: auth.Custom, Entries: []auth.Entry{e}}}}
	if err := acl.Check(); err != nil {
		return nil, err
	}
	return a.changeAccess(ctx, s, func(ctx context.Context, addr string) error { return rpc.UpdateACL(ctx, a.caller, addr, acl) })
}

// DeletePolicy takes a resource out of the policies of a user at each of the servers,
// all policies when it is empty.
func (a *Admin) DeletePolicy(ctx context.Context, s Servers, user, resource string) ([]string, error) {
	return a.changeAccess(ctx, s, func(ctx context.Context, addr string) error {
		return rpc.DeleteACL(ctx, a.caller, addr, "User:"+user, resource)
	})
}

// UserAt is a user as the servers have it.
type UserAt struct {
	Name    string   `json:"name"`
	Type    string   `json:"type"`
	Status  string   `json:"status"`
	Servers []string `json:"servers"`
}

// Users gives the users of the servers whose name holds the filter, by name; one that
// servers have differently stands there once for each way.
func (a *Admin) Users(ctx context.Context, s Servers, filter string) (list []UserAt, err error) {
	_, err = a.changeAccess(ctx, s, func(ctx context.Context, addr string) error {
		users, err := rpc.Users(ctx, a.caller, addr, filter)
		for _, u := range users {
			i := slices.IndexFunc(list, func(at UserAt) bool {
				return at.Name == u.Username && at.Type == u.UserType && at.Status == u.UserStatus
			})
			if i < 0 {
				list = append(list, UserAt{Name: u.Username, Type: u.UserType, Status: u.UserStatus})
				i = len(list) - 1
			}
			list[i].Servers = append(list[i].Servers, addr)
		}
		return err
	})
	slices.SortStableFunc(list, func(x, y UserAt) int { return strings.Compare(x.Name, y.Name) })
	return list, err
}

// PolicyAt is an entry of a user's policies as a server has it.
type PolicyAt struct {
	User     string   `json:"user"`
	Type     string   `json:"type"`
	Resource string   `json:"resource"`
	Actions  []string `json:"actions"`
	Sources  []string `json:"sources,omitempty"`
	Decision string   `json:"decision"`
	Server   string   `json:"server"`
}

// Policies gives the entries of the servers whose user and resource hold the filters.
func (a *Admin) Policies(ctx context.Context, s Servers, user, resource string) (list []PolicyAt, err error) {
	_, err = a.changeAccess(ctx, s, func(ctx context.Context, addr string) error {
		acls, err := rpc.ACLs(ctx, a.caller, addr, user, resource)
		for _, acl := range acls {
			list = append(list, entries(acl, addr)...)
		}
		return err
	})
	return list, err
}

func entries(acl auth.ACL, addr string) (list []PolicyAt) {
	for _, p := range acl.Policies {
		for _, e := range p.Entries {
			list = append(list, PolicyAt{strings.TrimPrefix(acl.Subject, "User:"), p.PolicyType, e.Resource, e.Actions, e.SourceIPs, e.Decision, addr})
		}
	}
	return list
}

// User gives a user with its policies, of each server that has it.
func (a *Admin) User(ctx context.Context, s Servers, name string) (users []UserAt, policies []PolicyAt, err error) {
	_, err = a.changeAccess(ctx, s, func(ctx context.Context, addr string) error {
		u, err := rpc.User(ctx, a.caller, addr, name)
		if err != nil || u == nil {
			return err
		}
		users = append(users, UserAt{u.Username, u.UserType, u.UserStatus, []string{addr}})
		acl, err := rpc.ACL(ctx, a.caller, addr, "User:"+name)
		if acl != nil {
			policies = append(policies, entries(*acl, addr)...)
		}
		return err
	})
	if err == nil && len(users) == 0 {
		err = fmt.Errorf("%w: %s", ErrNoUser, name)
	}
	return users, policies, err
}

// PutAccount makes an account in plain_acl.yml of each of the servers, or changes it.
func (a *Admin) PutAccount(ctx context.Context, s Servers, account auth.Account) ([]string, error) {
	return a.changeAccess(ctx, s, func(ctx context.Context, addr string) error { return rpc.PutAccount(ctx, a.caller, addr, account) })
}

// DeleteAccount deletes an account from plain_acl.yml of each of the servers.
func (a *Admin) DeleteAccount(ctx context.Context, s Servers, accessKey string) ([]string, error) {
	return a.changeAccess(ctx, s, func(ctx context.Context, addr string) error {
		return rpc.DeleteAccount(ctx, a.caller, addr, accessKey)
	})
}
