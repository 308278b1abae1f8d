// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// ackTries is how often an ack is sent whose answer does not come: acking twice is
// acking once.
const ackTries = 3

// maxSpan is how far from the start of its checkpoint a message may be in a batch
// ack, which has a bit for each offset.
const maxSpan = 1 << 16

// Ack ends messages: the group does not get them again. One that has become visible
// meanwhile may be given again although brokers answer its ack with success: see
// Popped.Until. The messages of a broker are acked together where it knows how. A
// lost answer is asked for again, for ctx. The error joins those of all brokers; Ack
// of the same messages may then be called again.
func (c *PopConsumer) Ack(ctx context.Context, msgs ...*Popped) error {
	of := map[Queue][]*Popped{} // by topic and broker
	for _, p := range msgs {
		q := Queue{Topic: p.Topic, Broker: p.handle.Broker}
		of[q] = append(of[q], p)
	}
	var errs []error
	for q, some := range of {
		if err := c.ackAt(ctx, q, some); err != nil {
			errs = append(errs, fmt.Errorf("client: acking %d messages of %s at broker %s: %w", len(some), q.Topic, q.Broker, err))
		}
	}
	return errors.Join(errs...)
}

func (c *PopConsumer) ackAt(ctx context.Context, q Queue, msgs []*Popped) error {
	near := make([]*Popped, 0, len(msgs))
	var far []*Popped
	for _, p := range msgs {
		if away := p.handle.Offset - p.handle.Start; away >= 0 && away < maxSpan {
			near = append(near, p)
		} else {
			far = append(far, p)
		}
	}
	var errs []error
	if len(near) > 1 {
		batch := c.batch(q.Broker, near)
		err := c.persist(ctx, q, func(ctx context.Context, addr string) error { return rpc.AckBatch(ctx, c.link.net, addr, batch) })
		if !errors.Is(err, rpc.NotSupported) {
			errs, near = append(errs, err), nil
		}
	}
	for _, p := range append(near, far...) {
		h := &header.AckRequest{
			ConsumerGroup: c.group, Topic: c.topicOf(p), QueueID: p.handle.Queue, ExtraInfo: p.handle.String(), Offset: p.handle.Offset,
		}
		if err := c.persist(ctx, q, func(ctx context.Context, addr string) error { return rpc.Ack(ctx, c.link.net, addr, h) }); err != nil {
			errs = append(errs, fmt.Errorf("message %s: %w", p.ID(), err))
		}
	}
	return errors.Join(errs...)
}

// topicOf is the topic that a message came from: a retry topic for one given again.
func (c *PopConsumer) topicOf(p *Popped) string {
	switch p.handle.Kind {
	case header.PopRetryV1:
		return message.PopRetryTopics(c.group, p.Topic)[0]
	case header.PopRetryV2:
		return message.PopRetryTopics(c.group, p.Topic)[1]
	}
	return p.Topic
}

// batch is one entry for the messages of each handle.
func (c *PopConsumer) batch(broker string, msgs []*Popped) *body.BatchAckRequest {
	type part struct {
		handle header.PopHandle // without the offset
		topic  string
	}
	at := map[part]int{}
	var offsets [][]int64
	b := &body.BatchAckRequest{BrokerName: broker}
	for _, p := range msgs {
		k := part{handle: p.handle, topic: p.Topic}
		k.handle.Offset = 0
		i, ok := at[k]
		if !ok {
			i = len(b.Acks)
			at[k] = i
			h := &p.handle
			b.Acks = append(b.Acks, body.BatchAck{
				ConsumerGroup: c.group, Topic: p.Topic, Retry: string(rune(h.Kind)), StartOffset: h.Start, QueueID: h.Queue,
				ReviveQueueID: h.Revive, PopTime: h.PopTime, InvisibleTime: h.Invisible,
			})
			offsets = append(offsets, nil)
		}
		offsets[i] = append(offsets[i], p.handle.Offset)
	}
	for i := range b.Acks {
		b.Acks[i].SetOffsets(b.Acks[i].StartOffset, offsets[i]...)
	}
	return b
}

// persist calls fn with the address of a broker's master until it answers, a few
// times.
func (c *PopConsumer) persist(ctx context.Context, q Queue, fn func(ctx context.Context, addr string) error) (err error) {
	var began time.Time // the try that failed
	for try := range ackTries {
		if try > 0 && !wait(ctx, time.Duration(try)*100*time.Millisecond) {
			return errors.Join(c.link.public(err), ended(ctx))
		}
		r, rerr := c.link.routeSince(ctx, q.Topic, began, false)
		began = time.Now()
		if rerr != nil {
			return errors.Join(c.link.public(err), rerr)
		}
		addr, ok := r.MasterAddr(q.Broker)
		if !ok {
			err = fmt.Errorf("%w: no master", ErrNotReadable)
			continue
		}
		one, cancel := c.link.request(ctx)
		err = fn(one, addr)
		cancel()
		if _, answered := rpc.CodeOf(err); err == nil || answered || ctx.Err() != nil || c.link.check() != nil {
			return c.link.public(err)
		}
	}
	return c.link.public(err)
}

// ChangeInvisible makes a message visible again after d from now: at once with 0, as
// when it can't be consumed, or later than it would be, while it is worked on. d is
// rounded up to milliseconds. It is not tried again: after an error without an answer
// nobody knows which time holds, and the message is to be let go.
func (c *PopConsumer) ChangeInvisible(ctx context.Context, p *Popped, d time.Duration) error {
	if d < 0 {
		return fmt.Errorf("client: an invisible time of %v", d)
	}
	if err := c.change(ctx, p, (d + time.Millisecond - 1).Truncate(time.Millisecond)); err != nil {
		return fmt.Errorf("client: changing when message %s of %s is visible: %w", p.ID(), p.Topic, err)
	}
	return nil
}

func (c *PopConsumer) change(ctx context.Context, p *Popped, d time.Duration) error {
	r, err := c.link.route(ctx, p.Topic, false)
	if err != nil {
		return err
	}
	addr, ok := r.MasterAddr(p.handle.Broker)
	if !ok {
		return fmt.Errorf("%w: broker %s has no master", ErrNotReadable, p.handle.Broker)
	}
	ctx, cancel := c.link.request(ctx)
	defer cancel()
	resp, err := rpc.ChangeInvisible(ctx, c.link.net, addr, &header.ChangeInvisibleRequest{
		ConsumerGroup: c.group, Topic: c.topicOf(p), QueueID: p.handle.Queue, ExtraInfo: p.handle.String(), Offset: p.handle.Offset,
		InvisibleTime: d.Milliseconds(),
	})
	if err != nil {
		return c.link.public(err)
	}
	p.until, p.asked = time.Now().Add(d), d
	p.handle.Start, p.handle.PopTime, p.handle.Invisible, p.handle.Revive = p.handle.Offset, resp.PopTime, resp.InvisibleTime, resp.ReviveQID
	return nil
}
