// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pop

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
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

// Ack is what a group is done with: messages of a queue of Topic, which for a retry
// is the retry topic, that were popped with one handle, by their offsets.
type Ack struct {
	Group, Topic string
	Queue        int32
	Handle       Handle
	Offsets      []int64
	Err          error // set by AckAll
}

// Ack is AckAll for one handle.
func (s *Service) Ack(group, topic string, queue int32, h *Handle, offsets ...int64) error {
	one := [1]Ack{{Group: group, Topic: topic, Queue: queue, Handle: *h, Offsets: offsets}}
	s.AckAll(one[:])
	return one[0].Err
}

// AckAll says that groups are done with messages. That is in the log when it
// returns, with Config.Sync on the disk, after one wait for it; acks that are not in
// order are stored with one write, those of one checkpoint as one record. Acks that
// come late, or twice, change nothing and are no error. In order, a message that the
// queue did not give is ErrNotGiven, and the others are acked. Other errors come from
// the store, and then the messages become visible again unless they are acked again.
// An Ack without offsets is passed over.
func (s *Service) AckAll(acks []Ack) {
	end := s.storeSets(setsOf(acks))
	for i := range acks {
		if a := &acks[i]; len(a.Offsets) > 0 && a.Handle.Revive == OrderQueue {
			var last int64
			last, a.Err = s.ackInOrder(queueKey{a.Group, a.Topic, a.Queue}, a.Offsets, a.Handle.PopTime)
			end = max(end, last)
		}
	}
	if err := s.durable(end); err != nil {
		for i := range acks {
			if a := &acks[i]; len(a.Offsets) > 0 {
				a.Err = errors.Join(a.Err, err)
			}
		}
	}
}

// ackSet is what one call acks of a checkpoint.
type ackSet struct {
	key
	acks    []*Ack
	offsets []int64
	c       *checkpoint
	mask    uint32 // what is being stored
	at      int    // of its record in the batch, -1: none
}

// setsOf gathers the acks that are not in order by their checkpoints.
func setsOf(acks []Ack) (list []*ackSet) {
	byKey := make(map[key]*ackSet, 1)
	for i := range acks {
		a := &acks[i]
		if len(a.Offsets) == 0 || a.Handle.Revive == OrderQueue {
			continue
		}
		k := key{a.Topic, a.Group, a.Queue, a.Handle.Start, a.Handle.PopTime}
		set := byKey[k]
		if set == nil {
			set = &ackSet{key: k}
			byKey[k], list = set, append(list, set)
		}
		set.acks, set.offsets = append(set.acks, a), append(set.offsets, a.Offsets...)
	}
	for _, set := range list {
		slices.Sort(set.offsets)
	}
	return list
}

// storeSets stores and notes acks, and tells what is to be on the disk. It marks
// none while it waits for those of others, which may wait for its own.
func (s *Service) storeSets(sets []*ackSet) (end int64) {
	if len(sets) == 0 {
		return 0
	}
	s.gate.RLock()
	defer s.gate.RUnlock()
	for len(sets) > 0 {
		n := s.beginSets(sets)
		end = max(end, s.storeBegun(sets[:n]))
		sets = sets[n:]
	}
	return end
}

// beginSets is merge.begin for the sets that no other ack is in the way of, at least
// one, which it puts first; gate is held.
func (s *Service) beginSets(sets []*ackSet) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		for i, set := range sets {
			var busy bool
			if set.c, set.mask, busy = s.open.begin(set.key, set.offsets...); !busy {
				sets[i], sets[n] = sets[n], set
				n++
			}
		}
		if n > 0 {
			return n
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

// storeBegun stores and notes what was begun; gate is held.
func (s *Service) storeBegun(sets []*ackSet) (end int64) {
	b, written := batch{s: s}, 0
	defer func() { // whatever happens: other acks wait for it
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, set := range sets {
			if set.mask != 0 {
				s.settle(set.c, set.mask, 0 <= set.at && set.at < written)
			}
		}
	}()
	for _, set := range sets {
		if set.mask == 0 {
			s.stats.late.Add(int64(len(set.acks)))
			end = s.cfg.Log.MaxPhysical() // an earlier ack of it may still be on its way to the disk
			continue
		}
		set.at = -1
		if err := b.ack(set.key, set.c.revive, set.c.time+set.c.invisible, set.c.offsets(set.mask)...); err != nil {
			set.failed(err)
		} else {
			set.at = b.b.Len() - 1
		}
	}
	var err error
	if b.b.Len() > 0 {
		err = s.cfg.Log.Append(&b.b)
	}
	written = b.b.Written()
	if written > 0 {
		last := b.b.Result(written - 1)
		end = max(end, last.PhysicalOffset+int64(last.Size))
	}
	for _, set := range sets {
		switch {
		case set.mask == 0:
		case set.at >= written:
			set.failed(err)
		case set.at >= 0:
			s.stats.acked.Add(int64(bits.OnesCount32(set.mask)))
		}
	}
	return end
}

func (a *ackSet) failed(err error) {
	for _, one := range a.acks {
		one.Err = err
	}
}

// ackInOrder stores and notes acks of messages of a queue that is consumed in order;
// end is that of what is to be on the disk, 0: nothing.
func (s *Service) ackInOrder(k queueKey, offsets []int64, time int64) (end int64, err error) {
	if !slices.IsSorted(offsets) {
		offsets = slices.Sorted(slices.Values(offsets))
	}
	end, free, err := s.storeInOrder(k, offsets, time)
	if free && s.cfg.Wake != nil {
		s.cfg.Wake(k.group, k.topic, k.queue)
	}
	return end, err
}

// storeInOrder stores and notes acks in order. end is that of what is to be on the
// disk, 0: nothing. isFree: the queue was blocked, and is no longer.
func (s *Service) storeInOrder(k queueKey, offsets []int64, time int64) (end int64, isFree bool, err error) {
	unlock, _ := s.lock(k, true)
	defer unlock()
	s.gate.RLock()
	defer s.gate.RUnlock()
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
	s.move(k, next(info), end)
	at := free(info)
	s.waking.set(k, at)
	return end, at <= s.cfg.NowMillis(), err
}
