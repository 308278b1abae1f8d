// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import "github.com/twostage/twostage/message"

// position is where a pull consumer is in a queue. It has no lock and knows no clock.
//
//	stored  done     at              next
//	  |      |        |  messages held  |
//	--+------+--------+-----------------+--> offsets
type position struct {
	known  bool  // the offsets are
	next   int64 // the next pull begins here
	at     int64 // the next Poll gives from here on
	done   int64 // messages before it were given by a Poll before the last one
	stored int64 // committed by this consumer; -1: nothing, or nobody knows
	sought bool  // the broker has not said yet whether it has the offset

	given int64 // behind the last message that Poll gave; -1: none

	era    int // of seeks: what was pulled in an earlier one is passed over
	paused bool
	held   []*message.Received
	bytes  int64 // of their records
}

func newPosition() *position { return &position{stored: -1, given: -1} }

// begin says where to begin, unless a seek has done so.
func (p *position) begin(offset int64) {
	if !p.known {
		p.known, p.next, p.at, p.done = true, offset, offset, offset
	}
}

// seek goes on elsewhere. What is sought blindly may not be in the queue.
func (p *position) seek(offset int64, blindly bool) {
	p.era++
	p.reset(offset)
	p.known, p.sought = true, blindly
}

func (p *position) reset(offset int64) {
	p.held, p.bytes = nil, 0
	p.next, p.at, p.done, p.given = offset, offset, offset, -1
}

// again has what is held pulled again.
func (p *position) again() {
	p.era++
	p.held, p.bytes = nil, 0
	p.next = p.at
}

// full says whether no more is to be pulled for now.
func (p *position) full(l limits) bool {
	return p.paused || len(p.held) >= l.messages || p.bytes >= l.bytes
}

// feed takes what a pull of an era gave; false when there was a seek meanwhile. A queue
// that ends before the offset goes on where it says: what is held of it is gone.
func (p *position) feed(era int, msgs []*message.Received, next int64) bool {
	if era != p.era {
		return false
	}
	p.sought = false
	if next < p.next {
		p.reset(next)
	}
	p.held = append(p.held, msgs...)
	for _, m := range msgs {
		p.bytes += int64(m.Size)
	}
	p.next = next
	p.settle()
	return true
}

// take gives at most limit messages.
func (p *position) take(limit int) []*message.Received {
	if p.paused {
		return nil
	}
	n := min(limit, len(p.held))
	got := p.held[:n:n]
	p.held = p.held[n:]
	for _, m := range got {
		p.bytes -= int64(m.Size)
	}
	if n > 0 {
		p.at = got[n-1].QueueOffset + 1
		p.given = p.at
	}
	p.settle()
	return got
}

// settle goes on over messages that the filter has left out.
func (p *position) settle() {
	if len(p.held) == 0 {
		p.held = nil
		p.at = max(p.at, p.next)
	}
}

// due is what a Poll before the last one has given and is not committed.
func (p *position) due() (offset int64, ok bool) {
	return p.done, p.known && !p.sought && p.done != p.stored
}
