// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pop

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/wire/body"
)

// MaxMessages is how many messages one pop gives.
const MaxMessages = body.MaxPopMessages

// Request is a pop, or a look without one. Topic and group exist.
type Request struct {
	Group, Topic string
	Queue        int32 // -1: all of the topic
	Max          int   // messages, 1 to MaxMessages
	Invisible    int64 // ms
	FromEnd      bool  // where a group without an offset begins: with the newest message, not the oldest
	Order        bool
	Attempt      string // as CheckAttempt has it
	Filter       store.Filter
}

// Result is what a pop gives. Release must be called once, whatever Records has.
type Result struct {
	Records   [][]byte
	Bytes     int
	PopTime   int64
	Invisible int64
	ReviveQID int32
	Rest      int64 // messages that are left, more or less

	StartOffsetInfo, MsgOffsetInfo, OrderCountInfo string
	// Parts say in order where Records come from; a peek has none.
	Parts []Part

	releases []func()
}

// Part is what a pop gave of one queue: len(Offsets) of the records.
type Part struct {
	Topic   string // where they are stored
	Queue   int32
	Start   int64 // where the pop began in the queue, Handle.Start
	Offsets []int64
}

// Release gives Records back.
func (r *Result) Release() {
	for _, f := range r.releases {
		f()
	}
	r.releases, r.Records = nil, nil
}

// popping is one pop under way.
type popping struct {
	s    *Service
	req  *Request
	res  Result
	info infos
	end  int64 // of the log records it has stored
	peek bool
	puts uint64 // Service.puts when the pop looked where the group is
	// failed is the first queue that could not be popped; the others can.
	failed error
}

// Pop gives messages that the group has not got yet, or that are visible again,
// and makes them invisible. With Config.Sync that is on the disk when it returns.
// A queue that can't be popped is passed over, and logged once in a while. An error,
// of the store, ErrTime, ErrAttempt or ErrFull, says that nothing is given because of it.
func (s *Service) Pop(req Request) (Result, error) { return s.pop(req, false) }

// Peek gives what Pop would, and changes nothing.
func (s *Service) Peek(req Request) (Result, error) { return s.pop(req, true) }

func (s *Service) pop(req Request, peek bool) (Result, error) {
	req.Max = min(max(req.Max, 1), MaxMessages)
	p := popping{s: s, req: &req, peek: peek}
	p.res.PopTime, p.res.Invisible, p.res.ReviveQID = s.cfg.NowMillis(), req.Invisible, s.nextRevive()
	revive := p.res.ReviveQID
	if req.Order {
		p.res.ReviveQID = OrderQueue
	}
	retriesFirst := !req.Order && s.chance(s.cfg.RetryProbability)
	turn := rand.IntN(100)
	if !peek {
		if err := s.canPop(&req); err != nil {
			return Result{}, err
		}
	}
	if retriesFirst {
		p.retries(turn, revive)
	}
	if req.Queue >= 0 {
		p.one(req.Topic, req.Queue, revive)
	} else {
		p.all(req.Topic, turn, revive)
	}
	if !req.Order && !retriesFirst {
		p.retries(turn, revive)
	}
	err := s.durable(p.end)
	if err == nil && len(p.res.Records) == 0 {
		err = p.failed
	}
	if err != nil {
		p.res.Release() // what is stored of it becomes visible again
		return Result{}, err
	}
	for i := range p.res.Parts {
		p.info.add(&p.res.Parts[i])
	}
	p.res.StartOffsetInfo, p.res.MsgOffsetInfo, p.res.OrderCountInfo = string(p.info.start), string(p.info.offsets), string(p.info.counts)
	if !peek {
		s.stats.popped.Add(int64(len(p.res.Records)))
		if p.end != 0 {
			s.poke()
		}
	}
	return p.res, nil
}

// canPop tells why nothing can be made invisible, nil when it can.
func (s *Service) canPop(req *Request) error {
	if req.Invisible < 0 || req.Invisible > MaxInvisible {
		return fmt.Errorf("%w: %d ms, 0 to %d can be had (invisibleTime)", ErrTime, req.Invisible, MaxInvisible)
	}
	if err := CheckAttempt(req.Attempt); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.room(req.Group, 1)
}

// retries looks into the group's retry topics of the topic. An answer can name
// only one of them.
func (p *popping) retries(turn int, revive int32) {
	kinds := []Retry{p.s.retryKind()}
	if p.s.cfg.RetryV2 { // what was stored before it was set
		kinds = append(kinds, RetryV1)
	}
	for _, kind := range kinds {
		before := len(p.res.Parts)
		p.all(RetryTopic(p.req.Group, p.req.Topic, kind), turn, revive)
		if len(p.res.Parts) > before {
			return
		}
	}
}

// all goes through the queues of a topic, each pop from another on.
func (p *popping) all(topic string, turn int, revive int32) {
	t, ok := p.s.cfg.Topics.Get(topic)
	if !ok {
		return
	}
	n := t.ReadQueueNums
	for i := range n {
		p.one(topic, (int32(turn)+i)%n, revive)
	}
}

// one pops from one queue, and notes when that fails.
func (p *popping) one(topic string, id, revive int32) {
	err := p.queue(topic, id, revive)
	if err == nil {
		return
	}
	if p.failed == nil {
		p.failed = err
	}
	if !errors.Is(err, ErrAgain) && !errors.Is(err, ErrTime) {
		p.s.complain("a queue can't be popped", "topic", topic, "queue", id, "group", p.req.Group, "error", err)
	}
}

