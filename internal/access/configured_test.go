// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/auth"
	"github.com/twostage/twostage/internal/config"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
)

// userWorld is a server with the users that its configuration names: root and inner.
func userWorld(t *testing.T, m vfs.FS, root, inner string) *world {
	t.Helper()
	return newWorld(t, m, config.Access{Authentication: true, Authorization: true, Dir: "/auth",
		InitUser: config.NewSecret("root", root), Inner: config.NewSecret("inner", inner)})
}

// TestServersSignAsTheConfigurationSays: the secret that servers share is not kept, so
// that a changed one is the only one.
func TestServersSignAsTheConfigurationSays(t *testing.T) {
	m := vfs.NewMem()
	w := userWorld(t, m, "top-secret-0", "top-secret-1")
	old, fresh := auth.Credentials{AccessKey: "inner", SecretKey: "top-secret-1"}, auth.Credentials{AccessKey: "inner", SecretKey: "top-secret-2"}
	root := auth.Credentials{AccessKey: "root", SecretKey: "top-secret-0"}
	w.may(old, wire.ReqRegisterBroker, nil)
	w.may(root, wire.ReqAuthCreateUser, []byte(`{"password":"x"}`), text{"username", "alice"})
	if data, err := vfs.ReadFile(m, "/auth/access.json"); err != nil || strings.Contains(string(data), "inner") {
		t.Errorf("kept on disk: %s, %v", data, err)
	}
	for _, code := range []int32{wire.ReqAuthCreateUser, wire.ReqAuthUpdateUser} {
		w.mayNot(root, wire.NoPermission, "innerClientAuthenticationCredentials", code, []byte(`{"password":"top-secret-3"}`), text{"username", "inner"})
	}
	w = userWorld(t, m, "top-secret-0", "top-secret-2")
	w.may(fresh, wire.ReqRegisterBroker, nil)
	w.mayNot(old, wire.NoPermission, "check signature failed", wire.ReqRegisterBroker, nil)

	// A user of that name that is there already does not get in beside it.
	w = newWorld(t, m, config.Access{Authentication: true, Authorization: true, Dir: "/auth"})
	w.may(root, wire.ReqAuthCreateUser, []byte(`{"password":"top-secret-1"}`), text{"username", "inner"})
	w = userWorld(t, m, "top-secret-0", "top-secret-2")
	w.may(fresh, wire.ReqRegisterBroker, nil)
	w.mayNot(old, wire.NoPermission, "check signature failed", wire.ReqRegisterBroker, nil)
	if log := w.log.String(); !strings.Contains(log, "the name of innerClientAuthenticationCredentials") || strings.Contains(log, "top-secret") {
		t.Errorf("log:\n%s", log)
	}
	w.may(root, wire.ReqAuthDeleteUser, nil, text{"username", "inner"})
	w.may(fresh, wire.ReqRegisterBroker, nil)
}

// TestInitialUserIsMadeOnce: while there is no user. One that was deleted does not come
// back, and a changed password in the configuration is no password; both are said.
func TestInitialUserIsMadeOnce(t *testing.T) {
	m := vfs.NewMem()
	w := userWorld(t, m, "top-secret-0", "top-secret-1")
	root := auth.Credentials{AccessKey: "root", SecretKey: "top-secret-0"}
	boss := auth.Credentials{AccessKey: "boss", SecretKey: "top-secret-5"}
	w.may(root, wire.ReqAuthCreateUser, []byte(`{"password":"top-secret-5","userType":"Super"}`), text{"username", "boss"})
	w = userWorld(t, m, "top-secret-9", "top-secret-1")
	w.may(root, wire.ReqUpdateBrokerConfig, nil)
	w.mayNot(auth.Credentials{AccessKey: "root", SecretKey: "top-secret-9"}, wire.NoPermission, "check signature failed", wire.ReqUpdateBrokerConfig, nil)
	if log := w.log.String(); !strings.Contains(log, "another password than the user") || strings.Contains(log, "top-secret") {
		t.Errorf("log:\n%s", log)
	}
	w.may(boss, wire.ReqAuthDeleteUser, nil, text{"username", "root"})
	w = userWorld(t, m, "top-secret-0", "top-secret-1")
	w.mayNot(root, wire.NoPermission, "User:root is not found.", wire.ReqUpdateBrokerConfig, nil)
	if log := w.log.String(); !strings.Contains(log, "initAuthenticationUser is not made") || strings.Contains(log, "top-secret") {
		t.Errorf("log:\n%s", log)
	}
	w.may(boss, wire.ReqAuthDeleteUser, nil, text{"username", "boss"})
	w = userWorld(t, m, "top-secret-0", "top-secret-1")
	w.may(root, wire.ReqUpdateBrokerConfig, nil)
}
