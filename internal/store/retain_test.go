// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/store/retention"
	"github.com/twostage/twostage/internal/store/segment"
	"github.com/twostage/twostage/internal/vfs"
)

// TestRetentionByAge: files go when their newest record is older than what is
// reserved, whatever the file system thinks of their age, and nothing but them;
// everything that reads agrees at once and after every kind of stop.
func TestRetentionByAge(t *testing.T) {
	c := newScene(t)
	c.send(150)
	c.check("before")
	if d := c.retain(false); d.Files != 0 || c.s.MinPhysical() != 0 {
		t.Fatalf("deleted at no hour: %+v", d)
	}
	deleted := int64(0)
	for c.s.MinPhysical() < c.at[149].PhysicalOffset-4*4096 {
		d := c.retain(true)
		if d.Files == 0 || d.Files > 10 || d.Unexpired != 0 || d.End != c.s.MinPhysical() || d.End-d.From != int64(d.Files)*4096 || !strings.Contains(d.Why, "asked") {
			t.Fatalf("%+v, the log begins at %d", d, c.s.MinPhysical())
		}
		deleted += int64(d.Files)
		c.check("after a round")
	}
	if d := c.retain(true); d.Files != 0 {
		t.Errorf("unexpired files went: %+v", d)
	}
	// The oldest file that is left holds a record of the last ten hours.
	kept := slices.IndexFunc(c.at, func(a Appended) bool { return a.PhysicalOffset >= c.s.MinPhysical() })
	next := slices.IndexFunc(c.at, func(a Appended) bool { return a.PhysicalOffset >= c.s.MinPhysical()+4096 })
	if limit := c.now.Load() - 10*hour; c.at[kept-1].StoreTimestamp >= limit || c.at[next].StoreTimestamp < limit {
		t.Errorf("the log begins with record %d, the next file with %d of 150", kept, next)
	}
	if st := c.s.Stats(); st.DeletedFiles != deleted || st.DeletedUnexpired != 0 || st.Min != c.s.MinPhysical() {
		t.Errorf("stats %+v, %d files were deleted", st, deleted)
	}
	min := c.s.MinPhysical()
	for _, stop := range []struct {
		name string
		left func() *vfs.Mem
	}{
		{"clean", func() *vfs.Mem { c.close(); return c.m }},
		{"kill", func() *vfs.Mem { m := c.m.Kill(); _ = c.s.Close(); return m }},
		{"power", func() *vfs.Mem {
			if err := c.s.Flush(c.s.MaxPhysical()); err != nil {
				t.Fatal(err)
			}
			m := c.m.Crash(vfs.CrashOptions{})
			_ = c.s.Close()
			return m
		}},
	} {
		c.open(stop.left())
		if c.s.MinPhysical() != min {
			t.Fatalf("%s: the log begins at %d, before at %d", stop.name, c.s.MinPhysical(), min)
		}
		c.check(stop.name)
		c.send(2)
		c.check(stop.name + ", gone on")
	}
	c.close()
}

func TestRetentionHours(t *testing.T) {
	c := newScene(t)
	c.send(60)
	c.close()
	p := *c.cfg.Retention
	at := time.UnixMilli(c.now.Load())
	p.Hours = []int{at.Add(2 * time.Hour).Hour()}
	c.cfg.Retention = &p
	c.open(c.m)
	for _, want := range []bool{false, false, true} {
		if d := c.retain(false); d.Files > 0 != want {
			t.Errorf("at %v, deleteWhen %v: %+v", time.UnixMilli(c.now.Load()), p.Hours, d)
		}
		c.now.Add(hour)
	}
	c.check("at the end")
	c.close()
}

// TestForcedDeletion: unexpired files go one after the other until there is
// space enough, loudly.
func TestForcedDeletion(t *testing.T) {
	var log bytes.Buffer
	var c *scene
	var asked []Deletion
	c = newScene(t, func(cfg *Config) {
		cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
		cfg.Retention.Reserved = 1000 * time.Hour
		cfg.DiskUsed = func() (float64, error) {
			if c == nil || c.s == nil {
				return 0, nil
			}
			return 0.60 + 0.01*float64(len(c.s.log.Starts())), nil
		}
		cfg.BeforeDelete = func(d Deletion) error { asked = append(asked, d); return nil }
	})
	c.send(280)
	before := len(c.s.log.Starts())
	if before < 27 || before > 35 {
		t.Fatalf("%d files", before)
	}
	d := c.retain(false)
	if left := len(c.s.log.Starts()); left != 25 || d.Files != before-25 || d.Unexpired != d.Files || d.From != 0 || d.End != c.s.MinPhysical() {
		t.Errorf("%+v, %d files before and %d now", d, before, left)
	}
	if len(asked) != d.Files || asked[0].Files != 1 || asked[1].From != asked[0].End || asked[0].Unexpired != 1 {
		t.Errorf("BeforeDelete got %+v", asked)
	}
	if st := c.s.Stats(); st.DeletedUnexpired != int64(d.Files) || st.DeletedFiles != int64(d.Files) || st.DiskUsed != 0.85 || st.DiskFull {
		t.Errorf("%+v", st)
	}
	if !strings.Contains(log.String(), "level=ERROR msg=\"store: unexpired messages are deleted") || !strings.Contains(log.String(), "diskSpaceCleanForciblyRatio 85") {
		t.Errorf("log: %s", log.String())
	}
	c.check("forced")
	if d := c.retain(false); d.Files != 0 {
		t.Errorf("again: %+v", d)
	}
	c.close()
}

