// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"errors"
	"net"
	"os"
	"time"
)

// patience writes to a socket for as long as its peer takes something. One
// goroutine at a time uses it; a socket may have two, which only makes a deadline
// later.
type patience struct {
	nc       net.Conn
	limit    time.Duration // WriteTimeout
	every    time.Duration // how far apart deadlines are
	took     func()        // the peer took bytes while a write waited; nil: nobody asks
	deadline time.Time     // of the socket, as far as this patience set it
}

// newPatience is for a socket of c. A client wants to know soon that its peer takes
// bytes: that is a sign of life.
func newPatience(c *Conn) patience {
	p := patience{nc: c.nc, limit: c.ep.limits.WriteTimeout}
	p.every = (p.limit + 1) / 2
	if !c.ep.server {
		p.every, p.took = min(p.every, time.Second), func() { c.heard.Add(1) }
	}
	return p
}

// untilTaken repeats write, which does what is left, until it is done.
//
// A write that its deadline ends says how many bytes went, not when. So deadlines
// come at least twice in a WriteTimeout: bytes count as taken at the deadline after
// them, which is at most half a WriteTimeout late, and never early. The first one may
// have been set by an earlier write, so that most writes set none; what went before it
// may lie in the socket, and says nothing of the peer.
func (p *patience) untilTaken(now time.Time, write func() (int64, error)) error {
	if !p.deadline.After(now) {
		p.arm(now)
	}
	var taken time.Time // when the peer is known to have taken something; zero before the first deadline
	for {
		n, err := write()
		if p.took != nil && !taken.IsZero() && (err == nil || n > 0) {
			p.took()
		}
		if err == nil {
			return nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		now = time.Now() // the caller's may be as old as a slow handler
		if n > 0 || taken.IsZero() {
			taken = now
		}
		if now.Sub(taken) >= p.limit {
			return ErrStalled
		}
		p.arm(now)
	}
}

// arm sets the deadline of this write and of those that follow soon.
func (p *patience) arm(now time.Time) {
	p.deadline = now.Add(p.every)
	p.nc.SetWriteDeadline(p.deadline) // fails only on a closed connection, as the write will
}
