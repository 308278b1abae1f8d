// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"net"
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
	timed []timed

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
	b.timed = b.timed[:0]
	if cap(b.timed) > 1024 {
		b.timed = nil
	}
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
		if c.tls != nil {
			return c.tls.writeAll(b.vec)
		}
		return c.patience.untilTaken(now, func() (int64, error) { return b.bufs.WriteTo(c.nc) })
	}
	rest := b.head[from:to]
	if c.tls != nil {
		return c.tls.write(rest)
	}
	return c.patience.untilTaken(now, func() (int64, error) {
		n, err := c.nc.Write(rest)
		rest = rest[n:]
		return int64(n), err
	})
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
