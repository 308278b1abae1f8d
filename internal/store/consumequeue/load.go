// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package consumequeue

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"

	"github.com/twostage/twostage/internal/store/segment"
)

func notExistIsNil(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// load makes a queue of each directory. As in RocketMQ, a file between the
// topics or queues, and a directory that is no queue id, are left alone.
func (s *Set) load() error {
	fsys := s.files.fs
	topics, err := fsys.ReadDir(s.dir)
	if err != nil {
		if err = notExistIsNil(err); err != nil {
			return fmt.Errorf("consumequeue: list %s: %w", s.dir, err)
		}
		return nil
	}
	if err := each(parallelRead, topics, s.loadTopic); err != nil {
		return err
	}
	return each(parallelRead, s.all(), (*Queue).load)
}

// loadTopic makes the queues of a topic, in memory.
func (s *Set) loadTopic(topic string) error {
	fsys := s.files.fs
	dir := s.dir + "/" + topic
	if strings.HasPrefix(topic, deletePrefix) {
		if err := fsys.RemoveAll(dir); err != nil {
			return fmt.Errorf("consumequeue: finish the deletion of a topic: %w", err)
		}
		return nil
	}
	if checkTopic(topic) != nil {
		s.log.Warn("consumequeue: not a topic, ignored", "path", dir)
		return nil
	}
	ids, err := fsys.ReadDir(dir)
	if err != nil {
		if _, isDir, statErr := fsys.Stat(dir); statErr == nil && !isDir {
			s.log.Warn("consumequeue: not a directory, ignored", "path", dir)
			return nil
		}
		return fmt.Errorf("consumequeue: list %s: %w", dir, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range ids {
		id, err := strconv.ParseInt(name, 10, 32)
		if err != nil || id < 0 || strconv.FormatInt(id, 10) != name {
			s.log.Warn("consumequeue: not a queue id, ignored", "path", dir+"/"+name)
			continue
		}
		s.queueLocked(topic, int32(id))
	}
	return nil
}

// load finds the files, the end and the front of a queue.
func (q *Queue) load() error {
	c := &q.set.files
	listing, err := segment.List(c.fs, q.dir(), c.fileSize)
	if err != nil {
		return fmt.Errorf("consumequeue: %w: configure the mappedFileSizeConsumeQueue that it was written with, or move %s away to have it rebuilt from the log", err, q.dir())
	}
	if len(listing.Other) > 0 {
		return fmt.Errorf("consumequeue: %s/%s is no queue file: move it away", q.dir(), listing.Other[0])
	}
	starts := listing.Starts
	if len(starts) == 0 {
		return nil
	}
	q.first, q.last = starts[0], starts[len(starts)-1]
	if !c.strict {
		q.doubt()
	}
	return q.pinned(func() error {
		err := q.loadFiles(starts)
		if err == nil && c.strict {
			err = q.SetMin(q.set.logMin)
		}
		return err
	})
}

// doubt has the next Flush make everything of the queue durable, names too: a
// process that was killed may have written what it did not sync, and what is there
// already will not be written again.
func (q *Queue) doubt() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.made, q.names = true, true
	q.markDirty(q.first)
}

func (q *Queue) loadFiles(starts []int64) error {
	c := &q.set.files
	if q.first == q.last {
		if done, err := q.loadShort(); done || err != nil {
			return err
		}
	}
	for i := len(starts) - 1; ; i-- {
		end, err := q.loadFile(starts[i])
		if err != nil {
			return err
		}
		if end > 0 || i == 0 { // else a file that was made ahead of its first entry
			q.written = starts[i] + end
			break
		}
	}
	q.max.Store(q.written / EntrySize)
	if err := q.loadFront(); err != nil {
		return err
	}
	if !c.strict {
		if err := q.clearRest(); err != nil {
			return q.fail("clear what follows", q.max.Load(), err)
		}
	}
	return nil
}

// loadShort does all of load with one read when the one file of the queue has
// few entries, as most have where queues are many.
func (q *Queue) loadShort() (done bool, err error) {
	c := &q.set.files
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	b := s[:min(page, c.fileSize)]
	clean, err := q.readShort(b)
	if err != nil {
		return false, err
	}
	n := 0 // valid ones
	for (n+1)*EntrySize <= len(b) && decodeEntry(b[n*EntrySize:]).valid() {
		n++
	}
	for _, v := range b[n*EntrySize:] {
		clean = clean && v == 0
	}
	if (n+1)*EntrySize > len(b) || !clean && !c.strict {
		return false, nil
	}
	base := q.first / EntrySize
	q.written = q.first + int64(n)*EntrySize
	q.max.Store(base + int64(n))
	low := 0
	for low < n && decodeEntry(b[low*EntrySize:]).padding() {
		low++
	}
	q.min.Store(base + int64(low))
	if low < n {
		q.minPhysical.Store(decodeEntry(b[low*EntrySize:]).Offset)
	}
	for i := n - 1; i >= low; i-- {
		if e := decodeEntry(b[i*EntrySize:]); !e.padding() {
			q.maxPhysical.Store(e.end())
			q.lastSure = i == n-1 && !q.straddles(base+int64(i))
			break
		}
	}
	return true, nil
}

// readShort reads the beginning of the one file of q. clean says that nothing
// but zeros follows; it is not asked after a clean stop.
func (q *Queue) readShort(b []byte) (clean bool, err error) {
	c, h := &q.set.files, q.pin
	if got, err := h.ReadAt(b, 0); got < len(b) {
		return false, fmt.Errorf("consumequeue: read %s: %w", segment.Join(q.dir(), q.first), err)
	}
	if c.strict {
		return false, nil
	}
	next := c.fileSize
	if int64(len(b)) < c.fileSize {
		if next, err = h.NextData(int64(len(b))); err != nil {
			return false, err
		}
	}
	return next >= c.fileSize, nil
}

// loadFile returns where the entries of a file end, in bytes from its start.
func (q *Queue) loadFile(start int64) (end int64, err error) {
	c := &q.set.files
	h, err := c.acquire(q, start, false)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, c.release(h)) }()
	n, err := findEnd(h, c.fileSize/EntrySize)
	if err != nil {
		return 0, fmt.Errorf("consumequeue: find the end of %s: %w", segment.Join(q.dir(), start), err)
	}
	return n * EntrySize, nil
}

