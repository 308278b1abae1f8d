// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pop

import (
	"errors"
	"fmt"
	"slices"
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
	// ErrFull: too much is popped and not acked.
	ErrFull = errors.New("pop: too many messages are popped and not acked: ack them, or wait until they are visible again")
)

// Ack says that a group is done with messages that were popped with a handle: by
// their offsets in a queue of topic, which for a retry is the retry topic. That is
// in the log when it returns, with Config.Sync on the disk. Acks that come late, or
// twice, change nothing and are no error. In order, a message that the queue did not
// give is ErrNotGiven, and the others are acked. Other errors come from the store,
// and then the messages become visible again unless they are acked again.
func (s *Service) Ack(group, topic string, queue int32, h *Handle, offsets ...int64) error {
	if len(offsets) == 0 {
		return nil
	}
	if !slices.IsSorted(offsets) {
		offsets = slices.Sorted(slices.Values(offsets))
	}
	if h.Revive == OrderQueue {
		return s.ackInOrder(queueKey{group, topic, queue}, offsets, h.PopTime)
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

// begin is merge.begin, once no other ack of the messages is on its way; gate is
// held.
func (s *Service) begin(k key, offsets ...int64) (*checkpoint, uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		c, mask, busy := s.open.begin(k, offsets...)
		if !busy {
			return c, mask
		}
		s.settled.Wait()
	}
}

// settle is merge.settle; mu is held.
func (s *Service) settle(c *checkpoint, mask uint32, stored bool) {
	s.open.settle(c, mask, stored)
	s.dirty = true
	s.settled.Broadcast()
}

// ack stores and notes acks; gate is held.
func (s *Service) ack(k key, offsets []int64) (end int64, err error) {
	c, mask := s.begin(k, offsets...)
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
	s.settle(c, mask, err == nil)
	s.mu.Unlock()
	if err == nil {
		s.stats.acked.Add(int64(len(list)))
	}
	return end, err
}

// ackInOrder acks messages of a queue that is consumed in order.
func (s *Service) ackInOrder(k queueKey, offsets []int64, time int64) error {
	unlock, _ := s.lock(k, true)
	s.gate.RLock()
	end, free, err := s.storeInOrder(k, offsets, time)
	s.gate.RUnlock()
	unlock()
	if free && s.cfg.Wake != nil {
		s.cfg.Wake(k.group, k.topic, k.queue)
	}
	if end == 0 {
		return err
	}
	return errors.Join(err, s.durable(end))
}

// storeInOrder stores and notes acks in order; the queue's lock and gate are held.
// end is that of what is to be on the disk, 0: nothing. isFree: the queue was blocked,
// and is no longer.
func (s *Service) storeInOrder(k queueKey, offsets []int64, time int64) (end int64, isFree bool, err error) {
	if off, known := s.offset(k); known {
		passed, _ := slices.BinarySearch(offsets, off)
		if offsets = offsets[passed:]; len(offsets) == 0 {
			s.stats.late.Add(1)
			return s.cfg.Log.MaxPhysical(), false, nil
		}
	}
	s.mu.Lock()
	info := s.orders.get(k.topic, k.group, k.queue)
	var list []int64
	var bits int64
	for _, o := range offsets {
		v, _, bit := s.orders.judge(k.topic, k.group, k.queue, o, time)
		switch {
		case v == counts && bits&(1<<bit) == 0:
			list, bits = append(list, o), bits|1<<bit
		case v == unknown && err == nil:
			err = fmt.Errorf("%w: offset %d of queue %d of %q by group %s", ErrNotGiven, o, k.queue, k.topic, k.group)
		}
		if info == nil || o > offsetAt(info, len(info.Offsets)-1) && !ackedAhead(info, o) {
			break // all that follow are not the queue's either
		}
	}
	s.mu.Unlock()
	if len(list) == 0 {
		if err == nil {
			s.stats.late.Add(1)
			end = s.cfg.Log.MaxPhysical()
		}
		return end, false, err
	}
	b := batch{s: s}
	failed := b.ack(key{k.topic, k.group, k.queue, info.Offsets[0], time}, s.nextRevive(), 0, list...)
	if failed == nil {
		end, failed = b.store()
	}
	if failed != nil {
		return 0, false, failed
	}
	s.stats.acked.Add(int64(len(list)))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dirty = true
	if s.orders.get(k.topic, k.group, k.queue) != info {
		return end, false, err // the topic or the group was deleted meanwhile
	}
	info.Committed |= bits
	s.cfg.Offsets.Commit(k.group, k.topic, k.queue, next(info))
	at := free(info)
	s.waking.set(k, at)
	return end, at <= s.cfg.NowMillis(), err
}

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
	c, mask := s.begin(k, offset)
	if mask == 0 {
		return 0, 0, fmt.Errorf("%w: offset %d of queue %d of %q by group %s", ErrLate, offset, k.queue, k.topic, k.group)
	}
	n := &checkpoint{key: k, revive: c.revive, invisible: invisible, diffs: []int32{0}}
	n.start, n.time = offset, max(now, k.time+1)
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
	s.mu.Lock()
	defer s.mu.Unlock()
	forgotten := s.open.open[k] != c
	s.settle(c, mask, err == nil)
	if err != nil {
		return 0, 0, err
	}
	n.at = b.b.Result(0).PhysicalOffset
	if !forgotten {
		s.open.add(n)
	}
	return end, n.time, nil
}

// changeInOrder sets when a message that is in flight in order is visible.
func (s *Service) changeInOrder(k queueKey, time, offset, until int64) (popTime, forMillis int64, err error) {
	unlock, _ := s.lock(k, true)
	s.gate.RLock()
	end, err := s.storeVisible(k, time, offset, until)
	s.gate.RUnlock()
	unlock()
	if err != nil {
		return 0, 0, err
	}
	s.poke()
	return time, until - time, s.durable(end)
}

// storeVisible stores and notes a change in order; the queue's lock and gate are
// held.
func (s *Service) storeVisible(k queueKey, time, offset, until int64) (end int64, err error) {
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
