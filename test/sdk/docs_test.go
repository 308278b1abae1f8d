// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sdk

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/proctest"
	"github.com/twostage/twostage/test/rig"
)

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// What pages show as Go is compiled, and most of it run as a test: each block stands,
// whatever its indentation, in an example program or an Example function.
func TestGoInPages(t *testing.T) {
	t.Parallel()
	var code []string
	for _, pattern := range []string{"examples/*/*.go", "examples/*/*/*.go", "client/example*_test.go", "sqltx/example*_test.go", "mqtest/example*_test.go"} {
		files, err := filepath.Glob(filepath.Join("../..", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			code = append(code, unindented(read(t, file)))
		}
	}
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	for _, page := range append(pages, "../../README.md") {
		blocks := regexp.MustCompile("(?s)\n```go\n(.*?)```").FindAllStringSubmatch(read(t, page), -1)
		shown += len(blocks)
		for _, block := range blocks {
			if !slices.ContainsFunc(code, func(file string) bool { return strings.Contains(file, unindented(block[1])) }) {
				t.Errorf("%s shows code that stands in no example:\n%s", page, block[1])
			}
		}
	}
	if shown < 20 {
		t.Errorf("the pages show %d blocks of Go", shown)
	}
}

func unindented(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.TrimSpace(line))
		b.WriteByte('\n')
	}
	return b.String()
}

// The names on our side of the page about the official clients exist. Those of the
// official client are checked in test/interop.
func TestMigrationNames(t *testing.T) {
	t.Parallel()
	page := read(t, "../../docs/migration-go.md")
	exported := map[string]map[string]bool{}
	check := func(heading string, least int) {
		names := rig.Names(page, heading, 1)
		if len(names) < least {
			t.Errorf("%q names %d", heading, len(names))
		}
		for _, name := range names {
			pkg, rest, _ := strings.Cut(name, ".")
			if strings.HasPrefix(name, "twostage ") || name == "%" {
				continue
			}
			if exported[pkg] == nil {
				var err error
				if exported[pkg], err = rig.Exported("../../" + pkg); err != nil {
					t.Fatal(err)
				}
			}
			if !exported[pkg][rest] {
				t.Errorf("%q: there is no %s", heading, name)
			}
		}
	}
	check("## Names: rocketmq-client-go v2", 70)
	check("## Names: rocketmq-clients golang v5", 20)
}

// The programs of the quick start do what it says, and so do its commands.
func TestExamples(t *testing.T) {
	t.Parallel()
	if foreign(t) {
		return
	}
	c, dir := start(t), t.TempDir()
	build := exec.Command("go", "build", "-o", dir, "github.com/twostage/twostage/examples/hello", "github.com/twostage/twostage/examples/orders")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, want := range map[string]string{"hello": `^sent (\w+)\nreceived (\w+): hello, world\n$`, "orders": `^billed 2995 cents\n$`} {
		for range 2 { // the second run finds the group where the first left it
			cmd := exec.Command(filepath.Join(dir, name))
			cmd.Dir, cmd.Env = dir, append(os.Environ(), "NAMESRV_ADDR="+c.namesrv)
			out, err := cmd.CombinedOutput()
			m := regexp.MustCompile(want).FindSubmatch(out)
			if err != nil || m == nil || len(m) == 3 && string(m[1]) != string(m[2]) {
				t.Fatalf("%s: %v\n%s", name, err, out)
			}
		}
	}
	_, looks, _ := strings.Cut(read(t, "../../docs/quickstart.md"), "\n## 4. ")
	looks, _, _ = strings.Cut(looks, "\n## 5. ")
	commands := regexp.MustCompile(`(?m)^    bin/twostage (.*)$`).FindAllStringSubmatch(looks, -1)
	shown := []string{"greetings", "2995", "TRIES", ""}
	if len(commands) != len(shown) {
		t.Fatalf("the quick start looks with %d commands", len(commands))
	}
	for i, m := range commands {
		ctx, cancel := context.WithTimeout(t.Context(), patient)
		out, err := exec.CommandContext(ctx, proctest.Binary(t), append(strings.Fields(m[1]), "--namesrv", c.namesrv)...).CombinedOutput()
		cancel()
		if err != nil || !strings.Contains(string(out), shown[i]) {
			t.Errorf("%s: %v\n%s", m[1], err, out)
		}
	}
}
