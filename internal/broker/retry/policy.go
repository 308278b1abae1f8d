// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package retry

import (
	"math"

	"github.com/twostage/twostage/internal/wire/body"
)

// firstWait is the index in a list of waits of a message's first retry: lists
// begin with the delay levels 1 and 2, which retries do not use.
const firstWait = 2

// mostTimes is from when on an exponential wait no longer grows.
const mostTimes = 32

// wait is how long, in milliseconds, a message that was tried again reconsumeTimes
// times waits by a group's policy; 0: the group has none of its own, and waits by
// delay levels.
//
// Source: GroupRetryPolicy, CustomizedRetryPolicy and ExponentialRetryPolicy of
// Apache RocketMQ 5.3.3, whose broker keeps the policy but leaves it to its proxy.
func wait(p *body.GroupRetryPolicy, reconsumeTimes int32) int64 {
	if p == nil {
		return 0
	}
	times := min(max(reconsumeTimes, 0), mostTimes)
	switch e, c := p.ExponentialRetryPolicy, p.CustomizedRetryPolicy; {
	case p.Type == "EXPONENTIAL" && e != nil && e.Initial > 0 && e.Multiplier > 0:
		ms := float64(e.Initial) * math.Pow(float64(e.Multiplier), float64(times))
		return max(int64(min(ms, float64(e.Max), math.MaxInt64/2)), 0)
	case p.Type != "EXPONENTIAL" && c != nil && len(c.Next) > 0:
		return max(c.Next[min(int(times)+firstWait, len(c.Next)-1)], 0)
	}
	return 0
}
