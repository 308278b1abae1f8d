// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package skew

import (
	"math"
	"time"
)

// Clock is a time in ms that goes on with the process's own, which nothing sets.
// Its methods may be called by any goroutine when Wall and Elapsed may.
type Clock struct {
	First   int64                // the time when Elapsed was 0
	Elapsed func() time.Duration // since the start
	Wall    func() int64         // the wall clock, ms since 1970
}

// Now is the time.
func (c *Clock) Now() int64 { return c.First + c.Elapsed().Milliseconds() }

// Read is the time, and that of the wall clock as it was then or, where the process
// was held up between the two, a little before: their difference is never too large.
func (c *Clock) Read() (now, wall int64) {
	for range 3 {
		before := c.Now()
		wall = c.Wall()
		if now = c.Now(); now-before <= 1 {
			break
		}
	}
	return now, wall
}

// Ahead is by how many ms the wall clock is ahead.
func (c *Clock) Ahead() int64 {
	now, wall := c.Read()
	return wall - now
}

// Until is what is left until a time, at most what a Duration holds; negative when
// it is over.
func (c *Clock) Until(ms int64) time.Duration {
	left := min(ms-c.First, math.MaxInt64/int64(time.Millisecond))
	return time.Duration(left)*time.Millisecond - c.Elapsed()
}
