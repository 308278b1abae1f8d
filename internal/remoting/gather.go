// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"runtime"
	"time"
)

// A write costs both ends more than many requests in it. Callers that wait for
// answers get them many at a time, and most have another request at once. So what a
// client has to write waits for those that were woken and have not run yet: the last
// one of them starts the writer. They run by and by; when they are slow to, one of
// each wokenLook starts it after gatherTime. Nothing is asked for meanwhile, so that
// answers, which would wake more, soon end.

const (
	gatherTime  = 500 * time.Microsecond
	gatherBytes = 96 << 10 // so many do not wait
	wokenLook   = 4
)

// awaitsMore says whether what is to be written waits for who calls awake. c.mu is
// held.
func (c *Conn) awaitsMore() bool {
	return !c.ep.server && c.woken.Load() > 0 && c.pending.Load() < gatherBytes
}

// awaken wakes who waits for the end of k, and then calls awake.
func (c *Conn) awaken(k *call) {
	c.woken.Add(1)
	k.ended <- struct{}{}
}

// awake is called by who was woken.
func (c *Conn) awake() {
	n := c.woken.Add(-1)
	if c.ep.server || n%wokenLook != 0 || c.pending.Load() == 0 ||
		n > 0 && time.Since(c.made)-time.Duration(c.wokeAt.Load()) < gatherTime {
		return
	}
	c.mu.Lock()
	kick := c.takeWriting()
	c.mu.Unlock()
	if kick {
		go c.writeFn()
	}
}

// gather lets others that can run add requests to what is about to be written, as
// long as some do. It gives the time.
func (c *Conn) gather() (now time.Time) {
	for begin, before := time.Now(), c.pending.Load(); ; {
		runtime.Gosched()
		now = time.Now()
		size := c.pending.Load()
		if size == before || size >= gatherBytes || now.Sub(begin) >= gatherTime {
			return now
		}
		before = size
	}
}
