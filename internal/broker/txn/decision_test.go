// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/message"
)

// disk holds up the syncs of a file system, or fails them.
type disk struct {
	stuck  atomic.Bool
	broken atomic.Bool
	free   chan struct{}
}

func newDisk(m *vfs.Mem) *disk {
	d := &disk{free: make(chan struct{})}
	m.Fail(func(op vfs.Op, name string) error {
		if op != vfs.OpSync || !strings.Contains(name, "commitlog") {
			return nil
		}
		if d.stuck.Load() {
			<-d.free
		}
		if d.broken.Load() {
			return errors.New("I/O error")
		}
		return nil
	})
	return d
}

func (d *disk) release() {
	if d.stuck.Swap(false) {
		close(d.free)
	}
}

func silent(ch chan answer) bool {
	synctest.Wait()
	return len(ch) == 0
}

func TestRule2SameDecisionTwiceAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := vfs.NewMem()
		d := newDisk(m)
		defer d.release()
		r := start(t, m, newMarks(), syncFlush)
		at := r.half("g", "k")
		d.stuck.Store(true)
		first, second := r.ask(at, "g", Commit), r.ask(at, "g", Commit)
		if !silent(first) || !silent(second) {
			t.Fatal("answered before the commit was on disk")
		}
		if a := r.end(at, "g", Rollback); a.code != wire.IllegalOperation {
			t.Errorf("a rollback while the commit is being stored: %+v", a)
		}
		if n := r.pending(); n != 1 {
			t.Errorf("%d pending while the commit is being stored", n)
		}
		d.release()
		synctest.Wait()
		for _, ch := range []chan answer{first, second} {
			if len(ch) != 1 || (<-ch).code != wire.Success {
				t.Error("not answered once with success")
			}
		}
		if r.keys("T", 2) != "k" || len(r.records(message.TopicOpHalf, 0)) != 1 {
			t.Errorf("topic holds %q, %d op messages", r.keys("T", 2), len(r.records(message.TopicOpHalf, 0)))
		}
		r.mustEnd(at, "g", Commit) // a third time, later
		if a := r.end(at, "g", Rollback); a.code != wire.IllegalOperation || !strings.Contains(a.remark, "committed") {
			t.Errorf("a rollback after the commit: %+v", a)
		}
		if r.keys("T", 2) != "k" || committed(r.svc.Stats()) != 1 {
			t.Errorf("topic holds %q, %+v", r.keys("T", 2), r.svc.Stats())
		}
	})
}

// TestRule3DecisionWithAFailedSync: nobody knows whether the outcome is on disk, so
// everybody who asks is told that, and no other outcome is taken.
func TestRule3DecisionWithAFailedSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := vfs.NewMem()
		d := newDisk(m)
		defer d.release()
		r := start(t, m, newMarks(), syncFlush)
		p := r.online("g", &producer{})
		at := r.half("g", "k")
		d.stuck.Store(true)
		d.broken.Store(true)
		first, second := r.ask(at, "g", Commit), r.ask(at, "g", Commit)
		synctest.Wait()
		d.release()
		synctest.Wait()
		third := r.ask(at, "g", Commit)
		synctest.Wait()
		for i, ch := range []chan answer{first, second, third} {
			if len(ch) != 1 {
				t.Errorf("commit %d was answered %d times", i+1, len(ch))
			} else if a := <-ch; a.code != wire.ServiceNotAvailable || a.remark == "" {
				t.Errorf("commit %d: %+v", i+1, a)
			}
		}
		if a := r.end(at, "g", Rollback); a.code == wire.Success {
			t.Errorf("a rollback after a commit in doubt: %+v", a)
		}
		after(time.Hour)
		if n := p.count(); n != 0 {
			t.Errorf("%d checks for a decision in doubt", n)
		}
	})
}

// TestDecisionThatCannotBeStored: nothing was written, so the transaction is
// open again and asked about.
func TestDecisionThatCannotBeStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := vfs.NewMem()
		r := start(t, m, newMarks())
		p := r.online("g", &producer{})
		at := r.half("g", "k")
		m.Fail(func(op vfs.Op, name string) error {
			if op == vfs.OpWrite && strings.Contains(name, "commitlog") {
				return errors.New("I/O error")
			}
			return nil
		})
		if a := r.end(at, "g", Commit); a.code != wire.ServiceNotAvailable || !strings.Contains(a.remark, "I/O error") {
			t.Errorf("commit on a broken disk: %+v", a)
		}
		if n := r.pending(); n != 1 || r.keys("T", 2) != "" {
			t.Errorf("%d pending, topic holds %q", n, r.keys("T", 2))
		}
		after(11 * time.Second)
		if n := p.count(); n < 1 {
			t.Errorf("%d checks: the transaction was not due again", n)
		}
	})
}
