// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// TestBeforeDelete: an error postpones; what it appends while the disk is full is
// durable before anything goes.
func TestBeforeDelete(t *testing.T) {
	var c *scene
	var asked []Deletion
	refuse := errors.New("not yet")
	c = newScene(t, func(cfg *Config) {
		cfg.Retention.Batch = 2
		cfg.BeforeDelete = func(d Deletion) error {
			if asked = append(asked, d); len(asked) < 3 {
				return refuse
			}
			// What is about to go can be read, and every one of its queue entries is there.
			if _, release, err := c.s.Record(d.From); err != nil {
				return err
			} else {
				release()
			}
			b := Batch{Vital: true}
			if err := b.Add(c.s.Queue("Discarded", 0), rec(fmt.Sprintf("up to %d", d.End), 10)); err != nil {
				return err
			}
			return c.s.Append(&b)
		}
	})
	c.send(60)
	c.setUsed(0.95)
	for range 2 {
		if d, err := c.s.Retain(true); !errors.Is(err, refuse) || d != (Deletion{}) || c.s.MinPhysical() != 0 {
			t.Fatalf("%+v, %v, the log begins at %d", d, err, c.s.MinPhysical())
		}
	}
	if c.s.DiskFull() == nil {
		t.Fatal("the disk is not full")
	}
	d := c.retain(true)
	if want := (Deletion{From: 0, End: 8192, Files: 2, Why: d.Why}); d != want || !slices.Equal(asked, []Deletion{want, want, want}) {
		t.Fatalf("%+v, asked for %+v", d, asked)
	}
	left := c.m.Crash(vfs.CrashOptions{}) // nothing was flushed but by the deletion
	_ = c.s.Close()
	c.open(left)
	if got := names(t, c.s, c.s.Queue("Discarded", 0), 0); !slices.Equal(got, []string{"up to 8192"}) || c.s.MinPhysical() != 8192 {
		t.Errorf("after a power cut: %v, the log begins at %d", got, c.s.MinPhysical())
	}
	c.check("after a power cut")
	c.close()
}

// TestQueueWithoutRecords: a queue all of whose records are gone goes on at its
// offset, through every kind of stop, also with files of a few entries, and
// without its index.
func TestQueueWithoutRecords(t *testing.T) {
	for _, old := range []int{1, 9, 10, 11, 25} { // a queue file holds 10
		t.Run(fmt.Sprint(old), func(t *testing.T) {
			c := newScene(t)
			q := c.s.Queue("Old", 7)
			put(t, c.s, q, numbered("old", old)...)
			dispatched(t, c.s)
			c.now.Add(hour)
			c.send(90)
			if d := c.retain(true); d.Files < 2 {
				t.Fatalf("%+v", d)
			}
			for _, e := range endings {
				q := c.s.Queue("Old", 7)
				if q.Min() != int64(old) || q.Max() != int64(old) {
					t.Fatalf("before %s the queue is %d to %d, want %d", e.name, q.Min(), q.Max(), old)
				}
				r, err := c.s.Get(q, 0, 1, 100, Filter{})
				if err != nil || r.Status != OffsetTooSmall || r.NextOffset != int64(old) {
					t.Errorf("Get: %+v, %v", r, err)
				}
				r.Release()
				if err := c.s.Flush(c.s.MaxPhysical()); err != nil {
					t.Fatal(err)
				}
				left := e.stop(c.m, testRand(old))
				_ = c.s.Close()
				c.open(left)
			}
			if at := put(t, c.s, c.s.Queue("Old", 7), "new"); at[0].QueueOffset != int64(old) {
				t.Errorf("the next record has offset %d, want %d", at[0].QueueOffset, old)
			}
			dispatched(t, c.s)
			if got := names(t, c.s, c.s.Queue("Old", 7), int64(old)); !slices.Equal(got, []string{"new"}) {
				t.Error(got)
			}
			c.close()
		})
	}
}

