// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"time"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
)

// Producer sends messages. NewProducer makes one.
type Producer struct {
	group string
	cfg   producerConfig
	log   *slog.Logger
	link  *link
	ids   *message.IDGenerator
	turn  atomic.Uint64 // round robin over queues
}

// NewProducer makes a producer of a group. It connects with the first Send.
func NewProducer(group string, opts ...Option) (*Producer, error) {
	cfg, err := configure(producers, opts)
	if err != nil {
		return nil, err
	}
	return newProducer(group, cfg, nil)
}

func newProducer(group string, cfg *config, routes func(code int32) (remoting.Route, bool)) (*Producer, error) {
	if err := message.CheckGroup(group); err != nil {
		return nil, fmt.Errorf("client: producer group: %w", err)
	}
	p := &Producer{
		group: group, cfg: cfg.producer, log: cfg.log, link: newLink(&cfg.common, routes),
		ids: message.NewIDGenerator(ownIP(), os.Getpid(), time.Now),
	}
	p.link.heartbeat = func() *body.HeartbeatData {
		return &body.HeartbeatData{ClientID: p.link.id, ProducerDataSet: []body.ProducerData{{GroupName: group}}}
	}
	p.turn.Store(uint64(rand.Uint32())) // producers begin with different queues
	return p, nil
}

// ClientID is the id that brokers know the producer by.
func (p *Producer) ClientID() string { return p.link.id }

// Close tells the brokers that the producer goes, for at most a second, and ends
// what it started. Calls under way fail.
func (p *Producer) Close() error {
	return p.link.close()
}

// Send sends a message to a queue of its topic, the next one each time, and
// waits until the broker has stored it. When that fails it tries again, with
// another broker where there is one; each try has the timeout of WithTimeout, all of them
// ctx. A topic that does not exist is created by the brokers if they do that. m
// is not changed. Errors match ErrNameServer, ErrNoRoute, ErrNotWritable,
// ErrClosed, an *AnswerError, those of message.Message.Check, or those of ctx.
func (p *Producer) Send(ctx context.Context, m *message.Message) (res *SendResult, failed error) {
	m, done := p.traced(ctx, m)
	defer func() { done(res, failed) }()
	e, err := p.envelope(m)
	if err != nil {
		return nil, err
	}
	p.link.begin()
	var errs []error
	last := ""
	for try := range p.cfg.attempts {
		r, err := p.link.route(ctx, m.Topic, try > 0, true)
		if err != nil {
			return nil, errors.Join(append(errs, err)...)
		}
		q, addr, err := p.choose(r, last)
		if err != nil {
			return nil, errors.Join(append(errs, err)...)
		}
		one, cancel := p.link.request(ctx)
		sent, err := p.deliver(one, p.link.net, addr, q, e)
		cancel()
		switch {
		case err == nil:
			return sent, nil
		case p.link.check() != nil:
			return nil, ErrClosed
		case ctx.Err() != nil:
			return nil, errors.Join(append(errs, public(err))...)
		}
		errs = append(errs, public(err))
		if !elsewhere(err) {
			break
		}
		p.log.Warn("client: send failed", "broker", q.Broker, "try", try+1, "err", err)
		last = q.Broker
	}
	return nil, errors.Join(errs...)
}

// SendTo is Send to one queue, and tries once.
func (p *Producer) SendTo(ctx context.Context, q Queue, m *message.Message) (res *SendResult, failed error) {
	m, done := p.traced(ctx, m)
	defer func() { done(res, failed) }()
	if q.Topic != m.Topic {
		return nil, fmt.Errorf("client: queue of topic %q for a message of topic %q", q.Topic, m.Topic)
	}
	e, err := p.envelope(m)
	if err != nil {
		return nil, err
	}
	p.link.begin()
	r, err := p.link.route(ctx, q.Topic, false, true)
	if err != nil {
		return nil, err
	}
	addr, ok := r.MasterAddr(q.Broker)
	if !ok {
		return nil, fmt.Errorf("%w: %q has no master %q", ErrNotWritable, q.Topic, q.Broker)
	}
	ctx, cancel := p.link.request(ctx)
	defer cancel()
	sent, err := p.deliver(ctx, p.link.net, addr, q, e)
	return sent, public(err)
}
