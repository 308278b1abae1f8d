// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/twostage/twostage/internal/store/segment"
	"github.com/twostage/twostage/internal/vfs"
)

// A write into a file just begun finds no space (file system without reservation).
func TestRetainAfterAnEmptyRoll(t *testing.T) {
	c := newScene(t)
	c.send(30)
	last := c.s.log.Starts()
	next := last[len(last)-1] + 4096
	var no atomic.Bool
	c.m.Fail(func(op vfs.Op, name string) error {
		if no.Load() && op == vfs.OpWrite && strings.HasSuffix(name, segment.Name(next)) {
			return syscall.ENOSPC
		}
		return nil
	})
	no.Store(true)
	var b Batch
	for {
		b.Reset()
		if err := b.Add(c.queue(0), rec("x", 600)); err != nil {
			t.Fatal(err)
		}
		if err := c.s.Append(&b); err != nil {
			break
		}
	}
	c.setUsed(0.99)
	if d := c.retain(false); d.Files == 0 {
		t.Error("nothing was deleted")
	}
	no.Store(false)
	c.close()
}

// A disk that shows late what a deletion has freed does not lose more for it.
func TestRetainWhileSpaceShowsLate(t *testing.T) {
	c := newScene(t)
	c.send(80)
	c.now.Store(c.at[0].StoreTimestamp + hour) // nothing has expired
	c.setUsed(0.851)
	if d := c.retain(false); d.Files != 1 || d.Unexpired != 1 {
		t.Errorf("%+v, want one file at a time", d)
	}
	c.close()
}
