// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package index

import "fmt"

// ErrSync is wrapped by an error of SetMin after which it is in doubt what is
// durable.
var ErrSync = errSync

// SetMin removes the files whose records are all below the log offset min, but
// for the last. After an error the next call goes on.
func (x *Index) SetMin(min int64) error {
	x.flushing.Lock()
	defer x.flushing.Unlock()
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return ErrClosed
	}
	for len(x.files) > 1 {
		f := x.files[0]
		if f == x.active || f == x.filled || f.hdr.EndOffset >= min {
			return nil
		}
		if err := x.removeFile(f); err != nil {
			return err
		}
		x.files = x.files[1:]
	}
	return nil
}

// TruncatePhysical removes the records at or beyond the log offset end. A Query
// meanwhile may return some of them. After an error call it again.
func (x *Index) TruncatePhysical(end int64) error {
	x.flushing.Lock()
	defer x.flushing.Unlock()
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case x.closed:
		return ErrClosed
	case x.failed != nil:
		return x.failed
	}
	for _, f := range []*file{x.filled, x.active} {
		if f == nil {
			continue
		}
		if err := x.flushLocked(f); err != nil {
			return err
		}
	}
	if x.filled != nil {
		x.retire(x.filled)
	}
	defer x.noteEnd()
	for i, f := range x.files {
		if f.empty() || f.hdr.EndOffset < end {
			continue
		}
		if f.hdr.BeginOffset >= end {
			if err := x.remove(i); err != nil {
				return err
			}
			return x.openLast()
		}
		if err := x.rebuild(i, func(e item) bool { return e.offset >= end }); err != nil {
			return fmt.Errorf("index: truncate at log offset %d: %w", end, err)
		}
		return nil
	}
	return nil
}
