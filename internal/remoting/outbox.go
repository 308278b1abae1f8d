// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"github.com/twostage/twostage/internal/wire"
)

// slot is one request in flight: in a lane, or waiting for its Ticket.
type slot struct {
	gen   uint32 // 0: free
	next  int32  // next free slot
	bytes int32  // what is kept of the request
}

// reserve takes a slot for a request that costs bytes.
func (c *Conn) reserve(bytes int) (idx int32, gen uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.freeSlot < 0 {
		c.slots = append(c.slots, slot{next: -1})
		c.freeSlot = int32(len(c.slots) - 1)
	}
	if c.slotSeq++; c.slotSeq == 0 {
		c.slotSeq = 1
	}
	idx = c.freeSlot
	s := &c.slots[idx]
	c.freeSlot = s.next
	*s = slot{gen: c.slotSeq, bytes: int32(bytes)}
	c.inflight.Add(1)
	c.inflightBytes.Add(int64(bytes))
	return idx, s.gen
}

// free gives a slot back, once. c.mu is held.
func (c *Conn) free(idx int32, gen uint32) {
	if !c.holds(idx, gen) {
		return
	}
	c.inflight.Add(-1)
	c.inflightBytes.Add(-int64(c.slots[idx].bytes))
	c.slots[idx] = slot{next: c.freeSlot}
	c.freeSlot = idx
	c.signal()
}

// forgo gives the bytes of a slot back: its request is out of the lane, and its
// handler has kept no more than the right to answer it. c.mu is held.
func (c *Conn) forgo(idx int32, gen uint32) {
	if !c.holds(idx, gen) {
		return
	}
	c.inflightBytes.Add(-int64(c.slots[idx].bytes))
	c.slots[idx].bytes = 0
	c.signal()
}

// holds says whether the slot is still that request's. c.mu is held.
func (c *Conn) holds(idx int32, gen uint32) bool {
	return int(idx) < len(c.slots) && c.slots[idx].gen == gen
}

// signal wakes the reader if it waits. c.mu is held.
func (c *Conn) signal() {
	if c.readerWaits {
		select {
		case c.wake <- struct{}{}:
		default:
		}
	}
}

// waitFor blocks the reader until cond, evaluated under c.mu, holds; false when
// one of the channels, which may be nil, came first.
func (c *Conn) waitFor(closed <-chan struct{}, timeout <-chan time.Time, cond func() bool) bool {
	for {
		c.mu.Lock()
		ok := cond()
		c.readerWaits = !ok
		c.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-c.wake:
		case <-closed:
			return false
		case <-timeout:
			return false
		}
	}
}

// answer appends an answer and sees to it that somebody writes it. It calls
// release in the end, whatever happens.
func (c *Conn) answer(t *Ticket, resp *wire.Response, body net.Buffers, release func()) {
	backlog, kick, first := c.queueAnswer(t, resp, body, release)
	if first && t.oneWay && c.ep.timings != nil {
		c.ep.timings.oneWay(c, t, resp.Code)
	}
	if kick {
		go c.writeFn()
	}
	if backlog > int64(c.ep.limits.HardBacklog) {
		c.ep.slowClosed.Add(1)
		c.failLogged(fmt.Errorf("%w: %d bytes of answers wait, the bound is %d",
			ErrBacklog, backlog, c.ep.limits.HardBacklog))
	}
}

// queueAnswer holds against a header whose encoding panics: the slot stays
// taken, so that the handler's panic can still be answered.
func (c *Conn) queueAnswer(t *Ticket, resp *wire.Response, body net.Buffers, release func()) (backlog int64, kick, first bool) {
	kept := false
	c.mu.Lock()
	defer func() {
		c.mu.Unlock()
		if !kept && release != nil {
			release()
		}
	}()
	if t.slot >= 0 && !c.holds(t.slot, t.gen) {
		return 0, false, false
	}
	if !c.dead && !c.deaf && !t.oneWay {
		kept = c.appendAnswer(t, resp, body, release)
		backlog, kick = c.pending.Load(), c.claimWriter()
	}
	if t.slot >= 0 {
		c.free(t.slot, t.gen)
	}
	return backlog, kick, true
}

