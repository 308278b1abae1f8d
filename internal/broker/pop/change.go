// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pop

import (
	"fmt"
	"strconv"
)

// Change makes a message invisible for another time from now on: what a new handle
// is made of. In order the old handle stays good. ErrLate: the message is not the
// handle's any more, and nothing has changed. ErrTime, ErrFull: nothing has changed
// either. It is as durable as an ack.
func (s *Service) Change(group, topic string, queue int32, h *Handle, offset, invisible int64) (time, forMillis int64, err error) {
	if invisible < 0 || invisible > MaxInvisible {
		return 0, 0, fmt.Errorf("%w: %d ms, 0 to %d can be had (invisibleTime)", ErrTime, invisible, MaxInvisible)
	}
	now := s.cfg.NowMillis()
	if h.Revive == OrderQueue {
		return s.changeInOrder(queueKey{group, topic, queue}, h.PopTime, offset, now+invisible)
	}
	end, time, err := s.change(key{topic, group, queue, h.Start, h.PopTime}, offset, now, invisible)
	if err != nil {
		return 0, 0, err
	}
	s.poke()
	return time, invisible, s.durable(end)
}

// change stores a new checkpoint and the ack in the old one, both or none.
func (s *Service) change(k key, offset, now, invisible int64) (end, time int64, err error) {
	s.gate.RLock()
	defer s.gate.RUnlock()
	set := ackSet{key: k, offsets: []int64{offset}}
	s.beginSets([]*ackSet{&set})
	c, mask := set.c, set.mask
	if mask == 0 {
		return 0, 0, fmt.Errorf("%w: offset %d of queue %d of %q by group %s", ErrLate, offset, k.queue, k.topic, k.group)
	}
	n := &checkpoint{key: k, revive: c.revive, invisible: invisible, diffs: []int32{0}}
	n.start, n.time = offset, max(now, k.time+1)
	stored := false
	defer func() { // whatever happens: acks wait for it
		s.mu.Lock()
		defer s.mu.Unlock()
		forgotten := s.open.open[k] != c
		if s.settle(c, mask, stored); stored && !forgotten {
			s.open.add(n)
		}
	}()
	s.mu.Lock()
	for s.open.open[n.key] != nil {
		n.time++
	}
	err = s.room(k.group, 2) // what is popped already may be kept longer
	s.mu.Unlock()
	b := batch{s: s}
	if err == nil {
		err = b.checkpoint(n, -1)
	}
	if err == nil {
		err = b.moved(k, c.revive, c.time+c.invisible, strconv.FormatInt(n.time, 10), offset)
	}
	if err == nil {
		end, err = b.store()
	}
	if err != nil {
		return 0, 0, err
	}
	n.at, stored = b.b.Result(0).PhysicalOffset, true
	return end, n.time, nil
}

// changeInOrder sets when a message that is in flight in order is visible.
func (s *Service) changeInOrder(k queueKey, time, offset, until int64) (popTime, forMillis int64, err error) {
	end, err := s.storeVisible(k, time, offset, until)
	if err != nil {
		return 0, 0, err
	}
	s.poke()
	return time, until - time, s.durable(end)
}

// storeVisible stores and notes a change in order.
func (s *Service) storeVisible(k queueKey, time, offset, until int64) (end int64, err error) {
	unlock, _ := s.lock(k, true)
	defer unlock()
	s.gate.RLock()
	defer s.gate.RUnlock()
	s.mu.Lock()
	v, info, _ := s.orders.judge(k.topic, k.group, k.queue, offset, time)
	s.mu.Unlock()
	if v != counts {
		return 0, fmt.Errorf("%w: offset %d of queue %d of %q by group %s", ErrLate, offset, k.queue, k.topic, k.group)
	}
	b := batch{s: s}
	if err := b.visible(k, s.nextRevive(), time, offset, until); err != nil {
		return 0, err
	}
	if end, err = b.store(); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dirty = true
	if s.orders.get(k.topic, k.group, k.queue) == info {
		hide(info, offset, until)
		s.waking.set(k, free(info))
	}
	return end, nil
}
