// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sqltx

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/sqltx"
	"github.com/twostage/twostage/test/rig"
)

// waits runs a child until it waits at its point.
func waits(t *testing.T, p plan) *process {
	t.Helper()
	child := start(t, p)
	rig.Poll(t, "a child "+string(p.At), func() error {
		if ended, err := child.end(); ended {
			t.Fatalf("it ended before: %v", err)
		}
		if child.said(lineAt) == 0 {
			return fmt.Errorf("it said %q", child.last())
		}
		return nil
	})
	return child
}

// finishes lets a child go on, and waits for what it returns.
func finishes(t *testing.T, child *process, want ...string) {
	t.Helper()
	child.goOn(t)
	returns(t, child, want...)
}

// returns waits for what a child's Run or Once returns.
func returns(t *testing.T, child *process, want ...string) {
	t.Helper()
	rig.Poll(t, "the end of its work", func() error {
		if child.said(lineDone) == 0 {
			return fmt.Errorf("it said %q", child.last())
		}
		return nil
	})
	for _, w := range want {
		if child.said(lineDone, w) == 1 {
			return
		}
	}
	t.Fatalf("it ended with %q, expected one of %q", child.last(), want)
}

// answers has the broker ask until the test process has answered, and gives its
// answers, each of which came in time.
func (c *cell) answersTo(t *testing.T, enough func([]answer) bool) []answer {
	t.Helper()
	var answers []answer
	rig.Poll(t, "answers to check-backs", func() error {
		var busy bool
		answers, busy = c.given()
		switch {
		case busy:
			return errors.New("an answer is on its way")
		case enough(answers):
			return nil
		}
		return errors.Join(fmt.Errorf("%d answers", len(answers)), c.ask(t))
	})
	for _, a := range answers {
		if a.took > lockWait+slack {
			t.Errorf("an answer took %v", a.took)
		}
	}
	return answers
}

func some(answers []answer) bool { return len(answers) > 0 }

// onlyUnknown: the answers decide nothing.
func onlyUnknown(t *testing.T, answers []answer) {
	t.Helper()
	for _, a := range answers {
		if a.outcome != client.Unknown {
			t.Errorf("the answer at the age of %v is %v", a.age, a.outcome)
		}
	}
}

// While the function runs, or the commit, its own process answers Unknown. The
// broker asks before the time, because somebody had it do so.
func askedInTheSameProcess(t *testing.T, c *cell) {
	child := waits(t, c.plan)
	rig.Poll(t, "an answer", func() error {
		if child.said(lineCheck, client.Unknown.String()) == 0 {
			return errors.Join(errors.New("none"), c.ask(t))
		}
		return nil
	})
	if n := c.markers(t); n != 0 {
		t.Errorf("%d markers", n)
	}
	finishes(t, child, committed)
	c.half(t, body.Committed)
	c.balanced(t, true)
}

// A slow function in another process is not refused before its limit.
func askedBeforeTheLimit(t *testing.T, c *cell) {
	child := waits(t, c.plan)
	c.join(t)
	onlyUnknown(t, c.answersTo(t, some))
	if n := c.markers(t); n != 0 {
		t.Errorf("%d markers", n)
	}
	finishes(t, child, committed)
	c.half(t, body.Committed)
	c.balanced(t, true)
}

// Where the limit seems to be over because a clock is wrong, the marker that a
// transaction holds has others wait for a bounded time, and refuse nothing.
func askedWhileTheMarkerIsHeld(t *testing.T, c *cell) {
	child := waits(t, c.plan)
	c.join(t)
	onlyUnknown(t, c.answersTo(t, some))
	finishes(t, child, committed)
	c.half(t, body.Committed)
	c.balanced(t, true)
}

// A refusal that came although the transaction still runs makes it fail: that is
// the fence, which rests on no clock.
func refusedWhileItRuns(t *testing.T, c *cell) {
	if c.Dialect == sqltx.SQLite && c.At != functionBefore { // who has written holds the lock of the whole database
		askedWhileTheMarkerIsHeld(t, c)
		return
	}
	child := waits(t, c.plan)
	c.join(t)
	c.answersTo(t, func(all []answer) bool { return some(all) && all[len(all)-1].outcome == client.Rollback })
	c.half(t, body.RolledBack)
	finishes(t, child, refused)
	c.balanced(t, false)
}

