// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/vfs"
)

// A process that ends while there is no space loses nothing, and the next one
// says why it can't start until there is.
func TestEndWithoutSpace(t *testing.T) {
	for _, which := range []string{"queue", "index"} {
		for _, end := range []string{"close", "kill", "power"} {
			t.Run(which+", "+end, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m := vfs.NewMem()
					cfg := spaceConfig(m)
					if which == "index" {
						cfg.IndexEntries = 700
					}
					s := open(t, cfg)
					q := s.Queue("T", 0)
					put(t, s, q, "first")
					fill(t, m)
					stored := append([]string{"first"}, putUntilFull(t, s, q, "m")...)
					if err := s.Flush(s.MaxPhysical()); err != nil {
						t.Fatal(err)
					}
					switch end {
					case "close":
						start := time.Now()
						wantNoSpace(t, s.Close())
						if !time.Now().Equal(start) {
							t.Error("Close waits")
						}
						if _, _, err := m.Stat(cfg.Dir + "/abort"); err != nil {
							t.Errorf("no abort file: %v", err)
						}
					case "kill":
						m = m.Kill()
						_ = s.Close()
					case "power":
						m = m.Crash(vfs.CrashOptions{})
						_ = s.Close()
					}
					cfg.FS = m
					for range 3 { // with as little space
						s, err := Open(cfg)
						if err == nil {
							err = s.Close()
						}
						if !errors.Is(err, syscall.ENOSPC) {
							t.Fatalf("a start without space: %v", err)
						}
					}
					m.SetCapacity(0)
					s = open(t, cfg)
					wantAll(t, s, "T", stored)
					closeStore(t, s)
				})
			})
		}
	}
}

// What Close has given up for want of space is missing, also when there is some in
// the moment after.
func TestSpaceRightAfterTheLastTry(t *testing.T) {
	for _, part := range []string{"/consumequeue/", "/index/"} {
		synctest.Test(t, func(t *testing.T) {
			m := vfs.NewMem()
			cfg := spaceConfig(m)
			cfg.IndexEntries = 700
			s := open(t, cfg)
			d := &s.dispatch
			m.Fail(func(op vfs.Op, name string) error {
				if op != vfs.OpWrite || !strings.Contains(name, part) {
					return nil
				}
				if part == "/index/" { // written by its stage, and then by Close
					if d.incomplete {
						return nil
					}
					return syscall.ENOSPC
				}
				d.mu.Lock()
				defer d.mu.Unlock()
				if d.drained {
					return nil
				}
				return syscall.ENOSPC
			})
			stored := putUntilFull(t, s, s.Queue("T", 0), "m")
			wantNoSpace(t, s.Close())
			m.Fail(nil)
			s = open(t, cfg)
			if s.Stats().Recovery.Clean {
				t.Errorf("%s: a clean stop", part)
			}
			wantAll(t, s, "T", stored)
			closeStore(t, s)
		})
	}
}

// A sync that fails for want of space is a failed sync.
func TestSyncWithoutSpaceIsFinal(t *testing.T) {
	for _, c := range []struct {
		op   vfs.Op
		name string
	}{{vfs.OpSync, "/consumequeue/"}, {vfs.OpSyncDir, "/consumequeue"}, {vfs.OpSync, "/index/"}, {vfs.OpSync, "/checkpoint"}, {vfs.OpSync, "/commitlog/"}} {
		t.Run(c.op.String()+c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := vfs.NewMem()
				cfg := spaceConfig(m)
				cfg.ViewFlushInterval, cfg.FlushInterval, cfg.FlushThoroughInterval = time.Second, time.Second, time.Second
				s := open(t, cfg)
				put(t, s, s.Queue("T", 0), "a")
				m.Fail(func(op vfs.Op, name string) error {
					if op == c.op && strings.Contains(name, c.name) {
						return syscall.ENOSPC
					}
					return nil
				})
				time.Sleep(3 * time.Second)
				synctest.Wait()
				m.Fail(nil)
				if err := s.ReadOnly(); !errors.Is(err, syscall.ENOSPC) || s.NoSpace() != nil {
					t.Fatalf("read-only: %v, no space: %v", err, s.NoSpace())
				}
			})
		})
	}
}

// Deleting a topic without the space to note it leaves it as it was.
func TestDeleteTopicWithoutSpace(t *testing.T) {
	m := vfs.NewMem()
	s := open(t, memConfig(m))
	q := s.Queue("T", 0)
	put(t, s, q, numbered("n", 30)...)
	put(t, s, s.Queue("gone", 0), "x")
	if err := s.DeleteTopic("gone"); err != nil {
		t.Fatal(err)
	}
	for _, at := range []vfs.Op{vfs.OpOpen, vfs.OpWrite, vfs.OpRename} {
		m.Fail(func(op vfs.Op, name string) error {
			if op == at && strings.Contains(name, "deletedTopics.json") {
				return syscall.ENOSPC
			}
			return nil
		})
		if err := s.DeleteTopic("T"); !errors.Is(err, ErrNoSpace) {
			t.Fatalf("%v: %v", at, err)
		}
		m.Fail(nil)
		if err := s.ReadOnly(); err != nil || q.Deleted() || s.LookupQueue("T", 0) != q || s.NoSpace() != nil {
			t.Fatalf("%v: read-only %v, no space %v, deleted %v", at, err, s.NoSpace(), q.Deleted())
		}
		put(t, s, q, "more")
	}
	dispatched(t, s)
	want := append(numbered("n", 30), "more", "more", "more")
	if got := names(t, s, q, 0); !slices.Equal(got, want) {
		t.Fatalf("the topic has %v", got)
	}
	put(t, s, s.Queue("V", 0), "x")
	if err := s.DeleteTopic("V"); err != nil { // notes all that is deleted
		t.Fatal(err)
	}
	m = m.Kill()
	_ = s.Close()
	if err := m.RemoveAll("/data/store/consumequeue"); err != nil {
		t.Fatal(err)
	}
	s = open(t, memConfig(m))
	if got := names(t, s, s.Queue("T", 0), 0); !slices.Equal(got, want) {
		t.Fatalf("rebuilt, the topic has %v", got)
	}
	if s.LookupQueue("gone", 0) != nil {
		t.Error("the other topic is back")
	}
	if err := s.DeleteTopic("T"); err != nil || s.LookupQueue("T", 0) != nil {
		t.Fatal(err)
	}
}
