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

// The official client has every name that docs/migration-go.md says it has. That
// ours exist is held by test/sdk.
func TestMigrationNames(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/migration-go.md")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/apache/rocketmq-client-go/v2").Output()
	if err != nil {
		t.Fatal(err)
	}
	root := strings.TrimSpace(string(out))
	exported := map[string]map[string]bool{}
	names := rig.Names(string(page), "## Names: rocketmq-client-go v2", 0)
	if len(names) < 80 {
		t.Fatalf("the page names %d", len(names))
	}
	for _, name := range names {
		pkg, rest, _ := strings.Cut(name, ".")
		if exported[pkg] == nil {
			if exported[pkg], err = rig.Exported(filepath.Join(root, strings.TrimPrefix(pkg, "rocketmq"))); err != nil {
				t.Fatal(err)
			}
		}
		if !exported[pkg][rest] {
			t.Errorf("the client has no %s", name)
		}
	}
}
