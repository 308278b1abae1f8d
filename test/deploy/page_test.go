// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// commands are the command lines of our binary in the indented blocks of a page.
func commands(t *testing.T, page string) (list []string) {
	t.Helper()
	for line := range strings.Lines(text(t, page)) {
		if line, ok := strings.CutPrefix(line, "    "); ok && strings.HasPrefix(line, "twostage ") {
			line, _, _ = strings.Cut(line, " #")
			list = append(list, strings.TrimSpace(line))
		}
	}
	return list
}

// Every command of docs/deployment.md exists, with the flags that are given to it.
func TestPageCommands(t *testing.T) {
	list := commands(t, "docs/deployment.md")
	if len(list) < 10 {
		t.Fatalf("commands %q", list)
	}
	seen := map[string]bool{}
	for _, line := range list {
		if seen[line] {
			continue
		}
		seen[line] = true
		args := strings.Fields(strings.ReplaceAll(line, `"`, ""))[1:]
		out, errs, code := twostage(t, nil, append(args, "--help")...)
		usage := regexp.MustCompile(`(?m)^Usage:\n  twostage ((?:[a-z-]+ ?)+)`).FindStringSubmatch(out)
		if code != 0 || strings.Contains(out, "Available Commands:") || usage == nil || !strings.HasPrefix(strings.Join(args, " ")+" ", strings.TrimSpace(usage[1])+" ") {
			t.Errorf("%s: exit code %d\n%s%s", line, code, out, errs)
		}
	}
}

// Every file of the repository that the page names is there.
func TestPageFiles(t *testing.T) {
	page := text(t, "docs/deployment.md")
	found := 0
	for _, path := range regexp.MustCompile(`\bdeploy/[\w./-]+\w`).FindAllString(page, -1) {
		if strings.HasSuffix(strings.Split(page, path)[0], "test/") || strings.HasSuffix(path, "/.env") { // which the reader makes
			continue
		}
		found++
		if _, err := os.Stat(filepath.Join(root, path)); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	if found < 6 {
		t.Errorf("%d files", found)
	}
}
