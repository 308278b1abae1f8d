// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sqltx

import (
	"fmt"
	"slices"
	"testing"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/test/rig"
)

// dies runs a child until it has died at its point.
func dies(t *testing.T, p plan) {
	t.Helper()
	child := start(t, p)
	rig.Poll(t, "the child's death "+string(p.At), func() error {
		ended, err := child.end()
		if !ended {
			return fmt.Errorf("it runs, and said %q", child.last())
		}
		if !killed(err) || child.said(lineAt) != 1 {
			t.Fatalf("it did not die at its point: %v", err)
		}
		return nil
	})
}

// A process that dies at any point of a Run leaves the message and what the
// function wrote, or neither.
func killedAtEachStep(t *testing.T, c *cell) {
	c.join(t)
	dies(t, c.plan)
	once := slices.Index(points, c.At) >= slices.Index(points, commitAfter)
	if c.At == halfBefore {
		c.balanced(t, false)
		if all, err := c.halves(rig.Context(t)); err != nil || len(all) != 0 {
			t.Errorf("%+v, %v", all, err)
		}
		return
	}
	state := body.RolledBack
	if once {
		state = body.Committed
	}
	c.half(t, state)
	c.balanced(t, once)
	if n := c.markers(t); n != 1 { // of the transaction, or the refusal
		t.Errorf("%d markers", n)
	}
	answers, _ := c.given()
	if len(answers) == 0 && c.At != endAfter { // the broker may have heard it there
		t.Error("nobody was asked")
	}
	for _, a := range answers {
		if a.outcome == client.Rollback && a.age < c.Limit {
			t.Errorf("refused at the age of %v, the limit is %v", a.age, c.Limit)
		}
	}
}

// Who refuses may die as well: before its refusal is committed, or before it has
// told the broker.
func refuserIsKilled(t *testing.T, c *cell) {
	dead := c.plan
	dead.At = functionAfter
	dies(t, dead)
	c.half(t, body.Undecided)
	c.Refuses = true
	dies(t, c.plan)
	want := 0
	if c.At == commitAfter {
		want = 1
	}
	if n := c.markers(t); n != want {
		t.Errorf("%d refusals, expected %d", n, want)
	}
	c.half(t, body.Undecided)
	c.join(t)
	c.half(t, body.RolledBack)
	c.balanced(t, false)
}
