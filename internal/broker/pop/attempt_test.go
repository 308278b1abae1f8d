// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pop

import (
	"errors"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
)

// TestAttemptIsOneProperty: an attempt id that would add properties to the record of
// its pop, or is longer than any, is refused, and one that is kept is known after a
// kill.
func TestAttemptIsOneProperty(t *testing.T) {
	r := newRig(t)
	r.must(r.send(0, "0", "1"))
	req := Request{Group: "g", Topic: "T", Queue: 0, Max: 1, Invisible: 60_000, Order: true}
	for _, req.Attempt = range []string{"a\x02POP_VISIBLE\x011", "a\x01b", "a\x00", strings.Repeat("a", MaxAttempt+1)} {
		for _, req.Order = range []bool{false, true} {
			if list, err := r.pop(req); !errors.Is(err, ErrAttempt) || !strings.Contains(err.Error(), "attemptId") || len(list) != 0 {
				t.Errorf("attempt %q, in order %v: %d messages, %v", req.Attempt, req.Order, len(list), err)
			}
		}
	}
	req.Attempt = strings.Repeat("\x03", MaxAttempt)
	list, err := r.pop(req)
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	r.restart((*vfs.Mem).Kill)
	if other := r.inOrder(1, 60_000); len(other) != 0 {
		t.Errorf("after a kill %q is given to another, though it is in flight", other[0].text)
	}
	if again, err := r.pop(req); err != nil || len(again) != 1 || again[0].text != "0" {
		t.Errorf("after a kill the same attempt gets %v, %v", again, err)
	}
}
