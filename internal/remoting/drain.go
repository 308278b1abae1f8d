// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import "time"

// stopReading asks the reader to handle what has arrived, answer what is in
// flight and close. It does not wait.
func (c *Conn) stopReading() {
	c.stopping.Store(true)
	c.nc.SetReadDeadline(time.Unix(1, 0)) // fails only on a closed connection
}

// drainAndLinger waits until everything in flight is answered and written.
func (c *Conn) drainAndLinger() {
	if !c.waitFor(c.closed, nil, func() bool {
		return c.inflight.Load() == 0 && c.out == nil && !c.writing
	}) {
		return
	}
	c.linger()
}

// linger ends the write side and reads on for a moment: closing a socket with
// unread input makes the kernel reset it, and the peer might lose the last answers,
// or the alert that says why its handshake failed.
func (c *Conn) linger() {
	var half interface{ CloseWrite() error }
	if c.tls != nil {
		half = c.tls
	} else {
		half, _ = c.nc.(interface{ CloseWrite() error })
	}
	if half == nil || half.CloseWrite() != nil {
		return
	}
	c.nc.SetReadDeadline(time.Now().Add(lingerOnClose)) // fails only on a closed connection
	for {
		if _, err := c.nc.Read(c.rd.buf); err != nil {
			return
		}
	}
}
