// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pop

import "github.com/twostage/twostage/internal/store"

// read gives the stored record of a queue entry.
func (s *Service) read(q *store.Queue, offset int64) (rec []byte, release func(), at int64, err error) {
	e, err := s.cfg.Log.Entries(nil, q, offset, 1)
	if err != nil {
		return nil, nil, 0, err
	}
	if len(e) == 0 || e[0].Size == 0 || offset < q.Min() {
		return nil, nil, 0, store.ErrNotFound
	}
	rec, release, err = s.cfg.Log.Record(e[0].PhysicalOffset)
	return rec, release, e[0].PhysicalOffset, err
}

func (s *Service) isBlocked(k queueKey, attempt string, now int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.orders.blocked(k.topic, k.group, k.queue, attempt, now)
}

// allAcked tells whether messages of a queue that is consumed in order are all
// acked.
func (s *Service) allAcked(k queueKey, offsets []int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	info := s.orders.get(k.topic, k.group, k.queue)
	for _, o := range offsets {
		if !hasAcked(info, o) {
			return false
		}
	}
	return true
}

func (s *Service) inOrder(k queueKey) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	info := s.orders.get(k.topic, k.group, k.queue)
	return info != nil && free(info) > 0
}

// Ready tells whether a group may have something to pop: of a queue, of all for
// -1, or of its retry topics. A queue that is blocked in order has nothing. It is
// an upper bound: filters are not asked.
func (s *Service) Ready(group, topic string, queue int32) bool {
	names := []string{topic, RetryTopic(group, topic, s.retryKind())}
	if s.cfg.RetryV2 {
		names = append(names, RetryTopic(group, topic, RetryV1))
	}
	now := s.cfg.NowMillis()
	for i, name := range names {
		t, ok := s.cfg.Topics.Get(name)
		if !ok {
			continue
		}
		first, last := int32(0), t.ReadQueueNums
		if i == 0 && queue >= 0 {
			first, last = queue, queue+1
		}
		for id := first; id < last; id++ {
			q := s.cfg.Log.LookupQueue(name, id)
			if q == nil {
				continue
			}
			k := queueKey{group, name, id}
			off, known := s.offset(k)
			if !known {
				off = q.Min()
			}
			if q.Max() > off && !s.isBlocked(k, "", now) {
				return true
			}
		}
	}
	return false
}
