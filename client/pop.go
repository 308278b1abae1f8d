// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// maxPop is the most messages that one pop gives.
const maxPop = 32

// Popped is a message that a pop consumer has received. It is invisible to others
// until a time: by then it is to be acked, or hidden for longer, else the group gets
// it again. Ack and ChangeInvisible of one Popped must not run at the same time.
type Popped struct {
	*message.Received
	until   time.Time
	asked   time.Duration // the invisible time
	handle  header.PopHandle
	damaged bool // not what was stored: to be acked and given to nobody
}

// Until is about when the message is visible again, by this machine's clock.
func (p *Popped) Until() time.Time { return p.until }

// PopConsumer receives messages one by one out of all queues: the brokers share them
// out among the consumers of the group message by message (RocketMQ 5.0 and later;
// elsewhere Receive returns an error that matches ErrNotSupported).
// NewPopConsumer makes one.
type PopConsumer struct {
	group   string
	orderly bool
	from    Start
	hold    time.Duration
	log     *slog.Logger
	link    *link

	ctx     context.Context // of pops and acks; ends with Close
	cancel  context.CancelFunc
	running sync.WaitGroup // pops
	gone    chan struct{}  // closed behind Close
	err     error          // of Close

	mu      sync.Mutex
	closed  bool
	version int64
	subs    map[string]*popSubscription
	flying  map[Queue]int       // pops under way
	lost    map[Queue][]string  // attempts in order whose answers were lost
	resting map[Queue]time.Time // not asked before: they failed
	ready   []*Popped           // received by nobody
	waiting int                 // calls of Receive
	news    chan struct{}       // closed when a pop has ended
	failed  failures
	turn    int
}

// NewPopConsumer makes a consumer. It connects with the first Receive.
func NewPopConsumer(group string, opts ...Option) (*PopConsumer, error) {
	cfg, err := configure(popConsumers, opts)
	if err != nil {
		return nil, err
	}
	if err := message.CheckGroup(group); err != nil {
		return nil, fmt.Errorf("client: consumer group: %w", err)
	}
	if !cfg.consumer.start.at.IsZero() {
		return nil, errors.New("client: a pop consumer can't begin at a time: give StartLatest or StartEarliest to WithStart")
	}
	c := &PopConsumer{
		group: group, orderly: cfg.consumer.orderly, from: cfg.consumer.start, hold: cfg.puller.suspend, log: cfg.log, link: newLink(&cfg.common, nil),
		subs: map[string]*popSubscription{}, flying: map[Queue]int{}, lost: map[Queue][]string{}, resting: map[Queue]time.Time{},
		news: make(chan struct{}), gone: make(chan struct{}),
	}
	c.link.heartbeat = c.heartbeat
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c, nil
}

// ClientID is the id that brokers know the consumer by.
func (c *PopConsumer) ClientID() string { return c.link.id }

