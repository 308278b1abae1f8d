// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twostage/twostage/test/rig"
)

// The official clients have every name that docs/migration-go.md says they have.
// That ours exist is held by test/sdk.
func TestMigrationNames(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/migration-go.md")
	if err != nil {
		t.Fatal(err)
	}
	v2 := rig.Names(string(page), "## Names: rocketmq-client-go v2", 0)
	if len(v2) < 80 {
		t.Fatalf("the page names %d of v2", len(v2))
	}
	wantExported(t, "github.com/apache/rocketmq-client-go/v2", v2, func(name string) (dir, in string) {
		pkg, rest, _ := strings.Cut(name, ".")
		return strings.TrimPrefix(pkg, "rocketmq"), rest
	})
	v5 := rig.Names(string(page), "## Names: rocketmq-clients golang v5", 0)
	if len(v5) < 30 {
		t.Fatalf("the page names %d of v5", len(v5))
	}
	wantExported(t, "github.com/apache/rocketmq-clients/golang/v5", v5, func(name string) (dir, in string) { return "", name })
}

// wantExported: a module has these names, each in a directory of it.
func wantExported(t *testing.T, module string, names []string, where func(name string) (dir, in string)) {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		t.Fatal(err)
	}
	root := strings.TrimSpace(string(out))
	exported := map[string]map[string]bool{}
	for _, name := range names {
		dir, in := where(name)
		if exported[dir] == nil {
			if exported[dir], err = rig.Exported(filepath.Join(root, dir)); err != nil {
				t.Fatal(err)
			}
		}
		if !exported[dir][in] {
			t.Errorf("%s has no %s", module, name)
		}
	}
}
