// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/twostage/twostage/internal/wire"
)

// reader is the state of a connection's reader goroutine.
//
//	buf: | handled |  arrived, not handled  |  free  |
//	               ^ r                      ^ w
type reader struct {
	buf  []byte
	r, w int

	deadline time.Time     // of the socket; never later than what is wanted
	lastRead time.Time     // bytes came
	busyAt   time.Time     // a read filled a quarter of the buffer
	partial  time.Time     // the first bytes of the frame that is still arriving came
	read     time.Duration // lastRead, by latencies
	begun    bool          // the first bytes came and told what the peer speaks

	dec wire.Decoder
	cmd wire.Command
	req Request

	together      []*Request // of one code; handed over before any other request for a lane
	togetherRoute Route
}

// serve is the reader goroutine, from OnOpen to OnClose.
func (c *Conn) serve() {
	defer c.ep.gone(c)
	c.rd.buf = make([]byte, minReadBuffer)
	c.rd.lastRead = time.Now()
	cause := c.hook("OnOpen", c.ep.onOpen)
	if cause == nil {
		cause = c.readLoop()
	}
	if cause == errStopping && (c.rd.begun || !c.ep.secure.undecided()) {
		c.drainAndLinger()
	} else if !c.rd.begun && (errors.Is(cause, ErrHandshake) || errors.Is(cause, ErrPlaintext)) {
		c.linger()
	}
	c.closeFor(cause)
	c.waitFor(nil, nil, func() bool { return !c.writing })
	c.ep.readMemory.Add(-extra(len(c.rd.buf)))
	c.rd.buf = nil
	c.loseCalls()
	c.hook("OnClose", c.ep.onClose) // its error is logged, and there is nothing left to close
}

// hook calls a function of the owner's. A panic costs this connection only.
func (c *Conn) hook(name string, fn func(*Conn)) (err error) {
	if fn == nil {
		return nil
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("remoting: %s panicked: %v", name, p)
			c.ep.hookPanicked(c, name, p)
		}
	}()
	fn(c)
	return nil
}

func (c *Conn) closeFor(cause error) {
	switch {
	case errors.Is(cause, errTLSDisabled):
		c.ep.tls.refused.Add(1)
		c.failLogged(cause)
	case errors.Is(cause, ErrBadFrame):
		c.ep.badFrames.Add(1)
		c.failLogged(cause)
	case errors.Is(cause, ErrHandshake), errors.Is(cause, ErrPlaintext):
		c.failLogged(cause)
	case errors.Is(cause, ErrStuck):
		c.ep.slowClosed.Add(1)
		c.failLogged(cause)
	case errors.Is(cause, ErrIdle):
		c.ep.idleClosed.Add(1)
		c.fail(cause)
	default:
		c.fail(cause)
	}
}

func (c *Conn) readLoop() error {
	rd := &c.rd
	for {
		if err := c.armRead(); err != nil {
			return err
		}
		n, err := c.read(rd.buf[rd.w:])
		now := time.Now()
		if n > 0 && !rd.begun {
			secured, err := c.begin(rd.buf[:n], now)
			if err != nil {
				return err
			}
			if secured {
				continue
			}
		}
		if n > 0 {
			if rd.w == rd.r {
				rd.partial = now
			}
			full := n == len(rd.buf)-rd.w
			if n > len(rd.buf)/4 {
				rd.busyAt = now
			}
			rd.lastRead = now
			c.heard.Add(1)
			if t := c.ep.timings; t != nil {
				rd.read = now.Sub(t.epoch)
			}
			rd.w += n
			if err := c.handleArrived(now); err != nil {
				return err
			}
			if err := c.makeRoom(full, now); err != nil {
				return err
			}
		}
		if err == nil {
			continue
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			if c.isClosed() || errors.Is(err, net.ErrClosed) {
				err = errClosedHere
			} else if err == io.EOF && rd.w > rd.r {
				err = fmt.Errorf("%w: the peer closed in the middle of a frame", io.EOF)
			}
			return err
		}
		rd.deadline = time.Time{}
		if err := c.onDeadline(now); err != nil {
			return err
		}
	}
}

func (c *Conn) isClosed() bool { return c.isShut.Load() }

