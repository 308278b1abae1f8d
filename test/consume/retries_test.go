// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package consume

import (
	"fmt"

	"github.com/twostage/twostage/message"
)

// given is how often a try of a message was given back, and when first (ms since
// 1970).
type given struct {
	asked, done int
	first       int64
}

// gives notes that a message is given back.
func (c *check) gives(e *event) {
	a := attempt{e.group, e.id, e.times}
	if c.back[a] == nil {
		c.back[a] = &given{first: e.at}
	}
	c.back[a].asked++
}

// again holds that a message that was given back did not come too early.
func (c *check) again(e *event) {
	back := c.back[attempt{e.group, e.id, e.times - 1}]
	if back == nil { // its first try, or one without a reason, which reasoned finds
		return
	}
	if due := back.first + c.groups[e.group].wait(e.times-1); e.at < due {
		c.addOf(earlyRetry, e.group, e.id, "%s to %s, its try %d %d ms early", e.id, e.who, e.times, due-e.at)
	}
}

// dead judges the dead letters of a group and gives their ids.
func (c *check) dead(g group) map[string]bool {
	dead := make(map[string]bool)
	for q, records := range c.run.queues {
		if q.topic != message.DLQTopic(g.name) {
			continue
		}
		for n, r := range records {
			dead[r.id] = true
			c.deadLetters++
			where := fmt.Sprintf("%s offset %d", q, n)
			if r.times <= g.maxTimes {
				c.add(earlyDead, "%s at %s after %d tries; the group allows %d more", r.id, where, r.times, g.maxTimes-r.times+1)
			}
			if !g.pop {
				for times := range g.maxTimes + 1 {
					if c.tried[attempt{g.name, r.id, times}] == 0 {
						c.add(earlyDead, "%s at %s: nobody failed to consume it after %d tries", r.id, where, times)
						break
					}
				}
			}
			c.reasoned(g, r, where)
		}
	}
	return dead
}
