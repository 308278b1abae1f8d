// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/twostage/twostage/internal/vfs"
)

// tombstones remember up to which log offset the records of a deleted topic
// belong to the past, so that recovery does not put them into the queues of a
// topic that has got the same name since. RocketMQ does not have this and knows
// nothing of the file:
//
//	deletedTopics.json   {"<topic>": <log offset>, ...}
//
// An entry goes when the log no longer holds anything below its offset.
type tombstones struct {
	mu   sync.Mutex
	fs   vfs.FS
	path string
	ends map[string]int64
}

func (t *tombstones) load(fsys vfs.FS, dir string) error {
	t.fs, t.path, t.ends = fsys, dir+"/deletedTopics.json", make(map[string]int64)
	data, _, err := vfs.ReadConfigFile(fsys, t.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, &t.ends); err != nil {
		return fmt.Errorf("%s: %w", t.path, err)
	}
	if t.ends == nil { // "null"
		t.ends = make(map[string]int64)
	}
	return nil
}

// covers tells whether a record of topic at the log offset was deleted.
func (t *tombstones) covers(topic []byte, physical int64) bool {
	if len(t.ends) == 0 {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	end, ok := t.ends[string(topic)]
	return ok && physical < end
}

// set durably buries topic up to end, forgetting tombstones at or before min.
// After an error that is vfs.NoSpace nothing has changed.
func (t *tombstones) set(topic string, end, min int64) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	old := t.ends
	t.ends = make(map[string]int64, len(old)+1)
	for name, e := range old {
		if e > min {
			t.ends[name] = e
		}
	}
	t.ends[topic] = end
	err := t.saveLocked()
	if err != nil {
		t.ends = old
	}
	return err
}

// lower makes no tombstone reach beyond the end of the log, where it is after a
// crash: new records will stand there.
func (t *tombstones) lower(end int64) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	changed := false
	for name, e := range t.ends {
		if e > end {
			t.ends[name], changed = end, true
		}
	}
	if !changed {
		return nil
	}
	return t.saveLocked()
}

func (t *tombstones) saveLocked() error {
	data, err := json.Marshal(t.ends)
	if err != nil {
		return err
	}
	return vfs.ReplaceFile(t.fs, t.path, data)
}

// DeleteTopic removes the queues of a topic, durably: it is gone when the call
// returns nil, and a queue got afterwards under the same name starts at 0 and
// never sees the old records. Handles of the topic are refused by Append from
// now on. The records stay in the log and can be found by offset and by key
// until retention takes them. A topic without queues is no error. With
// ErrNoSpace the topic is as it was (an Append meanwhile may have got ErrDeleted);
// every other error of writing makes the store read-only. It must not be called
// from OnArrive or RangeQueues.
func (s *Store) DeleteTopic(topic string) error {
	s.queues.mu.Lock()
	defer s.queues.mu.Unlock()
	ids := s.queues.topics[topic]
	if ids == nil {
		return nil
	}
	if err := s.ReadOnly(); err != nil {
		return err
	}
	s.dispatch.hold.Lock()
	defer s.dispatch.hold.Unlock()
	s.mu.lock(0)
	closed := s.closed
	end := s.log.End()
	if !closed {
		for _, q := range ids {
			q.gone.Store(true)
		}
	}
	s.mu.unlock()
	if closed {
		return ErrClosed
	}
	err := s.deleted.set(topic, end, s.log.Min())
	if vfs.NoSpace(err) {
		for _, q := range ids { // no entry has passed them by: hold
			q.gone.Store(false)
		}
		return fmt.Errorf("store: delete topic %q: %w: %w", topic, ErrNoSpace, err)
	}
	delete(s.queues.topics, topic)
	if err == nil {
		err = s.cqs.Delete(topic)
	}
	if err != nil {
		err = fmt.Errorf("store: delete topic %q: %w", topic, err)
		s.fail(err) // its queues are neither there nor gone: recovery decides
	}
	return err
}

// finishDeletes removes the queues of topics whose deletion was interrupted.
func (s *Store) finishDeletes() error {
	for topic, end := range s.deleted.ends {
		ids := s.queues.topics[topic]
		if len(ids) == 0 {
			continue
		}
		old := true
		for _, q := range ids {
			old = old && q.cq.MaxPhysical() <= end
		}
		if old {
			if err := s.cqs.Delete(topic); err != nil {
				return err
			}
			delete(s.queues.topics, topic)
		}
	}
	return nil
}
