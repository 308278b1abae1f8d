// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/twostage/twostage/internal/cli/output"
	"github.com/twostage/twostage/message"
)

// Watching shows what is found again and again, goes on over failures, and ends in
// order when it is interrupted.
func TestWatch(t *testing.T) {
	for format, want := range map[output.Format]string{
		output.FormatTable: "N\n1\n\nN\n3\n",
		output.FormatJSON:  "1\n3\n",
		output.FormatYAML:  "---\n1\n---\n3\n",
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			var out, errs bytes.Buffer
			n := 0
			d := &display{format: format, every: 2 * time.Second}
			err := d.show(ctx, Process{Stdout: &out, Stderr: &errs}, func(context.Context) (*output.View, error) {
				n++
				if n == 2 {
					return nil, errors.New("the broker is away")
				}
				table := output.NewTable(output.Text("N"))
				table.Row(n)
				return output.Of(n, table), nil
			})
			if err != nil || out.String() != want || errs.String() != "twostage: the broker is away\n" {
				t.Errorf("%v: %v\n%s%s", format, err, &out, &errs)
			}
		})
	}
	d := &display{every: time.Second}
	wrong := errors.New("nothing there")
	if err := d.show(t.Context(), Process{}, func(context.Context) (*output.View, error) { return nil, wrong }); !errors.Is(err, wrong) {
		t.Errorf("a first look that fails: %v", err)
	}
}

// Notes are said whatever the format is, also again and again; programs see that a
// list is empty.
func TestNotesBesideEveryFormat(t *testing.T) {
	for _, format := range []output.Format{output.FormatTable, output.FormatWide, output.FormatJSON, output.FormatYAML} {
		for _, every := range []time.Duration{0, time.Second} {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
				defer cancel()
				var out, errs bytes.Buffer
				d := &display{format: format, every: every}
				err := d.show(ctx, Process{Stdout: &out, Stderr: &errs}, func(context.Context) (*output.View, error) {
					return output.Of([]int{}, output.NewTable(output.Text("N")).IfEmpty("none here")).Note("see b"), nil
				})
				want := "see b\n"
				if format.ForPeople() {
					want = "none here\n" + want
				}
				if err != nil || errs.String() != want {
					t.Errorf("%v, every %v: %v, %q, want %q", format, every, err, &errs, want)
				}
			})
		}
	}
}

// What --watch says on the screen has no flags: some are secret.
func TestWatchSaysNoSecret(t *testing.T) {
	d, cmd := &display{}, &cobra.Command{Use: "lag", Run: func(*cobra.Command, []string) {}}
	d.watchFlag(cmd)
	cmd.Flags().String("secret-key", "", "")
	cmd.SetArgs([]string{"--watch=5s", "billing", "--secret-key", "hunter2"})
	if err := cmd.Execute(); err != nil || d.line != "lag billing" {
		t.Errorf("%v, %q", err, d.line)
	}
}

