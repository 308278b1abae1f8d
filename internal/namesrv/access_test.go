// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package namesrv

import (
	"errors"
	"testing"

	"github.com/twostage/twostage/internal/auth"
	"github.com/twostage/twostage/internal/config"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/vfs"
)

// TestOnlySignedBrokersRegister with access control: what servers sign with is enough,
// a user that may do less is not, and clients find routes with what they may.
func TestOnlySignedBrokersRegister(t *testing.T) {
	w := start(t, vfs.NewMem(), func(o *Options) {
		o.Config.Access = config.Access{Authentication: true, Authorization: true, Dir: "/data/namesrv/auth", Inner: config.NewSecret("servers", "top-secret-1")}
	})
	as := func(name, secret string) *remoting.Client {
		c := remoting.NewClient(remoting.ClientConfig{Dial: w.mem.Dial, Sign: remoting.Signer(auth.Credentials{AccessKey: name, SecretKey: secret})})
		t.Cleanup(func() { c.Close() })
		return c
	}
	servers, app := as("servers", "top-secret-1"), as("app", "top-secret-2")
	if err := rpc.CreateUser(t.Context(), servers, w.addr, auth.User{Username: "app", Password: "top-secret-2"}); err != nil {
		t.Fatal(err)
	}
	acl := auth.ACL{Subject: "User:app", Policies: []auth.Policy{{Entries: []auth.Entry{{Resource: "Topic:orders", Actions: []string{"Pub"}, Decision: "Allow"}}}}}
	if err := rpc.UpdateACL(t.Context(), servers, w.addr, acl); err != nil {
		t.Fatal(err)
	}
	n := newNode("a", 0, 10911, "orders", "secrets")
	for who, c := range map[string]*remoting.Client{"nobody": w.client(), "a stranger": as("stranger", "x"), "a wrong secret": as("servers", "top-secret-2"), "a user": app} {
		if _, err := w.tryRegister(c, n); !errors.Is(err, rpc.NoPermission) {
			t.Errorf("%s registers: %v", who, err)
		}
	}
	if _, err := w.tryRegister(servers, n); err != nil {
		t.Fatal(err)
	}
	if _, err := rpc.Route(t.Context(), app, w.addr, "orders"); err != nil {
		t.Error(err)
	}
	if _, err := rpc.Route(t.Context(), app, w.addr, "secrets"); !errors.Is(err, rpc.NoPermission) {
		t.Errorf("a route of a topic that is not the user's: %v", err)
	}
	if _, err := rpc.Route(t.Context(), w.client(), w.addr, "orders"); !errors.Is(err, rpc.NoPermission) {
		t.Errorf("a route for nobody: %v", err)
	}
	if err := rpc.UnregisterBroker(t.Context(), app, w.addr, n.identity()); !errors.Is(err, rpc.NoPermission) {
		t.Errorf("a user unregisters a broker: %v", err)
	}
	// What is on disk holds for the next one; what servers sign with is its configuration's.
	w.stop()
	w = start(t, w.fs, func(o *Options) {
		o.Config.Access = config.Access{Authentication: true, Authorization: true, Dir: "/data/namesrv/auth", Inner: config.NewSecret("servers", "top-secret-3")}
	})
	if _, err := w.tryRegister(as("servers", "top-secret-1"), n); !errors.Is(err, rpc.NoPermission) {
		t.Errorf("a broker registers with the secret of another run: %v", err)
	}
	if _, err := w.tryRegister(as("servers", "top-secret-3"), n); err != nil {
		t.Error(err)
	}
	if _, err := rpc.Route(t.Context(), as("app", "top-secret-2"), w.addr, "orders"); err != nil {
		t.Error(err)
	}
}
