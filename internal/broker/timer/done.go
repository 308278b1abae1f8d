// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package timer

import (
	"bytes"
	"errors"

	"github.com/twostage/twostage/internal/skew"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/message"
)

// lease is how many ms of slots are delivered behind a checkpoint before the next
// one is written, as far as that succeeds.
const lease = 60_000

// done is what had been delivered, or rolled, behind a checkpoint: log offsets of
// records of the wheel's topic.
type done struct {
	from    int64    // log offset behind which it was collected
	offsets *offsets // nil: there may be none
	until   int64    // it holds nothing of slots that begin at or behind that time
	queue   int64    // nor of entries from here on
}

// take tells whether the record at offset is in it, once.
func (d *done) take(offset int64) bool { return d.offsets.take(offset) }

// end forgets all of it once no slot from read on, and no entry from put on, can
// have any.
func (d *done) end(read, put int64) {
	if d.offsets != nil && read >= d.until && put >= d.queue {
		*d = done{}
	}
}

// keep is the log offset to go back to for what was delivered behind began, and for
// what is still in it.
func (d *done) keep(began int64) int64 {
	if d.offsets == nil {
		return began
	}
	return min(began, d.from)
}

// collect finds out what stands in the log from an offset on that was made out of
// records of the wheel's topic: of slots before until, or, where no checkpoint
// could be written in time, of the wall clock's time with ahead.
func (s *Service) collect(from, until, ahead int64) error {
	s.done = done{from: from, offsets: newOffsets(), until: until, queue: s.arrived}
	return s.cfg.Log.Walk(from, func(rec *message.Record) error {
		if rec.PreparedOffset < 0 || rec.PreparedOffset >= rec.PhysicalOffset {
			return nil
		}
		v, ok := rec.Property(message.PropertyTimerDequeue)
		if !ok || !s.madeOfWaiting(rec) {
			return nil
		}
		s.done.offsets.add(rec.PreparedOffset)
		s.done.until = max(s.done.until, min(atoi(v), farMillis)+ahead+skew.Rounding+s.precision)
		return nil
	})
}

// madeOfWaiting tells whether a record was made out of one of the wheel's topic.
// Half messages have the offset of another record too, and any properties that
// their sender likes; records that were made of nothing have offset 0.
func (s *Service) madeOfWaiting(rec *message.Record) bool {
	stored, release, err := s.cfg.Log.Record(rec.PreparedOffset)
	if err != nil { // better believed than delivered again, when it just can't be read
		return rec.PreparedOffset > 0 && !errors.Is(err, store.ErrNotFound)
	}
	defer release()
	source := &s.work.rec
	if waiting(source, stored) != nil {
		return false
	}
	topic, _ := source.Property(message.PropertyRealTopic)
	return (bytes.Equal(topic, rec.Topic) || string(rec.Topic) == message.TopicTimer) && source.BornTimestamp == rec.BornTimestamp &&
		source.BornHost == rec.BornHost && source.ReconsumeTimes == rec.ReconsumeTimes && bytes.Equal(source.Body, rec.Body)
}
