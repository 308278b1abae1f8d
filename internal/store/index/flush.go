// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package index

import (
	"errors"
	"fmt"
)

// errSync marks the errors that end all writing.
var errSync = errors.New("fsync failed, what it should have made durable is in doubt")

// run is how many bytes of slots are written at once, while Put waits.
const run = 256 << 10

// Flush makes everything durable that was put before it was called, and returns
// the store time (ms since 1970) up to which that is everything, given that the
// caller puts all records: Options.Trusted for a later Open. It blocks on the
// device. Put goes on meanwhile.
func (x *Index) Flush() (safe int64, err error) {
	x.flushing.Lock()
	defer x.flushing.Unlock()
	x.mu.Lock()
	closed := x.closed
	safe = x.last
	if !closed {
		err = x.begin()
	}
	x.mu.Unlock()
	if closed {
		return 0, ErrClosed
	}
	if err != nil {
		return 0, fmt.Errorf("index: %w", err)
	}
	if err := x.flush(); err != nil {
		return 0, err
	}
	return safe, nil
}

// flush writes the filled file and then the active one: the order in which
// they may be trusted. Index.flushing held.
func (x *Index) flush() error {
	x.mu.Lock()
	filled, active, err := x.filled, x.active, x.failed
	x.mu.Unlock()
	if err != nil {
		return err
	}
	if filled != nil {
		if err := x.flushFile(filled); err != nil {
			return err
		}
		x.mu.Lock()
		if x.filled == filled { // else it was flushed by roll as well
			x.retire(filled)
		}
		x.mu.Unlock()
	}
	if active == nil {
		return nil
	}
	return x.flushFile(active)
}

// flushFile makes a file durable as it is now.
func (x *Index) flushFile(f *file) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.flushHolding(f, false)
}

// flushLocked is flushFile without giving up Index.mu.
func (x *Index) flushLocked(f *file) error { return x.flushHolding(f, true) }

// flushHolding is called with Index.mu held, and lets go of it while it writes
// unless hold is set.
func (x *Index) flushHolding(f *file, hold bool) (err error) {
	if f.done || !f.changed {
		x.dropPages(f)
		return nil
	}
	if err := f.writeTail(); err != nil {
		return err
	}
	f.changed, f.flushing = false, true
	hdr := f.hdr
	f.users++
	defer func() {
		f.users--
		f.flushing = false
		x.flushed.Broadcast()
		if err != nil {
			f.changed = true
			if errors.Is(err, errSync) && x.failed == nil {
				x.failed = err
			}
		}
		x.closeUnused(f)
	}()
	unlocked := func(fn func() error) error {
		if !hold {
			x.mu.Unlock()
			defer x.mu.Lock()
		}
		return fn()
	}
	if err := x.writePages(f, unlocked); err != nil {
		return fmt.Errorf("index: write slots: %w", err)
	}
	if err := unlocked(f.sync); err != nil {
		return err
	}
	var b [headerSize]byte
	hdr.encode(&b)
	if err := unlocked(func() error {
		if _, err := f.f.WriteAt(b[:], 0); err != nil {
			return fmt.Errorf("index: write header: %w", err)
		}
		return f.sync()
	}); err != nil {
		return err
	}
	x.dropPages(f)
	return nil
}

func (f *file) sync() error {
	if err := f.f.Sync(); err != nil {
		return fmt.Errorf("%w: %w", errSync, err)
	}
	return nil
}

// writePages writes the dirty pages, neighbours together.
func (x *Index) writePages(f *file, unlocked func(func() error) error) error {
	buf := make([]byte, 0, run)
	for n := 0; n < len(f.pages); n++ {
		first := n
		for ; n < len(f.pages) && f.pages[n].dirty && len(buf) < run; n++ {
			buf = append(buf, f.pages[n].data[:]...)
			f.pages[n].dirty, f.pages[n].written = false, true
		}
		if n == first {
			continue
		}
		start := int64(first) * pageSize
		from, to := max(start, headerSize), min(int64(n)*pageSize, f.entriesStart())
		err := unlocked(func() error {
			_, err := f.f.WriteAt(buf[from-start:to-start], from)
			return err
		})
		if err != nil {
			for ; first < n; first++ {
				f.pages[first].dirty = true
			}
			return err
		}
		buf = buf[:0]
		n-- // the page that ended the run may be dirty
	}
	return nil
}

// dropPages forgets clean pages that nobody has touched since the last flush.
func (x *Index) dropPages(f *file) {
	for n := range f.pages {
		p := &f.pages[n]
		if !p.touched && !p.dirty {
			p.data = nil
		}
		p.touched = false
	}
}
