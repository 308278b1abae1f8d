// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pop

import (
	"errors"
	"fmt"
	"strconv"
)

// Errors of acks and changes.
var (
	// ErrNotGiven: the queue gave no such message to the group.
	ErrNotGiven = errors.New("pop: the message was not popped")
	// ErrLate: the message is acked, or was given again since.
	ErrLate = errors.New("pop: the message is no longer the handle's")
	// ErrTime: the invisible time can't be had.
	ErrTime = errors.New("pop: an impossible invisible time")
	// ErrAgain: the same may work in a moment.
	ErrAgain = errors.New("pop: try again")
)

// Ack says that a group is done with messages that were popped with a handle: by
// their offsets in a queue of topic, which for a retry is the retry topic. That is
// in the log when it returns, with Config.Sync on the disk. Acks that come late, or
// twice, change nothing and are no error. In order, a message that the queue did not
// give is ErrNotGiven. Other errors come from the store, and then the messages become visible again unless
// they are acked again.
func (s *Service) Ack(group, topic string, queue int32, h *Handle, offsets ...int64) error {
	if h.Revive == OrderQueue {
		for _, o := range offsets {
			if err := s.ackInOrder(queueKey{group, topic, queue}, o, h.PopTime); err != nil {
				return err
			}
		}
		return nil
	}
	if len(offsets) == 0 {
		return nil
	}
	k := key{topic, group, queue, h.Start, h.PopTime}
	s.gate.RLock()
	end, err := s.ack(k, offsets)
	s.gate.RUnlock()
	if err != nil {
		return err
	}
	return s.durable(end)
}

// ack stores and notes acks; gate is held.
func (s *Service) ack(k key, offsets []int64) (end int64, err error) {
	s.mu.Lock()
	c, mask := s.open.begin(k, offsets...)
	s.mu.Unlock()
	if mask == 0 {
		s.stats.late.Add(1)
		return s.cfg.Log.MaxPhysical(), nil // an earlier ack of it may still be on its way to the disk
	}
	var list []int64
	for i, d := range c.diffs {
		if mask&(1<<i) != 0 {
			list = append(list, c.start+int64(d))
		}
	}
	b := batch{s: s}
	if err = b.ack(k, c.revive, c.time+c.invisible, list...); err == nil {
		end, err = b.store()
	}
	s.mu.Lock()
	s.open.settle(c, mask, err == nil)
	s.dirty = true
	s.mu.Unlock()
	if err == nil {
		s.stats.acked.Add(int64(len(list)))
	}
	return end, err
}

// ackInOrder acks one message of a queue that is consumed in order.
func (s *Service) ackInOrder(k queueKey, offset, time int64) error {
	unlock, _ := s.lock(k, true)
	defer unlock()
	if off, known := s.offset(k); known && offset < off {
		s.stats.late.Add(1)
		return nil
	}
	s.gate.RLock()
	end, err := s.storeInOrder(k, offset, time)
	s.gate.RUnlock()
	if err != nil {
		return err
	}
	return s.durable(end)
}

// storeInOrder stores and notes an ack in order; the queue's lock and gate are
// held.
func (s *Service) storeInOrder(k queueKey, offset, time int64) (end int64, err error) {
	s.mu.Lock()
	v, info, bit := s.orders.judge(k.topic, k.group, k.queue, offset, time)
	s.mu.Unlock()
	switch {
	case v == late:
		s.stats.late.Add(1)
		return s.cfg.Log.MaxPhysical(), nil
	case v == unknown:
		return 0, fmt.Errorf("%w: offset %d of queue %d of %q by group %s", ErrNotGiven, offset, k.queue, k.topic, k.group)
	}
	b := batch{s: s}
	if err := b.ack(key{k.topic, k.group, k.queue, info.Offsets[0], time}, s.nextRevive(), 0, offset); err != nil {
		return 0, err
	}
	if end, err = b.store(); err != nil {
		return 0, err
	}
	s.stats.acked.Add(1)
	s.mu.Lock()
	info.Committed |= 1 << bit
	s.dirty = true
	s.cfg.Offsets.Commit(k.group, k.topic, k.queue, next(info))
	at := free(info)
	if s.waking[k] = at; at == 0 {
		delete(s.waking, k)
	}
	s.mu.Unlock()
	if at <= s.cfg.NowMillis() && s.cfg.Wake != nil {
		s.cfg.Wake(k.group, k.topic, k.queue)
	}
	return end, nil
}

// Change makes a message invisible for another time from now on: what a new handle
// is made of. In order the old handle stays good. ErrLate: the message is not the
// handle's any more, and nothing has changed. It is as durable as an ack.
func (s *Service) Change(group, topic string, queue int32, h *Handle, offset, invisible int64) (time, forMillis int64, err error) {
	now := s.cfg.NowMillis()
	if h.Revive == OrderQueue {
		return s.changeInOrder(queueKey{group, topic, queue}, h.PopTime, offset, now+invisible)
	}
	s.gate.RLock()
	end, time, err := s.change(key{topic, group, queue, h.Start, h.PopTime}, offset, now, invisible)
	s.gate.RUnlock()
	if err != nil {
		return 0, 0, err
	}
	s.poke()
	return time, invisible, s.durable(end)
}

// change stores a new checkpoint and the ack in the old one, both or none; gate is
// held.
func (s *Service) change(k key, offset, now, invisible int64) (end, time int64, err error) {
	s.mu.Lock()
	c, mask := s.open.begin(k, offset)
	n := &checkpoint{key: k, invisible: invisible, diffs: []int32{0}}
	n.start, n.time = offset, max(now, k.time+1)
	for s.open.open[n.key] != nil {
		n.time++
	}
	s.mu.Unlock()
	if mask == 0 {
		return 0, 0, fmt.Errorf("%w: offset %d of queue %d of %q by group %s", ErrLate, offset, k.queue, k.topic, k.group)
	}
	n.revive = c.revive
	b := batch{s: s}
	if err = b.checkpoint(n, -1); err == nil {
		err = b.moved(k, c.revive, c.time+c.invisible, strconv.FormatInt(n.time, 10), offset)
	}
	if err == nil {
		end, err = b.store()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open.settle(c, mask, err == nil)
	s.dirty = true
	if err != nil {
		return 0, 0, err
	}
	n.at = b.b.Result(0).PhysicalOffset
	s.open.add(n)
	return end, n.time, nil
}

// changeInOrder sets when a message that is in flight in order is visible. It is
// not in the log: after a kill the time of the pop counts, unless it is noted.
func (s *Service) changeInOrder(k queueKey, time, offset, at int64) (popTime, forMillis int64, err error) {
	unlock, _ := s.lock(k, true)
	defer unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	v, info, _ := s.orders.judge(k.topic, k.group, k.queue, offset, time)
	if v != counts {
		return 0, 0, fmt.Errorf("%w: offset %d of queue %d of %q by group %s", ErrLate, offset, k.queue, k.topic, k.group)
	}
	if info.NextVisible == nil {
		info.NextVisible = make(map[int64]int64)
	}
	info.NextVisible[offset] = at
	s.waking[k] = free(info)
	s.dirty = true
	s.poke()
	return time, at - time, nil
}
