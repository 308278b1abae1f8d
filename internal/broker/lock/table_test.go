// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package lock

import (
	"testing"
	"time"
)

func TestLockIsExclusiveUntilItExpires(t *testing.T) {
	tb, now := New(), time.Now()
	q := []Queue{{"T", 0}, {"T", 1}}
	if got := tb.Lock(nil, "g", "a", q, now); len(got) != 2 {
		t.Fatalf("a got %v", got)
	}
	if got := tb.Lock(nil, "g", "b", q, now.Add(Expiry-1)); len(got) != 0 {
		t.Errorf("b got %v while a holds", got)
	}
	if got := tb.Lock(nil, "other", "b", q, now); len(got) != 2 {
		t.Errorf("another group got %v", got)
	}
	if got := tb.Lock(nil, "g", "a", q[:1], now.Add(Expiry-1)); len(got) != 1 {
		t.Errorf("a could not renew: %v", got)
	}
	got := tb.Lock(nil, "g", "b", q, now.Add(Expiry))
	if len(got) != 1 || got[0] != q[1] {
		t.Errorf("b got %v, want the queue that a did not renew", got)
	}
}

func TestUnlockOnlyOnesOwn(t *testing.T) {
	tb, now := New(), time.Now()
	q := []Queue{{"T", 0}}
	tb.Lock(nil, "g", "a", q, now)
	tb.Unlock("g", "b", q)
	if got := tb.Lock(nil, "g", "b", q, now); len(got) != 0 {
		t.Error("b unlocked what a holds")
	}
	tb.Unlock("g", "a", q)
	if got := tb.Lock(nil, "g", "b", q, now); len(got) != 1 {
		t.Error("a's unlock left it locked")
	}
	tb.Unlock("g", "b", q)
	if len(tb.groups) != 0 {
		t.Errorf("left behind: %v", tb.groups)
	}
}

func TestNothingIsLeftOfExpiredLocks(t *testing.T) {
	tb, now := New(), time.Now()
	tb.Lock(nil, "nothing asked for", "a", nil, now)
	if len(tb.groups) != 0 {
		t.Errorf("no queue was locked, but there is %v", tb.groups)
	}
	q := []Queue{{"T", 0}, {"T", 1}}
	tb.Lock(nil, "old", "a", q, now)
	tb.Lock(nil, "half", "a", q, now)
	tb.Lock(nil, "half", "a", q[1:], now.Add(1))
	tb.Purge(now.Add(Expiry - 1))
	if len(tb.groups["old"]) != 2 || len(tb.groups["half"]) != 2 {
		t.Errorf("purged too early: %v", tb.groups)
	}
	tb.Purge(now.Add(Expiry))
	if len(tb.groups) != 1 || len(tb.groups["half"]) != 1 {
		t.Errorf("left: %v", tb.groups)
	}
	if got := tb.Lock(nil, "half", "b", q, now.Add(Expiry)); len(got) != 1 || got[0] != q[0] {
		t.Errorf("b got %v, want what a did not renew", got)
	}
}
