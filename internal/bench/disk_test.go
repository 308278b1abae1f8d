// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/vfs"
)

func TestDisk(t *testing.T) {
	dir := t.TempDir()
	for name, d := range map[string]*Disk{
		"memory": {FS: vfs.NewMem(), Dir: "/"},
		"disk":   {FS: vfs.OS(), Dir: dir},
	} {
		d.FileSize, d.Bytes, d.Duration = 10_000, 35_000, time.Hour
		res, err := d.Sequential(context.Background(), 3000, 0)
		if err != nil {
			t.Fatal(name, err)
		}
		if res.Writes != 12 || res.Bytes != 36_000 || res.Syncs != 0 || res.Latency.TotalCount() != 12 || res.BytesPerSecond() <= 0 {
			t.Errorf("%s: %+v, want 3 writes into each of 4 files", name, res)
		}
		if res, err = d.Synced(context.Background(), 1000); err != nil || res.Writes != 10 || res.Syncs != 10 || res.Bytes != 10_000 {
			t.Errorf("%s: %+v %v, want 10 writes into one file, each with a sync", name, res, err)
		}
		d.Duration = time.Nanosecond
		if res, err = d.Synced(context.Background(), 1000); err != nil || res.Writes > 1 {
			t.Errorf("%s: %+v %v, want the time to end it", name, res, err)
		}
		if left, err := d.FS.ReadDir(d.Dir); err != nil || len(left) > 0 {
			t.Errorf("%s: %q is left, %v", name, left, err)
		}
	}
}

// TestDiskSyncs has all files synced while they are written, by a goroutine that
// is over when the run is.
func TestDiskSyncs(t *testing.T) {
	m := vfs.NewMem()
	d := &Disk{FS: m, Dir: "/", FileSize: 1000, Bytes: 5000, Duration: time.Hour}
	var running atomic.Bool
	var writes atomic.Int64
	synced := make(chan struct{}, 1000)
	m.Fail(func(op vfs.Op, name string) error {
		switch op {
		case vfs.OpWrite:
			running.Store(true)
			if writes.Add(1)%10 == 0 { // at the end of each file: until a sync came
				<-synced
			}
		case vfs.OpSync:
			if running.Load() {
				select {
				case synced <- struct{}{}:
				default:
				}
			}
		}
		return nil
	})
	res, err := d.Sequential(context.Background(), 100, time.Microsecond)
	if err != nil || res.Writes != 50 || res.Syncs < 1 {
		t.Errorf("%+v, %v", res, err)
	}
}

func TestDiskFails(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		op     vfs.Op
		synced bool
	}{{vfs.OpOpen, false}, {vfs.OpPreallocate, false}, {vfs.OpSync, false}, {vfs.OpWrite, false}, {vfs.OpWrite, true}, {vfs.OpSync, true}} {
		m := vfs.NewMem()
		d := &Disk{FS: m, Dir: "/", FileSize: 1000, Bytes: 2000, Duration: time.Hour}
		m.Fail(func(op vfs.Op, name string) error {
			if op == c.op {
				return broken
			}
			return nil
		})
		var err error
		if c.synced {
			_, err = d.Synced(context.Background(), 10)
		} else {
			_, err = d.Sequential(context.Background(), 10, time.Microsecond)
		}
		if !errors.Is(err, broken) {
			t.Errorf("%v: %v", c.op, err)
		}
		m.Fail(nil)
		if left, err := m.ReadDir("/"); err != nil || len(left) > 0 {
			t.Errorf("%v: %q is left, %v", c.op, left, err)
		}
	}
	m := vfs.NewMem()
	d := &Disk{FS: m, Dir: "/", FileSize: 1000, Bytes: 2000, Duration: time.Hour}
	m.SetCapacity(1500)
	if _, err := d.Sequential(context.Background(), 10, 0); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "reserving 2000 bytes, write less") {
		t.Errorf("no space: %v", err)
	}
	m.SetCapacity(0)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := d.Sequential(ctx, 10, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	if _, err := d.Sequential(ctx, 1001, 0); err == nil || !strings.Contains(err.Error(), "must fit into a file") {
		t.Errorf("too much at once: %v", err)
	}
	own := filepath.Join("/", fmt.Sprintf("twostage-bench-disk-%d", os.Getpid()))
	if err := m.MkdirAll(own); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Synced(context.Background(), 10); err == nil || !strings.Contains(err.Error(), own+" is there already: remove it") {
		t.Errorf("the directory is there: %v", err)
	}
	if _, _, err := m.Stat(own); err != nil {
		t.Errorf("what was there is gone: %v", err)
	}
}

func TestDropCaches(t *testing.T) {
	file := filepath.Join(t.TempDir(), "drop_caches")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	synced := 0
	if err := dropCaches(file, func() { synced++ }); err != nil || synced != 1 {
		t.Errorf("%v, %d syncs", err, synced)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "3\n" {
		t.Errorf("%q, %v", b, err)
	}
	// A kernel parameter that even root cannot open to write.
	if err := dropCaches("/proc/sys/kernel/ostype", func() { synced++ }); err == nil || !strings.Contains(err.Error(), "it takes root") || synced != 1 {
		t.Errorf("not allowed: %v", err)
	}
	if err := dropCaches(file+".gone", func() { synced++ }); !errors.Is(err, os.ErrNotExist) || synced != 1 {
		t.Errorf("not there: %v", err)
	}
}

func TestProcess(t *testing.T) {
	if n, err := processReads(os.Getpid()); err != nil || n < 0 {
		t.Errorf("%d, %v", n, err)
	}
	for _, read := range []func(int) error{
		func(pid int) error { _, err := processReads(pid); return err },
		func(pid int) error { _, err := ProcessCPU(pid); return err },
	} {
		if err := read(-1); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("of no process: %v", err)
		}
	}
}

func TestSeveral(t *testing.T) {
	for _, n := range []int{0, 1, 5, 100} {
		var sum, most, now atomic.Int64
		err := Several(context.Background(), n, 4, func(_ context.Context, i int) error {
			if at := now.Add(1); at > most.Load() {
				most.Store(at)
			}
			sum.Add(int64(i))
			now.Add(-1)
			return nil
		})
		if err != nil || sum.Load() != int64(n*(n-1)/2) || most.Load() > 4 {
			t.Errorf("%d: sum %d, %d at a time, %v", n, sum.Load(), most.Load(), err)
		}
	}
	broken := errors.New("broken")
	var calls atomic.Int64
	err := Several(context.Background(), 1000, 2, func(ctx context.Context, i int) error {
		calls.Add(1)
		if i == 3 {
			return broken
		}
		if i > 3 {
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	})
	if !errors.Is(err, broken) || calls.Load() > 5 {
		t.Errorf("%v after %d calls", err, calls.Load())
	}
}
