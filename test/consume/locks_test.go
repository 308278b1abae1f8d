// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package consume

// lockExpiry is how long a lock holds that is not renewed, in milliseconds.
const lockExpiry = 60_000

// holder is who has a lock, at least until then.
type holder struct {
	who   string
	until int64
}

// lock judges a lock that was granted. Locks do not outlive the broker: an answer
// to what was asked of one that was killed meanwhile says nothing.
func (c *check) lock(number int, granted *event) {
	if number < c.lastKill {
		return
	}
	asked := &c.run.events[number]
	at := place{asked.group, asked.q}
	h, held := c.holders[at]
	if held && h.who != asked.who && granted.at < h.until {
		c.add(twoHolders, "%s of group %s: %s and %s", asked.q, asked.group, h.who, asked.who)
	}
	c.holders[at] = holder{who: asked.who, until: asked.at + lockExpiry}
}
