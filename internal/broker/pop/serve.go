// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pop

import (
	"fmt"
	"math/rand/v2"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
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
	Attempt      string
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

	releases []func()
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
}

// Pop gives messages that the group has not got yet, or that are visible again,
// and makes them invisible. With Config.Sync that is on the disk when it returns.
// An error comes from the store, and then nothing is given.
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
	err := p.retries(turn, revive, retriesFirst)
	if err == nil {
		if req.Queue >= 0 {
			err = p.queue(req.Topic, req.Queue, revive)
		} else {
			err = p.all(req.Topic, turn, revive)
		}
	}
	if err == nil {
		err = p.retries(turn, revive, !req.Order && !retriesFirst)
	}
	if err == nil {
		err = s.durable(p.end)
	}
	if err != nil && len(p.res.Records) > 0 && p.end == 0 {
		err = nil // some queue can't be read: the others can
	}
	if err != nil {
		p.res.Release() // what is stored of it becomes visible again
		return Result{}, err
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

// retries looks into the group's retry topics of the topic. An answer can name
// only one of them.
func (p *popping) retries(turn int, revive int32, wanted bool) error {
	if !wanted {
		return nil
	}
	kinds := []Retry{p.s.retryKind()}
	if p.s.cfg.RetryV2 { // what was stored before it was set
		kinds = append(kinds, RetryV1)
	}
	for _, kind := range kinds {
		before := len(p.info.start)
		if err := p.all(RetryTopic(p.req.Group, p.req.Topic, kind), turn, revive); err != nil {
			return err
		}
		if len(p.info.start) > before {
			return nil
		}
	}
	return nil
}

// all goes through the queues of a topic, each pop from another on.
func (p *popping) all(topic string, turn int, revive int32) error {
	t, ok := p.s.cfg.Topics.Get(topic)
	if !ok {
		return nil
	}
	n := t.ReadQueueNums
	for i := range n {
		if err := p.queue(topic, (int32(turn)+i)%n, revive); err != nil {
			return err
		}
	}
	return nil
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
	got, err := s.cfg.Log.Get(q, from, want, s.cfg.MaxBytes-p.res.Bytes, p.req.Filter)
	if err == nil {
		switch got.Status {
		case store.OffsetTooSmall, store.OffsetOverflowBadly, store.OffsetFoundNull:
			s.cfg.Logger.Warn("a pop goes on elsewhere: the queue does not have the group's offset", "group", k.group, "topic", topic, "queue", id, "offset", from, "used", got.NextOffset)
			got.Release()
			if from = got.NextOffset; !p.peek {
				s.jump(k, from)
			}
			got, err = s.cfg.Log.Get(q, from, want, s.cfg.MaxBytes-p.res.Bytes, p.req.Filter)
		}
	}
	if err != nil {
		return err
	}
	if len(got.Records) == 0 {
		got.Release()
		if got.NextOffset > from && !p.peek && !(p.req.Order && s.inOrder(k)) {
			s.advance(k, got.NextOffset, s.cfg.Log.MaxPhysical()) // those entries must not be lost and filled anew
			from = got.NextOffset
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

// from is where the pop of a queue begins; a group's first pop fixes it.
func (p *popping) from(q *store.Queue, k queueKey) (int64, error) {
	s := p.s
	if !p.peek {
		if off, ok := s.cfg.Offsets.Take(k.group, k.topic, k.queue); ok {
			s.jump(k, off)
			if err := s.Note(); err != nil {
				return 0, err
			}
			return off, nil
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
	if off = s.initial(q, k, mode); !p.peek {
		s.cfg.Offsets.Commit(k.group, k.topic, k.queue, off)
	}
	return off, nil
}

// jump puts a group elsewhere in a queue, with nothing in flight in order.
func (s *Service) jump(k queueKey, to int64) {
	s.mu.Lock()
	delete(s.pending, k)
	s.orders.clear(k.topic, k.group, k.queue)
	delete(s.waking, k)
	s.dirty = true
	s.cfg.Offsets.Commit(k.group, k.topic, k.queue, to)
	s.mu.Unlock()
}

// take makes messages of a queue invisible and puts them into the answer.
func (p *popping) take(q *store.Queue, k queueKey, revive int32, from int64, got *store.GetResult) error {
	if p.peek {
		p.give(got.Records, got.Bytes)
		p.res.releases = append(p.res.releases, got.Release)
		return nil
	}
	records, offsets, bytes := got.Records, got.QueueOffsets, got.Bytes
	var err error
	if p.req.Order {
		records, offsets, err = p.inOrder(k, revive, got)
	} else {
		err = p.checkpoint(k, revive, from, got)
	}
	if err != nil || len(records) == 0 {
		if err == nil {
			got.Release()
		}
		return err
	}
	if kindOf(k.topic) == Normal || p.s.cfg.ActualRetryTopic {
		p.info.add(k.topic, k.queue, from, offsets)
		p.give(records, bytes)
		p.res.releases = append(p.res.releases, got.Release)
		return nil
	}
	again := make([][]byte, 0, len(offsets))
	kept := make([]int64, 0, len(offsets))
	bytes = 0
	for _, o := range offsets {
		rec, err := p.disguise(q, k, from, o, revive)
		if err != nil {
			p.s.cfg.Logger.Warn("a popped retry can't be read; it becomes visible again", "topic", k.topic, "queue", k.queue, "offset", o, "error", err)
			continue
		}
		again, kept, bytes = append(again, rec), append(kept, o), bytes+len(rec)
	}
	got.Release()
	if len(kept) > 0 {
		p.info.add(k.topic, k.queue, from, kept)
		p.give(again, bytes)
	}
	return nil
}

func (p *popping) give(records [][]byte, bytes int) {
	p.res.Records = append(p.res.Records, records...)
	p.res.Bytes += bytes
}

// checkpoint stores and notes the checkpoint of a pop.
func (p *popping) checkpoint(k queueKey, revive int32, from int64, got *store.GetResult) error {
	s := p.s
	c := &checkpoint{key: key{k.topic, k.group, k.queue, from, p.res.PopTime}, revive: revive, invisible: p.req.Invisible}
	for _, o := range got.QueueOffsets {
		c.diffs = append(c.diffs, int32(o-from))
	}
	b := batch{s: s}
	if err := b.checkpoint(c, got.NextOffset); err != nil {
		return err
	}
	s.gate.RLock()
	defer s.gate.RUnlock()
	s.mu.Lock()
	taken := s.open.open[c.key] != nil
	s.mu.Unlock()
	if taken { // the queue was reset and popped within one ms
		return fmt.Errorf("%w: queue %d of %q was popped at %d in this millisecond already", ErrAgain, k.queue, k.topic, from)
	}
	end, err := b.store()
	if err != nil {
		return err
	}
	c.at, p.end = b.b.Result(0).PhysicalOffset, end
	s.mu.Lock()
	s.open.add(c)
	s.dirty = true
	s.mu.Unlock()
	s.advance(k, got.NextOffset, end)
	return nil
}

// inOrder stores and notes a pop in order, and leaves out what is acked.
func (p *popping) inOrder(k queueKey, revive int32, got *store.GetResult) (records [][]byte, offsets []int64, err error) {
	s := p.s
	b := batch{s: s}
	if err := b.order(k, revive, p.req.Attempt, p.res.PopTime, p.req.Invisible, got.QueueOffsets); err != nil {
		return nil, nil, err
	}
	s.gate.RLock()
	defer s.gate.RUnlock()
	end, err := b.store()
	if err != nil {
		return nil, nil, err
	}
	p.end = end
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dirty = true
	info := s.orders.put(k.topic, k.group, k.queue, p.req.Attempt, p.res.PopTime, p.req.Invisible, p.res.PopTime, got.QueueOffsets)
	s.waking[k] = free(info)
	for i, o := range got.QueueOffsets {
		if !acked(info, i) {
			records, offsets = append(records, got.Records[i]), append(offsets, o)
		}
	}
	s.cfg.Offsets.Commit(k.group, k.topic, k.queue, next(info))
	p.info.count(k.topic, k.queue, offsets, info.Consumed)
	return records, offsets, nil
}

// disguise is a retry as a consumer gets it: with the topic that it subscribes to,
// and its handle.
func (p *popping) disguise(q *store.Queue, k queueKey, from, offset int64, revive int32) ([]byte, error) {
	s := p.s
	rec, release, _, err := s.read(q, offset)
	if err != nil {
		return nil, err
	}
	defer release()
	var r message.Record
	if _, err := message.DecodeRecord(rec, &r, true); err != nil {
		return nil, err
	}
	r.Topic = []byte(p.req.Topic)
	if _, ok := r.Property(message.PropertyPopCheckpoint); !ok {
		h := AppendHandle(nil, &Handle{Start: from, PopTime: p.res.PopTime, Invisible: p.res.Invisible, Revive: revive,
			Kind: kindOf(k.topic), Broker: s.cfg.Broker, Queue: k.queue, Offset: offset})
		r.Properties = message.AppendProperty(append([]byte(nil), r.Properties...), message.PropertyPopCheckpoint, string(h))
	}
	out := message.AppendRecord(nil, &r)
	message.PatchPosition(out, offset, r.PhysicalOffset, r.StoreTimestamp)
	return out, nil
}
