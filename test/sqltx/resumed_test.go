// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sqltx

import (
	"strconv"
	"testing"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/test/rig"
)

// parks has a child die, and the broker give the transaction up, for there is
// nobody to ask.
func parks(t *testing.T, c *cell) {
	t.Helper()
	dies(t, c.plan)
	c.half(t, body.Discarded)
	if all, err := c.messages(rig.Context(t)); err != nil || len(all) != 0 {
		t.Errorf("messages %q, %v", all, err)
	}
}

// resume has the broker take the parked transaction up again.
func (c *cell) resume(t *testing.T) {
	t.Helper()
	half := c.half(t, body.Discarded)
	request := &header.TxRequest{ID: strconv.FormatInt(half.QueueOffset, 10)}
	if _, err := rpc.ResumeTransaction(rig.Context(t), c.w.net, c.w.server.Broker, request); err != nil {
		t.Fatal(err)
	}
}

// A transaction that was discarded and is resumed is decided as it would have been
// before: by its marker, or by a refusal.
func parkedAndResumed(t *testing.T, c *cell) {
	parks(t, c)
	c.join(t)
	c.resume(t)
	once := c.At == commitAfter
	c.half(t, map[bool]body.TransactionState{true: body.Committed, false: body.RolledBack}[once])
	c.balanced(t, once)
	if n := c.markers(t); n != 1 { // of the transaction, or the refusal
		t.Errorf("%d markers", n)
	}
}

// When it is resumed later than what the database remembers, nobody decides, and
// it is discarded again.
func resumedTooLate(t *testing.T, c *cell) {
	parks(t, c)
	deleted, err := c.d.Clean(rig.Context(t))
	if err != nil || (deleted == 1) != (c.At == commitAfter) {
		t.Fatalf("%d deleted, %v", deleted, err)
	}
	c.join(t)
	c.resume(t)
	onlyUnknown(t, c.answersTo(t, some))
	c.half(t, body.Discarded)
	answers, _ := c.given()
	onlyUnknown(t, answers)
	if all, err := c.messages(rig.Context(t)); err != nil || len(all) != 0 {
		t.Errorf("messages %q, %v", all, err)
	}
	if n := c.markers(t); n != 0 {
		t.Errorf("%d refusals", n)
	}
}
