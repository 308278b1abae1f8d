// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package timer

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/twostage/twostage/internal/store/timerfile"
)

// round puts in, delivers and notes what is to be, a batch of each, and returns
// when the next round is.
func (s *Service) round() int64 {
	d, now := &s.work, s.clock.Now()
	if s.suspect.Swap(false) && s.broken == nil {
		_ = s.damaged(fmt.Errorf("timerlog: a unit can't be read: %w", timerfile.ErrDamaged))
	}
	if s.broken != nil {
		if now < d.gets.at {
			return d.gets.at
		}
		if err := s.rebuild(); err != nil {
			return s.failed(&d.gets, now, "timers wait for the wheel to be built again", err)
		}
		d.gets = retry{}
	}
	next := int64(math.MaxInt64)
	soon := func(at int64) { next = min(next, at) }

	stalled, far := false, false
	switch {
	case now < d.puts.at:
		stalled = true
		soon(d.puts.at)
	case s.full(now): // delivery says when to come again
		stalled = true
	default:
		switch more, err := s.putIn(d); {
		case errors.Is(err, errFar):
			stalled, far = true, true
		case errors.Is(err, errClosing):
			stalled = true
		case err != nil:
			stalled = true
			soon(s.failed(&d.puts, now, "timer messages wait to be put into the wheel", err))
		default:
			d.puts = retry{}
			if more {
				soon(now)
			}
		}
	}
	s.built()
	if now < d.gets.at {
		soon(d.gets.at)
	} else {
		read := s.read
		at, err := s.deliverDue(d, far)
		if far && s.read > read {
			soon(now) // what was too far may be near now
		}
		if err != nil {
			at = s.failed(&d.gets, now, "timer delivery waits", err)
		} else {
			d.gets = retry{}
		}
		soon(at)
	}
	if now = s.clock.Now(); now >= s.noteAt {
		s.catchUp()
		if (s.dirty || s.stale()) && !s.held && s.building == nil {
			if err := s.note(); err != nil {
				s.cfg.Logger.Error("how far timers are could not be noted", "error", err)
			}
		}
		s.trim(now)
	}
	if s.dirty && !s.held && s.building == nil {
		soon(s.noteAt)
	}
	s.mu.Lock()
	s.idle = s.put >= s.arrived
	if !s.idle && !stalled { // arrived since
		soon(now)
	}
	s.mu.Unlock()
	return min(next, now+longIdle)
}

// failed sets when something is tried again.
func (s *Service) failed(r *retry, now int64, what string, err error) int64 {
	wait := min(int64(firstRetry)<<min(r.tries, 10), longestRetry)
	*r = retry{at: now + wait, tries: r.tries + 1}
	if r.tries == 1 || wait == longestRetry {
		s.cfg.Logger.Error(what, "tries", r.tries, "again", time.Duration(wait)*time.Millisecond, "error", err)
	}
	return r.at
}

// skip reports an entry that is not delivered.
func (s *Service) skip(what string, args ...any) {
	s.skipped.Add(1)
	s.cfg.Logger.Error(what, args...)
}

// damaged has the wheel built again after ErrDamaged; other errors are returned.
func (s *Service) damaged(err error) error {
	if errors.Is(err, timerfile.ErrDamaged) {
		s.cfg.Logger.Error("the timer wheel is damaged and built again from the log", "error", err)
		s.broken = err
		return nil
	}
	return err
}
