// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"errors"
	"net"
	"os"
	"time"
)

// batch is what one write sends: encoded frames, and bodies that go out from
// the memory they lie in.
//
//	head: | answer | answer head |          | answer | answer head |          |
//	                             ^ parts[0]                        ^ parts[1]
type batch struct {
	head  []byte
	parts []part
	conds []cond // what PushIf added, in order
	size  int64  // bytes of head and bodies

	vec  [][]byte
	bufs net.Buffers // vec as WriteTo consumes it
}

// part is a body that follows head[:at].
type part struct {
	at      int
	body    net.Buffers
	release func()
}

const keepHead = 512 << 10 // a larger head is not kept for the next batch

// recycle gives the bodies back and the batch to the pool.
func (ep *endpoint) recycle(b *batch) {
	for i := range b.parts {
		if b.parts[i].release != nil {
			b.parts[i].release()
		}
	}
	clear(b.parts)
	clear(b.vec)
	clear(b.conds)
	if cap(b.head) > keepHead {
		b.head = nil
	}
	if cap(b.parts) > 1024 {
		b.parts, b.vec = nil, nil
	}
	if cap(b.conds) > 1024 {
		b.conds = nil
	}
	b.head, b.parts, b.conds = b.head[:0], b.parts[:0], b.conds[:0]
	b.vec, b.bufs, b.size = b.vec[:0], nil, 0
	ep.batches.Put(b)
}

// writeBatch writes all of b, without the frames that are no longer valid; it
// says whether there was anything to write. Only the owner of c.writing calls it.
func (c *Conn) writeBatch(b *batch, now time.Time) (wrote bool, err error) {
	if len(b.conds) > 0 {
		return c.writeConditional(b, now)
	}
	return true, c.writeSpan(b, 0, len(b.head), b.parts, now)
}

// writeSpan writes b.head[from:to] with the bodies that lie in it.
func (c *Conn) writeSpan(b *batch, from, to int, parts []part, now time.Time) error {
	if len(parts) > 0 {
		b.gather(from, to, parts)
		return c.untilTaken(now, func() (int64, error) { return b.bufs.WriteTo(c.nc) })
	}
	rest := b.head[from:to]
	return c.untilTaken(now, func() (int64, error) {
		n, err := c.nc.Write(rest)
		rest = rest[n:]
		return int64(n), err
	})
}

// untilTaken repeats write, which does what is left, until it is done.
//
// A write that its deadline ends says how many bytes went, not when. So deadlines
// come twice in a WriteTimeout: bytes count as taken at the deadline after them,
// which is at most half a WriteTimeout late, and never early. The first one may
// have been set by an earlier write, so that most writes set none.
func (c *Conn) untilTaken(now time.Time, write func() (int64, error)) error {
	if !c.writeDeadline.After(now) {
		c.armWrite(now)
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
		if now.Sub(taken) >= c.ep.limits.WriteTimeout {
			return ErrStalled
		}
		c.armWrite(now)
	}
}

// armWrite sets the deadline of this write and of those that follow soon.
func (c *Conn) armWrite(now time.Time) {
	c.writeDeadline = now.Add((c.ep.limits.WriteTimeout + 1) / 2)
	c.nc.SetWriteDeadline(c.writeDeadline) // fails only on a closed connection, as the write will
}

func (b *batch) gather(from, to int, parts []part) {
	vec, prev := b.vec[:0], from
	for i := range parts {
		p := &parts[i]
		if p.at > prev {
			vec = append(vec, b.head[prev:p.at])
			prev = p.at
		}
		for _, s := range p.body {
			if len(s) > 0 {
				vec = append(vec, s)
			}
		}
	}
	if prev < to {
		vec = append(vec, b.head[prev:to])
	}
	b.vec, b.bufs = vec, vec
}
