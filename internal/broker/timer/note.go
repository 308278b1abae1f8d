// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package timer

import (
	"errors"
	"fmt"
	"time"

	"github.com/twostage/twostage/internal/skew"
	"github.com/twostage/twostage/internal/store/timerfile"
)

// A checkpoint rests so many times as long as it took, within maxRest: nothing is
// delivered while it waits for the disk, and fewer than one message in a hundred shall
// notice.
const (
	restTimes = 200
	maxRest   = 20_000 // ms; less than lease
)

// maxWalk is how many bytes of log may follow a checkpoint before another one is
// written without news, so that Open never has to look through much.
const maxWalk = 64 << 20

// resume goes back to the last checkpoint, or has Run build the wheel anew.
func (s *Service) resume() error {
	c, ok, err := timerfile.ReadCheckpoint(s.cfg.FS, s.cfg.Dir)
	if err != nil && !errors.Is(err, timerfile.ErrDamaged) {
		return err
	}
	wall := s.cfg.NowMillis()
	start := time.Now()
	s.clock = skew.Clock{First: wall, Elapsed: func() time.Duration { return time.Since(start) }, Wall: s.cfg.NowMillis}
	if ok && c.Own {
		// The wheel's time goes on where it was ahead of the wall clock, as its slots
		// are by that. Where it was behind, what is loaded too early waits again.
		s.clock.First += max(c.Ahead, 0)
	}
	if ok {
		s.clock.First = max(s.clock.First, c.Read)
		if s.java = (byRocketMQ{c.Read, c.QueueOffset}); c.Own {
			s.java = byRocketMQ{c.ForeignRead, c.ForeignPut}
		}
	}
	s.base = s.clock.First - wall
	s.opened = s.clock.First
	s.relative, s.absolute = skew.Begin(-s.base), skew.Begin(-s.base)
	s.least, s.utmost = -s.base, -s.base
	if ok && c.Own {
		s.least, s.utmost = min(s.least, c.Least), max(s.utmost, c.Utmost)
		s.latest = c.Latest
	}
	if err == nil && (ok || s.q.Max() == 0) {
		err = s.open(&c, ok)
	} else if err == nil {
		err = timerfile.ErrDamaged // entries, and nothing that says what became of them
	}
	if errors.Is(err, timerfile.ErrDamaged) {
		return s.damaged(err) // Run builds it
	}
	return err
}

// open opens the files and goes back to c, if there is one.
func (s *Service) open(c *timerfile.Checkpoint, ok bool) error {
	var made bool
	var err error
	if s.wheel, made, err = timerfile.OpenWheel(s.cfg.FS, s.cfg.Dir); err != nil {
		return err
	}
	if s.log, err = timerfile.OpenLog(s.cfg.FS, s.cfg.Dir, s.cfg.FileSize); err != nil {
		return err
	}
	s.read, s.began = s.clock.Now()/s.precision, s.cfg.Log.MaxPhysical()
	s.reached.Store(s.read)
	switch {
	case !ok:
		return s.log.Cut(0)
	case c.Building:
		return fmt.Errorf("it was being built when the broker ended: %w", timerfile.ErrDamaged)
	case made && c.LogEnd > 0:
		return timerfile.ErrDamaged
	case c.Own && c.Precision != s.precision:
		return fmt.Errorf("slots of %d ms, no longer %d (timerPrecisionMs): %w", s.precision, c.Precision, timerfile.ErrDamaged)
	}
	s.noted = *c
	s.read = min(s.read, c.Read/s.precision)
	s.reached.Store(s.read)
	s.put = c.QueueOffset
	if c.Own {
		err = s.goBack(c)
	} else if err = s.checkPrecision(); err == nil {
		err = s.takeOver(c)
	}
	if err == nil {
		err = s.wheel.Range(func(number int64, slot timerfile.Slot) error {
			s.last = max(s.last, number)
			if number >= s.read {
				s.waiting.Add(int64(slot.Num))
			}
			return nil
		})
	}
	if err == nil {
		err = s.loadRecalls(c)
	}
	if err != nil {
		return err
	}
	if low, high := s.q.Min(), s.q.Max(); s.put > high {
		s.cfg.Logger.Error("the timers' checkpoint is behind the end of their queue", "offset", s.put, "end", high)
		s.put = high
	} else if s.put < low {
		s.put = low // putIn says so of those that come later
	}
	s.old = s.log.End()
	s.target = s.arrived
	return s.write()
}

// goBack makes wheel and units those of the checkpoint, and collects what was
// delivered since.
func (s *Service) goBack(c *timerfile.Checkpoint) error {
	if c.LogEnd > s.log.End() {
		return timerfile.ErrDamaged
	}
	if err := s.wheel.Range(func(number int64, slot timerfile.Slot) error {
		if slot.Last < c.LogEnd {
			return nil
		}
		for slot.Last >= c.LogEnd {
			u, err := s.log.Read(slot.Last)
			if err != nil {
				return err
			}
			if slot.Last = u.Prev; u.Kind&timerfile.KindDelete == 0 {
				slot.Num--
			} else {
				slot.Num++
			}
		}
		if slot.Last < 0 {
			slot = timerfile.NoSlot
		}
		return s.wheel.Put(number, slot)
	}); err != nil {
		return err
	}
	if last := c.Chain - 1; last >= 0 {
		if err := s.wheel.Put(c.Read/s.precision, timerfile.Slot{First: last, Last: last, Num: 1}); err != nil {
			return err
		}
	}
	if err := s.wheel.Flush(); err != nil {
		return err
	}
	if err := s.log.Cut(c.LogEnd); err != nil {
		return err
	}
	return s.collect(c.LogOffset, c.Read+lease, c.Ahead)
}

