// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package timer

import (
	"slices"

	"github.com/twostage/twostage/internal/store/timerfile"
)

// finish writes the last checkpoint, so that who opens the directory next, also
// RocketMQ, delivers nothing twice and puts nothing in twice.
//
// RocketMQ delivers the whole slot of the checkpoint: it is chained anew, of what
// has not been dealt with. And it does not go on at the entry that the checkpoint
// names, but behind the one of the timerlog's last unit.
//
// Source: TimerMessageStore.recover and reviseQueueOffset of Apache RocketMQ 5.3.3.
func (s *Service) finish() error {
	slot, err := s.rechain()
	if err != nil {
		return err
	}
	if err := s.markLast(); err != nil {
		return err
	}
	s.held = false
	s.chained = slot.Last + 1
	if err := s.note(); err != nil {
		return err
	}
	if s.chained == 0 {
		return nil
	}
	// The checkpoint says so too: a slot on disk that says it alone could not be led
	// back.
	if err := s.wheel.Put(s.read, slot); err != nil {
		return err
	}
	return s.wheel.Flush()
}

// rechain puts behind the timerlog's end another chain of the slot under way, of
// the units that have not been dealt with; timerfile.NoSlot when none has. Where
// all have, it is one unit that takes back nothing: RocketMQ takes the last unit of
// a slot that it finds in the timerlog for the end of its chain.
func (s *Service) rechain() (timerfile.Slot, error) {
	at, err := s.wheel.Get(s.read)
	if err != nil || at.Last < 0 {
		return timerfile.NoSlot, err
	}
	byPos := func(a, b item) int { return int(min(max(a.pos-b.pos, -1), 1)) }
	slices.SortFunc(s.cur.items, byPos) // it is a heap no longer: nothing is delivered any more
	waits := func(pos int64, u *timerfile.Unit) bool {
		if s.done.offsets.has(u.Offset) {
			return false
		}
		if u.Kind&(timerfile.KindDelete|timerfile.KindRoll) == timerfile.KindDelete || !s.cur.of(s.read) {
			return true
		}
		it := item{u.Time() + 1, pos}
		_, found := slices.BinarySearchFunc(s.cur.items, it, byPos)
		return found || s.cur.later(it)
	}
	// From the first unit to the last, so that their order stays: by parts, as the
	// chain leads back.
	var marks []int64
	n, over, sample := 0, 0, timerfile.Unit{}
	if err := s.chain(at.Last, -1, s.read, func(pos int64, u *timerfile.Unit) {
		if n%s.keep == 0 {
			marks = append(marks, pos)
		}
		if n++; !waits(pos, u) {
			over++
			sample = *u
		}
	}); err != nil || over == 0 {
		return timerfile.NoSlot, err
	}
	slot := timerfile.NoSlot
	add := func(u *timerfile.Unit) error {
		u.Prev = slot.Last
		pos, err := s.log.Append(u)
		if slot.Last = pos; slot.First < 0 {
			slot.First = pos
		}
		return err
	}
	low := int64(-1)
	for _, mark := range slices.Backward(marks) {
		var part []timerfile.Unit
		if err := s.chain(mark, low, s.read, func(pos int64, u *timerfile.Unit) {
			if waits(pos, u) {
				part = append(part, *u)
			}
		}); err != nil {
			return timerfile.NoSlot, err
		}
		low = mark
		for _, u := range slices.Backward(part) {
			if u.Kind&timerfile.KindDelete == 0 {
				slot.Num++
			} else {
				slot.Num--
			}
			if err := add(&u); err != nil {
				return timerfile.NoSlot, err
			}
		}
	}
	if slot.Last < 0 {
		sample.Kind = timerfile.KindMessage | timerfile.KindDelete
		if err := add(&sample); err != nil {
			return timerfile.NoSlot, err
		}
	}
	return slot, nil
}

// chain calls visit for the units of a slot from the one at pos back to the first
// one behind low.
func (s *Service) chain(pos, low, slot int64, visit func(pos int64, u *timerfile.Unit)) error {
	for pos > low && pos >= s.log.Begin() {
		u, err := s.unit(pos, slot)
		if err != nil {
			return err
		}
		visit(pos, &u)
		pos = u.Prev
	}
	return nil
}

// markLast sees to it that the last unit is one of the last entry that was put in.
// It stands in no chain, and its time is over.
func (s *Service) markLast() error {
	if s.log.End() == 0 {
		return nil
	}
	for from := s.put - 1; from >= s.q.Min(); from-- {
		entries, err := s.cfg.Log.Entries(s.work.entries[:0], s.q, from, 1)
		if err != nil {
			return err
		}
		s.work.entries = entries
		if len(entries) == 0 || entries[0].Size == 0 {
			continue // damaged: there is no record to name
		}
		e := entries[0]
		if u, err := s.log.Read(s.log.End() - timerfile.UnitSize); err == nil && u.Offset == e.PhysicalOffset {
			return nil
		}
		time := s.read*s.precision - 1
		_, err = s.log.Append(&timerfile.Unit{Prev: -1, Kind: timerfile.KindMessage, Put: time, Offset: e.PhysicalOffset, Size: e.Size})
		return err
	}
	return nil
}
