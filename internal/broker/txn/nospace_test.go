// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/broker/txn/state"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/message"
)

// A start that has no space to complete what a power cut has torn does not begin,
// and a later one completes it: nothing else is decided in between, and a stop in
// good order does not make the torn outcome look like a whole one.
func TestRule1MendedWithoutSpace(t *testing.T) {
	for name, change := range policies {
		for _, left := range []string{"the committed record", "the op message", "one op message of two"} {
			synctest.Test(t, func(t *testing.T) {
				r := start(t, vfs.NewMem(), newMarks(), change...)
				at := r.put(message.TopicHalf, 0, javaHalf("k"), javaHalf("k"))
				committed := javaHalf("k")
				committed.SysFlag, committed.PreparedOffset = message.TransactionCommit, at[1].PhysicalOffset
				first, size := op("0"), at[0].Size
				if left != "the op message" {
					size = r.put("T", 2, committed)[0].Size
				}
				first.Flag, first.PreparedOffset = opFlag(Commit, int(size)), at[1].QueueOffset
				if left != "the committed record" {
					r.put(message.TopicOpHalf, 0, first)
				}
				r.put("U", 0, javaHalf("behind"), javaHalf("it")) // the last record that a start in good order reads
				m := r.fs.Crash(vfs.CrashOptions{Data: vfs.KeepAll, Names: vfs.KeepAll})
				r.stop()
				for range 2 {
					n := &rig{t: t, fs: m, marks: r.marks, producers: map[string][]*producer{}, watched: new(watchedLog)}
					n.watched.fails.Store(true)
					if err := n.start(change...); err == nil || !strings.Contains(err.Error(), "no room") {
						t.Fatalf("%s, %s is left: started: %v", name, left, err)
					}
					after(time.Hour)
				}
				n := start(t, m, r.marks, change...)
				synctest.Wait()
				for _, a := range at {
					if kind, open, _, err := n.fate(a); kind != state.Committed || open || err != nil {
						t.Errorf("%s, %s is left: the one at %d is %v, open: %v, %v", name, left, a.QueueOffset, kind, open, err)
					}
					n.want("other outcome", n.end(a, "g", Rollback), wire.IllegalOperation)
				}
				if got := n.keys("T", 2); got != "k" {
					t.Errorf("%s, %s is left: topic holds %q", name, left, got)
				}
			})
		}
	}
}

// While the disk is full for everything but the log, outcomes are taken and what
// can't be noted is noted later; half messages are refused. While it is full for the
// log too, both are refused, and decided when there is space.
func TestRule1WithoutSpace(t *testing.T) {
	for name, change := range policies {
		synctest.Test(t, func(t *testing.T) {
			m := vfs.NewMem()
			var log, rest atomic.Bool
			m.Fail(func(op vfs.Op, name string) error {
				switch {
				case op == vfs.OpPreallocate && log.Load():
				case op == vfs.OpWrite && rest.Load() && !strings.Contains(name, "/commitlog/"):
				default:
					return nil
				}
				return syscall.ENOSPC
			})
			r := start(t, m, newMarks(), change...)
			var early []store.Appended
			for i := range int64(20) {
				early = append(early, r.half("g", "early"+itoa(i)))
			}
			rest.Store(true)
			after(10 * time.Second) // the views can't be flushed
			if _, err := r.tryHalf(prepared("g", "late")); err == nil {
				t.Fatalf("%s: a half message was taken without space", name)
			}
			for i, a := range early[:10] {
				r.mustEnd(a, "g", []Outcome{Commit, Rollback}[i%2])
			}
			log.Store(true)
			big := strings.Repeat("x", 4<<10)
			rest.Store(false)
			after(10 * time.Second)
			for i := 0; ; i++ { // up to the end of the log file
				if _, err := r.tryHalf(prepared("big", "big"+itoa(int64(i)), "filler", big)); err != nil {
					break
				}
				if i > 100 {
					t.Fatalf("%s: never full", name)
				}
			}
			refused := 0
			for _, a := range early[10:] {
				if got := r.end(a, "g", Commit); got.code == wire.ServiceNotAvailable {
					refused++
				} else {
					r.want("a commit that fits", got, wire.Success)
				}
			}
			rest.Store(true)
			after(20 * time.Second)
			log.Store(false)
			rest.Store(false)
			after(20 * time.Second)
			for _, a := range early[10:] {
				r.mustEnd(a, "g", Commit)
			}
			for range 2 {
				for i, a := range early {
					want := state.Committed
					if i < 10 && i%2 == 1 {
						want = state.RolledBack
					}
					if kind, open, _, err := r.fate(a); kind != want || open || err != nil {
						t.Errorf("%s: %d is %v, open %v, %v (%d were refused)", name, i, kind, open, err, refused)
					}
				}
				r = r.again(change...)
			}
			if got := len(r.records("T", 2)); got != 15 {
				t.Errorf("%s: %d committed messages, want 15", name, got)
			}
		})
	}
}
