// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/twostage/twostage/internal/wire"
)

// extra is what a read buffer of n bytes counts against MaxReadMemory.
func extra(n int) int64 { return int64(max(n-maxReadBuffer, 0)) }

// makeRoom moves the unfinished frame to the front and grows the buffer when the
// last read filled it: fourfold up to 256 KiB, beyond that twofold and only while
// one frame fills all of it. What a frame announces costs nothing; what has
// arrived of it does.
func (c *Conn) makeRoom(full bool, now time.Time) error {
	rd := &c.rd
	if rd.r > 0 {
		rd.w = copy(rd.buf, rd.buf[rd.r:rd.w])
		rd.r = 0
	}
	size := len(rd.buf)
	switch {
	case rd.w == size && size >= maxReadBuffer:
		need := 4 + int(binary.BigEndian.Uint32(rd.buf)) // was checked: the frame is unfinished
		size = min(2*size, max(need, maxReadBuffer))
	case full && size < maxReadBuffer:
		size = min(4*size, maxReadBuffer)
	default:
		return nil
	}
	return c.resize(size, now)
}

// shrink gives back what a quiet connection does not need.
func (c *Conn) shrink(now time.Time) {
	rd := &c.rd
	size := minReadBuffer
	for size < 2*rd.w {
		size *= 4
	}
	if size < len(rd.buf) {
		c.resize(size, now) // a smaller buffer is never refused
	}
	if rd.w == 0 {
		rd.dec, rd.cmd, rd.req = wire.Decoder{}, wire.Command{}, Request{}
		c.mu.Lock()
		if c.inflight.Load() == 0 {
			c.slots, c.freeSlot = nil, -1
		}
		c.mu.Unlock()
	}
	rd.busyAt = now
}

func (c *Conn) resize(size int, now time.Time) error {
	rd := &c.rd
	more := extra(size) - extra(len(rd.buf))
	if total := c.ep.readMemory.Add(more); more > 0 && total > c.ep.limits.MaxReadMemory {
		c.ep.readMemory.Add(-more)
		return fmt.Errorf("%w: frames still arriving on all connections hold %d bytes, the bound is %d",
			ErrBadFrame, total-more, c.ep.limits.MaxReadMemory)
	}
	buf := make([]byte, size)
	copy(buf, rd.buf[:rd.w])
	rd.buf = buf
	rd.busyAt = now
	if t := now.Add(shrinkAfter); t.Before(rd.deadline) {
		rd.deadline = time.Time{}
	}
	return nil
}
