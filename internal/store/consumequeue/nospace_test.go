// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package consumequeue_test

import (
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
)

// A flush that fails for want of space, again and again, tries each queue once.
func TestFlushesWithoutSpaceTryOnce(t *testing.T) {
	m := newMem(t)
	s := open(t, m, 100_000)
	defer s.Close()
	const queues = 5
	for id := range int32(queues) {
		appendRecords(t, s.Queue("T", id), 0, 10)
	}
	var tried atomic.Int64
	m.Fail(func(op vfs.Op, _ string) error {
		if op == vfs.OpWrite {
			tried.Add(1)
			return syscall.ENOSPC
		}
		return nil
	})
	for i := range int64(20) {
		wantErr(t, s.Flush(), syscall.ENOSPC)
		if n := tried.Load(); n != queues*(i+1) {
			t.Fatalf("%d writes in %d flushes of %d queues", n, i+1, queues)
		}
	}
	m.Fail(nil)
	must(t, s.Flush())
}
