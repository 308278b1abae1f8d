// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package timer

import (
	"errors"
	"math"

	"github.com/twostage/twostage/internal/store/timerfile"
	"github.com/twostage/twostage/message"
)

// rebuildPages is how many pages of offsets one walk of a rebuild remembers: 128 MiB
// and their keys. One walk will do for 64 GiB of log that hold nothing but timer
// messages, and for any length where they are few.
const rebuildPages = 512 << 10

// errClosing ends what would take long when the service is closed.
var errClosing = errors.New("timers: closed")

// building is a wheel that is being built again. Its entries are put in as others
// are, but for those that have been delivered, rolled or recalled. No checkpoint is
// written meanwhile.
type building struct {
	known int64 // it is known of records before this log offset what became of them
	until int64 // the entry with which the wheel is whole
}

// byRocketMQ is what RocketMQ has delivered of the entries that it has put in, as
// far as its checkpoint says: what it makes of a record does not name that record.
type byRocketMQ struct {
	read int64 // ms: all that was due in slots before
	put  int64 // of entries before this one
}

// rebuild begins with an empty wheel. The checkpoint says that it is not whole
// until the next one is written.
func (s *Service) rebuild() error {
	s.closeFiles()
	c := timerfile.Checkpoint{Own: true, Building: true, ForeignRead: s.java.read, ForeignPut: s.java.put}
	s.noteClock(&c)
	if s.noted.Own || s.noted.QueueOffset > 0 {
		c.State, c.Counter = s.noted.State, s.noted.Counter+1
	}
	for range 2 { // the first one becomes the backup of the second
		if err := timerfile.WriteCheckpoint(s.cfg.FS, s.cfg.Dir, &c); err != nil {
			return err
		}
	}
	s.position.Store(s.q.Min()) // all of them hold their log files until they are in the wheel again
	s.written.Store(0)
	s.waiting.Store(0)
	if err := timerfile.RemoveView(s.cfg.FS, s.cfg.Dir); err != nil {
		return err
	}
	var err error
	if s.wheel, _, err = timerfile.OpenWheel(s.cfg.FS, s.cfg.Dir); err != nil {
		return err
	}
	if s.log, err = timerfile.OpenLog(s.cfg.FS, s.cfg.Dir, s.cfg.FileSize); err != nil {
		return err
	}
	if err := s.log.Cut(0); err != nil {
		return err
	}
	s.read, s.began = s.clock.Now()/s.precision, s.cfg.Log.MaxPhysical()
	s.reached.Store(s.read)
	s.old, s.put = 0, s.q.Min()
	s.cur.forget()
	s.ahead.forget()
	s.held, s.gate, s.done = false, 0, done{}
	s.recalls.reset()
	s.catchUp()
	s.mu.Lock()
	s.target = s.arrived
	s.mu.Unlock()
	s.building = &building{until: s.target}
	s.broken = nil
	return nil
}

// inspect finds out what became of the records from a log offset on, as far as that
// can be remembered at once.
func (s *Service) inspect(from int64) error {
	to := int64(math.MaxInt64)
	s.done = done{offsets: newOffsets()}
	err := s.cfg.Log.Walk(from, func(rec *message.Record) error {
		select {
		case <-s.closing:
			return errClosing
		default:
		}
		if rec.PreparedOffset < from || rec.PreparedOffset >= min(to, rec.PhysicalOffset) {
			return nil
		}
		if _, ok := rec.Property(message.PropertyTimerDequeue); ok && (rec.PreparedOffset > 0 || s.madeOfWaiting(rec)) {
			s.done.offsets.add(rec.PreparedOffset)
			if s.done.offsets.len() > s.cfg.rebuildPages {
				to = s.done.offsets.lower()
			}
		}
		return nil
	})
	if err == nil {
		s.building.known = to
	}
	return err
}

// built ends the building once all entries are in the wheel.
func (s *Service) built() {
	if s.building != nil && s.put >= s.building.until {
		s.building, s.done = nil, done{}
		s.dirty, s.noteAt = true, 0
		s.cfg.Logger.Info("the timer wheel is built", "entries", s.put-s.q.Min())
	}
}

// rollMargin is how many ms may be between the time that a record was stored and
// that RocketMQ put it in.
const rollMargin = 3600_000

// foreign tells of a record of the wheel's topic whether RocketMQ has dealt with it
// before the directory came here.
func (s *Service) foreign(rec *message.Record, offset int64) bool {
	if s.building == nil || offset >= s.java.put {
		return false
	}
	out := number(rec, message.PropertyTimerOut)
	if away := out - rec.StoreTimestamp; away >= s.window {
		roll := rec.StoreTimestamp + s.window
		if away-s.window < s.window/3 {
			roll = rec.StoreTimestamp + s.window/2
		}
		return roll+rollMargin < s.java.read
	}
	return out < s.java.read
}
