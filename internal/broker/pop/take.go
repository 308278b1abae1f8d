// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pop

import (
	"fmt"
	"slices"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/message"
)

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
		records, offsets, err = p.inOrder(q, k, revive, got)
	} else {
		err = p.checkpoint(q, k, revive, from, got)
	}
	if err != nil {
		return err
	}
	part := Part{Topic: k.topic, Queue: k.queue, Start: from}
	if kindOf(k.topic) == Normal || p.s.cfg.ActualRetryTopic {
		part.Offsets = slices.Clone(offsets)
		p.give(records, bytes)
		p.res.releases = append(p.res.releases, got.Release)
		p.res.Parts = append(p.res.Parts, part)
		return nil
	}
	again := make([][]byte, 0, len(offsets))
	bytes = 0
	for _, o := range offsets {
		rec, err := p.disguise(q, k, from, o, revive)
		if err != nil {
			p.s.cfg.Logger.Warn("a popped retry can't be read; it becomes visible again", "topic", k.topic, "queue", k.queue, "offset", o, "error", err)
			continue
		}
		again, part.Offsets, bytes = append(again, rec), append(part.Offsets, o), bytes+len(rec)
	}
	got.Release()
	if len(part.Offsets) > 0 {
		p.give(again, bytes)
		p.res.Parts = append(p.res.Parts, part)
	}
	return nil
}

func (p *popping) give(records [][]byte, bytes int) {
	p.res.Records = append(p.res.Records, records...)
	p.res.Bytes += bytes
}

// gone is an error when a queue that was just popped, or its group, was deleted
// meanwhile: then ForgetTopics may have been there already. mu is held.
func (p *popping) gone(q *store.Queue, k queueKey) error {
	if !q.Deleted() && p.s.there(k) {
		return nil
	}
	return fmt.Errorf("%w: topic %q, or the group %s, was deleted while it was popped", ErrAgain, k.topic, k.group)
}

// checkpoint stores and notes the checkpoint of a pop.
func (p *popping) checkpoint(q *store.Queue, k queueKey, revive int32, from int64, got *store.GetResult) error {
	s := p.s
	c := &checkpoint{key: key{k.topic, k.group, k.queue, from, p.res.PopTime}, revive: revive, invisible: p.req.Invisible}
	for _, o := range got.QueueOffsets {
		c.diffs = append(c.diffs, int32(o-from))
	}
	b := batch{s: s}
	if err := b.checkpoint(c, got.NextOffset); err != nil {
		return err
	}
	if err := p.still(); err != nil {
		return err
	}
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
	s.dirty = true
	if err = p.gone(q, k); err == nil {
		s.open.add(c)
	}
	s.mu.Unlock()
	if err == nil {
		s.advance(k, got.NextOffset, end)
	}
	return err
}

// inOrder stores and notes a pop in order, and leaves out what is acked.
func (p *popping) inOrder(q *store.Queue, k queueKey, revive int32, got *store.GetResult) (records [][]byte, offsets []int64, err error) {
	s := p.s
	b := batch{s: s}
	if err := b.order(k, revive, p.req.Attempt, p.res.PopTime, p.req.Invisible, got.QueueOffsets); err != nil {
		return nil, nil, err
	}
	if err := p.still(); err != nil {
		return nil, nil, err
	}
	defer s.gate.RUnlock()
	end, err := b.store()
	if err != nil {
		return nil, nil, err
	}
	p.end = end
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dirty = true
	if err := p.gone(q, k); err != nil {
		return nil, nil, err
	}
	info := s.orders.put(k.topic, k.group, k.queue, orderPop{
		attempt: p.req.Attempt, time: p.res.PopTime, invisible: p.req.Invisible, at: b.b.Result(0).PhysicalOffset, offsets: got.QueueOffsets,
	})
	s.waking.set(k, free(info))
	for i, o := range got.QueueOffsets {
		if !acked(info, i) {
			records, offsets = append(records, got.Records[i]), append(offsets, o)
		}
	}
	s.move(k, next(info), end)
	p.info.count(k.topic, k.queue, offsets, info.Consumed)
	return records, offsets, nil
}

// disguise is a retry as a consumer gets it: with the topic that it subscribes to,
// and its handle. One whose properties leave no room for the handle stays as it is
// stored: then the consumer makes the handle out of the answer, as it does with
// Config.ActualRetryTopic.
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
		h := Handle{Start: from, PopTime: p.res.PopTime, Invisible: p.res.Invisible, Revive: revive,
			Kind: kindOf(k.topic), Broker: s.cfg.Broker, Queue: k.queue, Offset: offset}
		r.Properties = message.AppendProperty(append([]byte(nil), r.Properties...), message.PropertyPopCheckpoint, h.String())
	}
	if r.Check() != nil {
		return append([]byte(nil), rec...), nil
	}
	out := message.AppendRecord(nil, &r)
	message.PatchPosition(out, offset, r.PhysicalOffset, r.StoreTimestamp)
	return out, nil
}
