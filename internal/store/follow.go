// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"

	"github.com/twostage/twostage/internal/store/consumequeue"
	"github.com/twostage/twostage/internal/store/index"
	"github.com/twostage/twostage/internal/vfs"
)

// follow drops from the views what the log no longer has. An error does not keep
// it from the rest; the next round tries again. After a failed sync the store is
// read-only.
func (s *Store) follow() error {
	err := s.followLog(1)
	if errors.Is(err, consumequeue.ErrSync) || errors.Is(err, index.ErrSync) {
		s.fail(err)
		return s.ReadOnly()
	}
	s.retain.lagging = err != nil
	return err
}

// followLog moves tombstones, queues, so many at a time, and index to the first record
// of the log.
func (s *Store) followLog(atOnce int) error {
	min := s.log.Min()
	// A tombstone that outlived the last queue file with an old entry would
	// take the queue for that of the deleted topic.
	if err := s.deleted.forget(min); err != nil {
		return err
	}
	return errors.Join(s.cqs.SetMin(min, atOnce), s.index.SetMin(min))
}

// forget drops tombstones of which the log, which begins at min, has no record.
// For want of space it does so another time.
func (t *tombstones) forget(min int64) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	old := t.ends
	left := make(map[string]int64)
	for name, e := range old {
		if e > min {
			left[name] = e
		}
	}
	if len(left) == len(old) {
		return nil
	}
	t.ends = left
	err := t.saveLocked()
	if err != nil {
		t.ends = old
	}
	if vfs.NoSpace(err) {
		return nil
	}
	return err
}

// OffsetFrom returns the first offset of q from which on all records lie at or
// behind a log offset; Max when all lie before it. With Deletion.End it tells what
// a deletion takes: [Min, OffsetFrom). It reads the queue about log2(entries)
// times. An error is one of reading the queue, or ErrClosed.
func (s *Store) OffsetFrom(q *Queue, physical int64) (int64, error) {
	for !s.ended.Load() {
		index, err := q.cq.IndexAt(physical)
		if errors.Is(err, consumequeue.ErrBelowMin) {
			continue // a deletion meanwhile
		}
		if err != nil {
			return 0, fmt.Errorf("store: queue %d of %q: %w", q.id, q.topic, err)
		}
		return index, nil
	}
	return 0, ErrClosed
}
