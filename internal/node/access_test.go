// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/access"
	"github.com/twostage/twostage/internal/config"
	"github.com/twostage/twostage/internal/vfs"
)

// TestReadyLineSaysWhoMayAdminister in each mode.
func TestReadyLineSaysWhoMayAdminister(t *testing.T) {
	user := `initAuthenticationUser={"username":"root","password":"top-secret-1"}`
	for want, flags := range map[string][]string{
		"open":                        {"insecureAdmin=true", "namesrv.insecureAdmin=true"},
		"namesrv:loopback,broker:acl": {"authenticationEnabled=true", user},
	} {
		r := start(t, load(t, config.RoleAll, flags...), config.RoleAll, vfs.NewMem())
		if r.fields["admin"] != want {
			t.Errorf("%s", r.line)
		}
		if status, text := get(t, r.fields["http"], "/metrics"); status != 200 || !strings.Contains(text, `twostage_refused_requests_total{`+nodeText+`reason="bad_signature",server="broker"} 0`) {
			t.Errorf("refusals are not counted: %d", status)
		}
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		if warned := strings.Contains(r.log.String(), "access control and the name server of this process does not"); warned != strings.Contains(want, "broker:acl") {
			t.Errorf("%s: warned of a name server without access control: %v", want, warned)
		}
		if strings.Contains(r.log.String(), "top-secret") {
			t.Error("a secret is in the log")
		}
	}
}

// TestInspectorAsksWhoItIs with access control, and refuses what the user may not do,
// which is logged.
func TestInspectorAsksWhoItIs(t *testing.T) {
	fs := vfs.NewMem()
	if err := vfs.MkdirAllSync(fs, "/conf"); err != nil {
		t.Fatal(err)
	}
	accounts := "accounts:\n- accessKey: reader\n  secretKey: top-secret-1\n- accessKey: administrator\n  secretKey: top-secret-2\n  admin: true\n"
	if err := vfs.WriteFile(fs, "/conf/plain_acl.yml", []byte(strings.ReplaceAll(accounts, "reader", "readers"))); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	guard := access.New(access.Options{Config: config.Access{Plain: true, PlainFile: "/conf/plain_acl.yml"}, Cluster: "c", FS: fs, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err := guard.Open(); err != nil {
		t.Fatal(err)
	}
	mux, tx := http.NewServeMux(), &transactions{}
	tx.inspect("broker-a", &ledger{found: map[string][]int64{"7": {7}}}, guard)
	tx.mount(mux)
	for _, c := range []struct {
		name, secret, method, path string
		want                       int
	}{
		{"", "", "GET", "/api/transactions", 401},
		{"readers", "top-secret-1", "GET", "/api/transactions", 401},
		{"administrator", "top-secret-2", "GET", "/api/transactions", 200},
		{"readers", "top-secret-2", "GET", "/api/transactions", 401},
		{"readers", "top-secret-1", "POST", "/api/transactions/7/commit", 401},
		{"administrator", "top-secret-2", "POST", "/api/transactions/7/commit", 200},
	} {
		w := send(mux, c.method, c.path, func(r *http.Request) {
			if c.name != "" {
				r.SetBasicAuth(c.name, c.secret)
			}
		})
		if w.Code != c.want || w.Code == 401 && (w.Header().Get("WWW-Authenticate") == "" || strings.Contains(failure(t, w), "top-secret")) {
			t.Errorf("%s of %q: %d %s", c.method, c.name, w.Code, w.Body)
		}
	}
	if w := send(mux, "POST", "/api/transactions/7/commit", func(r *http.Request) {
		r.RemoteAddr = "10.0.0.9:5000"
		r.SetBasicAuth("administrator", "top-secret-2")
	}); w.Code != http.StatusForbidden {
		t.Errorf("from another machine: %d %s", w.Code, w.Body)
	}
	for _, reason := range []string{"no_credentials", "bad_signature", "no_permission"} {
		if strings.Count(log.String(), "because="+reason+" ") != 1 {
			t.Errorf("no line about %s", reason)
		}
	}
	if strings.Contains(log.String(), "top-secret") || !strings.Contains(log.String(), "peer=127.0.0.1") {
		t.Errorf("log:\n%s", log.String())
	}
}