// queue pops from one queue.
func (p *popping) queue(topic string, id, revive int32) error {
	s, k := p.s, queueKey{p.req.Group, topic, id}
	q := s.cfg.Log.LookupQueue(topic, id)
	if q == nil {
		return nil
	}
	unlock, ok := s.lock(k, false)
	if !ok { // another pop is at it
		if off, known := s.offset(k); known && !p.req.Order {
			p.res.Rest += max(q.Max()-off, 0)
		}
		return nil
	}
	defer unlock()
	if err := p.locked(q, k, revive); !errors.Is(err, errPut) {
		return err
	}
	return p.locked(q, k, revive)
}

// errPut: the group does not go on where the pop has read any more.
var errPut = fmt.Errorf("%w: the group's offset was set while it popped", ErrAgain)

// still holds gate shared, which the caller gives back, unless offsets were set by
// hand since the pop looked where the group is: then that is errPut.
func (p *popping) still() error {
	p.s.gate.RLock()
	if p.s.puts.Load() == p.puts {
		return nil
	}
	p.s.gate.RUnlock()
	return errPut
}

// locked pops from one queue; the queue's lock is held.
func (p *popping) locked(q *store.Queue, k queueKey, revive int32) error {
	s := p.s
	p.puts = s.puts.Load()
	from, err := p.from(q, k)
	if err != nil {
		return err
	}
	if p.req.Order && !p.peek && s.isBlocked(k, p.req.Attempt, p.res.PopTime) {
		return nil
	}
	want := p.req.Max - len(p.res.Records)
	if want <= 0 || p.res.Bytes >= s.cfg.MaxBytes {
		p.res.Rest += max(q.Max()-from, 0)
		return nil
	}
	got, from, err := p.get(q, k, from, want)
	if err != nil {
		return err
	}
	if len(got.Records) == 0 {
		got.Release()
		if got.NextOffset > from && !p.peek && !(p.req.Order && s.inOrder(k)) {
			if from = got.NextOffset; p.pass(k, from) != nil {
				return errPut
			}
		}
		p.res.Rest += max(q.Max()-max(from, got.NextOffset), 0)
		return nil
	}
	if err := p.take(q, k, revive, from, &got); err != nil {
		got.Release()
		return err
	}
	p.res.Rest += max(q.Max()-got.NextOffset, 0)
	return nil
}

// get reads from a queue, and says from where: from, unless the queue does not have
// that, or all there is acked.
func (p *popping) get(q *store.Queue, k queueKey, from int64, want int) (store.GetResult, int64, error) {
	s := p.s
	for jumped := false; ; {
		got, err := s.cfg.Log.Get(q, from, want, s.cfg.MaxBytes-p.res.Bytes, p.req.Filter)
		switch {
		case err != nil:
			return got, from, err
		case !jumped && (got.Status == store.OffsetTooSmall || got.Status == store.OffsetOverflowBadly || got.Status == store.OffsetFoundNull):
			s.cfg.Logger.Warn("a pop goes on elsewhere: the queue does not have the group's offset", "group", k.group, "topic", k.topic, "queue", k.queue, "offset", from, "used", got.NextOffset)
			got.Release()
			if from, jumped = got.NextOffset, true; !p.peek {
				if err := p.jump(k, from); err != nil {
					return store.GetResult{}, from, err
				}
			}
		case p.req.Order && !p.peek && len(got.Records) > 0 && s.allAcked(k, got.QueueOffsets):
			got.Release()
			from = got.NextOffset
			if err := p.pass(k, from); err != nil {
				return store.GetResult{}, from, err
			}
		default:
			return got, from, nil
		}
	}
}

// from is where the pop of a queue begins; a group's first pop fixes it.
func (p *popping) from(q *store.Queue, k queueKey) (int64, error) {
	s := p.s
	if !p.peek {
		if off, ok := s.cfg.Offsets.Take(k.group, k.topic, k.queue); ok {
			return off, p.jump(k, off)
		}
	}
	off, known := s.offset(k)
	if known {
		return off, nil
	}
	mode := int32(0)
	if p.req.FromEnd {
		mode = 1
	}
	if off = s.initial(q, k, mode); p.peek {
		return off, nil
	}
	if err := p.still(); err != nil {
		return 0, err
	}
	defer s.gate.RUnlock()
	s.cfg.Offsets.Commit(k.group, k.topic, k.queue, off)
	return off, nil
}

// pass moves the group over entries that give it nothing: they must not be lost and
// filled anew.
func (p *popping) pass(k queueKey, to int64) error {
	if err := p.still(); err != nil {
		return err
	}
	defer p.s.gate.RUnlock()
	p.s.advance(k, to, p.s.cfg.Log.MaxPhysical())
	return nil
}

// jump puts the group elsewhere in a queue, with nothing in flight in order.
func (p *popping) jump(k queueKey, to int64) error {
	if err := p.still(); err != nil {
		return err
	}
	defer p.s.gate.RUnlock()
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	p.s.quit(k)
	p.s.cfg.Offsets.Commit(k.group, k.topic, k.queue, to)
	return nil
}