// armRead sees that the read ends when the connection has been idle for too
// long, when the buffer may shrink, or when stopReading was called. It sets a
// deadline only when none is in force: one that fires early is set again.
func (c *Conn) armRead() error {
	rd := &c.rd
	if rd.deadline.IsZero() {
		rd.deadline = c.idleAt()
		if len(rd.buf) > minReadBuffer {
			if t := rd.busyAt.Add(shrinkAfter); t.Before(rd.deadline) {
				rd.deadline = t
			}
		}
		c.nc.SetReadDeadline(rd.deadline) // fails only on a closed connection, as the read will
	}
	if c.stopping.Load() {
		return errStopping
	}
	return nil
}

// idleAt is when the connection will have been idle for too long.
func (c *Conn) idleAt() time.Time {
	rd := &c.rd
	if rd.w > rd.r {
		return rd.partial.Add(c.ep.limits.IdleTimeout)
	}
	c.mu.Lock()
	last := c.lastWrite
	c.mu.Unlock()
	if last.Before(rd.lastRead) {
		last = rd.lastRead
	}
	return last.Add(c.ep.limits.IdleTimeout)
}

func (c *Conn) onDeadline(now time.Time) error {
	if c.stopping.Load() {
		return errStopping
	}
	rd := &c.rd
	if !now.Before(c.idleAt()) {
		if rd.w > rd.r {
			return fmt.Errorf("%w: a frame was not finished within %v, %d bytes of it came",
				ErrIdle, c.ep.limits.IdleTimeout, rd.w-rd.r)
		}
		if c.ep.server || !c.hasCalls() {
			return fmt.Errorf("%w: no traffic for %v", ErrIdle, c.ep.limits.IdleTimeout)
		}
		rd.lastRead = now // an Invoke still waits, until its own context ends
	}
	if len(rd.buf) > minReadBuffer && !now.Before(rd.busyAt.Add(shrinkAfter)) {
		c.shrink(now)
	}
	return nil
}

// handleArrived handles the complete frames in the buffer, in their order, and
// ends the batch if there was one.
func (c *Conn) handleArrived(now time.Time) error {
	rd := &c.rd
	batch := false
	var err error
	for err == nil {
		var size int
		if size, err = c.ep.frameSize(rd.buf[rd.r:rd.w]); err != nil || size == 0 || rd.w-rd.r < size {
			break
		}
		if !batch {
			batch = true
			if c.woken.Load() == 0 {
				c.wokeAt.Store(int64(now.Sub(c.made)))
			}
			c.beginBatch()
		}
		frame := rd.buf[rd.r+4 : rd.r+size]
		rd.r += size
		rd.partial = now
		if err = c.dispatch(frame); err != nil {
			break
		}
		if c.isClosed() { // by the handler: what else it asked for is not done
			err = errClosedHere
		} else if c.mustPause() {
			if err = c.endBatch(now); err == nil {
				err = c.pause()
			}
			now = time.Now()
			rd.lastRead = now
			c.beginBatch()
		} else if c.ep.server && c.pending.Load() > earlyFlush {
			c.flush(now)
			c.beginBatch()
		}
	}
	if batch {
		if e := c.endBatch(now); err == nil {
			err = e
		}
	}
	if err == nil && c.mustPause() {
		err = c.pause()
		rd.lastRead = time.Now()
		rd.partial = rd.lastRead
	}
	return err
}

func (c *Conn) beginBatch() {
	c.mu.Lock()
	c.inBatch = true
	c.mu.Unlock()
}

func (c *Conn) endBatch(now time.Time) error {
	c.handOver()
	err := c.hook("EndOfBatch", c.ep.onBatch)
	c.flush(now)
	return err
}

// mustPause: the connection has too much in flight, or too much waits for its
// peer. A client reads on: its peer may wait for that with all it has to write.
func (c *Conn) mustPause() bool {
	l := &c.ep.limits
	return int(c.inflight.Load()) >= l.MaxInflight ||
		c.inflightBytes.Load() >= int64(l.MaxInflightBytes) ||
		c.ep.server && c.pending.Load() > int64(l.MaxBacklog)
}

