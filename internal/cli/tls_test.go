// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/secure/securetest"
)

// A cluster that takes TLS from known clients only is used by commands that show
// the right certificate, and by no others.
func TestCommandsOverMutualTLS(t *testing.T) {
	ca := securetest.NewCA(t, "ca")
	server := ca.Files(t, t.TempDir(), "server", "127.0.0.1")
	mine := ca.Files(t, t.TempDir(), "operator")
	alien := securetest.NewCA(t, "other").Files(t, t.TempDir(), "alien")
	var flags []string
	for _, kv := range []string{
		"tls.server.mode=enforcing", "tls.server.certPath=" + server.Cert, "tls.server.keyPath=" + server.Key,
		"tls.server.need.client.auth=require", "tls.server.authClient=true", "tls.server.trustCertPath=" + server.Trust,
	} {
		flags = append(flags, "--set", kv, "--namesrv-set", kv)
	}
	for _, kv := range []string{ // the broker shows the servers' certificate to the name server
		"tls.enable=true", "tls.client.authServer=true", "tls.client.trustCertPath=" + server.Trust,
		"tls.client.certPath=" + server.Cert, "tls.client.keyPath=" + server.Key,
	} {
		flags = append(flags, "--set", kv)
	}
	env, _ := serve(t, flags...)
	with := func(args ...string) []string {
		return append(args, "--tls", "--tls-ca", mine.Trust, "--tls-cert", mine.Cert, "--tls-key", mine.Key)
	}
	must(t, env, with("topic", "create", "orders")...)
	must(t, env, with("topic", "send", "orders", "a message")...)
	if out := must(t, env, with("topic", "tail", "orders", "--from-start")...); !strings.Contains(out, "a message") {
		t.Errorf("tail: %s", out)
	}
	for what, args := range map[string][]string{
		"plaintext":            {},
		"no certificate":       {"--tls", "--tls-ca", mine.Trust},
		"another's":            {"--tls", "--tls-ca", mine.Trust, "--tls-cert", alien.Cert, "--tls-key", alien.Key},
		"not trusted":          {"--tls", "--tls-cert", mine.Cert, "--tls-key", mine.Key},
		"another server's":     {"--tls", "--tls-ca", mine.Trust, "--tls-cert", mine.Cert, "--tls-key", mine.Key, "--tls-server-name", "other.example"},
		"flags without --tls":  {"--tls-ca", mine.Trust},
		"a file that is gone":  {"--tls", "--tls-ca", mine.Trust + ".none"},
		"half a certificate":   {"--tls", "--tls-cert", mine.Cert},
		"verified and not":     {"--tls", "--tls-skip-verify", "--tls-ca", mine.Trust},
		"the key as authority": {"--tls", "--tls-ca", mine.Key},
	} {
		if r := try(t, env, "", append([]string{"topic", "list"}, args...)...); r.code == 0 || r.err == "" {
			t.Errorf("%s: exit code %d\n%s%s", what, r.code, r.out, r.err)
		} else if !strings.Contains(r.err, "--tls") && !strings.Contains(r.err, mine.Trust) && !strings.Contains(r.err, mine.Key) {
			t.Errorf("%s: no way out in\n%s", what, r.err)
		}
	}
}
