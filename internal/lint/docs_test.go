// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package lint

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDependenciesAreListed holds that CONTRIBUTING.md names what the modules
// require themselves, and nothing else.
func TestDependenciesAreListed(t *testing.T) {
	text, err := os.ReadFile("../../CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	_, list, ok := strings.Cut(string(text), "\n## Dependencies\n")
	if !ok {
		t.Fatal("CONTRIBUTING.md has no Dependencies")
	}
	var listed, required []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)`").FindAllStringSubmatch(list, -1) {
		listed = append(listed, m[1])
	}
	for _, file := range []string{"../../go.mod", "../../test/interop/go.mod"} {
		mod, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(mod)) {
			if f := strings.Fields(line); len(f) == 2 && strings.HasPrefix(line, "\t") { // those that others need have a comment
				required = append(required, f[0])
			}
		}
	}
	slices.Sort(listed)
	slices.Sort(required)
	if !slices.Equal(listed, required) {
		t.Errorf("CONTRIBUTING.md lists\n%s\nthe go.mod files require\n%s", strings.Join(listed, "\n"), strings.Join(required, "\n"))
	}
}
