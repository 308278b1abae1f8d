// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"errors"
	"time"

	"github.com/twostage/twostage/internal/broker/pop"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
)

// maxTraced is the bytes of a message that is read to trace its ack; the first
// message of a read may be larger.
const maxTraced = 1

// Acks serves ACK_MESSAGE: those that came in one read of a connection are stored
// together.
func (p *Pop) Acks(all []*remoting.Request) { p.ackAll(all, p.ack) }

// BatchAcks serves BATCH_ACK_MESSAGE in the same way. As in RocketMQ, what it can't
// ack (a topic, queue or offset that is not there) is passed over; one ack that is
// refused does not keep the others from being done.
func (p *Pop) BatchAcks(all []*remoting.Request) { p.ackAll(all, p.batchAck) }

// ackAll does what requests ask for. read appends the acks of a request, or answers
// it.
func (p *Pop) ackAll(all []*remoting.Request, read func(*remoting.Request, []pop.Ack) ([]pop.Ack, bool)) {
	acks := make([]pop.Ack, 0, len(all))
	ends := make([]int, len(all)) // of the acks of each request, 0: it is answered
	for i, r := range all {
		var ok bool
		if acks, ok = read(r, acks); ok {
			ends[i] = len(acks)
		}
	}
	begun := p.Tracer.Now()
	p.Pops.AckAll(acks)
	if p.Tracer != nil {
		p.traceAcks(acks, begun)
	}
	first := 0
	for i, end := range ends {
		if end == 0 {
			continue
		}
		var failed error
		for _, a := range acks[first:end] {
			failed = errors.Join(failed, a.Err)
			if a.Err == nil && len(a.Offsets) > 0 {
				p.Stats.Acked(a.Group, a.Topic, len(a.Offsets))
			}
		}
		first = end
		if failed != nil {
			all[i].Reply(popFailure(failed))
			continue
		}
		all[i].Reply(&wire.Response{Code: wire.Success})
	}
}

// traceAcks reads what was acknowledged, which tells whether it is followed.
func (p *Pop) traceAcks(acks []pop.Ack, begun time.Time) {
	for _, a := range acks {
		q := p.Queues.LookupQueue(a.Topic, a.Queue)
		if q == nil {
			continue
		}
		for _, offset := range a.Offsets {
			res, err := p.Queues.Get(q, offset, 1, maxTraced, store.Filter{})
			if err != nil {
				continue // nor can anybody else read it
			}
			if len(res.Records) == 1 && res.QueueOffsets[0] == offset {
				p.Tracer.Acked(a.Group, begun, res.Records[0], a.Err)
			}
			res.Release()
		}
	}
}

func (p *Pop) ack(r *remoting.Request, acks []pop.Ack) ([]pop.Ack, bool) {
	var h header.AckRequest
	if !decode(r, &h) {
		return acks, false
	}
	handle, ok := p.given(r, h.Topic, h.QueueID, h.Offset, h.ExtraInfo)
	if !ok {
		return acks, false
	}
	return append(acks, pop.Ack{Group: h.ConsumerGroup, Topic: h.Topic, Queue: h.QueueID, Handle: handle, Offsets: []int64{h.Offset}}), true
}

// given reads a handle and answers requests for a message that there is not.
func (p *Pop) given(r *remoting.Request, name string, queue int32, offset int64, extraInfo string) (h pop.Handle, ok bool) {
	t, ok := p.Topics.Get(name)
	if !ok {
		fail(r, wire.TopicNotExist, "topic[%s] not exist, apply first please!", name)
		return h, false
	}
	if queue < 0 || queue >= t.ReadQueueNums {
		fail(r, wire.MessageIllegal, "queueId[%d] is illegal, topic:[%s] topicConfig.readQueueNums:[%d] consumer:[%s]", queue, name, t.ReadQueueNums, r.Conn.RemoteAddr())
		return h, false
	}
	low, high := p.bounds(name, queue)
	if offset < low || offset >= high {
		fail(r, wire.NoMessage, "offset is illegal, key:%s@%d, commit:%d, store:%d~%d", name, queue, offset, low, high)
		return h, false
	}
	h, err := header.ParsePopHandle(extraInfo)
	if err != nil {
		fail(r, wire.MessageIllegal, "%s", err)
		return h, false
	}
	return h, true
}

func (p *Pop) bounds(topic string, queue int32) (low, high int64) {
	if q := p.Queues.LookupQueue(topic, queue); q != nil {
		return q.Min(), q.Max()
	}
	return 0, 0
}

func (p *Pop) batchAck(r *remoting.Request, acks []pop.Ack) ([]pop.Ack, bool) {
	var b body.BatchAckRequest
	if len(r.Body) == 0 {
		fail(r, wire.NoMessage, "a batch ack without a body: nothing was acked")
		return acks, false
	}
	if !decodeBody(r, &b) {
		return acks, false
	}
	if len(b.Acks) == 0 {
		fail(r, wire.NoMessage, "a batch ack without acks: nothing was acked")
		return acks, false
	}
	for i := range b.Acks {
		acks = append(acks, p.ackOf(&b.Acks[i]))
	}
	return acks, true
}

// ackOf is one ack of a batch, without offsets when there is nothing to be done.
func (p *Pop) ackOf(a *body.BatchAck) pop.Ack {
	switch a.Retry {
	case "0", "1", "2":
	default:
		return pop.Ack{Err: errors.Join(pop.ErrNotGiven, errors.New("a batch ack of retry mark "+a.Retry+" (r)"))}
	}
	name := pop.RetryTopic(a.ConsumerGroup, a.Topic, pop.Retry(a.Retry[0]))
	offsets, err := a.Offsets()
	if err != nil {
		return pop.Ack{Err: errors.Join(pop.ErrNotGiven, err)}
	}
	low, high := p.bounds(name, a.QueueID)
	there := offsets[:0]
	for _, o := range offsets {
		if o >= low && o < high {
			there = append(there, o)
		}
	}
	return pop.Ack{
		Group: a.ConsumerGroup, Topic: name, Queue: a.QueueID, Offsets: there,
		Handle: pop.Handle{Start: a.StartOffset, PopTime: a.PopTime, Invisible: a.InvisibleTime, Revive: a.ReviveQueueID},
	}
}
