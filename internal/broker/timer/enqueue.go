// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package timer

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/store/timerfile"
	"github.com/twostage/twostage/message"
)

// putBatch is how many entries are put in before due ones are looked at again.
const putBatch = 256

// errFar: the slot is more than a turn away. It is nearer once the wheel has
// caught up.
var errFar = errors.New("the slot is more than a turn of the wheel away")

// putIn puts a batch of entries into the wheel. more: there is another one.
func (s *Service) putIn(d *delivery) (more bool, err error) {
	s.mu.Lock()
	to := s.arrived
	s.mu.Unlock()
	if low := s.q.Min(); s.put < low {
		s.skip("timer messages are gone before they were put into the wheel", "from", s.put, "until", low)
		s.put = low
	}
	if s.put >= to {
		return false, s.write()
	}
	n := int(min(to-s.put, putBatch))
	d.entries, err = s.cfg.Log.Entries(d.entries[:0], s.q, s.put, n)
	if err != nil {
		return false, fmt.Errorf("queue 0 of %s at %d: %w", message.TopicTimer, s.put, err)
	}
	if len(d.entries) == 0 {
		return false, fmt.Errorf("queue 0 of %s has no entry %d of %d", message.TopicTimer, s.put, to)
	}
	for _, e := range d.entries {
		if s.building != nil && e.PhysicalOffset >= s.building.known {
			if err = s.inspect(e.PhysicalOffset); err != nil {
				break
			}
		}
		if err = s.putEntry(d, e); err != nil {
			break
		}
		s.put++
		s.dirty = true
	}
	if e := s.write(); e != nil && err == nil {
		err = e
	}
	s.mu.Lock()
	s.relative.Passed(s.put)
	s.absolute.Passed(s.put)
	s.mu.Unlock()
	return s.put < to && err == nil, err
}

// write hands the units to the operating system, so that who asks finds them.
func (s *Service) write() error {
	err := s.log.Write()
	if err == nil {
		s.written.Store(s.log.End())
		s.position.Store(s.put)
	}
	return err
}

// putEntry puts one entry into the wheel, or skips it. An error says that it may
// work later.
func (s *Service) putEntry(d *delivery, e store.Entry) error {
	if e.Size == 0 {
		s.skip("a timer message is lost: its queue entry is damaged", "offset", s.put)
		return nil
	}
	if s.done.take(e.PhysicalOffset) {
		return nil
	}
	stored, release, err := s.fetch(e.PhysicalOffset)
	if err != nil {
		return err
	}
	if stored == nil {
		s.skip("a timer message is lost: its record can't be read", "offset", s.put, "logOffset", e.PhysicalOffset)
		return nil
	}
	defer release()
	rec := &d.rec
	if err := waiting(rec, stored); err != nil {
		s.skip("a timer message can't be put into the wheel", "offset", s.put, "logOffset", e.PhysicalOffset, "error", err)
		return nil
	}
	if s.foreign(rec, s.put) {
		return nil
	}
	due := s.due(rec)
	now := s.clock.Now()
	kind := timerfile.KindMessage
	if due-now >= s.window {
		kind |= timerfile.KindRoll
		// Far from its end it rolls after the whole window, near to it after half,
		// so that the next turn has time.
		if due-now-s.window < s.window/3 {
			due = now + s.window/2/s.precision*s.precision
		} else {
			due = now + s.window
		}
	}
	if _, ok := rec.Property(message.PropertyTimerDeleteKey); ok {
		kind |= timerfile.KindDelete
	}
	topic, _ := rec.Property(message.PropertyRealTopic)
	u := timerfile.Unit{Kind: kind, Put: now, Offset: e.PhysicalOffset, Size: e.Size, Topic: int32(message.TagsCode(topic))}
	return s.place(due, &u, rec)
}

// place puts a unit into the slot of its time: it has Kind, Put, Offset, Size and
// Topic. A time that is over belongs into the slot that is being delivered.
func (s *Service) place(due int64, u *timerfile.Unit, rec *message.Record) error {
	number := max((due-1)/s.precision, s.read)
	if number >= s.read+timerfile.WheelSlots-blankSlots {
		return errFar
	}
	slot, err := s.wheel.Get(number)
	if err != nil {
		return err
	}
	time := max(due-1, number*s.precision)
	if u.Put = min(u.Put, time); time-u.Put > maxAway {
		u.Put = time - maxAway
	}
	u.Prev, u.Delay = slot.Last, int32(time-u.Put)
	recall := u.Kind&timerfile.KindDelete != 0
	if recall {
		u.Recall = s.recalls.last
	}
	pos, err := s.log.Append(u)
	if err != nil {
		return err
	}
	s.last = max(s.last, number)
	slot.Last = pos
	if slot.First < 0 {
		slot.First = pos
	}
	one := int32(1)
	if recall {
		one = -1
	}
	slot.Num += one
	if err := s.wheel.Put(number, slot); err != nil {
		return err
	}
	s.waiting.Add(int64(one))
	s.dirty = true
	if recall {
		s.recalls.last = pos + 1
		s.recalls.add(rec, max(time+1, s.due(rec)))
		if u.Kind&timerfile.KindRoll == 0 {
			return nil // there is nothing to do in its slot
		}
	}
	for _, w := range []*window{&s.cur, &s.ahead} {
		if w.of(number) {
			w.push(item{time + 1, pos}, s.keep)
		}
	}
	return nil
}

// maxAway is the largest Unit.Delay, ms: 14 days.
const maxAway = 14 * 86400 * 1000

// due is the wheel's time at which a record of the wheel's topic is to be
// delivered. Of an earlier run's it is measured by the wall clock as it was when
// the service was opened; a delay ends then at the latest that long after.
func (s *Service) due(rec *message.Record) int64 {
	at, relative := s.exact(rec)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !relative {
		return at - s.absolute.At(rec.QueueOffset)
	}
	due := at - s.relative.At(rec.QueueOffset)
	if rec.QueueOffset < s.entries {
		due = min(due, s.opened+at-rec.StoreTimestamp)
	}
	return due
}

// exact is the time of delivery of a record of the wheel's topic, by the wall
// clock; relative: reckoned from its store time.
//
// RocketMQ rolls a message with a delay without a trace of when it began: of that
// only the second is known. What was rolled here names the record before, and has
// its time.
func (s *Service) exact(rec *message.Record) (at int64, relative bool) {
	out := number(rec, message.PropertyTimerOut)
	if _, rolled := rec.Property(message.PropertyTimerRollTimes); rolled {
		at := number(rec, message.PropertyTimerDeliver)
		if rec.PreparedOffset > 0 && at > 0 || at > out && at <= out+s.precision {
			return at, false
		}
		return out + s.precision, false
	}
	if v, ok := rec.Property(message.PropertyTimerDelaySeconds); ok {
		return rec.StoreTimestamp + min(atoi(v), farMillis/1000)*1000, true
	}
	if v, ok := rec.Property(message.PropertyTimerDelayMillis); ok {
		return rec.StoreTimestamp + min(atoi(v), farMillis), true
	}
	if at := number(rec, message.PropertyTimerDeliver); at > 0 {
		return min(at, farMillis), false
	}
	return out + s.precision, false
}

// number reads a property that is a number, 0 for anything else.
func number(rec *message.Record, name string) int64 {
	v, _ := rec.Property(name)
	return min(atoi(v), farMillis)
}

func atoi(text []byte) int64 {
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}
