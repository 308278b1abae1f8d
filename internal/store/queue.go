// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"sync"
	"sync/atomic"

	"github.com/twostage/twostage/internal/store/consumequeue"
)

// entrySize is the size of a consume queue entry in bytes.
const entrySize = 20

// Queue is the handle of one queue of a topic. The pointer stays the same for as
// long as the topic is not deleted. All methods may be called by any goroutine.
type Queue struct {
	store *Store
	topic string
	raw   []byte // topic
	id    int32
	cq    *consumequeue.Queue
	next  int64 // offset of the next record; Store.mu
	gone  atomic.Bool
}

// Topic is the name of the queue's topic.
func (q *Queue) Topic() string { return q.topic }

// ID is the queue's number in its topic.
func (q *Queue) ID() int32 { return q.id }

// Min is the offset of the first entry that is kept.
func (q *Queue) Min() int64 { return q.cq.Min() }

// Max is the offset behind the last entry that can be read. With SyncFlush it
// covers only what is durable.
func (q *Queue) Max() int64 { return q.cq.Max() }

// Deleted tells whether the topic has been deleted since the handle was got.
// Append then refuses it; ask Store.Queue for a new one.
func (q *Queue) Deleted() bool { return q.gone.Load() }

// queues maps names to handles.
type queues struct {
	mu     sync.RWMutex // held for writing during DeleteTopic
	topics map[string]map[int32]*Queue
}

// Queue returns the handle of a queue and makes the queue, in memory, if there
// is none: files appear with its first record. topic must be a valid topic name
// (message.CheckTopic) and id not negative: Batch.Add refuses others.
func (s *Store) Queue(topic string, id int32) *Queue {
	if q := s.LookupQueue(topic, id); q != nil {
		return q
	}
	s.queues.mu.Lock()
	defer s.queues.mu.Unlock()
	if q := s.queues.topics[topic][id]; q != nil {
		return q
	}
	return s.addQueueLocked(topic, id, s.cqs.Queue(topic, id))
}

func (s *Store) addQueueLocked(topic string, id int32, cq *consumequeue.Queue) *Queue {
	q := &Queue{store: s, topic: topic, raw: []byte(topic), id: id, cq: cq, next: cq.Max()}
	ids := s.queues.topics[topic]
	if ids == nil {
		ids = make(map[int32]*Queue)
		s.queues.topics[topic] = ids
	}
	ids[id] = q
	return q
}

// LookupQueue returns the handle of a queue, or nil if there is none.
func (s *Store) LookupQueue(topic string, id int32) *Queue {
	s.queues.mu.RLock()
	defer s.queues.mu.RUnlock()
	return s.queues.topics[topic][id]
}

// RangeQueues calls fn for each queue, in no order, until it returns false. fn
// must not call Queue or DeleteTopic.
func (s *Store) RangeQueues(fn func(*Queue) bool) {
	s.queues.mu.RLock()
	defer s.queues.mu.RUnlock()
	for _, ids := range s.queues.topics {
		for _, q := range ids {
			if !fn(q) {
				return
			}
		}
	}
}
