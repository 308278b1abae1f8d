// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package lint

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestThisModule(t *testing.T) {
	report, err := Check("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range report.Problems {
		t.Error(problem)
	}
	for _, dir := range []string{"internal/lint", "internal/vfs", "internal/lifecycle"} {
		if !slices.Contains(report.Packages, dir) {
			t.Errorf("%s was not read", dir)
		}
	}
}

// TestBrokenModule holds that the checker finds what it is for. The module in
// testdata/broken breaks each rule and also keeps each; want.txt lists, sorted,
// every problem and nothing else.
func TestBrokenModule(t *testing.T) {
	report, err := Check("testdata/broken")
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile("testdata/broken/want.txt")
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	for _, problem := range report.Problems {
		if !slices.Contains(want, problem) {
			t.Errorf("found but not expected: %s", problem)
		}
	}
	for _, problem := range want {
		if !slices.Contains(report.Problems, problem) {
			t.Errorf("expected but not found: %s", problem)
		}
	}
	if len(report.Problems) != len(want) {
		t.Errorf("%d problems, want %d", len(report.Problems), len(want))
	}
}

func TestCheckOfWhatIsNoModule(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	wantErr := func(names string) {
		t.Helper()
		if _, err := Check(dir); err == nil || !strings.Contains(err.Error(), names) {
			t.Errorf("got %v, want an error about %s", err, names)
		}
	}
	wantErr("go.mod")
	write("go.mod", "go 1.26\n")
	wantErr("no module line")
	write("go.mod", "module example.com/m\n")
	if report, err := Check(dir); err != nil || len(report.Packages) != 0 {
		t.Errorf("an empty module: %v, %v", report, err)
	}
	write("bad.go", "package\n")
	wantErr("bad.go")
}

func TestEmptyWord(t *testing.T) {
	for name, want := range map[string]string{
		"TopicManager": "manager", "ManagerOfTopics": "manager", "HTTPUtils": "utils", "StoreImpl": "impl", "Base": "base",
		"BaseStore": "base", "common": "common", "io_util": "util", "DefaultStore": "default", "AbstractHTTPServer": "abstract",
		"Database": "", "Simple": "", "Uncommon": "", "Debase": "", "Store": "", "HTTPServer": "", "Implied": "", "x": "", "": "",
	} {
		if got := emptyWord(name); got != want {
			t.Errorf("emptyWord(%q) = %q, want %q", name, got, want)
		}
	}
}

// TestTable holds the table itself: rows are unique, and what they name has a
// row and is where the row says.
func TestTable(t *testing.T) {
	seen := make(map[string]bool)
	for _, r := range table {
		if seen[r.path] {
			t.Errorf("two rows for %s", r.path)
		}
		seen[r.path] = true
	}
	for _, r := range table {
		for _, other := range r.also {
			if !seen[other] {
				t.Errorf("%s also imports %s, which has no row", r.path, other)
				continue
			}
			if to := rowOf(other); to.layer != r.layer && !underAny(other, r.never) {
				t.Errorf("%s names %s, which is on layer %d and needs no naming", r.path, other, to.layer)
			}
			if to := rowOf(other); slices.Contains(to.also, r.path) {
				t.Errorf("%s and %s may import each other", r.path, other)
			}
		}
		for _, other := range r.never {
			if other != "internal" && !seen[other] {
				t.Errorf("%s never imports %s, which has no row", r.path, other)
			}
		}
	}
	for _, path := range []string{"internal", "internal/nosuch", "internal/store/commitlog/deep", "cmd", "."} {
		if rowOf(path) != nil {
			t.Errorf("%s has a row", path)
		}
	}
}
