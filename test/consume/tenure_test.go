// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package consume

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// tenure is the time for which a client has a queue under pull.
type tenure struct {
	m    *member
	q    queue
	n    int // in the history
	life int // of the broker when an orderly tenure's lock was taken

	ctx  context.Context
	stop context.CancelFunc
	gone chan struct{} // closed when the pulling has ended

	mu        sync.Mutex
	next      int64          // behind the last that was pulled
	open      map[int64]bool // pulled and not finished
	committed int64
	lost      bool // nothing that is done now counts
	room      chan struct{}
}

// inHand is how many messages of a queue a client works on at once.
const inHand = 48

// take begins to consume a queue.
func (m *member) take(q queue) {
	ctx, cancel := m.timed()
	defer cancel()
	of := m.ask(event{kind: queryAsked, q: q})
	from, err := rpc.QueryOffset(ctx, m.call, m.w.addr(), m.g.name, q.topic, q.id)
	if code, ok := rpc.CodeOf(err); ok && rpc.Code(code) == rpc.QueryNotFound {
		from, err = 0, nil // consume from the first
	}
	if err != nil || !m.note(event{kind: queryDone, of: of, offset: from}) {
		return
	}
	t := &tenure{
		m: m, q: q, life: m.life, next: from, committed: from, open: make(map[int64]bool), gone: make(chan struct{}),
		room: make(chan struct{}, inHand),
	}
	t.n = m.w.history.begin(m.mine(event{q: q, offset: from}))
	t.ctx, t.stop = context.WithCancel(m.ctx)
	m.tenures[q] = t
	m.work.Go(t.run)
}

// over says whether the tenure cannot go on: the lock is gone with the broker.
func (t *tenure) over() bool { return t.m.g.orderly && t.life != t.m.w.history.lifeNow() }

// lose makes nothing count that is done from now on.
func (t *tenure) lose() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lost = true
}

// drop ends a tenure. An orderly one finishes its message first, and gives the
// lock back; others leave what is under way to end by itself.
func (m *member) drop(q queue) {
	t := m.tenures[q]
	delete(m.tenures, q)
	t.stop()
	if !m.g.orderly {
		t.commit()
		t.lose()
		return
	}
	<-t.gone
	t.commit()
	m.unlock(q) // also of a lock that is lost: a broker that came back may have given it again
}

// low is the offset that may be stored: everything below is finished.
func (t *tenure) low() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	low := t.next
	for o := range t.open {
		low = min(low, o)
	}
	return low
}

// toCommit is low, if that is news, or now and then: a broker that was killed may
// have forgotten it.
func (t *tenure) toCommit() (int64, bool) {
	low := t.low()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lost || low == t.committed && rand.IntN(4) > 0 {
		return 0, false
	}
	t.committed = low
	return low, true
}

// commit stores the offset.
func (t *tenure) commit() {
	offset, ok := t.toCommit()
	if !ok || t.over() {
		return
	}
	m := t.m
	of := m.ask(event{kind: commitAsked, q: t.q, offset: offset})
	ctx, cancel := m.timed()
	defer cancel()
	if rand.IntN(4) == 0 { // clients do not wait for an answer
		_ = rpc.UpdateOffsetOneWay(ctx, m.call, m.w.addr(), m.g.name, t.q.topic, t.q.id, offset)
		return
	}
	if rpc.UpdateOffset(ctx, m.call, m.w.addr(), m.g.name, t.q.topic, t.q.id, offset) == nil {
		m.note(event{kind: commitDone, of: of})
	}
}

// run pulls until the tenure ends.
func (t *tenure) run() {
	defer close(t.gone)
	for t.ctx.Err() == nil && !t.over() {
		records, ok := t.pull()
		if !ok {
			if !t.m.pause(50 * time.Millisecond) {
				return
			}
			continue
		}
		for i := range records {
			if !t.handle(&records[i]) {
				return
			}
		}
	}
}

// piece is a record that was pulled or popped.
type piece struct {
	offset, physical int64
	id               string
	times            int32
	handle           handle // of a pop
}

func pieceOf(r *message.Record) piece {
	return piece{offset: r.QueueOffset, physical: r.PhysicalOffset, id: string(r.Body), times: r.ReconsumeTimes}
}

