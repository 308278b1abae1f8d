// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package vfs

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestReplaceSecretIsReadByItsOwnerOnly, also where the old file was open to all and
// an unfinished one was left over.
func TestReplaceSecretIsReadByItsOwnerOnly(t *testing.T) {
	name := filepath.Join(t.TempDir(), "access.json")
	for _, path := range []string{name, name + unfinishedSuffix} {
		if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := ReplaceSecret(OS(), name, []byte("new")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(name)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if data, err := os.ReadFile(name); err != nil || string(data) != "new" {
		t.Errorf("%q %v", data, err)
	}
	names, err := OS().ReadDir(filepath.Dir(name))
	if err != nil || !slices.Equal(names, []string{"access.json"}) {
		t.Errorf("beside the file there are %q, %v: a copy of the old one has its secrets", names, err)
	}
}

// TestReplaceSecretBehindALink: the link stays, wherever it leads.
func TestReplaceSecretBehindALink(t *testing.T) {
	dir := t.TempDir()
	real, link := filepath.Join(dir, "real", "plain_acl.yml"), filepath.Join(dir, "plain_acl.yml")
	for _, err := range []error{os.Mkdir(filepath.Dir(real), 0o755), os.WriteFile(real, []byte("old"), 0o644), os.Symlink("real/plain_acl.yml", link)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := ReplaceSecret(OS(), link, []byte("new")); err != nil {
		t.Fatal(err)
	}
	if to, err := os.Readlink(link); err != nil || to != "real/plain_acl.yml" {
		t.Errorf("the link leads to %q, %v", to, err)
	}
	data, err := os.ReadFile(real)
	info, statErr := os.Stat(real)
	if err != nil || statErr != nil || string(data) != "new" || info.Mode().Perm() != 0o600 {
		t.Errorf("%q, %v, %v %v", data, info, err, statErr)
	}
	if err := os.Remove(real); err != nil {
		t.Fatal(err)
	}
	if err := ReplaceSecret(OS(), link, []byte("new")); err == nil {
		t.Error("a link that leads nowhere was replaced")
	}
}