// TestNothingQueued: every record that is left is a half message.
func TestNothingQueued(t *testing.T) {
	c := newScene(t)
	put(t, c.s, c.s.Queue("T", 0), numbered("queued", 15)...)
	c.now.Add(hour)
	var b Batch
	for i := range 40 {
		r := rec(fmt.Sprintf("half%d", i), 300)
		r.SysFlag = r.SysFlag.WithTransaction(message.TransactionPrepared)
		if err := b.Add(c.s.Queue("Half", 0), r); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.s.Append(&b); err != nil {
		t.Fatal(err)
	}
	dispatched(t, c.s)
	c.now.Add(11 * hour)
	c.send(1)
	if err := c.s.DeleteTopic(c.queue(0).Topic()); err != nil {
		t.Fatal(err)
	}
	for _, stop := range []func() *vfs.Mem{func() *vfs.Mem { c.close(); return c.m }, func() *vfs.Mem { m := c.m.Kill(); _ = c.s.Close(); return m }} {
		if c.retain(true); c.s.MinPhysical() == 0 {
			t.Fatal("nothing went")
		}
		c.open(stop())
		if q := c.s.Queue("T", 0); q.Min() != 15 || q.Max() != 15 {
			t.Errorf("the queue is %d to %d, want 15", q.Min(), q.Max())
		}
	}
	if at := put(t, c.s, c.s.Queue("T", 0), "new"); at[0].QueueOffset != 15 {
		t.Errorf("the next record has offset %d", at[0].QueueOffset)
	}
	c.close()
}

// TestTombstonesGo: the memory of a deleted topic ends with its records, and does
// not take a topic of the same name for it.
func TestTombstonesGo(t *testing.T) {
	c := newScene(t)
	put(t, c.s, c.s.Queue("D", 0), numbered("gone", 5)...)
	dispatched(t, c.s)
	if err := c.s.DeleteTopic("D"); err != nil {
		t.Fatal(err)
	}
	put(t, c.s, c.s.Queue("D", 0), numbered("again", 5)...)
	c.now.Add(hour)
	c.send(60)
	if len(c.s.deleted.ends) != 1 {
		t.Fatalf("tombstones %v", c.s.deleted.ends)
	}
	c.retain(true)
	if len(c.s.deleted.ends) != 0 {
		t.Errorf("tombstones %v after their records", c.s.deleted.ends)
	}
	for range 2 {
		left := c.m.Crash(vfs.CrashOptions{})
		_ = c.s.Close()
		c.open(left)
		if q := c.s.LookupQueue("D", 0); q == nil || q.Min() != 5 || q.Max() != 5 || len(c.s.deleted.ends) != 0 {
			t.Errorf("the new topic's queue is %+v, tombstones %v", q, c.s.deleted.ends)
		}
	}
	c.close()
}

// TestRetentionErrors: what cannot be removed is removed later; after a failed
// sync the store is read-only.
func TestRetentionErrors(t *testing.T) {
	for _, what := range []struct {
		name  string
		op    vfs.Op
		dir   string
		fatal bool
	}{
		{"log file", vfs.OpRemove, "/commitlog/", false},
		{"queue file", vfs.OpRemove, "/consumequeue/", false},
		{"index file", vfs.OpRemove, "/index/", false},
		{"queue entries", vfs.OpRead, "/consumequeue/", false},
		{"directory of the log", vfs.OpSyncDir, "/commitlog", true},
		{"directory of a queue", vfs.OpSyncDir, "/consumequeue/", true},
		{"directory of the index", vfs.OpSyncDir, "/index", true},
	} {
		t.Run(what.name, func(t *testing.T) {
			c := newScene(t, func(cfg *Config) { cfg.Retention.Batch = 30 })
			c.send(250)
			if err := c.s.flushViews(); err != nil {
				t.Fatal(err)
			}
			hit := 0
			c.m.Fail(func(op vfs.Op, name string) error {
				if op == what.op && strings.Contains(name, what.dir) {
					hit++
					return syscall.EIO
				}
				return nil
			})
			_, err := c.s.Retain(true)
			if hit == 0 || !errors.Is(err, syscall.EIO) {
				t.Fatalf("%d faults, %v", hit, err)
			}
			if (c.s.ReadOnly() != nil) != what.fatal || errors.Is(err, ErrReadOnly) != what.fatal {
				t.Fatalf("read-only: %v, after %v", c.s.ReadOnly(), err)
			}
			c.m.Fail(nil)
			if what.fatal {
				if d, err := c.s.Retain(true); !errors.Is(err, ErrReadOnly) || d.Files != 0 {
					t.Errorf("a round of a failed store: %+v, %v", d, err)
				}
				left := c.m.Crash(vfs.CrashOptions{})
				_ = c.s.Close()
				c.open(left)
			} else {
				c.retain(false)
			}
			for c.retain(true).Files > 0 {
			}
			c.check("healed")
			for _, dir := range []string{"T0/0", "T2/3"} {
				list, err := c.m.ReadDir(path.Join(c.cfg.Dir, "consumequeue", dir))
				if err != nil || len(list) > 2 {
					t.Errorf("queue files %v, %v", list, err)
				}
			}
			c.close()
		})
	}
}

// TestOffsetFrom against the log.
func TestOffsetFrom(t *testing.T) {
	c := newScene(t)
	c.send(60)
	for round := range 2 {
		for end := int64(0); end <= c.s.MaxPhysical()+4096; end += 1024 {
			for i := range sceneTopics * sceneQueues {
				q := c.queue(i)
				want := q.Max()
				for k := len(c.at) - 1; k >= 0; k-- {
					if a := c.at[k]; c.queue(k) == q && a.PhysicalOffset >= max(end, c.s.MinPhysical()) {
						want = a.QueueOffset
					}
				}
				if got, err := c.s.OffsetFrom(q, end); err != nil || got != want {
					t.Fatalf("round %d: from %d of queue %d: %d, want %d (%v)", round, end, i, got, want, err)
				}
			}
		}
		c.retain(true)
	}
	q := c.queue(0)
	c.close()
	if _, err := c.s.OffsetFrom(q, 0); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if _, err := c.s.Retain(true); !errors.Is(err, ErrClosed) {
		t.Errorf("Retain after Close: %v", err)
	}
}

// TestRetainBesideAll: senders, readers and rounds at once. A reader that does
// what Get tells it misses nothing but what is gone.
func TestRetainBesideAll(t *testing.T) {
	c := newScene(t, func(cfg *Config) { cfg.Retention.Reserved = time.Millisecond })
	var wg sync.WaitGroup
	done := make(chan struct{})
	for r := range 2 {
		wg.Go(func() {
			q := c.queue(r)
			for next := int64(0); ; {
				res, err := c.s.Get(q, next, 8, 4096, Filter{})
				if err != nil {
					t.Errorf("get at %d: %v", next, err)
					return
				}
				for _, b := range res.Records {
					_, rec := nameOf(t, b)
					if rec.QueueOffset < next {
						t.Errorf("record %d, asked for %d on", rec.QueueOffset, next)
					}
					if rec.QueueOffset > next {
						if _, err := c.s.StoreTimeAt(q, rec.QueueOffset-1); !errors.Is(err, ErrNotFound) {
							t.Errorf("after %d comes %d, the one before is not gone: %v", next, rec.QueueOffset, err)
						}
					}
					next = rec.QueueOffset + 1
				}
				if res.NextOffset < next {
					t.Errorf("sent back from %d to %d (%v)", next, res.NextOffset, res.Status)
				}
				next = max(next, res.NextOffset)
				res.Release()
				found, err := c.s.Query(q.Topic(), c.name(r), 32, 0, 1<<60)
				if err != nil {
					t.Error(err)
				}
				found.Release()
				if _, err := c.s.OffsetByTime(q, c.now.Load()-hour, Lower); err != nil {
					t.Error(err)
				}
				if _, err := c.s.OffsetFrom(q, c.s.MinPhysical()+4096); err != nil {
					t.Error(err)
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for i := range 60 {
		c.send(12)
		if i%3 == 0 {
			c.retain(true)
		}
	}
	close(done)
	wg.Wait()
	c.retain(true)
	c.check("at the end")
	if n := len(c.s.log.Starts()); n > 12 {
		t.Errorf("%d log files are left", n)
	}
	c.close()
}
