// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package delay

import (
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
)

// A level that has waited long for space is as patient as before with a disk that
// can't be read for a moment.
func TestFullThenUnreadable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := vfs.NewMem()
		r := start(t, m, func(c *store.Config, _ *Config) { c.CommitLogFileSize = 4096 })
		for i := range 60 {
			r.mustSend("A", 0, sent("1", string(rune('a'+i%26))))
		}
		synctest.Wait()
		var full, hiccup atomic.Bool
		var errs atomic.Int64
		m.Fail(func(op vfs.Op, name string) error {
			if full.Load() && op == vfs.OpPreallocate {
				return syscall.ENOSPC
			}
			if hiccup.Load() && op == vfs.OpRead && strings.Contains(name, "/commitlog/") {
				errs.Add(1)
				return syscall.EIO
			}
			return nil
		})
		full.Store(true)
		after(10 * time.Minute)
		hiccup.Store(true) // one try long
		after(longestRetry * time.Millisecond)
		hiccup.Store(false)
		full.Store(false)
		after(time.Minute)
		if errs.Load() == 0 {
			t.Fatal("no read has failed")
		}
		if n := len(r.records("A", 0)); n != 60 {
			t.Errorf("%d of 60 delivered, %d skipped: sound messages are lost", n, r.svc.Skipped())
		}
	})
}

// A process that has no file descriptors left, or no memory, for minutes loses
// nothing by that: its messages are sound.
func TestTooManyOpenFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := vfs.NewMem()
		r := start(t, m)
		var none atomic.Bool
		var errs atomic.Int64
		m.Fail(func(op vfs.Op, name string) error {
			if none.Load() && op == vfs.OpRead && strings.Contains(name, "/commitlog/") {
				errs.Add(1)
				return syscall.EMFILE
			}
			return nil
		})
		for i := range 10 {
			r.mustSend("A", 0, sent("1", string(rune('a'+i))))
		}
		after(500 * time.Millisecond)
		none.Store(true)
		after(10 * time.Minute)
		none.Store(false)
		after(time.Minute)
		if n := len(r.records("A", 0)); n != 10 || r.svc.Skipped() != 0 || errs.Load() < 30 {
			t.Errorf("%d of 10 delivered, %d skipped, %d errors", n, r.svc.Skipped(), errs.Load())
		}
		r.close()
	})
}
