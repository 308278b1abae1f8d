// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"sync"
	"sync/atomic"
	"time"
)

// avoidance says for how long a broker is left alone after a send that took so
// long or longer. Source: MQFaultStrategy of Apache RocketMQ 5.3.3.
var avoidance = [...]struct{ took, away time.Duration }{
	{15 * time.Second, 30 * time.Second},
	{5 * time.Second, 10 * time.Second},
	{3 * time.Second, 6 * time.Second},
	{1800 * time.Millisecond, 5 * time.Second},
	{550 * time.Millisecond, 2 * time.Second},
}

// failedLike is how long a send that failed counts as having taken.
const failedLike = 10 * time.Second

// faults remembers which brokers to leave alone for a while: those that were slow,
// and longer those that failed. It has no clock.
type faults struct {
	off bool
	any atomic.Bool // something is remembered

	mu    sync.Mutex
	until map[string]time.Time // by broker
}

// note learns how a send to a broker went.
func (f *faults) note(broker string, begin time.Time, took time.Duration, failed bool) {
	now := begin.Add(took)
	if failed {
		took = max(took, failedLike)
	}
	if f.off || took < avoidance[len(avoidance)-1].took {
		return
	}
	for _, a := range avoidance {
		if took >= a.took {
			f.avoid(broker, now.Add(a.away))
			return
		}
	}
}

func (f *faults) avoid(broker string, until time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.until == nil {
		f.until = map[string]time.Time{}
	}
	if until.After(f.until[broker]) {
		f.until[broker] = until
	}
	f.any.Store(true)
}

// avoided says whether to send elsewhere if that is possible.
func (f *faults) avoided(broker string, now time.Time) bool {
	if !f.any.Load() {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	until, ok := f.until[broker]
	if ok && !now.Before(until) {
		delete(f.until, broker)
		f.any.Store(len(f.until) > 0)
		ok = false
	}
	return ok
}