// A process that was stopped over its limit is refused, and fails when it goes on.
// Where it holds the marker, or on SQLite any lock, nobody can refuse it: then it
// ends by its limit, but for a commit that has begun. It stops itself, so that it
// stands at its point and has no time to see the limit there, and goes on when it
// has seen that: one that is faster than its own timer may still commit.
func stoppedOverTheLimit(t *testing.T, c *cell) {
	child := waits(t, c.plan)
	c.join(t)
	if c.At == markerAfter || c.At == commitBefore || c.Dialect == sqltx.SQLite && c.At != functionBefore {
		onlyUnknown(t, c.answersTo(t, func(all []answer) bool { return some(all) && all[len(all)-1].age > c.Limit }))
	} else {
		c.half(t, body.RolledBack)
	}
	rig.Poll(t, "the end of its limit", func() error {
		if child.said(lineOver) == 0 {
			return errors.Join(fmt.Errorf("it said %q", child.last()), child.cmd.Process.Signal(syscall.SIGCONT))
		}
		return nil
	})
	if c.At == commitBefore {
		finishes(t, child, committed)
		c.half(t, body.Committed)
	} else {
		finishes(t, child, refused, tooLate)
		c.half(t, body.RolledBack)
	}
	c.balanced(t, c.At == commitBefore)
}

// With a clock that is behind, what is over seems so earlier, and no more.
func clockBehind(t *testing.T, c *cell) {
	dies(t, c.plan)
	c.join(t)
	c.answersTo(t, func(all []answer) bool { return some(all) && all[len(all)-1].outcome != client.Unknown })
	c.half(t, map[point]body.TransactionState{commitBefore: body.RolledBack, commitAfter: body.Committed}[c.At])
	c.balanced(t, c.At == commitAfter)
}

// With a clock that is ahead, the markers that are there decide, and where there
// is none nobody guesses.
func clockAhead(t *testing.T, c *cell) {
	dies(t, c.plan)
	c.join(t)
	if c.At == commitAfter {
		c.half(t, body.Committed)
		c.balanced(t, true)
		return
	}
	onlyUnknown(t, c.answersTo(t, func(all []answer) bool { return some(all) && all[len(all)-1].age > c.Limit }))
	c.half(t, body.Undecided)
	c.balanced(t, false)
	if n := c.markers(t); n != 0 {
		t.Errorf("%d markers", n)
	}
}

// Below the horizon an absent marker is no refusal: the transaction may have been
// committed, and its marker deleted, also by a process that remembers less than
// the one that is asked.
func belowTheHorizon(t *testing.T, c *cell) {
	dies(t, c.plan)
	ctx := rig.Context(t)
	cleaner := c.plan
	cleaner.Retention = forgetful
	d, err := sqltx.Open(ctx, c.db, c.Dialect, cleaner.options()...)
	if err != nil {
		t.Fatal(err)
	}
	rig.Poll(t, "the horizon's passing by", func() error {
		if half := c.half(t, body.Undecided); half.Age < forgetful.Milliseconds()+100 {
			return fmt.Errorf("the transaction %s is %d ms old", half.Key, half.Age)
		}
		return nil
	})
	deleted, err := d.Clean(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if n := c.markers(t); n != 0 || (deleted == 1) != (c.At == commitAfter) {
		t.Fatalf("%d markers, %d deleted", n, deleted)
	}
	c.join(t)
	onlyUnknown(t, c.answersTo(t, some))
	c.half(t, body.Undecided)
	if n := c.markers(t); n != 0 {
		t.Errorf("%d refusals", n)
	}
}

// A commit whose answer is lost may have been one or not: the marker knows, and
// where there is none Run writes a refusal, like a check.
func commitAnswerLost(t *testing.T, c *cell) {
	c.join(t)
	returns(t, start(t, c.plan), map[point]string{commitBefore: lost, commitAfter: committed}[c.At])
	c.half(t, map[point]body.TransactionState{commitBefore: body.RolledBack, commitAfter: body.Committed}[c.At])
	c.balanced(t, c.At == commitAfter)
}
