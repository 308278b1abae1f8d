// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/auth"
)

func TestCredentials(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tools.yml")
	if err := os.WriteFile(file, []byte("accessKey: someone\nsecretKey: 12345678\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := Process{Environment: []string{"TWOSTAGE_ACCESS_KEY=of-the-environment", "TWOSTAGE_SECRET_KEY=top-secret-1"}}
	for name, c := range map[string]struct {
		flags credentialFlags
		p     Process
		want  auth.Credentials
		fails string
	}{
		"nothing":        {},
		"file":           {flags: credentialFlags{file: file}, p: env, want: auth.Credentials{AccessKey: "someone", SecretKey: "12345678"}},
		"flags":          {flags: credentialFlags{accessKey: "a", secretKey: "top-secret-2"}, p: env, want: auth.Credentials{AccessKey: "a", SecretKey: "top-secret-2"}},
		"environment":    {p: env, want: auth.Credentials{AccessKey: "of-the-environment", SecretKey: "top-secret-1"}},
		"half":           {flags: credentialFlags{accessKey: "a"}, fails: "go together"},
		"two places":     {flags: credentialFlags{accessKey: "a"}, p: env, fails: "from one place"},
		"other way":      {flags: credentialFlags{secretKey: "top-secret-2"}, p: env, fails: "from one place"},
		"file and flags": {flags: credentialFlags{file: file, secretKey: "top-secret-2"}, fails: "twice"},
		"no file":        {flags: credentialFlags{file: file + "x"}, fails: "no such file"},
	} {
		got, err := c.flags.credentials(c.p)
		if (err == nil) != (c.fails == "") || err != nil && (!strings.Contains(err.Error(), c.fails) || strings.Contains(err.Error(), "top-secret")) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil && got != c.want {
			t.Errorf("%s: got the %s", name, got)
		}
	}
}

// TestHelpShowsNoSecret: the environment's would stand there as a default.
func TestHelpShowsNoSecret(t *testing.T) {
	var out strings.Builder
	p := Process{Args: []string{"topic", "list", "--help"}, Environment: []string{"TWOSTAGE_ACCESS_KEY=a", "TWOSTAGE_SECRET_KEY=top-secret-1"}, Stdout: &out, Stderr: &out}
	if code := Run(t.Context(), p); code != 0 || !strings.Contains(out.String(), "--secret-key") || strings.Contains(out.String(), "top-secret") {
		t.Errorf("exit %d:\n%s", code, out.String())
	}
}

// An access file of its own, $accounts, with an admin.
func init() {
	directives["accounts"] = func(t *testing.T, s *stage, _ []string) {
		s.vars["accounts"] = filepath.Join(t.TempDir(), "plain_acl.yml")
		text := "accounts:\n- accessKey: administrator\n  secretKey: admin-secret\n  admin: true\n"
		if err := os.WriteFile(s.vars["accounts"], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
