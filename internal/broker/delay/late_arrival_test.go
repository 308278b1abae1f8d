// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package delay

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/vfs"
)

// An entry that is found, not told of, while the store's time stands still because
// the clock was set back has the store's time all the same.
func TestFoundAfterClockWasSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, vfs.NewMem())
		r.mustSend("A", 0, sent("1", "first"))
		after(5 * time.Second)
		r.jump.Add(-600_000)
		r.deaf.Store(true)
		r.mustSend("A", 0, sent("1", "found"))
		after(5 * time.Second)
		if n := len(r.records("A", 0)); n != 2 {
			t.Errorf("%d of 2 delivered", n)
		}
		r.close()
	})
}
