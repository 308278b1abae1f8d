// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"net"
	"syscall"
	"time"

	"github.com/twostage/twostage/internal/wire"
)

// Push sends a one-way request. It never blocks: ErrBacklog when the peer does
// not read, ErrClosed, ErrTooLarge. nil says that it was queued, not that it
// arrived. Opaque and OneWay of req are not used; req is free again on return.
func (c *Conn) Push(req *wire.Request) error { return c.PushIf(req, nil) }

// PushIf is Push for a request that may become untrue while it waits for a peer
// that reads slowly: valid is asked right before the first byte is given to the
// socket, and the request is left out when it says false. The others keep their
// order. Until then the request counts in Backlog, also when it is left out. A
// nil valid is always true.
//
// valid is called at most once and on any goroutine, also before PushIf returns,
// but never by PushIf itself and with no lock of this package held: the caller
// may hold a lock in PushIf that valid takes. It must be quick, because nothing
// else is written to the peer meanwhile, and may not wait for this connection.
// It is not called on a connection that is closed; a call that begins while
// another goroutine closes it is over before OnClose runs.
//
// valid is asked only when the socket has room, so that what it allowed is at once
// the operating system's (of a frame above 16 KiB the beginning). That needs a
// socket that can say so: TCP on Linux, and MemPipe. On others the peer may have
// to read before the write that valid allowed begins.
func (c *Conn) PushIf(req *wire.Request, valid func() bool) error {
	var r wire.Request
	c.outgoing(req, &r)
	r.OneWay = true
	_, err := c.send(&r, nil, valid)
	return err
}

// cond is a frame of a batch, head[from:to], that goes out only if valid says so
// at that moment.
type cond struct {
	from, to int
	valid    func() bool
}

// condRun bounds the frames, in bytes, that are asked for together and go out
// with one write. A socket that has room has room for more.
const condRun = 16 << 10

// writeConditional writes a batch with conditional frames: what lies before them
// first, then a run of them as soon as the socket has room, and so on.
//
//	head: | answer | answer | cond | cond | cond | answer | cond |
//	      `---- span -------´`---- run ---------´`- span -´`-run-´
//
// Frames that are left out are closed up within their run.
func (c *Conn) writeConditional(b *batch, now time.Time) (wrote bool, err error) {
	conds, parts, at := b.conds, b.parts, 0
	for len(conds) > 0 {
		from, n := conds[0].from, 0
		for n < len(parts) && parts[n].at <= from {
			n++
		}
		if from > at {
			if err := c.writeSpan(b, at, from, parts[:n], now); err != nil {
				return wrote, err
			}
			wrote = true
		}
		parts = parts[n:]
		run := runOf(conds)
		conds, at = conds[len(run):], run[len(run)-1].to
		if err := c.patience.untilTaken(now, func() (int64, error) { return 0, c.awaitRoom() }); err != nil {
			return wrote, err
		}
		to, err := c.keepValid(b, run)
		if err != nil {
			return wrote, err
		}
		if to > from {
			if err := c.writeSpan(b, from, to, nil, now); err != nil {
				return wrote, err
			}
			wrote = true
		}
	}
	if at < len(b.head) {
		wrote, err = true, c.writeSpan(b, at, len(b.head), parts, now)
	}
	return wrote, err
}

// runOf is the first of conds and those that follow without a gap, up to condRun
// bytes.
func runOf(conds []cond) []cond {
	n := 1
	for n < len(conds) && conds[n].from == conds[n-1].to && conds[n].to-conds[0].from <= condRun {
		n++
	}
	return conds[:n]
}

// keepValid moves the valid frames of a run together; they end at b.head[to].
func (c *Conn) keepValid(b *batch, run []cond) (to int, err error) {
	to = run[0].from
	for i := range run {
		if c.isClosed() {
			return to, net.ErrClosed
		}
		if c.ask(run[i].valid) {
			to += copy(b.head[to:], b.head[run[i].from:run[i].to])
		}
	}
	return to, nil
}

// ask is valid(); a panic costs the frame.
func (c *Conn) ask(valid func() bool) (ok bool) {
	defer func() {
		if p := recover(); p != nil {
			ok = false
			c.ep.hookPanicked(c, "PushIf's valid", p)
		}
	}()
	return valid()
}

// awaitRoom waits until the socket takes bytes at once, or its write deadline. A
// connection that can't say so is taken to have room.
func (c *Conn) awaitRoom() error {
	switch nc := c.nc.(type) {
	case interface{ awaitRoom() error }:
		return nc.awaitRoom()
	case syscall.Conn:
		return awaitSocketRoom(nc)
	}
	return nil
}
