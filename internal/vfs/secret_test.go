// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package vfs

import (
	"os"
	"path/filepath"
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
}
