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
	deadline time.Time     // of the socket, as far as this patience set it
}

// untilTaken repeats write, which does what is left, until it is done.
//
// A write that its deadline ends says how many bytes went, not when. So deadlines
// come twice in a WriteTimeout: bytes count as taken at the deadline after them,
// which is at most half a WriteTimeout late, and never early. The first one may
// have been set by an earlier write, so that most writes set none.
func (p *patience) untilTaken(now time.Time, write func() (int64, error)) error {
	if !p.deadline.After(now) {
		p.arm(now)
	}
	var taken time.Time // when the peer is known to have taken something; zero before the first deadline
	for {
		n, err := write()
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
	p.deadline = now.Add((p.limit + 1) / 2)
	p.nc.SetWriteDeadline(p.deadline) // fails only on a closed connection, as the write will
}