// Subscribe adds a topic, or changes its filter.
func (c *PopConsumer) Subscribe(topic string, f Filter) error {
	if err := errors.Join(message.CheckTopic(topic), f.check()); err != nil {
		return fmt.Errorf("client: subscribing to %q: %w", topic, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	c.version = max(c.version+1, time.Now().UnixMilli())
	c.subs[topic] = &popSubscription{filter: f, version: c.version}
	c.link.forgetGreetings()
	return nil
}

// Unsubscribe takes a topic away. Messages of it that were received can be acked.
func (c *PopConsumer) Unsubscribe(topic string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.subs, topic)
	c.failed.clearTopic(topic)
	c.link.forgetGreetings()
}

func (c *PopConsumer) heartbeat() *body.HeartbeatData {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := body.ConsumerData{
		GroupName: c.group, ConsumeType: body.ConsumeActively, MessageModel: body.Clustering, ConsumeFromWhere: c.from.where,
		SubscriptionDataSet: []body.SubscriptionData{},
	}
	for topic, s := range c.subs {
		d.SubscriptionDataSet = append(d.SubscriptionDataSet, s.filter.data(topic, s.version))
	}
	return &body.HeartbeatData{ClientID: c.link.id, ProducerDataSet: []body.ProducerData{}, ConsumerDataSet: []body.ConsumerData{d}}
}

// Receive waits until there are messages and gives at most max of them, from any
// subscribed topic, invisible to others for a time that is rounded up to
// milliseconds. At least half of it is left of each when Receive returns. Failures
// of brokers are logged and tried again; when ctx ends, the error matches that of
// ctx and names the last of them. What a broker refuses is an error at once: an
// *AnswerError; so are ErrNotSupported, ErrNoRoute, ErrNameServer and ErrClosed.
// Calls may run at the same time. What a pop gives behind the end of its Receive the
// next one gets; of a consumer WithOrderly, what does not fit into it is made visible.
func (c *PopConsumer) Receive(ctx context.Context, max int, invisible time.Duration) ([]*Popped, error) {
	if max < 1 || invisible <= 0 {
		return nil, fmt.Errorf("client: receiving %d messages for %v: at least 1, and above 0s", max, invisible)
	}
	if ctx.Err() != nil {
		return nil, c.late(ctx)
	}
	invisible = (invisible + time.Millisecond - 1).Truncate(time.Millisecond)
	c.begun(1)
	defer c.begun(-1)
	w := popWish{max: min(max, maxPop), invisible: invisible}
	for {
		got, news, err := c.take(ctx, max, invisible)
		if len(got) > 0 || err != nil {
			return got, err
		}
		soon, err := c.pops(ctx, &w)
		switch {
		case ctx.Err() != nil:
			return nil, c.late(ctx)
		case err != nil:
			return nil, err
		}
		t := time.NewTimer(soon)
		select {
		case <-news:
		case <-t.C:
		case <-ctx.Done():
			err = c.late(ctx)
		case <-c.ctx.Done():
			err = ErrClosed
		}
		t.Stop()
		if err != nil {
			return nil, err
		}
	}
}

func (c *PopConsumer) begun(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting += n
}

// late is the error of a Receive whose ctx has ended.
func (c *PopConsumer) late(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.failed.last(); err != nil {
		return fmt.Errorf("client: nothing received: %w; a broker failed: %w", ended(ctx), err)
	}
	return fmt.Errorf("client: nothing received: %w", ended(ctx))
}

// take takes what is there: messages, or what a broker refused. Else news is closed
// when a pop has ended.
func (c *PopConsumer) take(ctx context.Context, limit int, invisible time.Duration) (got []*Popped, news <-chan struct{}, err error) {
	for {
		c.mu.Lock()
		switch {
		case c.closed:
			c.mu.Unlock()
			return nil, nil, ErrClosed
		case len(c.ready) == 0:
			news, err = c.news, c.failed.tell()
			c.mu.Unlock()
			return nil, news, err
		}
		all, rest := c.pick(limit)
		c.mu.Unlock()
		late := map[Queue]bool{} // in order: what follows one that is too late waits for it
		for _, p := range all {
			if c.orderly && late[p.from()] {
				rest = append(rest, p)
			} else if c.inTime(ctx, p, invisible) {
				got = append(got, p)
			} else {
				late[p.from()] = true
			}
		}
		c.giveBack(ctx, rest)
		if len(got) > 0 {
			return got, nil, nil
		}
	}
}

// from is the queue that a message came from.
func (p *Popped) from() Queue {
	return Queue{Topic: string(rune(p.handle.Kind)) + p.Topic, Broker: p.handle.Broker, ID: p.handle.Queue}
}

// isAt says whether a message has the place of another.
func (p *Popped) isAt(o *Popped) bool {
	return p.from() == o.from() && p.handle.Offset == o.handle.Offset
}

// pick takes messages that are ready. In order, what it leaves of their queues is rest:
// it is not to be received before they are acked. c.mu is held.
func (c *PopConsumer) pick(limit int) (all, rest []*Popped) {
	n := min(limit, len(c.ready))
	all, left := c.ready[:n:n], c.ready[n:]
	c.ready = nil
	for _, p := range left {
		if c.orderly && slices.ContainsFunc(all, func(a *Popped) bool { return a.from() == p.from() }) {
			rest = append(rest, p)
		} else {
			c.ready = append(c.ready, p)
		}
	}
	return all, rest
}

// inTime hides a message that has waited for long, or for another time than is
// asked for, again; false when it is too late for that.
func (c *PopConsumer) inTime(ctx context.Context, p *Popped, invisible time.Duration) bool {
	left := time.Until(p.until)
	switch {
	case left <= 0:
		return false
	case p.asked == invisible && left >= invisible/2:
		return true
	}
	if err := c.ChangeInvisible(ctx, p, invisible); err != nil {
		c.log.Warn("client: a popped message that waited is left to be given again", "message", p.ID(), "err", err)
		return false
	}
	return true
}

// Close ends pops under way, makes messages visible that nobody has received, tells
// the brokers that the consumer goes, and waits. Messages that were received can't
// be acked any more. Called again it
// waits for the first call.
func (c *PopConsumer) Close() error {
	c.mu.Lock()
	first := !c.closed
	c.closed = true
	c.mu.Unlock()
	if !first {
		<-c.gone
		return c.err
	}
	defer close(c.gone)
	c.cancel()
	c.running.Wait()
	c.mu.Lock()
	rest := c.ready
	c.ready = nil
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), farewellTimeout)
	c.giveBack(ctx, rest)
	cancel()
	c.err = c.link.close()
	return c.err
}

// giveBack makes messages visible at once, at all brokers at the same time.
func (c *PopConsumer) giveBack(ctx context.Context, msgs []*Popped) {
	of := map[string][]*Popped{}
	for _, p := range msgs {
		of[p.handle.Broker] = append(of[p.handle.Broker], p)
	}
	var all sync.WaitGroup
	for _, some := range of {
		all.Go(func() {
			for _, p := range some {
				if err := c.change(ctx, p, 0); err != nil {
					c.log.Debug("client: not given back", "message", p.ID(), "err", err)
				}
			}
		})
	}
	all.Wait()
}
