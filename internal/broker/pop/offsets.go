// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pop

import (
	"errors"
	"slices"

	"github.com/twostage/twostage/internal/store"
)

// pending is an offset that the log must have first: what lies before it is known
// to be in flight only by records up to end. It counts while the consumers' offset is
// the one it goes on from: who moves that has the last word. Another one that waits
// in its place is another pending.
type pending struct {
	base            int64 // -1: none
	next, end       int64
	midNext, midEnd int64 // the same, older
}

// query is the committed offset of a group, -1 when it has none.
func (s *Service) query(k queueKey) int64 {
	if offset, known := s.cfg.Offsets.Query(k.group, k.topic, k.queue); known {
		return offset
	}
	return -1
}

// offset is where a group goes on in a queue; known is false for one that has not
// begun.
func (s *Service) offset(k queueKey) (offset int64, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	offset = s.query(k)
	if p, ok := s.pending[k]; ok && p.base == offset {
		return p.next, true
	}
	return max(offset, 0), offset >= 0
}

// advance moves a group in a queue once the log has everything up to end on the
// disk.
func (s *Service) advance(k queueKey, next, end int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.move(k, next, end)
}

// move is advance; mu is held.
func (s *Service) move(k queueKey, next, end int64) {
	if !s.there(k) {
		return
	}
	base := s.query(k)
	p := s.pending[k]
	waits := p != nil && p.base == base
	switch {
	case !waits && (next == base || end <= s.cfg.Log.Flushed()):
		delete(s.pending, k)
		s.cfg.Offsets.Commit(k.group, k.topic, k.queue, next)
		return
	case !waits:
		p = &pending{base: base, midNext: next, midEnd: end}
		s.pending[k] = p
	}
	p.next, p.end = next, max(end, p.end)
}

// settleOffsets commits the offsets that the disk has the reasons of.
func (s *Service) settleOffsets() {
	flushed := s.cfg.Log.Flushed()
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, p := range s.pending {
		switch {
		case !s.there(k) || p.base != s.query(k):
			delete(s.pending, k)
		case p.end <= flushed:
			s.cfg.Offsets.Commit(k.group, k.topic, k.queue, p.next)
			delete(s.pending, k)
		case p.midEnd <= flushed:
			s.cfg.Offsets.Commit(k.group, k.topic, k.queue, p.midNext)
			p.base = p.midNext
			p.midNext, p.midEnd = p.next, p.end
		}
	}
}

// waiting is what an offset that waits for the disk was at some moment.
type waiting struct {
	*pending
	next int64
}

// commit commits offsets that the disk has the reasons of, but those of groups
// that were put elsewhere since.
func (s *Service) commit(offsets map[queueKey]waiting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, w := range offsets {
		if s.pending[k] == w.pending && s.there(k) && w.base == s.query(k) && w.base < w.next {
			s.cfg.Offsets.Commit(k.group, k.topic, k.queue, w.next)
			w.base = w.next
		}
	}
}

// there tells whether the topic and the group still exist.
func (s *Service) there(k queueKey) bool {
	_, topic := s.cfg.Topics.Get(k.topic)
	_, group := s.cfg.Groups.Get(k.group)
	return topic && group
}

// quit drops what could still move a group in a queue; mu is held.
func (s *Service) quit(k queueKey) {
	delete(s.pending, k)
	s.orders.clear(k.topic, k.group, k.queue)
	s.waking.set(k, 0)
	s.dirty = true
}

// Put sets offsets of a group by hand, with set for each: they are by topic and
// queue. What it popped there before moves it no more, and nothing of it is in flight
// in order; pops that are under way begin anew. When it returns that is on the disk,
// and so are the offsets. Errors come from set, and from the disk: some offsets may
// be set then, and a kill may undo that.
func (s *Service) Put(group string, offsets map[string]map[int32]int64, set func(group, topic string, queue int32, offset int64) error) error {
	err := errors.Join(s.put(group, offsets, set), s.Note())
	if s.cfg.Wake != nil {
		for topic, queues := range offsets {
			for queue := range queues {
				s.cfg.Wake(group, topic, queue)
			}
		}
	}
	return err
}

func (s *Service) put(group string, offsets map[string]map[int32]int64, set func(group, topic string, queue int32, offset int64) error) error {
	s.gate.Lock()
	defer s.gate.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.puts.Add(1)
	for topic, queues := range offsets {
		for queue, offset := range queues {
			if err := set(group, topic, queue, offset); err != nil {
				return err
			}
			s.quit(queueKey{group, topic, queue})
		}
	}
	return nil
}

// Settle returns once nothing is being stored again of a topic that was deleted before
// the call. From then on no retry topic of it is made.
func (s *Service) Settle() {
	s.gate.Lock()
	defer s.gate.Unlock()
}

// ForgetTopics drops what is popped of topics that were deleted, and notes that: of
// one that is made under such a name nothing is acked or in flight, also after a kill.
func (s *Service) ForgetTopics(topics ...string) error {
	return s.forget(func(k queueKey) bool { return slices.Contains(topics, k.topic) })
}

// ForgetGroup does the same for a group that was deleted with its offsets.
func (s *Service) ForgetGroup(group string) error {
	return s.forget(func(k queueKey) bool { return k.group == group })
}

func (s *Service) forget(gone func(queueKey) bool) error {
	s.mu.Lock()
	for _, c := range s.open.snapshot() {
		if gone(c.place()) {
			s.open.drop(c.checkpoint)
		}
	}
	s.orders.forget(func(topic, group string) bool { return !gone(queueKey{group: group, topic: topic}) })
	for k := range s.pending {
		if gone(k) {
			delete(s.pending, k)
		}
	}
	for _, k := range s.waking.keys() {
		if gone(k) {
			s.waking.set(k, 0)
		}
	}
	s.dirty = true
	s.mu.Unlock()
	return s.Note()
}

// hot is how near to the end of the log the first message of a queue must stand
// for a new group to begin with it whatever it asks for: a topic that has just been
// made. RocketMQ asks whether it is in memory.
const hot = 1 << 30

// initial is where a group begins.
func (s *Service) initial(q *store.Queue, k queueKey, mode int32) int64 {
	least := q.Min()
	if mode == 0 || kindOf(k.topic) != Normal {
		return least
	}
	if least <= 0 {
		if e, err := s.cfg.Log.Entries(nil, q, 0, 1); err == nil && len(e) == 1 && e[0].PhysicalOffset > s.cfg.Log.MaxPhysical()-hot {
			return 0
		}
	}
	return max(q.Max()-1, 0)
}
