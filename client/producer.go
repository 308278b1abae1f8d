// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/route"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// Producer sends messages. NewProducer makes one. Its methods may be called from
// any number of goroutines.
type Producer struct {
	group      string
	cfg        producerConfig
	log        *slog.Logger
	link       *link
	ids        *message.IDGenerator
	faults     faults
	compressor *compressor
	underWay   underWay // sends of SendAsync
	requests   requests // that wait for their replies

	deliveries        sync.Pool // *delivery
	every, everyBatch *wire.ExtConst
}

// NewProducer makes a producer of a group. It connects with the first Send.
func NewProducer(group string, opts ...Option) (*Producer, error) {
	cfg, err := configure(producers, opts)
	if err != nil {
		return nil, err
	}
	p, err := newProducer(group, cfg, nil)
	if err != nil {
		return nil, err
	}
	p.link.forget = true
	return p, nil
}

// newProducer makes a producer that serves requests of brokers by routes, beside
// those of every producer; it may be nil.
func newProducer(group string, cfg *config, routes func(code int32) (remoting.Route, bool)) (*Producer, error) {
	if err := message.CheckGroup(group); err != nil {
		return nil, fmt.Errorf("client: producer group: %w", err)
	}
	compressor, err := newCompressor(cfg.producer.compression, cfg.producer.compressAbove)
	if err != nil {
		return nil, err
	}
	p := &Producer{
		group: group, cfg: cfg.producer, log: cfg.log, compressor: compressor,
		faults: faults{off: !cfg.producer.latencyFault},
		ids:    message.NewIDGenerator(ownIP(), os.Getpid(), time.Now),
		every:  header.EverySend(group, message.TopicAutoCreate, standInQueues, false), everyBatch: header.EverySend(group, message.TopicAutoCreate, standInQueues, true),
	}
	p.deliveries.New = p.newDelivery
	p.underWay.init(maxUnderWay, maxUntold)
	p.link = newLink(&cfg.common, func(code int32) (remoting.Route, bool) {
		if code == wire.ReqPushReplyMessageToClient {
			return remoting.Route{Handler: p.replied}, true
		}
		if routes == nil {
			return remoting.Route{}, false
		}
		return routes(code)
	})
	p.link.heartbeat = func() *body.HeartbeatData {
		return &body.HeartbeatData{ClientID: p.link.id, ProducerDataSet: []body.ProducerData{{GroupName: group}}}
	}
	return p, nil
}

// ClientID is the id that brokers know the producer by.
func (p *Producer) ClientID() string { return p.link.id }

// Close tells the brokers that the producer goes, for at most a second, and ends
// what it started. Calls under way fail; those of SendAsync are told so before
// Close returns. Callbacks must not call it.
func (p *Producer) Close() error {
	p.underWay.leave()
	err := p.link.close()
	p.underWay.wait()
	return err
}

// Send sends a message to a queue of its topic, the next one each time, and waits
// until the broker has stored it. When that fails it tries again, with another
// broker where there is one; each try has the timeout of WithTimeout, all of them
// ctx. A topic that does not exist is created by the brokers if they do that. m
// is not changed, and must not be until Send returns. Errors match ErrNameServer,
// ErrNoRoute, ErrNotWritable, ErrBusy, ErrClosed, an *AnswerError, those of
// message.Message.Check, message.ErrTooLarge, or those of ctx; of a broker that was not
// reached or did not answer in time they are Retriable, and all attempts' are joined.
func (p *Producer) Send(ctx context.Context, m *message.Message) (res *SendResult, err error) {
	m, done := p.traced(ctx, m)
	d, err := p.prepare(m)
	if err == nil {
		res, err = p.send(ctx, d)
		d.release()
	}
	if done != nil {
		done(res, err)
	}
	return res, err
}

// send has all attempts of a delivery.
func (p *Producer) send(ctx context.Context, d *delivery) (*SendResult, error) {
	p.link.begin()
	var errs []error
	last := ""
	for try := range p.cfg.attempts {
		if err := p.aim(ctx, d, last); err != nil {
			return nil, errors.Join(append(errs, err)...)
		}
		err := d.try(ctx, p.link.net)
		switch {
		case err == nil:
			return d.result, nil
		case p.link.check() != nil:
			return nil, ErrClosed
		case ctx.Err() != nil:
			return nil, errors.Join(append(errs, public(err))...)
		}
		errs = append(errs, public(err))
		if !elsewhere(err) {
			break
		}
		p.log.Warn("client: send failed", "broker", d.queue.Broker, "try", try+1, "err", err)
		last = d.queue.Broker
	}
	return nil, errors.Join(errs...)
}

// SendTo is Send to one queue, and tries once.
func (p *Producer) SendTo(ctx context.Context, q Queue, m *message.Message) (res *SendResult, err error) {
	m, done := p.traced(ctx, m)
	if q.Topic == m.Topic {
		res, err = p.sendTo(ctx, m, func(*route.Snapshot) (Queue, error) { return q, nil })
	} else {
		err = fmt.Errorf("client: queue of topic %q for a message of topic %q", q.Topic, m.Topic)
	}
	if done != nil {
		done(res, err)
	}
	return res, err
}

// sendTo sends a message to a queue of its topic, once. Where that can't be written to
// by a route of before the call it looks at a newer one.
func (p *Producer) sendTo(ctx context.Context, m *message.Message, choose func(r *route.Snapshot) (Queue, error)) (*SendResult, error) {
	d, err := p.prepare(m)
	if err != nil {
		return nil, err
	}
	defer d.release()
	p.link.begin()
	k, err := p.link.find(ctx, m.Topic, time.Time{}, true)
	if err != nil {
		return nil, err
	}
	aim := func() error {
		q, err := choose(k.route)
		if err != nil {
			return err
		}
		addr, ok := k.route.MasterAddr(q.Broker)
		if !ok {
			return fmt.Errorf("%w: %q has no master %q", ErrNotWritable, q.Topic, q.Broker)
		}
		d.to(q, addr)
		return nil
	}
	if err = aim(); err != nil && k.at.Before(d.begin) {
		if k, err = p.link.newer(ctx, m.Topic, d.begin); err == nil {
			err = aim()
		}
	}
	if err != nil {
		return nil, err
	}
	d.begin = time.Now()
	err = d.try(ctx, p.link.net)
	return d.result, p.link.public(err)
}
