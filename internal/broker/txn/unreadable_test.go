// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
)

// late is offsets whose first question, when the store is open, makes the log
// unreadable for a while.
type late struct {
	*marks
	m     *vfs.Mem
	lasts time.Duration
}

func (l late) Query(group, topic string, queue int32) (int64, bool) {
	until := time.Now().Add(l.lasts)
	l.m.Fail(func(op vfs.Op, name string) error {
		if op == vfs.OpRead && strings.Contains(name, "/commitlog/") && time.Now().Before(until) {
			return syscall.EIO
		}
		return nil
	})
	return l.marks.Query(group, topic, queue)
}

// TestStartOnABadDisk: the start waits for a disk that is late, so that it
// forgets no transaction, and does not wait for ever.
func TestStartOnABadDisk(t *testing.T) {
	for _, lasting := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, vfs.NewMem(), newMarks())
			r.half("g", "open")
			r.mustEnd(r.half("g", "done"), "g", Commit)
			synctest.Wait()
			m := r.fs.Kill()
			r.stop()
			if err := m.RemoveAll("/data/transactions"); err != nil { // all of it is read again
				t.Fatal(err)
			}
			bad := 90 * time.Second
			if lasting {
				bad = 24 * time.Hour
			}
			began := time.Now()
			r = start(t, m, newMarks(), func(_ *store.Config, c *Config) { c.Offsets = late{newMarks(), m, bad} })
			took := time.Since(began)
			m.Fail(nil)
			if lasting {
				if took < 2*time.Minute || took > 3*time.Minute || r.pending() != 0 {
					t.Errorf("started after %v with %d pending", took, r.pending())
				}
				return
			}
			if took < bad || took > bad+2*time.Second {
				t.Errorf("started after %v", took)
			}
			if open := r.open(); len(open) != 1 || open["open"] != 1 {
				t.Errorf("pending: %v", open)
			}
			if keys := r.keys("T", 2); keys != "done" {
				t.Errorf("committed: %q", keys)
			}
		})
	}
}