// pause does not read until there is room again. Requests that nobody answers
// must not keep it for ever: the peer might be gone, and only reading would tell.
func (c *Conn) pause() error {
	l := &c.ep.limits
	timeout := time.NewTimer(l.IdleTimeout)
	defer timeout.Stop()
	if c.waitFor(c.closed, timeout.C, func() bool {
		return int(c.inflight.Load()) < l.MaxInflight &&
			c.inflightBytes.Load() < int64(l.MaxInflightBytes) &&
			!(c.ep.server && c.pending.Load() > int64(l.MaxBacklog/2))
	}) {
		return nil
	}
	if c.isClosed() {
		return errClosedHere
	}
	return fmt.Errorf("%w: not read for %v with %d requests in flight and %d bytes to be written",
		ErrStuck, l.IdleTimeout, c.inflight.Load(), c.pending.Load())
}

// dispatch handles one frame, without its length.
func (c *Conn) dispatch(frame []byte) error {
	rd := &c.rd
	if err := rd.dec.Decode(frame, &rd.cmd); err != nil {
		return fmt.Errorf("%w: %w", ErrBadFrame, err)
	}
	if rd.cmd.IsResponse() {
		c.deliver(&rd.cmd)
		return nil
	}
	route := c.ep.route(rd.cmd.Code)
	if route.Admit != nil {
		rd.req = Request{Command: &rd.cmd, Conn: c, slot: -1, read: rd.read}
		if !c.ep.admits(route.Admit, &rd.req) {
			return nil
		}
	}
	if route.Lane == nil {
		rd.req = Request{Command: &rd.cmd, Conn: c, slot: -1, read: rd.read}
		c.ep.run(route.Handler, &rd.req)
		return nil
	}
	req := &Request{Command: rd.cmd.Clone(), Conn: c, lane: true, read: rd.read}
	req.slot, req.gen = c.reserve(len(frame))
	if len(rd.together) > 0 && rd.together[0].Code != req.Code {
		c.handOver()
	}
	if route.Together != nil {
		rd.together, rd.togetherRoute = append(rd.together, req), route
		return nil
	}
	c.submit(route.Lane, job{req: req, h: route.Handler})
	return nil
}

// handOver gives the requests that wait to be served together to their lane.
func (c *Conn) handOver() {
	if all := c.rd.together; len(all) > 0 {
		c.rd.together = nil
		c.submit(c.rd.togetherRoute.Lane, job{req: all[0], all: all, together: c.rd.togetherRoute.Together})
	}
}

// submit gives requests to a lane, or answers that it is full.
func (c *Conn) submit(lane *Lane, j job) {
	n := j.requests()
	j.read = c.rd.lastRead
	c.ep.jobs.Add(n)
	waiting, ok := lane.submit(j)
	if ok {
		return
	}
	c.ep.laneRejects.Add(n)
	busy := lane.busy(waiting)
	if j.all == nil {
		j.req.Reply(busy)
	}
	for _, r := range j.all {
		r.Reply(busy)
	}
	c.ep.jobsDone(n)
}

// frameSize gives the size of the frame that b begins with, its length bytes
// included, and 0 when that has not arrived yet.
func (ep *endpoint) frameSize(b []byte) (int, error) {
	if len(b) < 4 {
		return 0, nil
	}
	length := int32(binary.BigEndian.Uint32(b))
	if length < 4 || int64(length) > int64(ep.limits.MaxFrame) {
		return 0, fmt.Errorf("%w: length %d is outside 4..%d%s", ErrBadFrame, length, ep.limits.MaxFrame, guess(b))
	}
	if len(b) >= 8 {
		enc, header := b[4], int32(binary.BigEndian.Uint32(b[4:])&0xffffff)
		if enc > uint8(wire.Binary) {
			return 0, fmt.Errorf("%w: header encoding %d is not known", ErrBadFrame, enc)
		}
		if header > length-4 || header > wire.MaxHeader {
			return 0, fmt.Errorf("%w: header of %d bytes in a frame of %d, a header may have %d",
				ErrBadFrame, header, length, wire.MaxHeader)
		}
	}
	return 4 + int(length), nil
}

// guess says what else the peer may be speaking.
func guess(b []byte) string {
	switch string(b[:4]) {
	case "GET ", "POST", "HEAD", "PUT ", "OPTI", "PRI ":
		return " (this looks like HTTP)"
	case "PROX", "\r\n\r\n":
		return " (this looks like the PROXY protocol, which is not configured here)"
	}
	if b[0] == 0x16 && b[1] == 3 {
		return " (this looks like TLS, which is disabled here: see tls.server.mode)"
	}
	return ""
}
