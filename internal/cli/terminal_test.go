// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/admin"
	"github.com/twostage/twostage/internal/wire/body"
)

func TestConfirm(t *testing.T) {
	d := newDesk(10, 192)
	ask := question("commit", &admin.Story{Place: admin.Place{Broker: "a"}, Transaction: d.all[0]})
	for _, part := range []string{"transaction 10 of broker a: topic orders, group shop, key KEY10\n", "undecided, stored 3m12s ago, 0 checks", "Type yes to commit it: "} {
		if !strings.Contains(ask, part) {
			t.Errorf("%q does not say %q", ask, part)
		}
	}
	for answer, sure := range map[string]bool{
		"yes\n": true, " yes \r\n": true, "yes": true, "y\n": false, "YES\n": false, "\n": false, "": false, "no\nyes\n": false, "yes" + strings.Repeat(" ", 2000) + "not\n": false,
	} {
		var screen strings.Builder
		err := confirm(t.Context(), Process{Stdin: strings.NewReader(answer), Stderr: &screen}, ask, "not committed")
		if screen.String() != ask || (err == nil) != sure || err != nil && err.Error() != "not committed: the answer was not yes" {
			t.Errorf("%q: %v", answer, err)
		}
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if isTerminal(r) || isTerminal(strings.NewReader("")) || terminalWidth(w) != 0 || terminalWidth(&strings.Builder{}) != 0 {
		t.Error("a pipe is no terminal")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := confirm(ctx, Process{Stdin: r, Stderr: &strings.Builder{}}, "?", "not done"); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	if _, err := w.WriteString("yes\n"); err != nil {
		t.Fatal(err)
	}
	if err := confirm(t.Context(), Process{Stdin: r, Stderr: &strings.Builder{}}, "?", "not done"); err != nil {
		t.Error(err)
	}
}

func TestNextText(t *testing.T) {
	for due, want := range map[int64]string{0: "-", 1000: "due", 1500: "0.5s"} {
		if got := nextText(&body.Transaction{StoredAt: 400, Age: 600, DueAt: due}); got != want {
			t.Errorf("%d: %s, want %s", due, got, want)
		}
	}
}
