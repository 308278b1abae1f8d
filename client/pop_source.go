// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// anyQueue in the place of a queue's id is all queues of the broker.
const anyQueue = -1

const (
	sharePeriod = 20 * time.Second // after which shares are asked for again
	popRest     = time.Second      // after a failure
	popPatience = time.Second / 2  // the next source is asked when one that was asked alone takes longer
)

// popSubscription is a topic and where to pop it. Only sources and at change.
type popSubscription struct {
	filter  Filter
	version int64
	sources []Queue
	at      time.Time // of the sources
}

// popWish is what a Receive asks brokers for.
type popWish struct {
	max       int
	invisible time.Duration
	tried     int // sources that were asked without being held
}

// pops begins pops. While a source was not asked, by this wish, it asks that one
// alone, and the broker is not to hold the pop; then all of them, held. So messages
// come from one source while there are any. It says after which time to call again
// though no pop has ended.
func (c *PopConsumer) pops(ctx context.Context, w *popWish) (soon time.Duration, err error) {
	sources, err := c.sources(ctx)
	if err != nil {
		return 0, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	soon = sharePeriod
	rests := func(q Queue) bool {
		left := c.resting[q].Sub(now)
		if left > 0 {
			soon = min(soon, left)
		}
		return left > 0
	}
	if len(sources) > 1 && w.tried < len(sources) {
		for range sources {
			q := sources[c.turn%len(sources)]
			c.turn++
			w.tried++
			if !rests(q) {
				c.start(q, w, 0)
				return min(soon, popPatience), nil
			}
		}
	}
	for _, q := range sources {
		if !rests(q) && c.flying[q] < c.waiting {
			c.start(q, w, c.hold)
		}
	}
	return soon, nil
}

// sources are where to pop all topics.
func (c *PopConsumer) sources(ctx context.Context) (all []Queue, err error) {
	type one struct {
		topic string
		sub   *popSubscription
	}
	c.mu.Lock()
	var subs []one
	for topic, s := range c.subs {
		subs = append(subs, one{topic, s})
	}
	c.mu.Unlock()
	if len(subs) == 0 {
		return nil, errors.New("client: nothing to receive: call Subscribe first")
	}
	c.link.begin()
	slices.SortFunc(subs, func(a, b one) int { return strings.Compare(a.topic, b.topic) })
	for _, s := range subs {
		c.mu.Lock()
		old, fresh := s.sub.sources, time.Since(s.sub.at) < sharePeriod
		c.mu.Unlock()
		if !fresh {
			if old, err = c.share(ctx, s.topic, old); err != nil {
				return nil, err
			}
			c.mu.Lock()
			s.sub.sources, s.sub.at = old, time.Now()
			c.mu.Unlock()
		}
		all = append(all, old...)
	}
	return all, nil
}

// share is where to pop a topic: what a broker assigns to this consumer, where that
// is by pops; else each broker with all its queues.
func (c *PopConsumer) share(ctx context.Context, topic string, before []Queue) ([]Queue, error) {
	r, err := c.link.routeSince(ctx, topic, time.Now().Add(-routeAge), false)
	if err != nil {
		return nil, err
	}
	var whole []Queue
	for _, q := range r.QueueDatas() {
		if _, ok := r.MasterAddr(q.BrokerName); ok && q.ReadQueueNums > 0 && slices.ContainsFunc(r.ReadQueues(), func(of body.MessageQueue) bool { return of.BrokerName == q.BrokerName }) {
			whole = append(whole, Queue{Topic: topic, Broker: q.BrokerName, ID: anyQueue})
		}
	}
	if _, err := c.link.meetBrokers(ctx, r); err != nil { // any of them shares out by those that it knows
		c.log.Debug("client: no broker knows the consumer", "topic", topic, "err", err)
	}
	if ctx.Err() != nil {
		return nil, ended(ctx)
	}
	for _, q := range whole {
		addr, _ := r.MasterAddr(q.Broker)
		if !c.link.knows(addr) {
			continue
		}
		got, said, err := c.assigned(ctx, addr, topic)
		switch {
		case ctx.Err() != nil:
			return nil, ended(ctx)
		case errors.Is(err, rpc.NotSupported):
			return whole, nil // the pop will say so
		case err != nil:
			c.log.Debug("client: no assignment", "topic", topic, "broker", q.Broker, "err", err)
			continue
		case !said && before != nil:
			return before, nil
		case !said || slices.ContainsFunc(got, func(a body.MessageQueueAssignment) bool { return a.Mode != body.RequestPop }):
			return whole, nil
		}
		share := make([]Queue, 0, len(got))
		for _, a := range got {
			share = append(share, Queue{Topic: topic, Broker: a.MessageQueue.BrokerName, ID: a.MessageQueue.QueueID})
		}
		return share, nil
	}
	return whole, nil
}

func (c *PopConsumer) assigned(ctx context.Context, addr, topic string) ([]body.MessageQueueAssignment, bool, error) {
	ctx, cancel := c.link.request(ctx)
	defer cancel()
	conn, err := c.link.greetedConn(ctx, addr)
	if err != nil {
		return nil, false, err
	}
	return rpc.Assignment(ctx, connCaller{conn}, addr, &body.QueryAssignmentRequestBody{
		Topic: topic, ConsumerGroup: c.group, ClientID: c.link.id, StrategyName: "AVG", MessageModel: body.Clustering,
	})
}

// start begins a pop; c.mu is held.
func (c *PopConsumer) start(q Queue, w *popWish, hold time.Duration) {
	sub := c.subs[q.Topic]
	if c.closed || sub == nil {
		return
	}
	h := &header.PopRequest{
		ConsumerGroup: c.group, Topic: q.Topic, QueueID: q.ID, MaxMsgNums: int32(w.max), InvisibleTime: w.invisible.Milliseconds(),
		PollTime: hold.Milliseconds(), BornTime: time.Now().UnixMilli(), InitMode: header.PopInitMax,
		ExpType: sub.filter.expressionType(), Exp: sub.filter.String(), Order: c.orderly,
	}
	if c.from.where == body.ConsumeFromFirstOffset {
		h.InitMode = header.PopInitMin
	}
	if c.orderly { // asked again under one name, the broker gives the same again
		if n := len(c.lost[q]); n > 0 {
			h.AttemptID, c.lost[q] = c.lost[q][n-1], c.lost[q][:n-1]
		} else {
			h.AttemptID = rand.Text()
		}
	}
	c.flying[q]++
	c.running.Go(func() {
		got, err := c.pop(q, h, hold)
		c.ended(q, h, sub.filter, got, err)
	})
}

// pop asks once.
func (c *PopConsumer) pop(q Queue, h *header.PopRequest, hold time.Duration) ([]*Popped, error) {
	ctx, cancel := c.link.held(c.ctx, hold)
	defer cancel()
	r, err := c.link.route(ctx, q.Topic, false)
	if err != nil {
		return nil, err
	}
	addr, ok := r.MasterAddr(q.Broker)
	if !ok {
		return nil, fmt.Errorf("%w: %q has no master %q", ErrNotReadable, q.Topic, q.Broker)
	}
	conn, err := c.link.greetedConn(ctx, addr)
	if err != nil {
		return nil, fmt.Errorf("client: reaching broker %s: %w", q.Broker, public(err))
	}
	answer, err := rpc.Pop(ctx, connCaller{conn}, addr, h)
	switch {
	case errors.Is(err, rpc.NotSupported):
		return nil, fmt.Errorf("client: broker %s can't pop (RocketMQ 5.0 and later can): %w", q.Broker, public(err))
	case err != nil:
		return nil, public(err)
	case answer.Code == wire.PollingFull:
		return nil, fmt.Errorf("broker %s holds too many pops", q.Broker)
	}
	return c.read(q, &answer.Header, answer.Records, time.Duration(h.InvisibleTime)*time.Millisecond)
}

// ended hands out what a pop gave, and acks what is damaged of it, which would come
// again as it is, and what the filter does not want.
func (c *PopConsumer) ended(q Queue, h *header.PopRequest, f Filter, got []*Popped, err error) {
	var unwanted []*Popped
	for i, p := range got {
		if p.damaged || !f.wants(p.Received) {
			unwanted = append(unwanted, p)
			got[i] = nil
		}
	}
	got = slices.DeleteFunc(got, func(p *Popped) bool { return p == nil })
	c.handOut(q, h, got, err)
	if len(unwanted) > 0 {
		if err := c.Ack(c.ctx, unwanted...); err != nil && c.ctx.Err() == nil {
			c.log.Warn("client: messages that are not given to anyone not acked", "queue", q, "err", err)
		}
	}
}

// handOut notes how a pop ended and gives Receives what it brought.
func (c *PopConsumer) handOut(q Queue, h *header.PopRequest, got []*Popped, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flying[q]--; c.flying[q] == 0 {
		delete(c.flying, q)
	}
	switch {
	case c.ctx.Err() != nil: // Close
	case err == nil:
		delete(c.resting, q)
		c.failed.clear(q)
	default:
		c.resting[q] = time.Now().Add(popRest)
		c.failed.note(q, err, refused(err))
		if refused(err) {
			break
		}
		if h.AttemptID != "" {
			c.lost[q] = append(c.lost[q], h.AttemptID)
		}
		c.log.Warn("client: pop failed", "queue", q, "err", err)
	}
	c.ready = append(c.ready, got...)
	close(c.news)
	c.news = make(chan struct{})
}

// refused says whether a request failed by an answer that will be the same next time.
func refused(err error) bool {
	code, answered := rpc.CodeOf(err)
	return answered && code != wire.SystemError && code != wire.SystemBusy && code != wire.ServiceNotAvailable
}

// read makes messages of a pop's answer, also of those that are damaged.
func (c *PopConsumer) read(q Queue, h *header.PopResponse, records []byte, invisible time.Duration) ([]*Popped, error) {
	parts, err := h.AppendParts(nil)
	if err != nil {
		return nil, fmt.Errorf("client: popping %s: %w", q, err)
	}
	all, damaged, err := readRecords(c.log, q, records, message.DecodeReceived)
	switch {
	case err != nil && len(all)+len(damaged) == 0:
		return nil, err
	case err != nil:
		c.log.Error("client: what follows a popped message cannot be read", "queue", q, "err", err)
	}
	now := time.Now()
	got := make([]*Popped, 0, len(all)+len(damaged))
	for i, m := range append(all, damaged...) {
		p := &Popped{Received: m, until: now.Add(invisible), asked: invisible, damaged: i >= len(all)}
		if p.handle, err = handleOf(m, q.Broker, h, parts); err != nil {
			c.log.Warn("client: a popped message that can't be acked is left out", "queue", q, "message", m.ID(), "err", err)
			continue
		}
		m.Topic, m.BrokerName = q.Topic, q.Broker
		if p.damaged {
			if !slices.ContainsFunc(got, p.isAt) { // else where it is, is damaged too
				got = append(got, p)
			}
			continue
		}
		if n := h.Times(p.handle.Kind, p.handle.Queue, p.handle.Offset); c.orderly && n > 0 {
			m.ReconsumeTimes = n
		}
		if err := Decompress(m, MaxBody); err != nil {
			c.log.Warn("client: body as it is", "message", m.ID(), "err", err)
		}
		got = append(got, p)
	}
	return got, nil
}

// handleOf is the handle that the broker wrote into a message, as into those given
// again, or one of the header and of where the message is. A broker leaves what the
// property holds already, be it of another pop or of the producer: that is passed over.
func handleOf(m *message.Received, broker string, h *header.PopResponse, parts []header.PopPart) (header.PopHandle, error) {
	own, err := header.ParsePopHandle(m.Property(message.PropertyPopCheckpoint))
	if err == nil && own.Broker == broker && own.Queue == m.QueueID && own.Offset == m.QueueOffset && own.PopTime == h.PopTime {
		return own, nil
	}
	kind := header.PopNormal
	if strings.HasPrefix(m.Topic, message.RetryPrefix) {
		kind = header.PopRetryV1
		if strings.Contains(m.Topic, "+") {
			kind = header.PopRetryV2
		}
	}
	var from *header.PopPart
	for i := range parts {
		p := &parts[i]
		if p.Queue != m.QueueID || !slices.Contains(p.Offsets, m.QueueOffset) {
			continue
		}
		if from == nil || p.Kind == kind { // those given again may have the topic that was asked for
			from = p
		}
	}
	if from == nil {
		return header.PopHandle{}, fmt.Errorf("%d of queue %d is not in msgOffsetInfo %q", m.QueueOffset, m.QueueID, h.MsgOffsetInfo)
	}
	return header.PopHandle{
		Start: from.Start, PopTime: h.PopTime, Invisible: h.InvisibleTime, Revive: h.ReviveQID, Kind: from.Kind,
		Broker: broker, Queue: from.Queue, Offset: m.QueueOffset,
	}, nil
}
