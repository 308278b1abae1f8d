// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package consumequeue

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"github.com/twostage/twostage/internal/store/segment"
	"github.com/twostage/twostage/internal/vfs"
)

// handle is an open file of a queue. Its queue lists it in Queue.open; both
// lists, refs and dropped belong to files.mu.
type handle struct {
	vfs.File
	q          *Queue
	start      int64 // of the file in the queue, bytes
	refs       int   // users; a handle in use is not closed
	dropped    bool  // not, or no longer, listed: the last user closes it
	pinned     bool  // Queue.pinned closes it
	prev, next *handle
}

// files bounds how many files are open, over all queues. The list runs from the
// most to the least recently used.
type files struct {
	fs       vfs.FS
	fileSize int64
	strict   bool // a file shorter than fileSize is an error

	mu    sync.Mutex
	limit int
	open  int // handles listed, and places taken for those being opened
	list  handle
}

func (c *files) init(fsys vfs.FS, fileSize int64, limit int, strict bool) {
	c.fs, c.fileSize, c.limit, c.strict = fsys, fileSize, limit, strict
	c.list.prev, c.list.next = &c.list, &c.list
}

func (h *handle) unlink() { h.prev.next, h.next.prev = h.next, h.prev }

func (c *files) pushFront(h *handle) {
	h.prev, h.next = &c.list, c.list.next
	h.prev.next, h.next.prev = h, h
}

func (q *Queue) openAt(start int64) *handle {
	for _, h := range q.open {
		if h.start == start {
			return h
		}
	}
	return nil
}

// pinned runs fn, which may change the queue, with its last file open, and finds
// it without asking files.mu. Nobody else may use the queue meanwhile.
func (q *Queue) pinned(fn func() error) error {
	f, err := q.set.files.openFile(q, q.last, false)
	if err != nil {
		return err
	}
	q.pin = &handle{File: f, q: q, start: q.last, pinned: true}
	err = fn()
	q.pin = nil
	return errors.Join(err, f.Close())
}

func (q *Queue) pinnedAt(start int64) *handle {
	if q.pin != nil && q.pin.start == start {
		return q.pin
	}
	return nil
}

// borrow is acquire for one use of one of very many files: unless the file is
// open already, it is closed again with release, and no other in its place.
func (c *files) borrow(q *Queue, start int64, create bool) (*handle, error) {
	if h := q.pinnedAt(start); h != nil {
		return h, nil
	}
	c.mu.Lock()
	h := c.findLocked(q, start)
	c.mu.Unlock()
	if h != nil {
		return h, nil
	}
	f, err := c.openFile(q, start, create)
	if err != nil {
		return nil, err
	}
	return &handle{File: f, q: q, start: start, refs: 1, dropped: true}, nil
}

// findLocked takes a reference on an open file, or returns nil.
func (c *files) findLocked(q *Queue, start int64) *handle {
	h := q.openAt(start)
	if h != nil {
		h.refs++
		h.unlink()
		c.pushFront(h)
	}
	return h
}

// acquire opens the file of q that starts at start, or finds it open. The
// caller gives it back with release. create makes a missing file.
func (c *files) acquire(q *Queue, start int64, create bool) (*handle, error) {
	if h := q.pinnedAt(start); h != nil {
		return h, nil
	}
	c.mu.Lock()
	if h := c.findLocked(q, start); h != nil {
		c.mu.Unlock()
		return h, nil
	}
	c.open++
	victims := c.evict()
	c.mu.Unlock()
	err := closeAll(victims)
	var f vfs.File
	if err == nil {
		f, err = c.openFile(q, start, create)
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.open--
		return nil, err
	}
	if h := q.openAt(start); h != nil { // somebody else was quicker
		c.open--
		h.refs++
		return h, f.Close()
	}
	h := &handle{File: f, q: q, start: start, refs: 1}
	if q.gone.Load() { // the last drop has been: do not list it again
		h.dropped = true
		c.open--
		return h, nil
	}
	q.open = append(q.open, h)
	c.pushFront(h)
	return h, nil
}

// evict unlists the least recently used idle handles until there are no more
// than limit. Handles in use stay, so their users may exceed it.
func (c *files) evict() (victims []*handle) {
	for h := c.list.prev; c.open > c.limit && h != &c.list; {
		older := h.prev
		if h.refs == 0 {
			c.unlist(h)
			victims = append(victims, h)
		}
		h = older
	}
	return victims
}

func (c *files) unlist(h *handle) {
	h.unlink()
	h.dropped = true
	c.open--
	for i, o := range h.q.open {
		if o == h {
			last := len(h.q.open) - 1
			h.q.open[i], h.q.open[last] = h.q.open[last], nil
			h.q.open = h.q.open[:last]
			break
		}
	}
	if len(h.q.open) == 0 {
		h.q.open = nil
	}
}

func closeAll(handles []*handle) (err error) {
	for _, h := range handles {
		err = errors.Join(err, h.Close())
	}
	return err
}

func (c *files) release(h *handle) error {
	if h.pinned {
		return nil
	}
	c.mu.Lock()
	h.refs--
	last := h.refs == 0 && h.dropped
	c.mu.Unlock()
	if last {
		return h.Close()
	}
	return nil
}

// drop closes the handle of one file of q (start >= 0) or of all (start < 0),
// those in use when their last user releases them.
func (c *files) drop(q *Queue, start int64) error {
	if q.pin != nil && (start < 0 || q.pin.start == start) {
		q.pin = nil // closed by pinned
	}
	c.mu.Lock()
	var idle []*handle
	for i := len(q.open) - 1; i >= 0; i-- {
		h := q.open[i]
		if start >= 0 && h.start != start {
			continue
		}
		c.unlist(h)
		if h.refs == 0 {
			idle = append(idle, h)
		}
	}
	c.mu.Unlock()
	return closeAll(idle)
}

func (c *files) openFile(q *Queue, start int64, create bool) (vfs.File, error) {
	name := segment.Join(q.dir(), start)
	flag := os.O_RDWR
	if create {
		flag |= os.O_CREATE
	}
	f, err := c.fs.OpenFile(name, flag)
	if create && errors.Is(err, fs.ErrNotExist) { // the directory comes with the first file
		if err = c.fs.MkdirAll(q.dir()); err == nil {
			f, err = c.fs.OpenFile(name, flag)
		}
	}
	if err != nil {
		return nil, err
	}
	if err := c.fit(f, name); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// fit gives a new file its size, and one that a stop of the machine left
// shorter. What is missing reads as zeros.
func (c *files) fit(f vfs.File, name string) error {
	size, err := f.Size()
	if err != nil || size == c.fileSize {
		return err
	}
	if size > c.fileSize || size > 0 && c.strict {
		return sizeError(name, size, c.fileSize)
	}
	return f.Truncate(c.fileSize)
}

func sizeError(name string, size, want int64) error {
	return fmt.Errorf("%w: %s has %d bytes, mappedFileSizeConsumeQueue is %d: configure the size it was written with, or move the consumequeue directory away to have it rebuilt from the log",
		ErrFileSize, name, size, want)
}
