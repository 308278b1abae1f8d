// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package timer

import (
	"strconv"

	"github.com/twostage/twostage/internal/skew"
	"github.com/twostage/twostage/internal/store/timerfile"
	"github.com/twostage/twostage/message"
)

// again puts a unit that is not due yet into the slot of its time; one whose slot
// the wheel does not reach yet is rolled, and waits in the topic.
func (s *Service) again(d *delivery, it item, due int64, u *timerfile.Unit, rec *message.Record, now int64) error {
	u.Put = now
	err := s.place(due, u, rec)
	if err == errFar {
		return s.roll(d, it, rec, now)
	}
	// Its former unit is read again when a checkpoint within this slot is gone back to.
	s.held = s.held || err == nil
	return err
}

// roll puts into the batch rec as it waits on: stored again in the wheel's topic,
// with its exact time, as its store time does not tell that any more. It keeps its
// TIMER_OUT_MS, by which it is recalled.
func (s *Service) roll(d *delivery, it item, rec *message.Record, now int64) error {
	at, relative := s.exact(rec)
	if relative {
		// By the wall clock as it is now.
		if end := s.due(rec) + s.clock.Ahead(); end < at-2*skew.Rounding || end > at+2*skew.Rounding {
			at = end
		}
	}
	times := number(rec, message.PropertyTimerRollTimes) + 1
	p := appendWithout(d.props[:0], rec.Properties, message.PropertyTimerEnqueue, message.PropertyTimerDequeue, message.PropertyTimerRollTimes,
		message.PropertyTimerDeliver)
	p = strconv.AppendInt(appendProperty(p, 0, message.PropertyTimerDeliver), at, 10)
	p = strconv.AppendInt(appendProperty(p, 0, message.PropertyTimerEnqueue), now, 10)
	p = strconv.AppendInt(appendProperty(p, 0, message.PropertyTimerDequeue), s.clock.Wall(), 10)
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