// checkPrecision looks at one slot that RocketMQ has written, whose checkpoint does
// not say how long they are: ErrDamaged when its unit belongs into another one.
func (s *Service) checkPrecision() error {
	one := errors.New("one is enough")
	err := s.wheel.Range(func(number int64, slot timerfile.Slot) error {
		u, err := s.log.Read(slot.Last)
		switch {
		case errors.Is(err, timerfile.ErrDamaged):
			return nil // over, and removed
		case err != nil:
			return err
		case u.Time()/s.precision != number:
			return fmt.Errorf("slot %d has a unit of %d ms, which slots of %d ms do not fit (timerPrecisionMs): %w", number, u.Time(), s.precision, timerfile.ErrDamaged)
		}
		return one
	})
	if err == one {
		return nil
	}
	return err
}

// takeOver takes in what RocketMQ has written: units behind its checkpoint count.
//
// Source: TimerMessageStore.recover of Apache RocketMQ 5.3.3.
func (s *Service) takeOver(c *timerfile.Checkpoint) error {
	from := max(c.LogEnd-s.cfg.FileSize, s.log.Begin())
	from -= from % s.cfg.FileSize
	last, lastOffset := int64(-1), int64(0)
	end, err := s.log.Scan(max(from, s.log.Begin()), func(pos int64, u *timerfile.Unit) error {
		number := u.Time() / s.precision
		slot, err := s.wheel.Get(number)
		if err != nil {
			return err
		}
		last, lastOffset = pos, u.Offset
		if slot.Last >= pos {
			return nil
		}
		if slot.First < 0 {
			slot.First = pos
		}
		slot.Last = pos
		slot.Num++
		return s.wheel.Put(number, slot)
	})
	if err != nil {
		return err
	}
	if err := s.wheel.Flush(); err != nil {
		return err
	}
	if err := s.log.Cut(end); err != nil {
		return err
	}
	if last >= 0 {
		if stored, release, err := s.fetch(lastOffset); err == nil && stored != nil {
			if waiting(&s.work.rec, stored) == nil {
				s.put = max(s.put, s.work.rec.QueueOffset+1)
			}
			release()
		}
	}
	s.java.put = s.put
	return nil
}

// note writes a checkpoint of where the wheel is. What it says is durable before:
// the log with what has been delivered and put in, the units, the slots.
func (s *Service) note() error {
	began := s.clock.Now()
	defer func() {
		now := s.clock.Now()
		s.noteAt = now + max(s.cfg.FlushInterval.Milliseconds(), min(restTimes*(now-began), maxRest))
	}()
	s.done.end(s.read*s.precision, s.put)
	c := timerfile.Checkpoint{
		Read: s.read * s.precision, LogEnd: s.log.End(), QueueOffset: s.put, Master: s.put,
		State: s.noted.State, Timestamp: s.clock.Wall(), Counter: s.noted.Counter + 1,
		Own: true, LogOffset: s.done.keep(s.began), Ahead: -s.clock.Ahead(), Precision: s.precision, LastRecall: s.recalls.last,
		Chain: s.chained, ForeignRead: s.java.read, ForeignPut: s.java.put,
	}
	s.noteClock(&c)
	if err := s.cfg.Log.Flush(s.cfg.Log.MaxPhysical()); err != nil {
		return err
	}
	if err := s.log.Sync(); err != nil {
		return err
	}
	if err := s.wheel.Flush(); err != nil {
		return err
	}
	if err := timerfile.WriteCheckpoint(s.cfg.FS, s.cfg.Dir, &c); err != nil {
		return err
	}
	s.noted, s.dirty = c, false
	return nil
}

// noteClock puts into c what was done to the wall clock. A time further away than
// recalls of now can be for is none of a message that was sent by the clock of now.
func (s *Service) noteClock(c *timerfile.Checkpoint) {
	now, wall := s.clock.Read()
	most := s.cfg.MaxDelay.Milliseconds()
	limit := wall + 2*most
	s.mu.Lock()
	defer s.mu.Unlock()
	c.Least, c.Utmost = s.least, s.utmost
	if c.Latest = s.absolute.Latest(now, most, limit); s.latest <= limit {
		c.Latest = max(c.Latest, s.latest)
	}
}

// stale tells whether a checkpoint is due without news: the log has grown much, or
// the last one keeps recalls or units that may be over.
func (s *Service) stale() bool {
	return s.cfg.Log.MaxPhysical()-s.noted.LogOffset > maxWalk ||
		s.read*s.precision >= s.noted.Read+lease && (len(s.recalls.due) > 0 || s.log.End()-s.log.Begin() > s.cfg.FileSize)
}

// renew writes a checkpoint before anything is delivered of a slot behind the
// lease of the last one.
func (s *Service) renew(slot, now int64) {
	if s.held || s.building != nil || slot*s.precision < s.noted.Read+lease || now < s.leaseAt {
		return
	}
	s.leaseAt = now + firstRetry
	if err := s.note(); err != nil {
		s.cfg.Logger.Error("how far timers are could not be noted; they are delivered all the same", "error", err)
	}
}

// trim removes units that are over for good.
func (s *Service) trim(now int64) {
	if now < s.trimAt {
		return
	}
	s.trimAt = now + trimEach
	over := s.noted.Read - s.recallWait()
	s.recalls.expire(over)
	more, err := s.log.Trim(over)
	if err != nil {
		s.cfg.Logger.Error("old files of the timerlog can't be removed", "error", err)
	} else if more {
		s.trimAt = now
	}
}
