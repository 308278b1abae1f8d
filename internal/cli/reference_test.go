// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

//go:generate go test . -run TestReference -update

const referencePath = "../../docs/cli.md"

const referenceHead = `# The command line

What ` + "`--help`" + ` of every command prints. Made by ` + "`go generate ./internal/cli`" + `; a test compares.

Commands are nouns with verbs. All that show something take ` + "`-o table|wide|json|yaml`" + `; tables fit the terminal: they
cut no id, leave columns out, and write one field a line where that is not enough. Piped, they cut and leave
out nothing, but of bodies what is behind the first characters; ` + "`-o wide`" + ` has more columns, and bodies whole. Those that do something print a line for each thing done, or an object with
` + "`-o json`" + `. Commands that destroy or decide ask first: ` + "`--yes`" + ` answers, and without a terminal it must. ` + "`--watch[=5s]`" + ` looks
again and again. Times are ` + "`2026-01-02T15:04:05Z`" + `, without a zone local, ` + "`2h ago`, `-30m`, `now`" + `, or milliseconds since 1970,
of 12 digits or more; spans ` + "`90s`, `2h30m`, `7d`" + `; sizes ` + "`512KiB`, `4MiB`" + `.

Results are on standard output, notes and errors on standard error. Exit codes: 0 done, 1 failed, 2 the command line is wrong,
130 interrupted. ` + "`TWOSTAGE_NAMESRV`" + ` is the default of --namesrv, ` + "`TWOSTAGE_ACCESS_KEY` and `TWOSTAGE_SECRET_KEY`" + ` stand for --access-key and
--secret-key where neither is given.

` + "`source <(twostage completion bash)`" + ` has the shell complete commands, flags, and the topics, groups, brokers and clusters that
there are.
`

// TestReference holds docs/cli.md to what --help says.
func TestReference(t *testing.T) {
	root := rootCommand(Process{})
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	var b strings.Builder
	b.WriteString(referenceHead)
	walk(root, func(cmd *cobra.Command) {
		var text bytes.Buffer
		cmd.SetOut(&text)
		if err := cmd.Help(); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "\n## %s\n\n```\n%s\n```\n", cmd.CommandPath(), strings.TrimRight(text.String(), "\n "))
	})
	want := b.String()
	got, err := os.ReadFile(referencePath)
	if *update {
		got, err = []byte(want), os.WriteFile(referencePath, []byte(want), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("docs/cli.md is not what --help says; run go generate ./internal/cli. The first difference:\n%s", firstDifference(string(got), want))
	}
}

// walk calls fn with every command that people see.
func walk(cmd *cobra.Command, fn func(*cobra.Command)) {
	if cmd.Hidden || cmd.Name() == "help" {
		return
	}
	fn(cmd)
	for _, below := range cmd.Commands() {
		walk(below, fn)
	}
}

func firstDifference(got, want string) string {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("line %d: %q, --help says %q", i+1, a[i], b[i])
		}
	}
	return fmt.Sprintf("%d lines, --help has %d", len(a), len(b))
}

// Every command has a line about it, and every flag; none has both -o and a --json
// that is not short for it; what destroys asks.
func TestConventions(t *testing.T) {
	walk(rootCommand(Process{}), func(cmd *cobra.Command) {
		path := cmd.CommandPath()
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: short help %q", path, cmd.Short)
		}
		for line := range strings.Lines(cmd.Long) {
			if n := len([]rune(strings.TrimRight(line, "\n"))); n > 120 {
				t.Errorf("%s: a line of %d characters: %q", path, n, line)
			}
		}
		f := cmd.Flags()
		if f.Lookup("namesrv") != nil && !strings.HasPrefix(path, "twostage bench") && path != "twostage server" && path != "twostage dlq export" && f.Lookup("output") == nil {
			t.Errorf("%s talks to a cluster and has no -o", path)
		}
		if f.Lookup("json") != nil && f.Lookup("json").Usage != "short for -o json" {
			t.Errorf("%s: --json %q", path, f.Lookup("json").Usage)
		}
		switch cmd.Name() {
		case "delete", "clean", "commit", "rollback", "reset", "skip":
			if cmd.Runnable() && f.Lookup("yes") == nil {
				t.Errorf("%s does not ask", path)
			}
		}
	})
}