// A disk that does not get emptier costs one file a round, and never the one that is
// written.
func TestForcedOnADiskThatStaysFull(t *testing.T) {
	c := newScene(t, func(cfg *Config) { cfg.Retention.Reserved, cfg.Retention.Batch = 1000*time.Hour, 3 })
	c.send(60)
	c.setUsed(0.86)
	before := len(c.s.log.Starts())
	for left := before; left > 1; left = len(c.s.log.Starts()) {
		if d := c.retain(false); d.Files != 1 || d.Unexpired != 1 {
			t.Fatalf("%d files, %+v", left, d)
		}
		c.check("after a batch")
	}
	if d := c.retain(true); d.Files != 0 {
		t.Errorf("the file that is written went: %+v", d)
	}
	c.send(30)
	c.check("gone on")
	c.close()
}

// TestDiskFull: writes are refused by the first round that finds the disk full
// and taken again by the one that finds space, reads go on, vital records pass.
func TestDiskFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newScene(t, func(cfg *Config) {
			cfg.RetentionInterval = 10 * time.Second
			cfg.Retention.Forcibly = false
		})
		c.send(30)
		var b, vital Batch
		vital.Vital = true
		for _, batch := range []*Batch{&b, &vital} {
			if err := batch.Add(c.s.Queue("V", 0), rec("v", 10)); err != nil {
				t.Fatal(err)
			}
		}
		for _, step := range []struct {
			used float64
			key  string // "" when writes are taken
		}{{0.85, ""}, {0.86, "diskSpaceCleanForciblyRatio 85"}, {0.93, "diskSpaceWarningLevelRatio 90"}, {0.851, "diskSpaceCleanForciblyRatio 85"},
			{0.85, ""}, {0.89, "cleanFileForciblyEnable"}, {0.2, ""}} {
			c.setUsed(step.used)
			time.Sleep(10*time.Second + time.Millisecond)
			err := c.s.Append(&b)
			if (err == nil) != (step.key == "") || err != nil && (!errors.Is(err, ErrDiskFull) || !strings.Contains(err.Error(), step.key)) {
				t.Errorf("at %v: %v", step.used, err)
			}
			if full := c.s.DiskFull(); (full == nil) != (err == nil) || c.s.Stats().DiskFull != (err != nil) || c.s.Stats().DiskUsed != step.used {
				t.Errorf("at %v: %v, %+v", step.used, full, c.s.Stats())
			}
			if err := c.s.Append(&vital); err != nil {
				t.Errorf("vital at %v: %v", step.used, err)
			}
			c.check("full or not")
		}
		c.setUsed(0.95)
		c.close()
		c.open(c.m) // and at once when it is opened
		if err := c.s.Append(&b); !errors.Is(err, ErrDiskFull) {
			t.Errorf("after Open: %v", err)
		}
		c.close()
	})
}

// TestDiskUsedUnknown: how full the disk is, is told once, and stays as it was.
func TestDiskUsedUnknown(t *testing.T) {
	var log bytes.Buffer
	used, err := 0.95, error(nil)
	c := newScene(t, func(cfg *Config) {
		cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
		cfg.DiskUsed = func() (float64, error) { return used, err }
	})
	err = syscall.EIO
	for range 3 {
		c.retain(false)
	}
	if c.s.DiskFull() == nil || c.s.Stats().DiskUsed >= 0 || strings.Count(log.String(), "is not known") != 1 {
		t.Errorf("%v, %+v, %s", c.s.DiskFull(), c.s.Stats(), log.String())
	}
	used, err = 0.5, nil
	c.retain(false)
	if err := c.s.DiskFull(); err != nil {
		t.Error(err)
	}
	c.send(30)
	err = syscall.EIO
	if c.retain(false); c.s.MinPhysical() == 0 {
		t.Error("expired files stay while it is not known how full the disk is")
	}
	c.close()
}

