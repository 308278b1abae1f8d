// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package consumequeue

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/twostage/twostage/internal/store/segment"
)

// maxGap is how many blank entries one Append may need, 320 MB of them.
const maxGap = 1 << 24

// Queue is one queue of a topic. Offsets count entries from 0. All methods may
// be called by any goroutine; TruncatePhysical needs the queue for itself.
//
//	first (file)        min               written          max
//	  | blank or gone    | entries on files  | tail, memory  |
type Queue struct {
	set   *Set
	topic string
	id    int32

	min         atomic.Int64 // first entry that is kept
	max         atomic.Int64 // next entry
	minPhysical atomic.Int64 // log offset of the first record; -1 unknown
	maxPhysical atomic.Int64 // log offset behind the last record; -1 none
	gone        atomic.Bool  // deleted, or the Set is closed

	mu        sync.Mutex
	tail      []byte // entries from written to max
	written   int64  // bytes of the sequence that are in files
	first     int64  // start of the first file, bytes; -1 without files
	last      int64  // start of the last file, which may be ahead of the entries
	dirtyFrom int64  // lowest byte that Flush has not covered; -1 none
	names     bool   // the last name change is not yet durable
	syncing   bool   // Flush has taken over one that is not durable either
	made      bool   // the directory is not yet durable
	listed    bool   // in Set.dirty
	closed    bool
	lastSure  bool // the last entry is a record and cannot be torn

	open []*handle // files.mu
	pin  *handle   // see pinned
}

func newQueue(s *Set, topic string, id int32) *Queue {
	q := &Queue{set: s, topic: topic, id: id, first: -1, last: -1, dirtyFrom: -1}
	q.minPhysical.Store(-1)
	q.maxPhysical.Store(-1)
	return q
}

func (q *Queue) dir() string {
	return q.set.dir + "/" + q.topic + "/" + strconv.FormatInt(int64(q.id), 10)
}

// Min is the offset of the first entry that is kept; Max when none is.
func (q *Queue) Min() int64 { return q.min.Load() }

// Max is the offset of the next entry.
func (q *Queue) Max() int64 { return q.max.Load() }

// MaxPhysical is the log offset behind the record of the last entry, -1 when
// there is none.
func (q *Queue) MaxPhysical() int64 { return q.maxPhysical.Load() }

