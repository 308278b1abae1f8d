// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pop

import (
	"context"
	"time"
)

const (
	settleEvery = 200 * time.Millisecond
	noteRest    = 10   // for so many times as long as a note took there is none
	reviveTurn  = 256  // checkpoints that are revived before offsets and notes have their turn
	reviveAgain = 1000 // ms after the first error; each further one doubles it
	reviveLater = 60_000
)

// Run revives, moves offsets on and notes, until ctx ends or the service is
// closed, and returns nil. It is called once. Errors of the store are logged once in
// a while and tried again, ever later.
func (s *Service) Run(ctx context.Context) error {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return nil
	}
	s.running.Add(1)
	s.mu.Unlock()
	defer s.running.Done()
	timer := time.NewTimer(0)
	defer timer.Stop()
	settle := time.NewTicker(settleEvery)
	defer settle.Stop()
	note := time.NewTicker(s.cfg.NoteInterval)
	defer note.Stop()
	resting := int64(0) // ticks of note to pass over
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.closing:
			return nil
		case <-timer.C:
		case <-s.wake:
		case <-settle.C:
			s.settleOffsets()
			s.settleRevive()
		case <-note.C:
			if resting--; resting >= 0 {
				break
			}
			began := s.cfg.NowMillis()
			if err := s.noteIfNew(); err != nil {
				s.cfg.Logger.Error("what is popped could not be noted", "error", err)
			}
			took := min(max(s.cfg.NowMillis()-began, 0), 10_000)
			resting = took * noteRest / s.cfg.NoteInterval.Milliseconds()
		}
		if next, ok := s.due(ctx); ok {
			timer.Reset(time.Duration(min(max(next-s.cfg.NowMillis(), 0), 1000)) * time.Millisecond)
		}
	}
}

// revival is how storing again goes. While the store takes nothing it is not asked
// for each checkpoint that is due, but for one, ever later.
type revival struct {
	wait  int64 // ms between the last two tries, 0: the last one did well
	again int64 // ms since 1970: not before
}

func (r *revival) failed(now int64) {
	r.wait = min(max(2*r.wait, reviveAgain), reviveLater)
	r.again = now + r.wait
}

// due revives what is due and tells of queues that are free again, and when that
// is next to be done.
func (s *Service) due(ctx context.Context) (next int64, ok bool) {
	now := s.cfg.NowMillis()
	again := s.reviveDue(ctx, now)
	s.mu.Lock()
	woken := s.waking.take(now)
	next, ok = s.open.next()
	next = max(next, again)
	if at, blocked := s.waking.next(); blocked && (!ok || at < next) {
		next, ok = at, true
	}
	s.mu.Unlock()
	if s.cfg.Wake != nil {
		for _, k := range woken {
			s.cfg.Wake(k.group, k.topic, k.queue)
		}
	}
	return next, ok
}

// reviveDue revives what was due at now, so much that others have their turn, and
// says before when it is not to be called again.
func (s *Service) reviveDue(ctx context.Context, now int64) (again int64) {
	r := &s.revival
	if now < r.again && r.again-now <= reviveLater {
		return r.again
	}
	for range reviveTurn {
		select {
		case <-s.closing:
			return 0
		default:
		}
		if ctx.Err() != nil {
			return 0
		}
		s.mu.Lock()
		c := s.open.take(now)
		s.mu.Unlock()
		if c == nil {
			break
		}
		if err := s.reviveOne(c, now); err != nil {
			r.failed(now)
			s.complain("popped messages that nobody acked can't be stored again yet", "topic", c.topic, "group", c.group, "queue", c.queue, "offset", c.start, "error", err)
			return r.again
		}
		r.wait = 0
	}
	return 0
}