// TestDefaultDiskUsed asks the file system.
func TestDefaultDiskUsed(t *testing.T) {
	c := newScene(t, func(cfg *Config) { cfg.DiskUsed = nil })
	c.send(100)
	if err := c.s.flushViews(); err != nil {
		t.Fatal(err)
	}
	u, err := c.m.Usage("/")
	if err != nil {
		t.Fatal(err)
	}
	c.retain(false)
	if err := c.s.DiskFull(); err != nil {
		t.Fatal(err)
	}
	c.m.SetCapacity(u.Used * 100 / 96)
	if d := c.retain(false); d.Files == 0 || c.s.DiskFull() != nil { // what is expired is enough
		t.Errorf("%+v, %v", d, c.s.DiskFull())
	}
	c.retain(false) // the queues have followed
	u, err = c.m.Usage("/")
	if got := c.s.Stats().DiskUsed; err != nil || got != u.Ratio() {
		t.Errorf("used %v, %v of %+v, %v", got, u.Ratio(), u, err)
	}
	c.close()
	c.m.SetCapacity(u.Used)
	p := *c.cfg.Retention
	p.Forcibly = false
	c.cfg.Retention = &p
	c.open(c.m)
	if !errors.Is(c.s.DiskFull(), ErrDiskFull) {
		t.Errorf("a full disk: %v", c.s.DiskFull())
	}
	c.m.SetCapacity(0)
	c.close()
}

// TestNoSpaceIsFreed: on a disk without a free byte, with queue entries waiting
// for space, a round still deletes, and the store goes on by itself.
func TestNoSpaceIsFreed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c *scene
		var said atomic.Int64
		c = newScene(t, func(cfg *Config) {
			cfg.DiskUsed, cfg.RetentionInterval = nil, 10*time.Second
			cfg.Retention.Reserved = 1000 * time.Hour
			cfg.BeforeDelete = func(Deletion) error {
				b := Batch{Vital: true}
				if err := b.Add(c.s.Queue("Discarded", 0), rec("x", 1)); err != nil {
					return err
				}
				said.Add(1)
				return c.s.Append(&b)
			}
		})
		c.send(100)
		if err := c.s.flushViews(); err != nil {
			t.Fatal(err)
		}
		c.send(30)
		synctest.Wait() // the next log file is reserved
		u, err := c.m.Usage("/")
		if err != nil {
			t.Fatal(err)
		}
		c.m.SetCapacity(u.Used)
		if err := c.s.flushViews(); !errors.Is(err, ErrNoSpace) {
			t.Fatalf("a flush: %v", err)
		}
		var b Batch
		if err := b.Add(c.s.Queue("N", 0), rec("n", 300)); err != nil {
			t.Fatal(err)
		}
		if err := c.s.Append(&b); !errors.Is(err, ErrNoSpace) {
			t.Fatalf("Append: %v", err)
		}
		if d, err := c.s.Retain(false); err != nil || d.Files == 0 || d.Unexpired != d.Files || said.Load() != int64(d.Files) {
			t.Fatalf("%+v, %v, %d said", d, err, said.Load())
		}
		time.Sleep(time.Minute) // one round may not be enough
		if err := c.s.NoSpace(); err != nil {
			t.Errorf("afterwards: %v", err)
		}
		if err := c.s.Append(&b); err != nil {
			t.Errorf("Append afterwards: %v", err)
		}
		c.check("afterwards")
		left := c.m.Kill()
		_ = c.s.Close()
		c.open(left)
		c.check("after a kill")
		c.m.SetCapacity(0)
		c.close()
	})
}

func TestRetentionConfig(t *testing.T) {
	cfg := memConfig(vfs.NewMem())
	cfg.Retention = &retention.Policy{Reserved: time.Hour, Hours: []int{24}, MaxUsed: 75, CleanForcibly: 85, Warning: 90, Batch: 1}
	if _, err := Open(cfg); err == nil || !strings.Contains(err.Error(), "deleteWhen") {
		t.Errorf("Open: %v", err)
	}
	cfg.Retention = nil
	cfg.DiskUsed = func() (float64, error) { return 1, nil }
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, s.Queue("T", 0), numbered("m", 200)...)
	if d, err := s.Retain(true); err != nil || d != (Deletion{}) || s.MinPhysical() != 0 || s.DiskFull() != nil {
		t.Errorf("without a policy: %+v, %v, %v", d, err, s.DiskFull())
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestViewOutlivesDeletion: what a reader holds stays, the space follows when it
// lets go.
func TestViewOutlivesDeletion(t *testing.T) {
	c := newScene(t)
	c.send(60)
	r, err := c.s.Get(c.queue(0), 0, 32, 1<<20, Filter{})
	if err != nil || len(r.Records) != 5 {
		t.Fatalf("%d records, %v", len(r.Records), err)
	}
	space := func() int64 {
		u, err := c.m.Usage("/")
		if err != nil {
			t.Fatal(err)
		}
		return u.Used
	}
	name := segment.Join(c.s.cfg.CommitLog, 0)
	c.retain(true)
	if _, _, err := c.m.Stat(name); err == nil {
		t.Error("the file is still there")
	}
	before := space()
	for i, b := range r.Records {
		if got, _ := nameOf(t, b); got != c.name(i*sceneTopics*sceneQueues) {
			t.Errorf("record %d is %q", i, got)
		}
	}
	r.Release()
	if after := space(); after >= before {
		t.Errorf("%d bytes used after the release, %d before", after, before)
	}
	c.check("after")
	c.close()
}