// Append puts e at index. An index below Max is there already: nothing happens.
// One above leaves a gap, which is filled with blank entries; when nothing is
// kept before it, the queue starts at index. Entries must come in the order of
// their records. The entry is durable after the next Flush. After an error it is
// not in the queue and may be put again; Max may have moved over a part of a
// gap. It does not allocate in steady state.
func (q *Queue) Append(index int64, e Entry) error {
	if index < q.max.Load() {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if index < q.max.Load() {
		return nil
	}
	if err := q.usable(); err != nil {
		return err
	}
	if !e.valid() || e.padding() {
		return fmt.Errorf("consumequeue: entry %d of %s-%d has offset %d and size %d", index, q.topic, q.id, e.Offset, e.Size)
	}
	if index > q.max.Load() {
		if err := q.fill(index); err != nil {
			return q.fail("fill the gap before", index, err)
		}
	}
	if err := q.push(e); err != nil {
		return q.fail("append", index, err)
	}
	if q.minPhysical.Load() < 0 && q.min.Load() == index {
		q.minPhysical.Store(e.Offset)
	}
	q.maxPhysical.Store(e.end())
	q.lastSure = true
	q.max.Store(index + 1)
	return nil
}

func (q *Queue) fail(what string, index int64, err error) error {
	return fmt.Errorf("consumequeue: %s entry %d of %s-%d: %w", what, index, q.topic, q.id, err)
}

func (q *Queue) usable() error {
	switch {
	case q.closed:
		return fmt.Errorf("%w: %s-%d", ErrClosed, q.topic, q.id)
	case q.gone.Load():
		return fmt.Errorf("%w: %s", ErrDeleted, q.topic)
	}
	return nil
}

// fill pads from max to index. Queue locked.
func (q *Queue) fill(index int64) error {
	start := segment.Start(index*EntrySize, q.set.files.fileSize)
	end := q.written + int64(len(q.tail))
	if q.min.Load() == q.max.Load() && (end < start || q.first < 0 && len(q.tail) == 0) {
		// Nothing is kept: go on in the file of index, and pad its front.
		if err := q.removeFiles(); err != nil {
			return err
		}
		q.dropTail()
		q.written = start
		q.min.Store(start / EntrySize)
		q.max.Store(start / EntrySize)
	}
	if gap := index - q.max.Load(); gap > maxGap {
		return fmt.Errorf("%w: the queue ends at %d: move %s away to have it rebuilt from the log", ErrGap, q.max.Load(), q.dir())
	}
	nothingKept := q.min.Load() == q.max.Load()
	for i := q.max.Load(); i < index; i++ {
		if err := q.push(blankEntry); err != nil {
			return err
		}
		if nothingKept {
			q.min.Store(i + 1)
		}
		q.max.Store(i + 1)
	}
	return nil
}

// push puts e behind the tail, which it writes first when it may not grow.
// Queue locked.
func (q *Queue) push(e Entry) error {
	if len(q.tail)+EntrySize > cap(q.tail) && !q.grow() {
		if err := q.writeTail(q.set.files.acquire); err != nil {
			return err
		}
	}
	q.tail = appendEntry(q.tail, e)
	if !q.listed {
		q.list()
	}
	return nil
}

// grow makes room in the tail, if it may be larger.
func (q *Queue) grow() bool {
	old := int64(cap(q.tail))
	size := min(max(firstTail, 2*old), maxTail)
	if size == old || old > 0 && q.set.tails.Load()+size-old > q.set.limit {
		return false
	}
	q.setTail(size)
	return true
}

// setTail gives the tail another capacity.
func (q *Queue) setTail(size int64) {
	q.set.tails.Add(size - int64(cap(q.tail)))
	var tail []byte
	if size > 0 {
		tail = append(make([]byte, 0, size), q.tail...)
	}
	q.tail = tail
}

// dropTail forgets the tail. Queue locked.
func (q *Queue) dropTail() {
	q.tail = q.tail[:0]
	q.setTail(0)
}

// list puts the queue among those that Flush looks at.
func (q *Queue) list() {
	q.listed = true
	q.set.dirtyMu.Lock()
	q.set.dirty = append(q.set.dirty, q)
	q.set.dirtyMu.Unlock()
}

// opener is files.acquire or files.borrow.
type opener func(q *Queue, start int64, create bool) (*handle, error)

// writeTail writes the tail to its files and keeps what could not be written.
// Queue locked.
func (q *Queue) writeTail(open opener) error {
	done := 0
	defer func() { q.tail = q.tail[:copy(q.tail, q.tail[done:])] }()
	for done < len(q.tail) {
		start := segment.Start(q.written, q.set.files.fileSize)
		part := q.tail[done:]
		part = part[:min(int64(len(part)), start+q.set.files.fileSize-q.written)]
		if err := q.writeFile(open, start, part, q.written-start); err != nil {
			return err
		}
		q.written += int64(len(part))
		done += len(part)
	}
	return nil
}

// writeFile writes to a file, which it makes when there is none.
func (q *Queue) writeFile(open opener, start int64, b []byte, at int64) error {
	if q.first < 0 {
		if err := checkTopic(q.topic); err != nil {
			return err
		}
	}
	if start > q.last { // a new file
		if err := q.changeNames(); err != nil {
			return err
		}
	}
	h, err := open(q, start, true)
	if err != nil {
		return err
	}
	if q.first < 0 {
		q.first, q.made = start, true
	}
	q.last = max(q.last, start)
	q.markDirty(start + at)
	_, err = h.WriteAt(b, at)
	if closeErr := q.set.files.release(h); err == nil {
		err = closeErr
	}
	return err
}

// changeNames precedes each change of the names in the directory: the one
// before must be durable by then.
func (q *Queue) changeNames() error {
	if q.names || q.syncing {
		// It does not exist when it could not be made.
		if err := notExistIsNil(q.set.files.fs.SyncDir(q.dir())); err != nil {
			return fmt.Errorf("%w: %w", errSync, err)
		}
	}
	q.names, q.syncing = true, false
	if !q.listed {
		q.list()
	}
	return nil
}

func (q *Queue) markDirty(from int64) {
	if q.dirtyFrom < 0 || from < q.dirtyFrom {
		q.dirtyFrom = from
	}
	if !q.listed {
		q.list()
	}
}