// appendAnswer says whether the batch took over the duty to call release.
// c.mu is held.
func (c *Conn) appendAnswer(t *Ticket, resp *wire.Response, body net.Buffers, release func()) bool {
	b := c.openBatch()
	start, bodies, code := len(b.head), 0, resp.Code
	for _, s := range body {
		bodies += len(s)
	}
	if bodies == 0 && release == nil {
		b.head = wire.AppendResponse(b.head, t.enc, t.opaque, resp)
	} else {
		b.head = wire.AppendResponseHead(b.head, t.enc, t.opaque, resp, len(resp.Body)+bodies)
		b.head = append(b.head, resp.Body...)
	}
	if n := len(b.head) - start + bodies - 4; n > c.ep.limits.MaxFrame {
		b.head = wire.AppendResponse(b.head[:start], t.enc, t.opaque, &wire.Response{
			Code: wire.SystemError,
			Remark: fmt.Sprintf("the answer has %d bytes, a frame may have %d: ask for less",
				n, c.ep.limits.MaxFrame),
		})
		bodies, release, body, code = 0, nil, nil, wire.SystemError
	}
	if c.ep.timings != nil { // not before: what panicked or was too large did not go out
		b.note(t, code, !c.inBatch && !t.direct)
	}
	if release != nil || bodies > 0 {
		b.parts = append(b.parts, part{at: len(b.head), body: body, release: release})
	}
	n := int64(len(b.head) - start + bodies)
	b.size += n
	c.pending.Add(n)
	return release != nil
}

// openBatch gives the batch that gathers. c.mu is held.
func (c *Conn) openBatch() *batch {
	if c.out == nil {
		c.out = c.ep.batches.Get().(*batch)
	}
	return c.out
}

// appendRequest appends r, a copy with its opaque set; valid may be nil. c.mu is
// held.
func (c *Conn) appendRequest(r *wire.Request, valid func() bool) error {
	b := c.openBatch()
	start := len(b.head)
	b.head = wire.AppendRequest(b.head, r)
	n := len(b.head) - start
	if n-4 > c.ep.limits.MaxFrame {
		if b.head = b.head[:start]; b.size == 0 {
			c.out = nil // nobody would write it
			c.ep.batches.Put(b)
		}
		return fmt.Errorf("%w: request %d has %d bytes, the bound is %d",
			ErrTooLarge, r.Code, n-4, c.ep.limits.MaxFrame)
	}
	if valid != nil {
		b.conds = append(b.conds, cond{from: start, to: start + n, valid: valid})
	}
	b.size += int64(n)
	c.pending.Add(int64(n))
	return nil
}

// claimWriter says whether the caller has to start a writer goroutine: nobody
// writes, the reader is not about to, and no more is awaited. c.mu is held.
func (c *Conn) claimWriter() bool {
	return !c.awaitsMore() && c.takeWriting()
}

// takeWriting makes the caller the owner of c.writing if there is something to do for
// it. c.mu is held.
func (c *Conn) takeWriting() bool {
	if c.writing || c.inBatch || c.out == nil || c.dead {
		return false
	}
	c.writing = true
	return true
}

// write writes batches until none is left or the given number is written; it
// says whether the caller still owns c.writing.
func (c *Conn) write(now time.Time, batches int) (owns bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := 0; c.out != nil && !c.dead; i++ {
		if i == batches {
			if c.awaitsMore() {
				break
			}
			return true
		}
		b := c.out
		c.out = nil
		c.mu.Unlock()
		if i > 0 {
			now = time.Now()
		}
		var start time.Duration
		if len(b.timed) > 0 {
			start = c.ep.timings.now()
		}
		wrote, err := c.writeBatch(b, now)
		if len(b.timed) > 0 {
			c.ep.timings.written(c, b, start, err)
		}
		size := b.size
		c.ep.recycle(b)
		if err != nil {
			c.writeFailed(err)
		}
		c.mu.Lock()
		if wrote {
			c.lastWrite = now
		}
		c.pending.Add(-size)
		c.signal()
		if c.space != nil && c.pending.Load() <= int64(c.ep.limits.MaxBacklog/2) {
			close(c.space)
			c.space = nil
		}
	}
	c.writing = false
	c.signal()
	return false
}

func (c *Conn) writeFailed(err error) {
	if errors.Is(err, ErrStalled) {
		c.ep.slowClosed.Add(1)
		c.failLogged(fmt.Errorf("%w for %v", err, c.ep.limits.WriteTimeout))
		return
	}
	if errors.Is(err, syscall.EFAULT) && c.ep.onFault != nil {
		c.ep.onFault(c)
	}
	switch gone := errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET); {
	case gone && c.ep.server:
		c.deafen(err)
	case gone || c.isClosed():
		c.fail(err)
	default: // as when a mapped page of a body can't be read: half a frame may have gone
		c.failLogged(fmt.Errorf("writing: %w", err))
	}
}

// drainOut is the short-lived writer goroutine.
func (c *Conn) drainOut() {
	deepStack(0)
	if c.ep.server {
		for c.write(time.Now(), 1<<30) {
		}
		return
	}
	for c.write(c.gather(), 1) {
	}
}

// flush ends the reader's batch. A server writes here and now: not reading while
// the peer does not read is the back-pressure. The reader of a client never
// writes, because two ends that both wait to write would wait for ever.
func (c *Conn) flush(now time.Time) {
	c.mu.Lock()
	c.inBatch = false
	claimed := c.claimWriter()
	c.mu.Unlock()
	if claimed && (!c.ep.server || c.write(now, maxHandOverRun)) {
		go c.writeFn()
	}
}