// A span behind --watch without = is no group, topic or broker.
func TestWatchTakesItsValue(t *testing.T) {
	for text, wrong := range map[string]bool{"billing --watch 5s": true, "--watch 5s": true, "--watch billing": false, "--watch=5s 5s": false, "5s": false, "--watch 0": false} {
		d, cmd := &display{}, &cobra.Command{Use: "lag", RunE: func(*cobra.Command, []string) error { return nil }, SilenceUsage: true, SilenceErrors: true}
		d.watchFlag(cmd)
		cmd.SetArgs(strings.Fields(text))
		if err := cmd.Execute(); errors.Is(err, errUsage) != wrong || wrong && !strings.Contains(err.Error(), "--watch=5s") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// A view beside an error is shown, then the error.
func TestShowPartOfIt(t *testing.T) {
	var out, errs bytes.Buffer
	wrong := errors.New("broker-b does not answer")
	d := &display{}
	err := d.show(t.Context(), Process{Stdout: &out, Stderr: &errs}, func(context.Context) (*output.View, error) {
		return output.Of(nil, output.Lines{"a"}, output.NewTable(output.Text("N")).IfEmpty("none here")).Note("see b"), wrong
	})
	if !errors.Is(err, wrong) || out.String() != "a\n" || errs.String() != "none here\nsee b\n" {
		t.Errorf("%v\n%s%s", err, &out, &errs)
	}
}

func TestWatchFlag(t *testing.T) {
	for text, want := range map[string]time.Duration{"--watch": 2 * time.Second, "--watch=5s": 5 * time.Second, "--watch=1m": time.Minute, "--watch=1ms": 0, "--watch=-5s": 0, "--watch=often": 0} {
		d, cmd := &display{}, &cobra.Command{}
		d.watchFlag(cmd)
		err := cmd.ParseFlags([]string{text})
		if (err == nil) != (want > 0) || want > 0 && d.every != want {
			t.Errorf("%s: %v, %v", text, d.every, err)
		}
	}
}

func TestHumanFlags(t *testing.T) {
	var at time.Time
	var span time.Duration
	var size int64
	f := pflag.NewFlagSet("x", pflag.ContinueOnError)
	timeFlag(f, &at, "from", "when")
	spanFlag(f, &span, "age", time.Minute, "how old")
	sizeFlag(f, &size, "most", 4<<20, "how much")
	if usage := f.FlagUsages(); span != time.Minute || size != 4<<20 || !strings.Contains(usage, "(default 1m0s)") || !strings.Contains(usage, "(default 4MiB)") || !strings.Contains(usage, "--from time") {
		t.Errorf("%v %v\n%s", span, size, usage)
	}
	if err := f.Parse([]string{"--from", "2026-01-02T03:04:05Z", "--age", "7d", "--most", "1GiB"}); err != nil || at.Unix() != 1767323045 || span != 168*time.Hour || size != 1<<30 {
		t.Errorf("%v %v %v %v", at, span, size, err)
	}
	for _, wrong := range []string{"--from=yesterday", "--age=old", "--most=lots"} {
		if err := f.Parse([]string{wrong}); err == nil || !strings.Contains(err.Error(), "such as") && !strings.Contains(err.Error(), "2h ago") {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}

// Shells get the names that the cluster knows now, and nothing where there is none.
func TestCompletion(t *testing.T) {
	env, _ := serve(t)
	must(t, env, "topic", "create", "orders")
	must(t, env, "topic", "create", "ordinary")
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"topic", "route", "ord"}, []string{"orders", "ordinary"}},
		{[]string{"topic", "route", "orders", ""}, nil},
		{[]string{"topic", "route", "orders", "-o", ""}, []string{"table", "wide", "json", "yaml"}},
		{[]string{"broker", "show", ""}, []string{"broker-a"}},
		{[]string{"broker", "clean", "broker-a", ""}, []string{"queues", "topics", "log"}},
		{[]string{"broker", "list", "--cluster", ""}, []string{"DefaultCluster"}},
		{[]string{"config", "set", ""}, []string{"broker-a", "all", "namesrv"}},
		{[]string{"topic", "route", "--namesrv", "127.0.0.1:1", "ord"}, nil},
		{[]string{"group", "show", "no"}, nil},
	} {
		out := must(t, env, append([]string{"__complete"}, c.args...)...)
		lines := strings.Split(strings.TrimSpace(out), "\n")
		if lines[len(lines)-1] != ":4" { // no file names
			t.Errorf("%q: %q", c.args, lines)
		}
		if got := lines[:len(lines)-1]; !slices.Equal(got, c.want) && len(got)+len(c.want) > 0 {
			t.Errorf("%q: %q, want %q", c.args, got, c.want)
		}
	}
	if out := must(t, nil, "completion", "bash"); !strings.Contains(out, "__start_twostage") {
		t.Error("no completion for bash")
	}
}

// What servers and messages say cannot write to somebody's terminal.
func TestNothingWritesToTheTerminal(t *testing.T) {
	var errs bytes.Buffer
	complain(&errs, errors.New("the broker says \x1b[2J\nand more"))
	if errs.String() != "twostage: the broker says \\x1b[2J\n  and more\n" {
		t.Errorf("%q", &errs)
	}
	m := &message.Received{}
	m.Properties = message.Properties{message.PropertyTags: "\x1b]0;", message.PropertyKeys: "a\x07b", message.PropertyUniqueKey: "\x1b[A"}
	m.Body = []byte("\x1b[1m")
	var out strings.Builder
	if err := showLine(&out, m); err != nil || strings.ContainsAny(out.String(), "\x1b\x07") {
		t.Errorf("%q, %v", out.String(), err)
	}
}
