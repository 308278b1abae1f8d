// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package consumequeue

import (
	"errors"
	"fmt"
	"math"
	"path"

	"github.com/twostage/twostage/internal/store/segment"
)

// Flush writes the tails and makes everything durable that was appended before
// it was called. It blocks on the device and syncs each file that has changed.
// Append goes on meanwhile. After a failed fsync it fails for good; after a
// failed write a later call may succeed.
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

	err := each(dirty, (*Queue).flush)
	err = errors.Join(err, s.syncParents(dirty))
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

// flush makes a queue durable, but for the name of its directory.
func (q *Queue) flush() error {
	q.mu.Lock()
	q.listed = false
	if q.gone.Load() {
		q.mu.Unlock()
		return nil
	}
	used := len(q.tail)
	if err := q.writeTail(); err != nil {
		q.list()
		q.mu.Unlock()
		return err
	}
	if used < cap(q.tail)/4 { // fallen silent
		q.setTail(0)
	}
	from, last, names := q.dirtyFrom, q.last, q.names
	if from >= 0 { // the front may have been removed since
		from = max(from, q.first)
	}
	q.dirtyFrom, q.names = -1, false
	dir, size := q.dir(), q.set.files.fileSize
	q.mu.Unlock()

	if from >= 0 {
		for start := segment.Start(from, size); start <= last; start += size {
			if err := q.syncFile(start); err != nil {
				if err = q.unlessRemoved(start, err); err != nil {
					return err
				}
			}
		}
	}
	if names {
		if err := notExistIsNil(q.set.files.fs.SyncDir(dir)); err != nil {
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
func (s *Set) syncParents(queues []*Queue) error {
	topics := make(map[string][]*Queue)
	for _, q := range queues {
		q.mu.Lock()
		if q.made && !q.gone.Load() {
			topics[q.topic] = append(topics[q.topic], q)
		}
		q.mu.Unlock()
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
			q.mu.Lock()
			q.made = false
			q.mu.Unlock()
		}
	}
	return nil
}