// pull gets records, with the offset to be stored now and then.
func (t *tenure) pull() (records []piece, ok bool) {
	m := t.m
	t.mu.Lock()
	from := t.next
	t.mu.Unlock()
	h := &header.PullRequest{
		ConsumerGroup: []byte(m.g.name), Topic: []byte(t.q.topic), QueueID: t.q.id, QueueOffset: from, MaxMsgNums: 1 + rand.Int32N(16),
		SysFlag: header.PullSuspend | header.PullSubscription, SuspendTimeoutMillis: held.Milliseconds(), Subscription: []byte("*"), SubVersion: 1,
	}
	of := -1
	if rand.IntN(3) == 0 {
		if offset, news := t.toCommit(); news && offset > 0 {
			h.SysFlag |= header.PullCommitOffset
			h.CommitOffset = offset
			of = m.ask(event{kind: commitAsked, q: t.q, offset: offset})
		}
	}
	ctx, cancel := context.WithTimeout(t.ctx, callTimeout)
	defer cancel()
	p, err := rpc.Pull(ctx, m.call, m.w.addr(), h)
	if err != nil {
		return nil, false
	}
	if of >= 0 {
		m.note(event{kind: commitDone, of: of})
	}
	switch p.Code {
	case wire.PullNotFound, wire.PullRetryImmediately:
		return nil, true
	case wire.PullOffsetMoved:
		m.w.fail("group %s: %s: a pull at %d is told to go on at %d", m.g.name, t.q, from, p.Header.NextBeginOffset)
		return nil, false
	}
	err = message.RangeRecords(p.Records, true, func(r *message.Record) error {
		records = append(records, pieceOf(r))
		return nil
	})
	if err != nil {
		m.w.fail("group %s: %s at %d: %v", m.g.name, t.q, from, err)
		return nil, false
	}
	return records, true
}

// note adds to the history, unless the tenure has ended.
func (t *tenure) note(p *piece, k kind) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	ok := func(life int) bool { return t.m.ctx.Err() == nil && !t.lost && (!t.m.g.orderly || life == t.life) }
	return t.m.w.history.addIf(ok, t.m.mine(t.event(p, k)))
}

func (t *tenure) event(p *piece, k kind) event {
	return event{kind: k, q: t.q, offset: p.offset, id: p.id, times: p.times, tenure: t.n}
}

// handle takes a record in hand; false when the tenure has ended.
func (t *tenure) handle(p *piece) bool {
	if t.ctx.Err() != nil || !t.note(p, pulled) {
		return false
	}
	t.mu.Lock()
	t.next = p.offset + 1
	t.open[p.offset] = true
	t.mu.Unlock()
	if t.m.g.orderly {
		return t.inOrder(p)
	}
	select {
	case t.room <- struct{}{}:
	case <-t.ctx.Done():
		return false
	}
	t.m.work.Go(func() {
		defer func() { <-t.room }()
		t.consume(p)
	})
	return true
}

// consume works on a record beside others, and gives it back if it fails.
func (t *tenure) consume(p *piece) {
	m := t.m
	if !t.note(p, began) || !m.pause(m.w.plan.toil(m.g.orderly)) {
		return
	}
	if !m.w.plan.fails(m.g.name, p.id, p.times) {
		if t.note(p, done) {
			t.finish(p)
		}
		return
	}
	if !t.note(p, failed) {
		return
	}
	for m.ctx.Err() == nil {
		of := m.ask(t.event(p, backAsked))
		ctx, cancel := m.timed()
		err := rpc.SendBack(ctx, m.call, m.w.addr(), &header.SendBackRequest{
			Offset: p.physical, Group: m.g.name, OriginTopic: t.q.topic, MaxReconsumeTimes: m.g.maxTimes, HasMaxReconsumeTimes: m.g.policy == nil,
		})
		cancel()
		if err == nil && m.note(event{kind: backDone, of: of}) {
			t.finish(p)
			return
		}
		if !m.pause(200 * time.Millisecond) {
			return
		}
	}
}

// inOrder works on a record before the next one is looked at: again and again
// while it fails, until it becomes a dead letter.
func (t *tenure) inOrder(p *piece) bool {
	m := t.m
	for {
		if t.ctx.Err() != nil || !t.note(p, began) || !m.pause(m.w.plan.toil(true)) {
			return false
		}
		if !m.w.plan.fails(m.g.name, p.id, p.times) {
			if !t.note(p, done) {
				return false
			}
			break
		}
		if !t.note(p, failed) {
			return false
		}
		if p.times < m.g.maxTimes {
			p.times++
			continue
		}
		if t.bury(p) {
			break
		}
	}
	t.finish(p)
	return true
}

// bury sends a record to the retry topic when its tries are used up, as orderly
// clients do: there it becomes a dead letter.
func (t *tenure) bury(p *piece) bool {
	m := t.m
	if t.over() {
		return false
	}
	h := &header.SendRequest{
		ProducerGroup: []byte(m.g.name), Topic: []byte(m.g.retryTopics()[0]), DefaultTopic: []byte(message.TopicAutoCreate), DefaultTopicQueueNums: 1,
		ReconsumeTimes: m.g.maxTimes + 1, MaxReconsumeTimes: m.g.maxTimes, HasMaxReconsumeTimes: true,
		Properties: message.AppendProperty(nil, message.PropertyRetryTopic, t.q.topic),
	}
	of := m.ask(t.event(p, backAsked))
	ctx, cancel := m.timed()
	defer cancel()
	if _, err := rpc.Send(ctx, m.call, m.w.addr(), h, []byte(p.id)); err != nil {
		return false
	}
	ok := func(life int) bool { return m.ctx.Err() == nil && life == t.life }
	return m.w.history.addIf(ok, m.mine(event{kind: backDone, of: of}))
}

// finish is the end of a record.
func (t *tenure) finish(p *piece) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.open, p.offset)
}
