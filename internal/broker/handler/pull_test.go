// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"math"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/config"
	"github.com/twostage/twostage/internal/wire/header"
)

func TestHoldTime(t *testing.T) {
	for _, tc := range []struct {
		flags  int32
		asked  int64 // milliseconds
		short  bool
		expect time.Duration
	}{
		{0, 30_000, false, 0},
		{header.PullSuspend, 30_000, false, 30 * time.Second},
		{header.PullSuspend, 3_600_000, false, 2 * time.Minute},
		{header.PullSuspend, math.MaxInt64, false, 2 * time.Minute},
		{header.PullSuspend, -1, false, 0},
		{header.PullSuspend, 30_000, true, time.Second},
	} {
		b := &config.Broker{Pull: config.Pull{LongPolling: !tc.short, ShortPolling: time.Second}}
		p := &Pull{Settings: func() *config.Broker { return b }}
		if got := p.holdTime(&header.PullRequest{SysFlag: tc.flags, SuspendTimeoutMillis: tc.asked}); got != tc.expect {
			t.Errorf("%+v: %v", tc, got)
		}
	}
}
