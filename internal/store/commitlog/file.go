// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package commitlog

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"

	"github.com/twostage/twostage/internal/vfs"
)

// notOpen is the value of file.refs while there is neither handle nor mapping.
const notOpen = -1

// file is one file of the log. The handle and the mapping are made on first
// use and let go together, by the pool when it is full or after retention has
// dropped the file; never while somebody holds a reference.
//
//	refs:  notOpen --open (mu)--> 1 <--acquire/release--> n
//	       0 --evict or drop, CAS--> notOpen
type file struct {
	start int64 // offset of the first byte in the log
	path  string
	pool  *pool

	refs atomic.Int64
	used atomic.Int64 // pool tick of the last use

	dropped atomic.Bool // no longer part of the log: close at the last release

	mu   sync.Mutex // guards opening and closing; taken before pool.mu
	f    vfs.File
	m    vfs.Mapping
	view []byte
}

// acquire takes a reference; f.f and f.view are valid until release.
func (f *file) acquire() error {
	for {
		n := f.refs.Load()
		if n == notOpen {
			break
		}
		if f.refs.CompareAndSwap(n, n+1) {
			f.used.Store(f.pool.tick.Load())
			return nil
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for { // somebody else may have opened it meanwhile
		n := f.refs.Load()
		if n == notOpen {
			break
		}
		if f.refs.CompareAndSwap(n, n+1) {
			return nil
		}
	}
	if f.dropped.Load() {
		return fmt.Errorf("%w: %s was deleted", ErrNotFound, f.path)
	}
	if err := f.openLocked(); err != nil {
		return err
	}
	f.refs.Store(1)
	f.pool.add(f)
	return nil
}

func (f *file) openLocked() error {
	h, err := f.pool.fs.OpenFile(f.path, os.O_RDWR)
	if err != nil {
		return fmt.Errorf("commitlog: %w", err)
	}
	m, err := h.Map(f.pool.size)
	if err != nil {
		return errors.Join(fmt.Errorf("commitlog: map %s: %w", f.path, err), h.Close())
	}
	f.f, f.m, f.view = h, m, m.Bytes()
	return nil
}

func (f *file) release() {
	if f.refs.Add(-1) == 0 && f.dropped.Load() {
		f.pool.close(f)
	}
}

// close lets go of handle and mapping unless somebody holds a reference.
func (f *file) close() (closed bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.refs.CompareAndSwap(0, notOpen) {
		return false, nil
	}
	err = errors.Join(f.m.Close(), f.f.Close())
	f.f, f.m, f.view = nil, nil, nil
	return true, err
}

// readAt fills p from offset off of the log, inside this file.
func (f *file) readAt(p []byte, off int64) error {
	if err := f.acquire(); err != nil {
		return err
	}
	defer f.release()
	n, err := f.f.ReadAt(p, off-f.start)
	if n == len(p) {
		return nil
	}
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("commitlog: read %s at %d: %w", f.path, off-f.start, err)
}

// pool bounds how many files are open and mapped at once.
type pool struct {
	fs   vfs.FS
	size int64 // bytes of every file
	max  int
	tick atomic.Int64
	fail func(error) // told about errors of closing a file

	mu   sync.Mutex
	open []*file
}

// add registers a file that has just been opened and evicts the least recently
// used idle ones while there are too many. When all are in use there are more
// than max for a while.
func (p *pool) add(f *file) {
	f.used.Store(p.tick.Add(1))
	p.mu.Lock()
	p.open = append(p.open, f)
	excess := len(p.open) - p.max
	p.mu.Unlock()
	for ; excess > 0; excess-- {
		victim := p.oldest(f)
		if victim == nil {
			return
		}
		p.close(victim)
	}
}

// oldest returns the idle open file, other than f, that was used longest ago.
func (p *pool) oldest(f *file) *file {
	p.mu.Lock()
	defer p.mu.Unlock()
	var victim *file
	for _, o := range p.open {
		if o != f && o.refs.Load() == 0 && (victim == nil || o.used.Load() < victim.used.Load()) {
			victim = o
		}
	}
	return victim
}

// close lets go of f unless somebody uses it.
func (p *pool) close(f *file) {
	closed, err := f.close()
	if closed {
		p.mu.Lock()
		for i, o := range p.open {
			if o == f {
				p.open[i] = p.open[len(p.open)-1]
				p.open[len(p.open)-1] = nil
				p.open = p.open[:len(p.open)-1]
				break
			}
		}
		p.mu.Unlock()
	}
	if err != nil {
		p.fail(err)
	}
}

// drop marks f as no longer part of the log and closes it as soon as nobody
// uses it.
func (p *pool) drop(f *file) {
	f.dropped.Store(true)
	p.close(f)
}
