// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"time"

	"github.com/twostage/twostage/internal/broker/txn/pending"
)

// Rules are what may change while a Service runs; the fields are those of Config.
type Rules struct {
	Timeout  time.Duration
	Checks   int
	Interval time.Duration
	MaxAge   time.Duration
	Rate     int
}

// Change makes the rules others. A deadline that is set stays (Timeout is for half
// messages to come), all else counts at once. It takes as long as looking at every
// undecided transaction.
func (s *Service) Change(r Rules) {
	s.timeout.Store(int64(r.Timeout))
	s.mu.Lock()
	s.table.Retune(r.pending())
	s.mu.Unlock()
	s.poke()
}

func (r Rules) pending() pending.Config {
	return pending.Config{CheckMax: int32(r.Checks), Interval: r.Interval.Milliseconds(), MaxAge: r.MaxAge.Milliseconds(), Rate: r.Rate}
}
