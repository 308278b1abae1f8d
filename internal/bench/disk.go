// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/twostage/twostage/internal/vfs"
)

// Disk is the floor of a disk: what bare writes reach there, one behind the other
// into files that are reserved beforehand as those of the commit log are.
type Disk struct {
	FS       vfs.FS
	Dir      string        // where the files stand, in a directory of their own that is removed in the end
	FileSize int64         // bytes of one file
	Bytes    int64         // a run ends when so many are written, rounded up to whole files
	Duration time.Duration // a run ends after so long
}

// DiskResult is what a run measured.
type DiskResult struct {
	Writes  int64
	Bytes   int64
	Syncs   int64
	Elapsed time.Duration
	Latency *hdrhistogram.Histogram // of a write, with its sync where each has one, in nanoseconds
}

// BytesPerSecond is the throughput.
func (r *DiskResult) BytesPerSecond() float64 { return float64(r.Bytes) / r.Elapsed.Seconds() }

// WritesPerSecond is how many writes there were a second.
func (r *DiskResult) WritesPerSecond() float64 { return float64(r.Writes) / r.Elapsed.Seconds() }

// Sequential writes block bytes at a time. With every above 0 what was written is
// made durable (fdatasync) at such intervals, while writing goes on.
func (d *Disk) Sequential(ctx context.Context, block int, every time.Duration) (*DiskResult, error) {
	return d.run(ctx, d.Bytes, block, func(r *diskRun) error {
		if every <= 0 {
			return r.writes(ctx, func(vfs.File) error { return nil })
		}
		quit, synced := make(chan struct{}), make(chan error, 1)
		go func() { synced <- r.syncs(every, quit) }()
		err := r.writes(ctx, func(vfs.File) error { return nil })
		close(quit)
		return errors.Join(err, <-synced)
	})
}

// Synced writes block bytes and makes them durable (fdatasync), over and over, in
// one file.
func (d *Disk) Synced(ctx context.Context, block int) (*DiskResult, error) {
	return d.run(ctx, min(d.Bytes, d.FileSize), block, func(r *diskRun) error {
		return r.writes(ctx, func(f vfs.File) error {
			r.res.Syncs++
			return f.Sync()
		})
	})
}

// diskRun is one run over its files.
type diskRun struct {
	*Disk
	files   []vfs.File
	current atomic.Int64 // the file that is written
	block   []byte
	res     DiskResult
}

// run reserves files for size bytes, has fn write, and removes the files.
func (d *Disk) run(ctx context.Context, size int64, block int, fn func(*diskRun) error) (res *DiskResult, err error) {
	if d.FileSize < 1 || size < 1 || d.Duration <= 0 || block < 1 || int64(block) > d.FileSize {
		return nil, fmt.Errorf("bench: writes of %d bytes, %d in all, into files of %d, for %v: there must be some, and a write must fit into a file", block, size, d.FileSize, d.Duration)
	}
	dir := filepath.Join(d.Dir, fmt.Sprintf("twostage-bench-disk-%d", os.Getpid()))
	if _, _, err := d.FS.Stat(dir); err == nil {
		return nil, fmt.Errorf("bench: %s is there already: remove it", dir)
	}
	r := &diskRun{Disk: d, block: bytes.Repeat([]byte("0123456789abcdef"), block/16+1)[:block]}
	defer func() {
		for _, f := range r.files {
			err = errors.Join(err, f.Close())
		}
		err = errors.Join(err, d.FS.RemoveAll(dir))
	}()
	if err := d.FS.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	for at := int64(0); at < size; at += d.FileSize {
		f, err := d.FS.OpenFile(filepath.Join(dir, fmt.Sprintf("%020d", at)), os.O_RDWR|os.O_CREATE|os.O_EXCL)
		if err != nil {
			return nil, fmt.Errorf("bench: %w", err)
		}
		r.files = append(r.files, f)
		if err := f.Preallocate(d.FileSize); err != nil {
			return nil, fmt.Errorf("bench: reserving %d bytes, write less: %w", size, err)
		}
		if err := f.Sync(); err != nil {
			return nil, fmt.Errorf("bench: %w", err)
		}
	}
	r.res.Latency = newHistogram()
	start := time.Now()
	if err := fn(r); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	r.res.Elapsed = time.Since(start)
	r.res.Bytes = r.res.Writes * int64(block)
	return &r.res, nil
}

// writes writes until the files are full or the time is over; then is called
// after each write, and counts as a part of it.
func (r *diskRun) writes(ctx context.Context, then func(vfs.File) error) error {
	now := time.Now()
	end := now.Add(r.Duration)
	for i, f := range r.files {
		r.current.Store(int64(i))
		for at := int64(0); at+int64(len(r.block)) <= r.FileSize; at += int64(len(r.block)) {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if !now.Before(end) {
				return nil
			}
			if _, err := f.WriteAt(r.block, at); err != nil {
				return err
			}
			if err := then(f); err != nil {
				return err
			}
			r.res.Writes++
			written := time.Now()
			_ = r.res.Latency.RecordValue(int64(min(max(written.Sub(now), 0), longest))) // in range
			now = written
		}
	}
	return nil
}

// syncs makes what was written durable every so often until quit is closed.
func (r *diskRun) syncs(every time.Duration, quit <-chan struct{}) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	first := int64(0)
	for {
		select {
		case <-quit:
			return nil
		case <-tick.C:
		}
		for last := r.current.Load(); ; first++ {
			if err := r.files[first].Sync(); err != nil {
				return err
			}
			if first == last {
				break // it is still written
			}
		}
		r.res.Syncs++
	}
}
