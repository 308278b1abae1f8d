// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"errors"
	"time"
)

// turns bounds how many handshakes of a server are worked on at a time. A handshake
// that waits for its peer is none of them, so that nobody keeps a turn by being
// silent.
type turns struct {
	taken chan struct{} // has as many in it as are taken
	ended chan struct{} // closed when the server closes
}

var errNoTurn = errors.New("too many others were under way")

func newTurns(n int) turns {
	return turns{taken: make(chan struct{}, n), ended: make(chan struct{})}
}

// turn is that of one handshake; it belongs to the goroutine that shakes hands.
type turn struct {
	of    *turns
	c     *Conn
	until time.Time
	has   bool
}

// take waits for the turn.
func (t *turn) take() error {
	select {
	case t.of.taken <- struct{}{}:
		t.has = true
		return nil
	default:
	}
	timeout := time.NewTimer(time.Until(t.until))
	defer timeout.Stop()
	select {
	case t.of.taken <- struct{}{}:
		t.has = true
		return nil
	case <-t.c.closed:
		return errClosedHere
	case <-t.of.ended:
		return errStopping
	case <-timeout.C:
		return errNoTurn
	}
}

// end gives the turn back, if it was taken.
func (t *turn) end() {
	if t.has {
		t.has = false
		<-t.of.taken
	}
}
