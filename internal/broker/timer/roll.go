// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package timer

import (
	"strconv"

	"github.com/twostage/twostage/internal/store/timerfile"
	"github.com/twostage/twostage/message"
)

// again puts a unit that is not due yet into the slot of its time.
func (s *Service) again(due int64, u *timerfile.Unit, rec *message.Record, now int64) error {
	u.Put = now
	err := s.place(due, u, rec)
	if err == errFar {
		u.Kind |= timerfile.KindRoll
		err = s.place(now+s.window, u, rec)
	}
	// Its former unit is read again when a checkpoint within this slot is gone back to.
	s.held = s.held || err == nil
	return err
}

// dueOfOld is the wheel's time for a record of an earlier run: measured by the
// wall clock, when the service was opened.
func (s *Service) dueOfOld(rec *message.Record) int64 {
	at, relative := s.exact(rec)
	due := at + s.base
	if relative {
		due = min(due, s.opened+at-rec.StoreTimestamp) // it was stored before
	}
	return due
}

// roll puts into the batch rec as it waits on: stored again in the wheel's topic,
// with its exact time, as its store time does not tell that any more.
func (s *Service) roll(d *delivery, it item, rec *message.Record, put, now int64) error {
	at, relative := s.exact(rec)
	if relative {
		at = s.relativeEnd(rec, at, put)
	}
	times := number(rec, message.PropertyTimerRollTimes) + 1
	p := appendWithout(d.props[:0], rec.Properties, message.PropertyTimerEnqueue, message.PropertyTimerDequeue, message.PropertyTimerRollTimes,
		message.PropertyTimerDeliver, message.PropertyTimerOut)
	p = strconv.AppendInt(appendProperty(p, 0, message.PropertyTimerDeliver), at, 10)
	p = strconv.AppendInt(appendProperty(p, 0, message.PropertyTimerOut), s.floor(at), 10)
	p = strconv.AppendInt(appendProperty(p, 0, message.PropertyTimerEnqueue), now, 10)
	p = strconv.AppendInt(appendProperty(p, 0, message.PropertyTimerDequeue), s.clock.wall(), 10)
	p = strconv.AppendInt(appendProperty(p, 0, message.PropertyTimerRollTimes), times, 10)
	d.props = p
	rec.Properties, rec.PreparedOffset = p, rec.PhysicalOffset
	if err := d.batch.Add(s.q, rec); err != nil {
		s.skip("a timer message cannot wait on", "logOffset", rec.PhysicalOffset, "error", err)
		return nil
	}
	d.taken = append(d.taken, taken{it, ""})
	return nil
}

// relativeEnd is the end of a delay by the wall clock as it is now. When a clock
// was set since Open, and the clocks were not together when the record was put in,
// the delay is taken to have begun then.
func (s *Service) relativeEnd(rec *message.Record, at, put int64) int64 {
	s.mu.Lock()
	jumped := s.jumped && rec.QueueOffset >= s.entries
	s.mu.Unlock()
	due := at + s.base
	if apart := rec.StoreTimestamp + s.base - put; jumped && (apart > clocksApart || apart < -clocksApart) {
		due = put + at - rec.StoreTimestamp
	}
	if ahead := s.clock.ahead(); ahead+s.base > clockRounding || ahead+s.base < -clockRounding || due != at+s.base {
		return due + ahead
	}
	return at
}

// clocksApart is how many ms the store's time and the wheel's may be apart for
// want of time to put entries in, rather than because a clock was set.
const clocksApart = 10_000
