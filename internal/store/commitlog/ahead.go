// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package commitlog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/twostage/twostage/internal/store/segment"
	"github.com/twostage/twostage/internal/vfs"
)

// ahead is the file that is reserved before it is needed.
type ahead struct {
	mu     sync.Mutex
	cond   sync.Cond
	wake   chan struct{}
	wanted int64     // start of the file to reserve, or -1
	busy   bool      // the goroutine is reserving wanted
	ready  int64     // start of the reserved file that is not in the list yet, or -1
	failed time.Time // when the goroutine could not reserve a file; zero: it could
}

// reserveAgain is how long want is not heard after a reservation has failed. Who
// needs the file at once does not wait for that.
const reserveAgain = 10 * time.Second

func (a *ahead) init() {
	a.cond.L = &a.mu
	a.wake = make(chan struct{}, 1)
	a.wanted, a.ready = -1, -1
}

// want asks for the file at start, once.
func (a *ahead) want(start int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ready == start || a.wanted == start || !a.failed.IsZero() && time.Since(a.failed) < reserveAgain {
		return
	}
	a.wanted = start
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

func (a *ahead) put(start int64) {
	a.mu.Lock()
	a.ready = start
	a.mu.Unlock()
}

func (a *ahead) take() (start int64, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	start, a.ready = a.ready, -1
	return start, start >= 0
}

// RunAhead reserves files before they are needed until ctx ends. An error (no
// space, say) is logged, and Roll tries again when the file is needed.
func (l *Log) RunAhead(ctx context.Context) {
	a := &l.ahead
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.wake:
		}
		a.mu.Lock()
		start := a.wanted
		if start < 0 || a.ready == start {
			a.mu.Unlock()
			continue
		}
		a.busy = true
		a.mu.Unlock()
		err := l.reserveFile(start)
		a.mu.Lock()
		a.busy = false
		if a.failed = (time.Time{}); err == nil {
			a.ready = start
		} else {
			a.failed = time.Now()
		}
		a.wanted = -1
		a.cond.Broadcast()
		a.mu.Unlock()
		if err != nil {
			l.opt.Logger.Warn("commit log: the next file could not be reserved", "err", err)
		}
	}
}

// Prepare asks RunAhead for the file that the first write will need, if it is
// not there.
func (l *Log) Prepare() {
	if l.active == nil {
		l.ahead.want(l.end.Load())
	}
}

// nextFile returns the file at start, reserved: the one that is ready, the one
// being reserved (it waits for that), or a new one.
func (l *Log) nextFile(start int64) (*file, error) {
	a := &l.ahead
	a.mu.Lock()
	for a.busy {
		a.cond.Wait()
	}
	if a.wanted == start {
		a.wanted = -1 // reserved here
	}
	ready := a.ready == start
	if ready {
		a.ready = -1
	}
	a.mu.Unlock()
	if !ready {
		if err := l.reserveFile(start); err != nil {
			return nil, err
		}
	}
	return l.newFile(start), nil
}

func (l *Log) reserveFile(start int64) error {
	path := segment.Join(l.opt.Dir, start)
	err := reserve(l.opt.FS, path, l.opt.FileSize, os.O_RDWR|os.O_CREATE)
	if err == nil {
		if err = l.opt.FS.SyncDir(l.opt.Dir); err != nil {
			err = fmt.Errorf("commitlog: sync %s: %w", l.opt.Dir, err)
		}
	}
	if err != nil {
		return errors.Join(err, removeFile(l.opt.FS, l.opt.Dir, path))
	}
	return nil
}

// reserve brings a file to size bytes of reserved space and makes that durable.
func reserve(fsys vfs.FS, path string, size int64, flag int) (err error) {
	f, err := fsys.OpenFile(path, flag)
	if err != nil {
		return fmt.Errorf("commitlog: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.Preallocate(size); err != nil {
		return fmt.Errorf("commitlog: reserve %d bytes for %s: %w", size, path, err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("commitlog: fdatasync %s: %w", path, err)
	}
	return nil
}
