// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package timer

import (
	"errors"
	"fmt"

	"github.com/twostage/twostage/internal/store/timerfile"
)

// WaitingBelow counts the messages that wait in the wheel and whose records are
// below a log offset, up to most of them. What has been taken back counts until its
// slot is over; entries that are not in the wheel yet are those from Position on.
// It reads the timerlog, beside Run, and may be called by any goroutine. Where that
// is damaged, which is an error, Run builds the wheel again.
func (s *Service) WaitingBelow(offset, most int64) (n int64, err error) {
	since, end := s.reached.Load()*s.precision, s.written.Load()
	err = timerfile.Units(s.cfg.FS, s.cfg.Dir, s.cfg.FileSize, end, func(u *timerfile.Unit) bool {
		if u.Offset < offset && u.Time() >= since && u.Kind&(timerfile.KindDelete|timerfile.KindRoll) != timerfile.KindDelete {
			n++
		}
		return n < most
	})
	if errors.Is(err, timerfile.ErrDamaged) && s.written.Load() >= end { // not taken away meanwhile
		s.suspect.Store(true)
		s.rouse()
	}
	if err != nil {
		return n, fmt.Errorf("timers: %w", err)
	}
	return n, nil
}
