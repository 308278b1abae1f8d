// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"fmt"
	"time"
)

// A connection whose peer is gone without a word, as behind a firewall that has
// forgotten it, looks open: the system gives it up after a quarter of an hour. So a
// client gives it up when a request has not been answered in time, and another one
// maxSilence later, and in between nothing came, nor did the peer take a byte that had
// to wait for it. The next request has it dial anew.

// maxSilence is how far apart two requests that are not answered in time have to be.
const maxSilence = 3 * time.Second

// missed is when the first request was not answered in time of those since when
// nothing came. The zero value: none was.
type missed struct {
	at    time.Time
	heard uint32 // Conn.heard then
}

// miss is called when a request was not answered in time. It may be answered all the
// same where the connection is not read (pause).
func (c *Conn) miss() {
	if c.ep.server {
		return
	}
	now, heard := time.Now(), c.heard.Load()
	c.mu.Lock()
	if c.readerWaits {
		c.mu.Unlock()
		return
	}
	if c.missed.at.IsZero() || c.missed.heard != heard {
		c.missed = missed{now, heard}
	}
	silence := now.Sub(c.missed.at)
	c.mu.Unlock()
	if silence >= maxSilence {
		c.fail(fmt.Errorf("%w: nothing came for %v while requests were not answered in time", ErrSilent, silence))
	}
}
