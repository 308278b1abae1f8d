// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package timer

import (
	"fmt"

	"github.com/twostage/twostage/internal/store/timerfile"
)

// loadStep is how many units of a slot are read before what is due is looked at
// again: about a millisecond.
const loadStep = 4096

// pass is a walk over the chain of a slot, or over a part of it, from its last
// unit back. It is taken in steps.
type pass struct {
	running bool
	pos     int64 // of the next unit
	low     int64 // it ends before this position
	after   item  // units that are not behind it have been dealt with
	n       int   // units seen
	mark    bool  // only marks are wanted
}

// begin starts the first pass over a slot.
func (w *window) begin(slot, last int64) {
	*w = window{slot: slot, items: w.items[:0], marks: w.marks[:0], high: earliest}
	w.walk(pass{pos: last, low: -1, after: earliest})
}

// walk starts a pass. A whole one sets the marks.
func (w *window) walk(p pass) {
	p.running = true
	if w.pass = p; !w.draining {
		w.marks = w.marks[:0]
	}
}

// forget makes the window one of no slot.
func (w *window) forget() { w.loaded, w.pass.running = false, false }

// of tells whether the window is one of slot, loaded or about to be.
func (w *window) of(slot int64) bool { return w.slot == slot && (w.loaded || w.pass.running) }

// fill goes on with reading the earliest units of a slot into its window; done:
// they are there, or none is left. Of a slot with more units than there is room for
// the next ones are read when these have been dealt with: in the order of their
// times, by a pass over all of them, while the slot is under way. When it is over,
// so that all are due, they are read in the order in which they were put in, each
// once: a slot that is too crowded for its time costs no more passes than that
// time has room for. Errors of the files are ErrDamaged or those of the disk; the
// next call goes on where this one stopped.
func (s *Service) fill(w *window, slot, now int64) (done bool, err error) {
	if w.of(slot) && !w.pass.running && (len(w.items) > 0 || !w.more) {
		return true, nil
	}
	if !w.of(slot) || !w.pass.running && !w.draining {
		at, err := s.wheel.Get(slot)
		if err != nil {
			return false, err
		}
		switch {
		case !w.of(slot):
			w.begin(slot, at.Last)
		case now >= (slot+1)*s.precision:
			w.walk(pass{pos: at.Last, low: -1, after: w.limit, mark: true})
			w.draining, w.top, w.drained = true, at.Last, -1
		default:
			w.walk(pass{pos: at.Last, low: -1, after: w.limit})
			w.more = false
		}
	}
	if !w.pass.running {
		w.walk(w.part())
	}
	return s.step(w)
}

// part is a pass over the units between the two oldest marks.
func (w *window) part() pass {
	n := len(w.marks) - 1
	p := pass{pos: w.marks[n], low: w.drained, after: w.limit}
	w.drained, w.marks = p.pos, w.marks[:n]
	w.more = n > 0
	return p
}

// step reads some units.
func (s *Service) step(w *window) (done bool, err error) {
	p := &w.pass
	for range loadStep {
		// RocketMQ removes files of units whose records are gone: there the chain ends.
		if p.pos <= p.low || p.pos < s.log.Begin() {
			p.running = false
			w.settle(s.keep)
			w.loaded = true
			if p.mark {
				w.more = len(w.marks) > 0
			}
			return len(w.items) > 0 || !w.more, nil
		}
		u, err := s.unit(p.pos, w.slot)
		if err != nil {
			return false, err
		}
		recall := u.Kind&(timerfile.KindDelete|timerfile.KindRoll) == timerfile.KindDelete // it was looked at when it was put in
		if !w.draining || p.mark {
			if p.n%s.keep == 0 {
				w.marks = append(w.marks, p.pos)
			}
			p.n++
		}
		if it := (item{u.Time() + 1, p.pos}); !recall && !p.mark && p.after.before(it) {
			w.gather(it, s.keep)
		}
		p.pos = u.Prev
	}
	return false, nil
}

// unit reads a unit of a slot. Errors are those of timerfile.Log.Read.
func (s *Service) unit(pos, slot int64) (timerfile.Unit, error) {
	u, err := s.log.Read(pos)
	if err == nil && u.Time()/s.precision != slot {
		err = fmt.Errorf("timerlog at %d: a unit of %d ms in slot %d: %w", pos, u.Time(), slot, timerfile.ErrDamaged)
	}
	return u, err
}

// full tells whether entries are better put in once more of the slot under way has
// been delivered: its window would not have room for those that are due at once.
func (s *Service) full(now int64) bool {
	w := &s.cur
	if s.put < s.target || !w.loaded {
		return false
	}
	return w.pass.running || len(w.items) >= s.keep+s.keep/2 && w.items[0].due <= now
}

// lead is how many ms before it begins a slot is read.
func lead(slot timerfile.Slot) int64 { return preload + int64(max(slot.Num, 0))/preloadUnits }
