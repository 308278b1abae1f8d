// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

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

func TestAgeText(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0.0s", 99 * time.Millisecond: "0.0s", 9999 * time.Millisecond: "9.9s", 10 * time.Second: "10s", 59999 * time.Millisecond: "59s", time.Minute: "1m00s",
		192 * time.Second: "3m12s", time.Hour: "1h00m", 24*time.Hour - 1: "23h59m", 50 * time.Hour: "2d02h", -90 * time.Second: "-1m30s", -1 << 63: "-106751d23h",
	} {
		if got := ageText(d); got != want {
			t.Errorf("%d: %s, want %s", d, got, want)
		}
	}
	for due, want := range map[int64]string{0: "-", 1000: "due", 1500: "0.5s"} {
		if got := nextText(&body.Transaction{StoredAt: 400, Age: 600, DueAt: due}); got != want {
			t.Errorf("%d: %s, want %s", due, got, want)
		}
	}
}

// Tables are cut to the terminal, the key first, and keep something of each.
func TestLayOut(t *testing.T) {
	rows := [][]string{{"N", "TOPIC", "KEY"}, {"1", "täglich-orders", "0123456789abcdef"}, {"22", "t", "k"}}
	for width, want := range map[int]string{
		0:  "N   TOPIC           KEY\n1   täglich-orders  0123456789abcdef\n22  t               k\n",
		36: "N   TOPIC           KEY\n1   täglich-orders  0123456789abcdef\n22  t               k\n",
		30: "N   TOPIC           KEY\n1   täglich-orders  012345678…\n22  t               k\n",
		24: "N   TOPIC       KEY\n1   täglich-o…  0123456…\n22  t           k\n",
		5:  "N   TOPIC     KEY\n1   täglich…  0123456…\n22  t         k\n",
	} {
		if got := layOut(rows, width, 2, 1); got != want {
			t.Errorf("%d:\n%s", width, got)
		}
		for line := range strings.Lines(want) {
			if n := len([]rune(line)) - 1; width >= 22 && n > width {
				t.Errorf("%s is %d wide", line, n)
			}
		}
	}
}
