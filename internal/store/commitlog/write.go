// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package commitlog

import (
	"errors"
	"fmt"

	"github.com/twostage/twostage/internal/store/segment"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// Room is how many bytes of records may still be written into the file that End
// is in: what is left of it, less a blank marker. It is negative or zero when
// the next record needs Roll. Writer only.
func (l *Log) Room() int64 {
	if l.active == nil {
		return 0
	}
	return l.active.start + l.opt.FileSize - l.end.Load() - message.BlankSize
}

// MaxSize is the largest record that fits into a file.
func (l *Log) MaxSize() int64 { return l.opt.FileSize - message.BlankSize }

// Roll makes the next file the one to write to, marking what is left of the
// present one as blank. Without a file reserved ahead it reserves one here, and
// an error of that (no space) leaves the log as it was: the caller may try
// again later. Writer only.
func (l *Log) Roll() error {
	if err := l.Err(); err != nil {
		return err
	}
	end := l.end.Load()
	next := end
	if l.active != nil {
		next = l.active.start + l.opt.FileSize
	} else if end%l.opt.FileSize != 0 {
		return l.Fail(fmt.Errorf("commitlog: the log ends at %d, in a file that does not exist", end))
	}
	f, err := l.nextFile(next)
	if err != nil {
		return err
	}
	if err := f.acquire(); err != nil {
		l.ahead.put(next)
		return err
	}
	if old := l.active; old != nil && end < next {
		var blank [message.BlankSize]byte
		message.AppendBlank(blank[:0], int32(next-end))
		if n, err := old.f.WriteAt(blank[:], end-old.start); err != nil {
			f.release()
			l.ahead.put(next)
			return l.unwritten(end, n, fmt.Errorf("commitlog: write %s: %w", old.path, err))
		}
	}
	l.setActive(f)
	l.end.Store(next)
	return nil
}

// setActive makes f, which the caller has acquired, the file to write to and
// adds it to the list unless it is there.
func (l *Log) setActive(f *file) {
	l.listMu.Lock()
	files := *l.files.Load()
	if n := len(files); n == 0 || files[n-1] != f {
		grown := make([]*file, n+1)
		copy(grown, files)
		grown[n] = f
		l.files.Store(&grown)
	}
	if n := len(l.unsynced); n == 0 || l.unsynced[n-1] != f {
		if err := f.acquire(); err == nil { // cannot fail: the caller holds a reference
			l.unsynced = append(l.unsynced, f)
		}
	}
	l.listMu.Unlock()
	if l.active != nil {
		l.active.release()
	}
	l.active = f
}

// Write appends p, whole records of at most Room bytes together whose greatest
// store timestamp is ts (ms), with one write. After an error that wraps ErrFailed
// no write is possible any more; for want of space (vfs.NoSpace) nothing is written
// and the caller may try again. Writer only.
func (l *Log) Write(p []byte, ts int64) error {
	if err := l.Err(); err != nil {
		return err
	}
	end := l.end.Load()
	if int64(len(p)) > l.Room() {
		return fmt.Errorf("commitlog: %d bytes do not fit into the %d that are left in the file", len(p), l.Room())
	}
	if n, err := l.active.f.WriteAt(p, end-l.active.start); err != nil {
		return l.unwritten(end, n, fmt.Errorf("commitlog: write %s: %w", l.active.path, err))
	}
	l.end.Store(end + int64(len(p)))
	if ts > l.lastTS.Load() { // one writer
		l.lastTS.Store(ts)
	}
	if l.end.Load()-l.active.start > l.opt.FileSize/2 {
		l.ahead.want(l.active.start + l.opt.FileSize)
	}
	return nil
}

// unwritten deals with a write at end of which n bytes were written before err. No
// space, which a file system gives here that does not reserve or that copies on
// write, is no failure if those bytes can be taken back: what stands behind End
// must be zero.
func (l *Log) unwritten(end int64, n int, err error) error {
	if !vfs.NoSpace(err) {
		return l.Fail(err)
	}
	if n > 0 {
		if _, undo := l.active.f.WriteAt(make([]byte, n), end-l.active.start); undo != nil {
			return l.Fail(errors.Join(err, undo))
		}
	}
	return err
}

// Sync makes everything that is written when it is called durable and returns
// up to where the log is durable and the greatest store timestamp (ms) of what
// is covered. After an error, which wraps ErrFailed, no write and no sync is
// possible any more. Any number of goroutines may call it; one syncs at a time.
func (l *Log) Sync() (synced, ts int64, err error) {
	l.syncMu.Lock()
	defer l.syncMu.Unlock()
	if err := l.Err(); err != nil {
		return l.synced.Load(), 0, err
	}
	ts = l.lastTS.Load() // before end: the record with ts is below it
	end := l.end.Load()
	if end == l.synced.Load() {
		return end, ts, nil
	}
	l.listMu.Lock()
	var buf [8]*file
	files := append(buf[:0], l.unsynced...)
	l.listMu.Unlock()
	for _, f := range files {
		if f.start >= end {
			break
		}
		if err := f.f.Sync(); err != nil {
			return l.synced.Load(), 0, l.Fail(fmt.Errorf("commitlog: fdatasync %s: %w", f.path, err))
		}
	}
	l.synced.Store(end)
	last := segment.Start(end, l.opt.FileSize) // files before it will not change again
	l.listMu.Lock()
	for len(l.unsynced) > 0 && l.unsynced[0].start < last {
		f := l.unsynced[0]
		l.unsynced = append(l.unsynced[:0], l.unsynced[1:]...)
		f.release()
	}
	l.listMu.Unlock()
	return end, ts, nil
}
