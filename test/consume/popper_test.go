// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package consume

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/twostage/twostage/internal/rpc"
)

const (
	poppers = 2                      // loops of a client
	slack   = 300 * time.Millisecond // before the end of its invisible time a message is let go
)

// startPops begins the loops of a client that pops.
func (m *member) startPops() {
	for range poppers {
		m.work.Go(m.popLoop)
	}
}

// popLoop pops until the client goes. What it has in hand then it finishes.
func (m *member) popLoop() {
	for m.ctx.Err() == nil {
		select {
		case <-m.leave:
			return
		default:
		}
		ctx, cancel := context.WithTimeout(m.ctx, callTimeout)
		of := m.ask(event{kind: popAsked})
		pieces, err := m.pop(ctx, 1500+rand.Int64N(1500), 1+rand.Int32N(8))
		cancel()
		if err != nil {
			if !m.pause(50 * time.Millisecond) {
				return
			}
			continue
		}
		for i := range pieces {
			e := m.event(&pieces[i], popped)
			e.of, e.from, e.until = of, pieces[i].handle.popTime, pieces[i].handle.until()
			if !m.note(e) {
				return
			}
		}
		switch together := rand.IntN(4) == 0; {
		case m.g.orderly:
			m.consumeInOrder(pieces, together)
		case together:
			m.work.Go(func() { m.consumeTogether(pieces) })
		default:
			for i := range pieces {
				m.work.Go(func() { _ = m.workOn(&pieces[i]) && m.ackAll(&pieces[i]) })
			}
		}
	}
}

// look asks for the group's offset of some queue: a broker moves it with what is
// acknowledged in order.
func (m *member) look() {
	ctx, cancel := m.timed()
	defer cancel()
	q := queue{m.g.topic, rand.Int32N(queues)}
	of := m.ask(event{kind: queryAsked, q: q})
	if offset, err := rpc.QueryOffset(ctx, m.call, m.w.addr(), m.g.name, q.topic, q.id); err == nil {
		m.note(event{kind: queryDone, of: of, offset: offset})
	}
}

// event is one about a popped message.
func (m *member) event(p *piece, k kind) event {
	return event{kind: k, q: p.handle.from(m.g), offset: p.offset, id: p.id, times: p.times}
}

// inTime says whether the message is still this client's alone.
func (p *piece) inTime() bool {
	return time.Now().Add(slack).UnixMilli() < p.handle.until()
}

// noteInTime adds to the history, if the message is still this client's alone.
func (m *member) noteInTime(p *piece, k kind) bool {
	return p.inTime() && m.note(m.event(p, k))
}

// consumeInOrder works on one message after the other, and acknowledges each before
// the next or all together, up to the first that is not consumed: those behind it
// come again with it.
func (m *member) consumeInOrder(pieces []piece, together bool) {
	var consumed []*piece
	for i := range pieces {
		if !m.workOn(&pieces[i]) || !together && !m.ackAll(&pieces[i]) {
			break
		}
		consumed = append(consumed, &pieces[i])
	}
	if together && len(consumed) > 0 {
		m.ackAll(consumed...)
	}
}

// consumeTogether works on messages side by side and acknowledges them together.
func (m *member) consumeTogether(pieces []piece) {
	ok := make([]bool, len(pieces))
	var working sync.WaitGroup
	for i := range pieces {
		working.Go(func() { ok[i] = m.workOn(&pieces[i]) })
	}
	working.Wait()
	var consumed []*piece
	for i := range pieces {
		if ok[i] {
			consumed = append(consumed, &pieces[i])
		}
	}
	if len(consumed) > 0 {
		m.ackAll(consumed...)
	}
}

// workOn works on a popped message, and says whether it was consumed: else it is let
// lapse or made visible soon. Sometimes it is hidden for longer first.
func (m *member) workOn(p *piece) bool {
	if !m.noteInTime(p, began) || !m.pause(m.w.plan.toil(m.g.orderly)) {
		return false
	}
	switch m.popFate(p) {
	case fateFails:
		if m.noteInTime(p, failed) && rand.IntN(2) == 0 {
			m.change(p, 500+rand.Int64N(500))
		}
		return false
	case fateLapses:
		return false
	case fateHides:
		if !m.change(p, 2000+rand.Int64N(1000)) || !m.pause(m.w.plan.toil(m.g.orderly)) {
			return false
		}
	}
	return m.noteInTime(p, done)
}

// ackAll acknowledges messages, by one request, and says whether that was answered.
func (m *member) ackAll(pieces ...*piece) bool {
	asked := make([]int, len(pieces))
	for i, p := range pieces {
		asked[i] = m.ask(m.event(p, ackAsked))
	}
	ctx, cancel := m.timed()
	defer cancel()
	var err error
	if len(pieces) == 1 {
		err = m.acknowledge(ctx, pieces[0])
	} else {
		err = m.acknowledgeAll(ctx, pieces)
	}
	ok := err == nil
	for _, of := range asked {
		ok = ok && m.note(event{kind: ackDone, of: of})
	}
	return ok
}

// fate is what becomes of a popped message.
type fate uint8

const (
	fateDone   fate = iota
	fateFails       // is not consumed
	fateLapses      // nobody hears of it again
	fateHides       // consumed, after it was hidden for longer
)

// popFate draws one. In order what is not acknowledged blocks its queue: less of
// it, and never for good.
func (m *member) popFate(p *piece) fate {
	n := rand.IntN(100)
	if !m.g.orderly {
		switch {
		case m.w.plan.fails(m.g.name, p.id, p.times):
			return fateFails
		case n < 2:
			return fateLapses
		case n < 6:
			return fateHides
		}
		return fateDone
	}
	tries := m.w.tries(m.g.name, p.id) // its record is the same each time
	rare := m.w.plan.draw(8, "rare", p.id) == 0
	switch {
	case rare && tries < 3 && m.w.plan.fails(m.g.name, p.id, tries):
		return fateFails
	case rare && n < 2:
		return fateLapses
	case n < 2:
		return fateHides
	}
	return fateDone
}

// change changes the invisible time of a message, from now on.
func (m *member) change(p *piece, invisible int64) bool {
	if !p.inTime() {
		return false
	}
	e := m.event(p, hideAsked)
	e.until = time.Now().UnixMilli() + invisible
	of := m.ask(e)
	ctx, cancel := m.timed()
	defer cancel()
	return m.hide(ctx, p, invisible) == nil && m.note(event{kind: hideDone, of: of, until: p.handle.until()})
}
