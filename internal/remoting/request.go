// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"fmt"
	"net"
	"time"

	"github.com/twostage/twostage/internal/wire"
)

// Request is a request of the peer. It and what it points to are valid during
// the handler call only; Clone what is to stay. Its methods are for the goroutine
// that runs the handler.
type Request struct {
	*wire.Command
	Conn *Conn

	slot     int32 // in c.slots, -1: none
	gen      uint32
	lane     bool
	ticketed bool
	light    bool // its ticket is one of LightTicket
	answered bool
	read     time.Duration // when it was read, by latencies; 0 where nothing is measured
	queued   time.Duration // how long it was in a lane
}

// Reply answers the request, in its encoding. Only the first answer counts; a
// one-way request gets none. resp and its memory are free again on return.
// It never blocks on the peer.
func (r *Request) Reply(resp *wire.Response) { r.ReplyBody(resp, nil, nil) }

// ReplyBody answers with body after resp.Body, written from where it lies. Its
// memory must not change until release, if not nil, is called: exactly once, from
// any goroutine, when the answer was written or dropped. release must not block.
func (r *Request) ReplyBody(resp *wire.Response, body net.Buffers, release func()) {
	if r.answered {
		if release != nil {
			release()
		}
		return
	}
	t := r.ticket()
	t.direct = true
	r.Conn.answer(&t, resp, body, release)
	r.answered = true // not before: when the encoding of resp panics, that is answered
}

// Ticket defers the answer: any goroutine may give it later. A request whose
// ticket is neither answered nor discarded counts against MaxInflight until its
// connection closes, and what its handler may have kept of it against
// MaxInflightBytes: all of a request of a lane, the header fields of another. After
// an answer the ticket answers nothing.
func (r *Request) Ticket() Ticket {
	if r.answered {
		return Ticket{}
	}
	r.ticketed, r.light = true, false
	if r.slot < 0 && !r.IsOneWay() {
		bytes := 0
		for i := range r.Ext {
			bytes += len(r.Ext[i].Key) + len(r.Ext[i].Value)
		}
		r.slot, r.gen = r.Conn.reserve(bytes)
	}
	return r.ticket()
}

// LightTicket is as Ticket, for a handler that keeps nothing of what the peer has
// sent: once it has returned, the request counts against MaxInflight only.
func (r *Request) LightTicket() Ticket {
	if r.answered {
		return Ticket{}
	}
	if r.slot < 0 && !r.IsOneWay() {
		r.slot, r.gen = r.Conn.reserve(0)
	}
	r.light = !r.ticketed
	r.ticketed = true
	return r.ticket()
}

func (r *Request) ticket() Ticket {
	return Ticket{
		c: r.Conn, opaque: r.Opaque, slot: r.slot, gen: r.gen,
		enc: r.Encoding, oneWay: r.IsOneWay(), code: r.Code, read: r.read, queued: r.queued,
	}
}

// finish ends the handler call: it must be the deferred function itself.
func (r *Request) finish() {
	if p := recover(); p != nil {
		r.Conn.ep.panicked(r, p)
	}
	if !r.lane {
		return
	}
	r.Conn.mu.Lock()
	defer r.Conn.mu.Unlock()
	r.leave()
}

// finishAll is finish for requests of one connection that were served together.
func finishAll(all []*Request) {
	c := all[0].Conn
	if p := recover(); p != nil {
		c.ep.panicked(all[0], p)
		for _, r := range all[1:] {
			r.replyPanic(p)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range all {
		r.leave()
	}
}

func (r *Request) replyPanic(p any) {
	r.Reply(&wire.Response{
		Code:   wire.SystemError,
		Remark: fmt.Sprintf("internal error while serving request code %d: %v", r.Code, p),
	})
}

// leave gives back what a request holds that leaves its lane. Conn.mu is held.
func (r *Request) leave() {
	switch {
	case !r.ticketed || r.IsOneWay():
		r.Conn.free(r.slot, r.gen)
	case r.light:
		r.Conn.forgo(r.slot, r.gen)
	}
}

// Ticket is the right to answer one request later. It is a value: copies share
// the right, and the first answer counts. Safe for concurrent use. The zero
// Ticket answers nothing.
type Ticket struct {
	c      *Conn
	opaque int32
	slot   int32
	gen    uint32
	enc    wire.Encoding
	oneWay bool
	held   bool
	direct bool // the handler answers before it returns
	code   int32
	read   time.Duration
	queued time.Duration
}

// Held is the ticket for a request that waits for a message: how long it took says
// nothing about the server, so it is counted apart and never logged as slow.
func (t Ticket) Held() Ticket {
	t.held = true
	return t
}

// Reply is as Request.Reply, from any goroutine. It never blocks on the peer and
// is a no-op when the connection is closed.
func (t Ticket) Reply(resp *wire.Response) { t.ReplyBody(resp, nil, nil) }

// ReplyBody is as Request.ReplyBody, from any goroutine.
func (t Ticket) ReplyBody(resp *wire.Response, body net.Buffers, release func()) {
	if t.c == nil {
		if release != nil {
			release()
		}
		return
	}
	t.c.answer(&t, resp, body, release)
}

// Discard gives the right up: the request gets no answer.
func (t Ticket) Discard() {
	if t.c == nil || t.slot < 0 {
		return
	}
	t.c.mu.Lock()
	t.c.free(t.slot, t.gen)
	t.c.mu.Unlock()
}

// Conn is the connection the request came on, nil for the zero Ticket.
func (t Ticket) Conn() *Conn { return t.c }
