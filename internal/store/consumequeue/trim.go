// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package consumequeue

import (
	"errors"
	"fmt"

	"github.com/twostage/twostage/internal/store/segment"
)

// ErrSync is wrapped by an error of SetMin after which it is in doubt what is
// durable.
var ErrSync = errSync

// SetMin drops the entries of records that the log no longer has: those below
// the log offset physicalMin. Min becomes the first entry at or behind it, or
// Max. Files wholly below Min are removed, but for the last. It never goes back.
// After an error Min is right as far as it could be found, and the next call
// removes what is left.
func (q *Queue) SetMin(physicalMin int64) error {
	if at := q.minPhysical.Load(); at < 0 || at >= physicalMin {
		return nil
	}
	low := q.min.Load()
	index, e, err := q.firstAt(low, physicalMin)
	if err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.usable(); err != nil {
		return err
	}
	if index < low || q.min.Load() != low || index > q.max.Load() {
		return nil // somebody else has moved it
	}
	q.min.Store(index)
	size := q.set.files.fileSize
	for q.first >= 0 && q.first+size <= min(index*EntrySize, segment.Start(q.written, size)) && q.first < q.last {
		if err := q.removeFile(q.first); err != nil {
			return fmt.Errorf("consumequeue: remove what the log no longer has of %s-%d: %w", q.topic, q.id, err)
		}
		q.first += size
	}
	switch {
	case e.valid():
		q.minPhysical.Store(e.Offset)
	case index == q.max.Load():
		q.minPhysical.Store(-1) // the next Append knows
	}
	return nil
}

// SetMin is Queue.SetMin for every queue, at most so many at a time. Queues that are
// deleted meanwhile are no error.
func (s *Set) SetMin(physicalMin int64, atOnce int) error {
	return each(atOnce, s.all(), func(q *Queue) error {
		if err := q.SetMin(physicalMin); !errors.Is(err, ErrDeleted) && !errors.Is(err, ErrClosed) {
			return err
		}
		return nil
	})
}

// TruncatePhysical is Queue.TruncatePhysical for every queue, several at a time;
// without all only for those whose last entry is at or beyond end.
func (s *Set) TruncatePhysical(end int64, all bool) error {
	return each(parallelRead, s.all(), func(q *Queue) error {
		if !all && q.maxPhysical.Load() <= end || q.below(end) {
			return nil
		}
		if q.last < 0 {
			return q.TruncatePhysical(end)
		}
		return q.pinned(func() error { return q.TruncatePhysical(end) })
	})
}

// below tells whether all records of the queue are sure to be below end.
func (q *Queue) below(end int64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.min.Load() == q.max.Load() || q.lastSure && q.maxPhysical.Load() <= end
}

// TruncatePhysical drops the entries of records that are not wholly below the
// log offset end.
// Max falls to the first of them. Nobody may use the queue meanwhile. After an
// error a part may be left: call it again.
func (q *Queue) TruncatePhysical(end int64) error {
	if q.below(end) {
		return nil
	}
	index, _, err := q.search(q.min.Load(), q.max.Load(), func(at int64, before, e Entry) bool {
		// What is not reached was flushed, so it cannot be out of order. A torn
		// entry can: it lacks the offset or the upper half of it. (Record 0 has
		// index 0, which is never torn.)
		torn := e.Offset == 0 && at > 0 || e.Offset < before.end()
		return !e.valid() || e.Offset >= end || e.end() > end || torn
	})
	if err != nil {
		return err
	}
	if err := q.truncate(index); err != nil {
		return fmt.Errorf("consumequeue: truncate %s-%d at entry %d: %w", q.topic, q.id, index, err)
	}
	return q.findMaxPhysical()
}

func (q *Queue) truncate(index int64) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.usable(); err != nil {
		return err
	}
	if index == q.max.Load() {
		return nil
	}
	q.lastSure = false
	err := q.cut(index * EntrySize)
	q.max.Store((q.written + int64(len(q.tail))) / EntrySize)
	if q.max.Load() == q.min.Load() {
		q.minPhysical.Store(-1)
	}
	return err
}

// cut drops what is at or behind byte pos. Files behind it are removed, the last
// first, and the rest of its own becomes zeros. Queue locked.
func (q *Queue) cut(pos int64) error {
	if pos >= q.written {
		q.tail = q.tail[:pos-q.written]
		return nil
	}
	q.tail = q.tail[:0]
	for q.last >= pos && q.last > q.first {
		if err := q.removeLast(); err != nil {
			return err
		}
		q.written = min(q.written, q.last+q.set.files.fileSize)
	}
	// From the end, so that what is left after an error is what it was.
	var zeros [4096 / EntrySize * EntrySize]byte
	for q.written > pos {
		from := max(pos, q.written-int64(len(zeros)))
		if err := q.writeFile(q.set.files.borrow, q.last, zeros[:q.written-from], from-q.last); err != nil {
			return err
		}
		q.written = from
	}
	return nil
}

// removeFiles removes all files. Queue locked.
func (q *Queue) removeFiles() error {
	for q.first >= 0 && q.first <= q.last {
		if err := q.removeFile(q.first); err != nil {
			return err
		}
		q.first += q.set.files.fileSize
	}
	q.first, q.last, q.dirtyFrom = -1, -1, -1
	return nil
}

func (q *Queue) removeLast() error {
	if err := q.removeFile(q.last); err != nil {
		return err
	}
	if q.dirtyFrom >= q.last {
		q.dirtyFrom = -1
	}
	q.last -= q.set.files.fileSize
	return nil
}

func (q *Queue) removeFile(start int64) error {
	if err := q.changeNames(); err != nil {
		return err
	}
	if err := q.set.files.drop(q, start); err != nil {
		return err
	}
	return notExistIsNil(q.set.files.fs.Remove(segment.Join(q.dir(), start)))
}

// findMaxPhysical looks for the last record, from the end.
func (q *Queue) findMaxPhysical() error {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	q.mu.Lock()
	written := q.written / EntrySize
	q.mu.Unlock()
	size := 1 // one entry does mostly
	for high := q.max.Load(); high > q.min.Load(); size = len(s) / EntrySize {
		low := max(high-int64(size), q.min.Load(), segment.Start((high-1)*EntrySize, q.set.files.fileSize)/EntrySize)
		if high > written { // bytes does not go from a file into the tail
			low = max(low, written)
		}
		b, err := q.bytes(s[:], low, high)
		if err != nil {
			return err
		}
		for i := len(b) - EntrySize; i >= 0; i -= EntrySize {
			if e := decodeEntry(b[i:]); !e.Blank() {
				q.maxPhysical.Store(e.end())
				index := low + int64(i/EntrySize)
				q.setSure(index == q.max.Load()-1 && !q.straddles(index))
				return nil
			}
		}
		high = low
	}
	q.maxPhysical.Store(-1)
	q.setSure(false)
	return nil
}

func (q *Queue) setSure(sure bool) {
	q.mu.Lock()
	q.lastSure = sure
	q.mu.Unlock()
}
