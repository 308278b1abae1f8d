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
	"sync"
	"sync/atomic"
	"time"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// ProducerConfig configures a Producer.
type ProducerConfig struct {
	Config
	// Group names producers that belong together. Required.
	Group string
	// Attempts is how often Send tries. Default 3.
	Attempts int
	// CompressAbove is the size in bytes above which bodies are compressed with
	// zlib. Default 4096; negative: never.
	CompressAbove int
	// Spans, when set, makes a span of each send; see [Spans].
	Spans Spans
}

func (c ProducerConfig) complete() (ProducerConfig, error) {
	var err error
	if c.Config, err = c.Config.complete(); err != nil {
		return c, err
	}
	if err := message.CheckGroup(c.Group); err != nil {
		return c, fmt.Errorf("client: producer group: %w", err)
	}
	if c.Attempts < 0 {
		return c, fmt.Errorf("client: %d attempts", c.Attempts)
	}
	if c.Attempts == 0 {
		c.Attempts = 3
	}
	if c.CompressAbove == 0 {
		c.CompressAbove = 4096
	}
	return c, nil
}

// Producer sends messages. NewProducer makes one.
type Producer struct {
	cfg  ProducerConfig
	log  *slog.Logger
	link *link
	ids  *message.IDGenerator
	turn atomic.Uint64 // round robin over queues
	once sync.Once     // starts the heartbeats
}

// NewProducer makes a producer. It connects with the first Send.
func NewProducer(cfg ProducerConfig) (*Producer, error) { return newProducer(cfg, nil) }

func newProducer(cfg ProducerConfig, routes func(code int32) (remoting.Route, bool)) (*Producer, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	p := &Producer{
		cfg: cfg, log: cfg.Logger, link: newLink(cfg.Config, routes),
		ids: message.NewIDGenerator(ownIP(), os.Getpid(), time.Now),
	}
	p.turn.Store(uint64(rand.Uint32())) // producers begin with different queues
	return p, nil
}

// ClientID is the id that brokers know the producer by.
func (p *Producer) ClientID() string { return p.link.id }

// Close tells the brokers that the producer goes, for at most a second, and ends
// what it started. Calls under way fail.
func (p *Producer) Close() error {
	_, err := p.link.close(p.farewell)
	return err
}

func (p *Producer) farewell() {
	ctx, cancel := context.WithTimeout(context.Background(), farewellTimeout)
	defer cancel()
	for _, addr := range p.link.masters() {
		conn, ok := p.known(addr)
		if !ok {
			continue
		}
		h := &header.UnregisterClientRequest{ClientID: p.link.id, ProducerGroup: p.cfg.Group}
		if err := rpc.Unregister(ctx, connCaller{conn}, addr, h); err != nil {
			p.log.Debug("client: not unregistered", "broker", addr, "err", err)
		}
	}
}

// known gives the open connection to an address, if a heartbeat went over it.
func (p *Producer) known(addr string) (*remoting.Conn, bool) {
	p.link.mu.Lock()
	defer p.link.mu.Unlock()
	conn := p.link.greeted[addr]
	if conn == nil {
		return nil, false
	}
	select {
	case <-conn.Closed():
		return nil, false
	default:
		return conn, true
	}
}

// begin starts the heartbeats; again, it does nothing.
func (p *Producer) begin() {
	p.once.Do(func() { p.link.parts.Go("heartbeats", p.beat) })
}

// beat tells the brokers every 30 s that the producer is there.
func (p *Producer) beat(ctx context.Context) error {
	tick := time.NewTicker(heartbeatPeriod)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		p.link.refresh(ctx)
		for _, addr := range p.link.masters() {
			if err := p.heartbeat(ctx, addr); err != nil && ctx.Err() == nil {
				p.log.Warn("client: heartbeat failed", "broker", addr, "err", err)
			}
		}
	}
}

// heartbeat tells one broker that the producer is there.
func (p *Producer) heartbeat(ctx context.Context, addr string) error {
	ctx, cancel := p.link.request(ctx)
	defer cancel()
	conn, err := p.link.net.Conn(ctx, addr)
	if err != nil {
		return err
	}
	return p.greet(ctx, conn, addr)
}

func (p *Producer) greet(ctx context.Context, conn *remoting.Conn, addr string) error {
	err := rpc.Heartbeat(ctx, connCaller{conn}, addr, &body.HeartbeatData{
		ClientID: p.link.id, ProducerDataSet: []body.ProducerData{{GroupName: p.cfg.Group}},
	})
	if err != nil {
		return err
	}
	p.link.mu.Lock()
	defer p.link.mu.Unlock()
	p.link.greeted[addr] = conn
	return nil
}

// greeted is the connection to a broker that knows the producer on it. The error
// says that nothing but a heartbeat may have been sent.
func (p *Producer) greeted(ctx context.Context, addr string) (*remoting.Conn, error) {
	conn, err := p.link.net.Conn(ctx, addr)
	if err != nil {
		return nil, err
	}
	if known, ok := p.known(addr); ok && known == conn {
		return conn, nil
	}
	return conn, p.greet(ctx, conn, addr)
}

// Send sends a message to a queue of its topic, the next one each time, and
// waits until the broker has stored it. When that fails it tries again, with
// another broker where there is one; each try has Config.Timeout, all of them
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
	p.begin()
	var errs []error
	last := ""
	for try := range p.cfg.Attempts {
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
	p.begin()
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
