// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"sync/atomic"
	"time"

	"github.com/twostage/twostage/internal/wire/body"
)

// figures count what goes through a subscription since the consumer began.
type figures struct {
	pullCalls, pulledMessages, pullTime   atomic.Int64 // time in nanoseconds
	consumedMessages, failedMessages, run atomic.Int64
}

func (f *figures) pulls(messages int, took time.Duration) {
	f.pullCalls.Add(1)
	f.pulledMessages.Add(int64(messages))
	f.pullTime.Add(int64(took))
}

// consumes counts messages that were given to handlers one after the other.
func (f *figures) consumes(messages int, took time.Duration) {
	f.consumedMessages.Add(int64(messages))
	f.run.Add(int64(took))
}

func (f *figures) fails(messages int) { f.failedMessages.Add(int64(messages)) }

// status gives the figures as rates over all of the time: a client of RocketMQ's
// gives those of the last minute.
func (f *figures) status(since time.Duration) body.ConsumeStatus {
	seconds := max(since.Seconds(), 1)
	consumed, failed := f.consumedMessages.Load(), f.failedMessages.Load()
	return body.ConsumeStatus{
		PullRT: ratio(f.pullTime.Load(), f.pullCalls.Load()), PullTPS: float64(f.pulledMessages.Load()) / seconds,
		ConsumeRT: ratio(f.run.Load(), consumed), ConsumeOKTPS: float64(max(consumed-failed, 0)) / seconds,
		ConsumeFailedTPS: float64(failed) / seconds, ConsumeFailedMsgs: failed,
	}
}

// ratio is milliseconds for each of n.
func ratio(nanoseconds, n int64) float64 {
	if n == 0 {
		return 0
	}
	return float64(nanoseconds) / float64(time.Millisecond) / float64(n)
}
