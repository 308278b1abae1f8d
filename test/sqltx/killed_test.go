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

// dies waits until a child has died at its point.
func (c *cell) dies(t *testing.T, child *process) {
	t.Helper()
	rig.Poll(t, "the child's death "+string(c.At), func() error {
		ended, err := child.end()
		if !ended {
			return fmt.Errorf("it runs, and said %q", child.last())
		}
		if !killed(err) || child.said(lineAt, string(c.At)) != 1 {
			t.Fatalf("it did not die %s: %v", c.At, err)
		}
		return nil
	})
}

// A process that dies at any point of a Run leaves the message and what the
// function wrote, or neither.
func TestKilledAtEachStep(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world, d *database) {
		for _, at := range points {
			t.Run(string(at), func(t *testing.T) {
				t.Parallel()
				c := newCell(t, w, d, plan{At: at, Limit: brief})
				c.join(t)
				c.dies(t, start(t, c.plan))
				once := slices.Index(points, at) >= slices.Index(points, commitAfter)
				if at == halfBefore {
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
				if len(answers) == 0 && at != endAfter { // the broker may have heard it there
					t.Error("nobody was asked")
				}
				for _, a := range answers {
					if a.outcome == client.Rollback && a.age < c.Limit {
						t.Errorf("refused at the age of %v, the limit is %v", a.age, c.Limit)
					}
				}
			})
		}
	})
}

// Who refuses may die as well: before its refusal is committed, or before it has
// told the broker.
func TestRefuserIsKilled(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world, d *database) {
		for _, at := range []point{markerBefore, markerAfter, commitBefore, commitAfter} {
			t.Run(string(at), func(t *testing.T) {
				t.Parallel()
				c := newCell(t, w, d, plan{At: functionAfter, Limit: brief})
				c.dies(t, start(t, c.plan))
				c.half(t, body.Undecided)
				c.At, c.Refuses = at, true
				c.dies(t, start(t, c.plan))
				want := 0
				if at == commitAfter {
					want = 1
				}
				if n := c.markers(t); n != want {
					t.Errorf("%d refusals, expected %d", n, want)
				}
				c.half(t, body.Undecided)
				c.join(t)
				c.half(t, body.RolledBack)
				c.balanced(t, false)
			})
		}
	})
}
