// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package state

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"

	"github.com/twostage/twostage/internal/vfs"
)

const (
	nameDigits  = 20
	maxHandles  = 32 // open segments that are on the disk
	maxUnsynced = 64 // open segments that are not; more are synced early
)

// segment is a file of words, or the place of one.
type segment struct {
	number int64 // half queue offset of the first word / segmentWords
	path   string

	exists bool     // the file
	size   int64    // bytes that hold words: a multiple of 8, at most segmentBytes
	handle vfs.File // nil when it is not open

	// unsynced: written by us since the last sync, and the handle is open.
	// inherited: found by Open and not synced since. They change under both locks.
	unsynced, inherited bool

	failed error // of a sync: what the file holds is in doubt

	pages *[segmentPages]*page // those in memory, nil for none
	held  int                  // how many
}

func segmentName(number int64) string { return fmt.Sprintf("%0*d", nameDigits, number*segmentWords) }

// newSegment adds a segment without a file.
func (f *File) newSegment(number int64) *segment {
	seg := &segment{number: number, path: f.path(segmentName(number))}
	f.segments[number] = seg
	return seg
}

// list finds the segments on disk.
func (f *File) list() error {
	names, err := f.fs.ReadDir(f.dir)
	if err != nil {
		return fmt.Errorf("transaction state: %w", err)
	}
	for _, name := range names {
		if len(name) != nameDigits {
			continue // the mark, and what is not ours
		}
		first, err := strconv.ParseUint(name, 10, 64)
		if err != nil {
			continue
		}
		if first%segmentWords != 0 || first >= maxOffset {
			f.log.Warn("a file among the transaction states has a name that none of them has; it is left alone", "file", f.path(name))
			continue
		}
		if err := f.measure(f.newSegment(int64(first) / segmentWords)); err != nil {
			return fmt.Errorf("transaction state: %w", err)
		}
	}
	return nil
}

// measure finds out the size of a file, and cuts off a part of a word at its
// end, which would look like a word once the file grows.
func (f *File) measure(seg *segment) error {
	size, dir, err := f.fs.Stat(seg.path)
	if err != nil {
		return err
	}
	if dir {
		return fmt.Errorf("%s is a directory: move it away", seg.path)
	}
	seg.exists, seg.inherited, seg.size = true, true, min(size&^(wordBytes-1), segmentBytes)
	if size > segmentBytes {
		f.log.Warn("a file of transaction states is too long; the rest is ignored", "file", seg.path, "bytes", size, "used", segmentBytes)
		return nil
	}
	if size == seg.size {
		return nil
	}
	f.log.Warn("a file of transaction states ends within a word, which is cut off", "file", seg.path, "bytes", size)
	file, err := f.fs.OpenFile(seg.path, os.O_RDWR)
	if err != nil {
		return err
	}
	err = file.Truncate(seg.size)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// open opens the file of a segment, which is made when create says so and it is
// not there. Locked (pages); both locks for create.
func (f *File) open(seg *segment, create bool) error {
	if seg.handle != nil {
		return nil
	}
	flag := os.O_RDWR
	if create && !seg.exists {
		flag |= os.O_CREATE
		f.newNames = true // even when it fails: who knows
	}
	handle, err := f.fs.OpenFile(seg.path, flag)
	if err != nil {
		return fmt.Errorf("transaction state: %w", err)
	}
	seg.handle, seg.exists = handle, true
	f.handles = append(f.handles, seg)
	for i := 0; len(f.handles) > maxHandles && i < len(f.handles); {
		if old := f.handles[i]; old != seg && !old.unsynced {
			f.closeHandle(old)
		} else {
			i++
		}
	}
	return nil
}

// closeHandle closes the file of a segment. Locked (pages).
func (f *File) closeHandle(seg *segment) {
	if seg.handle == nil {
		return
	}
	if err := seg.handle.Close(); err != nil {
		f.log.Warn("closing a file of transaction states", "file", seg.path, "error", err)
	}
	seg.handle = nil
	f.handles = slices.DeleteFunc(f.handles, func(s *segment) bool { return s == seg })
}

// read fills b with what the file of a segment holds at off, and zeros. Locked
// (pages).
func (f *File) read(seg *segment, b []byte, off int64) error {
	n := min(max(seg.size-off, 0), int64(len(b)))
	clear(b[n:])
	if n == 0 {
		return nil
	}
	if seg.failed != nil {
		return fmt.Errorf("transaction state: what %s holds is in doubt: %w", seg.path, seg.failed)
	}
	if err := f.open(seg, false); err != nil {
		return err
	}
	if _, err := seg.handle.ReadAt(b[:n], off); err != nil {
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("somebody has shortened the file: %w", io.ErrUnexpectedEOF)
		}
		return fmt.Errorf("transaction state: read %d bytes of %s at %d: %w", n, seg.path, off, err)
	}
	return nil
}

// remove takes a segment away, on disk and in memory. Locked (write).
func (f *File) remove(seg *segment) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if seg.exists {
		if err := f.fs.Remove(seg.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("transaction state: %w", err)
		}
		f.newNames = true
	}
	f.closeHandle(seg)
	seg.exists, seg.size, seg.unsynced, seg.inherited = false, 0, false, false
	f.dirty = slices.DeleteFunc(f.dirty, func(p *page) bool { return p.seg == seg })
	if seg.pages != nil {
		for _, p := range seg.pages {
			if p != nil {
				f.forget(p)
			}
		}
	}
	delete(f.segments, seg.number)
	return nil
}

// between returns the segments that hold an offset of [from,to), in order.
func (f *File) between(from, to int64) []*segment {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []*segment
	for number, seg := range f.segments {
		if number*segmentWords < to && (number+1)*segmentWords > from {
			list = append(list, seg)
		}
	}
	slices.SortFunc(list, func(a, b *segment) int { return int(a.number - b.number) })
	return list
}
