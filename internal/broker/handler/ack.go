// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"errors"

	"github.com/twostage/twostage/internal/broker/pop"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
)

// Ack serves ACK_MESSAGE.
func (p *Pop) Ack(r *remoting.Request) {
	var h header.AckRequest
	if !decode(r, &h) {
		return
	}
	handle, ok := p.given(r, h.Topic, h.QueueID, h.Offset, h.ExtraInfo)
	if !ok {
		return
	}
	if err := p.Pops.Ack(h.ConsumerGroup, h.Topic, h.QueueID, &handle, h.Offset); err != nil {
		r.Reply(popFailure(err))
		return
	}
	r.Reply(&wire.Response{Code: wire.Success})
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
	h, err := pop.ParseHandle(extraInfo)
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

// BatchAck serves BATCH_ACK_MESSAGE. As in RocketMQ, what it can't ack (a topic,
// queue or offset that is not there) is passed over; one ack that is refused does
// not keep the others from being done.
func (p *Pop) BatchAck(r *remoting.Request) {
	var b body.BatchAckRequest
	if len(r.Body) == 0 {
		fail(r, wire.NoMessage, "a batch ack without a body: nothing was acked")
		return
	}
	if !decodeBody(r, &b) {
		return
	}
	if len(b.Acks) == 0 {
		fail(r, wire.NoMessage, "a batch ack without acks: nothing was acked")
		return
	}
	var failed error
	for i := range b.Acks {
		if err := p.ackOne(&b.Acks[i]); err != nil {
			failed = errors.Join(failed, err)
		}
	}
	if failed != nil {
		r.Reply(popFailure(failed))
		return
	}
	r.Reply(&wire.Response{Code: wire.Success})
}

func (p *Pop) ackOne(a *body.BatchAck) error {
	switch a.Retry {
	case "0", "1", "2":
	default:
		return errors.Join(pop.ErrNotGiven, errors.New("a batch ack of retry mark "+a.Retry+" (r)"))
	}
	name := pop.RetryTopic(a.ConsumerGroup, a.Topic, pop.Retry(a.Retry[0]))
	offsets, err := a.Offsets()
	if err != nil {
		return errors.Join(pop.ErrNotGiven, err)
	}
	low, high := p.bounds(name, a.QueueID)
	there := offsets[:0]
	for _, o := range offsets {
		if o >= low && o < high {
			there = append(there, o)
		}
	}
	if len(there) == 0 {
		return nil
	}
	h := pop.Handle{Start: a.StartOffset, PopTime: a.PopTime, Invisible: a.InvisibleTime, Revive: a.ReviveQueueID}
	return p.Pops.Ack(a.ConsumerGroup, name, a.QueueID, &h, there...)
}
