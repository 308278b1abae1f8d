// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package timer

import (
	"fmt"

	"github.com/twostage/twostage/internal/store/timerfile"
)

// WaitingBelow counts the messages that wait in the wheel and whose records are
// below a log offset, up to most of them. What has been taken back counts until its
// slot is over; entries that are not in the wheel yet are those from Position on.
// It reads the timerlog, beside Run, and may be called by any goroutine.
func (s *Service) WaitingBelow(offset, most int64) (n int64, err error) {
	since := s.reached.Load() * s.precision
	err = timerfile.Units(s.cfg.FS, s.cfg.Dir, s.cfg.FileSize, func(u *timerfile.Unit) bool {
		if u.Offset < offset && u.Time() >= since && u.Kind&(timerfile.KindDelete|timerfile.KindRoll) != timerfile.KindDelete {
			n++
		}
		return n < most
	})
	if err != nil {
		return n, fmt.Errorf("timers: %w", err)
	}
	return n, nil
}
