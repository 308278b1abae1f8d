// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package consumequeue

import (
	"errors"
	"fmt"
	"math"
	"path"
	"sync"

	"github.com/twostage/twostage/internal/store/segment"
	"github.com/twostage/twostage/internal/vfs"
)

// Flush writes the tails and makes everything durable that was appended before
// it was called. It blocks on the device, and syncs each file that has changed,
// or all of the file system when they are many (Options.SyncAll). Append goes on
// meanwhile. After a failed fsync it fails for good; after a failed write a
// later call may succeed.
func (s *Set) Flush() error {
	s.flushing.Lock()
	defer s.flushing.Unlock()
	if s.failed != nil {
		return s.failed
	}
	s.dirtyMu.Lock()
	dirty := s.dirty
	s.dirty = nil
	s.dirtyMu.Unlock()

	err := s.flushQueues(dirty)
	if err != nil {
		err = fmt.Errorf("consumequeue: flush: %w", err)
		if errors.Is(err, errSync) {
			s.failed = err
		}
	}
	return err
}

// errSync marks the errors that end all flushing.
var errSync = errors.New("fsync failed, what it should have made durable is in doubt")

// flushQueues writes the tails and then syncs what was written, by now or before.
func (s *Set) flushQueues(dirty []*Queue) error {
	atOnce, open := parallel, opener(s.files.acquire)
	if s.syncAll >= 0 && len(dirty) >= s.syncAll {
		open = s.files.borrow
		s.mu.RLock()
		if !s.closed {
			atOnce = 1 // leaves the other processors to Append
		}
		s.mu.RUnlock()
	}
	var mu sync.Mutex
	var written []unsynced
	err := each(atOnce, dirty, func(q *Queue) error {
		u, err := q.write(open)
		if u.q != nil {
			mu.Lock()
			written = append(written, u)
			mu.Unlock()
		}
		return err
	})
	// Also after an error: nobody else will sync what could be written.
	if s.syncAll >= 0 && len(written) >= s.syncAll {
		if all := s.openSyncer(); all != nil {
			return errors.Join(err, syncAll(all, written))
		}
	}
	return errors.Join(err, each(parallel, written, unsynced.sync), s.syncParents(written))
}

// openSyncer returns what syncs the file system, which is opened when it is
// needed first: to open it is to ask for errors that nobody was told of. It is
// nil where there is none.
func (s *Set) openSyncer() vfs.Syncer {
	if s.syncer != nil {
		return s.syncer
	}
	var err error
	if s.syncer, err = s.files.fs.Syncer(s.dir); err != nil {
		s.syncer = nil
		s.syncAll = -1
		s.log.Warn("consumequeue: the file system cannot be synced as a whole, each file is", "dir", s.dir, "err", err)
	}
	return s.syncer
}

// syncAll makes contents, sizes, names and the directories above them durable.
func syncAll(all vfs.Syncer, written []unsynced) error {
	if err := all.SyncAll(); err != nil {
		return fmt.Errorf("%w: %w", errSync, err)
	}
	for _, u := range written {
		if u.made {
			u.q.parentsDurable()
		}
	}
	return nil
}

// unsynced is what of a queue is written, and has to be synced now.
type unsynced struct {
	q           *Queue // nil: nothing
	from, last  int64  // bytes: lowest one, start of the last file; from -1 for none
	names, made bool
}

// write writes the tail. What is to be synced then counts as durable: a caller
// who can't do it puts the queue back (unlessRemoved) or fails for good.
func (q *Queue) write(open opener) (unsynced, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.listed = false
	if q.gone.Load() {
		return unsynced{}, nil
	}
	used := len(q.tail)
	if err := q.writeTail(open); err != nil {
		if !q.listed {
			q.list()
		}
		return unsynced{}, err
	}
	if used < cap(q.tail)/4 { // fallen silent
		q.setTail(0)
	}
	u := unsynced{q: q, from: q.dirtyFrom, last: q.last, names: q.names, made: q.made}
	if u.from < 0 && !u.names && !u.made {
		return unsynced{}, nil
	}
	if u.from >= 0 { // the front may have been removed since
		u.from = max(u.from, q.first)
	}
	q.dirtyFrom, q.names, q.syncing = -1, false, u.names
	return u, nil
}

// sync makes a queue durable, but for the name of its directory.
func (u unsynced) sync() error {
	q, size := u.q, u.q.set.files.fileSize
	if u.from >= 0 {
		for start := segment.Start(u.from, size); start <= u.last; start += size {
			if err := q.syncFile(start); err != nil {
				if err = q.unlessRemoved(start, err); err != nil {
					return err
				}
			}
		}
	}
	if u.names {
		if err := notExistIsNil(q.set.files.fs.SyncDir(q.dir())); err != nil {
			return q.unlessRemoved(math.MaxInt64, fmt.Errorf("%w: %w", errSync, err))
		}
	}
	return nil
}

func (q *Queue) syncFile(start int64) error {
	h, err := q.set.files.acquire(q, start, false)
	if err != nil {
		return err
	}
	err = h.Sync()
	if err != nil {
		err = fmt.Errorf("%w: %w", errSync, err)
	}
	if closeErr := q.set.files.release(h); err == nil {
		err = closeErr
	}
	return err
}

// unlessRemoved drops the error about a file that was removed meanwhile, and puts
// a queue whose file could not be opened back among the dirty ones.
func (q *Queue) unlessRemoved(start int64, err error) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.gone.Load() || start < q.first {
		return nil
	}
	q.names = true
	q.markDirty(min(start, q.last))
	return err
}

// syncParents makes the names of new queue directories durable.
func (s *Set) syncParents(written []unsynced) error {
	topics := make(map[string][]*Queue)
	for _, u := range written {
		if u.made && !u.q.gone.Load() {
			topics[u.q.topic] = append(topics[u.q.topic], u.q)
		}
	}
	if len(topics) == 0 {
		return nil
	}
	var errs []error
	for topic, queues := range topics {
		if err := s.files.fs.SyncDir(s.dir + "/" + topic); err != nil && !queues[0].gone.Load() {
			errs = append(errs, fmt.Errorf("%w: %w", errSync, err))
		}
	}
	for _, dir := range []string{s.dir, path.Dir(s.dir)} {
		if err := s.files.fs.SyncDir(dir); err != nil {
			errs = append(errs, fmt.Errorf("%w: %w", errSync, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, queues := range topics {
		for _, q := range queues {
			q.parentsDurable()
		}
	}
	return nil
}

func (q *Queue) parentsDurable() {
	q.mu.Lock()
	q.made = false
	q.mu.Unlock()
}