const (
	page  = 4096 // bytes, what file systems mostly reserve at once
	block = page / EntrySize
)

// reader is what findEnd needs of a file.
type reader interface {
	io.ReaderAt
	NextHole(off int64) (int64, error)
}

// findEnd returns the index of the first of n entries that is not valid, given
// that none after it is. It reads one block, which is all there is in many files,
// then the one before the first hole, and where that is not it single entries at
// doubling distances and then by halves.
func findEnd(f reader, n int64) (int64, error) {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	// read tells how many of count entries from i on are valid.
	read := func(i, count int64) (int64, error) {
		b := s[:count*EntrySize]
		if got, err := f.ReadAt(b, i*EntrySize); got < len(b) {
			return 0, fmt.Errorf("read entry %d: %w", i, err)
		}
		for k := range count {
			if !decodeEntry(b[k*EntrySize:]).valid() {
				return k, nil
			}
		}
		return count, nil
	}
	lo, err := read(0, min(block, n))
	if err != nil || lo < block || lo == n {
		return lo, err
	}
	hi := n // entries below lo are valid; the one at hi is not, or does not exist
	hole, err := f.NextHole(lo * EntrySize)
	if err != nil {
		return 0, fmt.Errorf("find where the data ends: %w", err)
	}
	if at := hole / EntrySize; at < n { // it is at or before the entry that reaches into the hole
		hi = at
		if before := max(lo, hi-block); before < hi {
			valid, err := read(before, hi-before)
			if err != nil || valid > 0 {
				return before + valid, err
			}
			hi = before
		}
	}
	for step := lo; hi-lo > block; {
		at := min(lo+step, lo+(hi-lo)/2)
		valid, err := read(at, 1)
		if err != nil {
			return 0, err
		}
		if valid == 0 {
			hi = at
		} else {
			lo = at + 1
			step *= 2
		}
	}
	if lo == hi {
		return lo, nil
	}
	valid, err := read(lo, hi-lo)
	return lo + valid, err
}

// clearRest leaves nothing but zeros behind the end, where a stop of the machine
// may have left entries behind a hole: they would come back once the queue has
// grown up to them.
func (q *Queue) clearRest() (err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	c := &q.set.files
	for q.last >= q.written && q.last > q.first {
		if err := q.removeLast(); err != nil {
			return err
		}
	}
	h, err := c.acquire(q, q.last, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.release(h)) }()
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	for at := q.written - q.last; at < c.fileSize; {
		// Behind the last entry its page is there to be read; what comes then not.
		b := s[:page-at%page]
		if at != q.written-q.last {
			if at, err = h.NextData(at); err != nil {
				return err
			}
			b = s[:]
		}
		b = b[:max(0, min(int64(len(b)), c.fileSize-at))]
		if got, err := h.ReadAt(b, at); got < len(b) {
			return err
		}
		for i, v := range b {
			if v != 0 {
				clear(b)
				if err := q.writeFile(q.set.files.acquire, q.last, b[i:], at+int64(i)); err != nil {
					return err
				}
				break
			}
		}
		at += int64(len(b))
	}
	return nil
}

// loadFront sets min behind the padding, and what is known of the first and the
// last record.
func (q *Queue) loadFront() error {
	front, e, err := q.nextRecord(q.first/EntrySize, q.max.Load(), false)
	if err != nil {
		return err
	}
	q.min.Store(front)
	if front == q.max.Load() {
		return nil
	}
	q.minPhysical.Store(e.Offset)
	return q.findMaxPhysical()
}
