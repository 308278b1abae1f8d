// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"context"
	"time"
)

// A connection has one timer for the deadlines of all its calls. It is set for the
// earliest that came up since it was set, and is left alone when calls are
// answered: where all are answered and have one timeout, it fires once in that
// time, whatever their number.

// expireEvery is how close together the timer fires when calls expire one after the
// other: each time it looks at all of them.
const expireEvery = time.Millisecond

// arm sees that the timer fires by deadline. c.mu is held, and c is not dead.
func (c *Conn) arm(deadline time.Time) {
	if !c.due.IsZero() && !deadline.Before(c.due) {
		return
	}
	c.due = deadline
	switch d := time.Until(deadline); {
	case c.timer == nil:
		c.ep.wg.Add(1) // until it is stopped or has run
		c.timer = time.AfterFunc(d, c.expire)
	case !c.timer.Reset(d):
		c.ep.wg.Add(1)
	}
}

// expire ends the calls that have had their time.
func (c *Conn) expire() {
	defer c.ep.wg.Done()
	now := time.Now()
	var next time.Time
	c.mu.Lock()
	c.due = time.Time{}
	late := c.calls.takeIf(func(k *call) bool {
		switch {
		case k.deadline.IsZero():
		case !k.deadline.After(now):
			return true
		case next.IsZero() || k.deadline.Before(next):
			next = k.deadline
		}
		return false
	})
	if !next.IsZero() && !c.dead {
		if soon := now.Add(expireEvery); len(late) > 0 && next.Before(soon) {
			next = soon
		}
		c.arm(next)
	}
	c.mu.Unlock()
	if len(late) > 0 {
		c.miss()
	}
	for _, k := range late {
		c.end(k, nil, c.callError(k.req.Code, context.DeadlineExceeded))
	}
}
