// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twostage/twostage/internal/lifecycle"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
)

// Times of a push consumer.
const (
	rebalancePeriod = 20 * time.Second
	commitPeriod    = 5 * time.Second
	handOver        = 3 * time.Second  // how long a queue that is given up waits for its handlers
	closeGrace      = 10 * time.Second // how long Close waits for handlers whose ctx it has ended
	retryPeriod     = time.Second
)

// maxBatch is how many messages a BatchHandler may ask for.
const maxBatch = 1024

// PushConsumer gives the messages of a group's subscriptions to handlers: it has
// the queues that are its share, pulls ahead of the handlers, and stores how far
// it has come. NewPushConsumer makes one.
type PushConsumer struct {
	group  string
	cfg    consumerConfig
	log    *slog.Logger
	link   *link
	kept   offsets
	shares *shares
	work   *dispatcher
	back   returns

	ctx    context.Context // of handlers
	cancel context.CancelCauseFunc
	open   context.Context // ends when Close is called
	leave  context.CancelFunc

	kick     chan struct{} // capacity 1: rebalance now
	turn     sync.Mutex    // one rebalance or reset at a time
	steering *lifecycle.Group
	services *lifecycle.Group
	running  sync.WaitGroup // workers, queues, and handlers out of turn
	behind   chan struct{}  // closed when Close leaves handlers behind
	slots    chan struct{}  // handlers of an orderly consumer that run
	paused   atomic.Bool
	ended    chan struct{} // Close is done

	mu      sync.Mutex
	state   consumerState
	settled bool      // Start was done
	began   time.Time // Start
	subs    map[string]*subscription
	queues  map[Queue]*assigned
	sought  time.Time // when a retry topic that is not known was looked for last
	direct  int       // messages whose handlers run out of turn
	err     error     // of Close
}

type consumerState uint8

const (
	consumerNew consumerState = iota
	consumerStarted
	consumerClosed
)

// subscription is what a consumer wants of a topic.
type subscription struct {
	topic   string
	filter  Filter
	version int64 // grows with each change; milliseconds
	most    int   // messages for one call of handle
	handle  BatchHandler
	retry   bool // of the group's retry topic: its messages have the handlers of their own topics

	figures figures
}

// NewPushConsumer makes a consumer of a group. It connects with Start.
func NewPushConsumer(group string, opts ...Option) (*PushConsumer, error) {
	cfg, err := configure(pushConsumers, opts)
	if err != nil {
		return nil, err
	}
	if err := message.CheckGroup(group); err != nil {
		return nil, fmt.Errorf("client: consumer group: %w", err)
	}
	c := &PushConsumer{
		group: group, cfg: cfg.consumer, log: cfg.log.With("group", group), kick: make(chan struct{}, 1), ended: make(chan struct{}), behind: make(chan struct{}),
		subs: map[string]*subscription{}, queues: map[Queue]*assigned{},
	}
	c.link = newLink(&cfg.common, c.routes())
	c.link.heartbeat = c.heartbeat
	c.shares = newShares(c.link, group, c.cfg.allocation, c.cfg.start)
	c.slots = make(chan struct{}, c.cfg.concurrency)
	c.work = newDispatcher(c)
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	c.open, c.leave = context.WithCancel(context.Background())
	c.kept = &brokerOffsets{link: c.link, group: group}
	if c.cfg.broadcast {
		c.shares.by = nil
		if c.kept, err = openOffsetFile(c.cfg.offsetDir, group); err != nil {
			return nil, err
		}
	} else {
		c.subs[message.RetryTopic(group)] = &subscription{topic: message.RetryTopic(group), version: time.Now().UnixMilli(), most: 1, retry: true}
	}
	return c, nil
}

// ClientID is the id that brokers know the consumer by.
func (c *PushConsumer) ClientID() string { return c.link.id }

// Subscribe has h consume the messages of a topic that f wants. It may be called
// before and after Start; again for the same topic, it replaces filter and handler.
// Who keeps a message keeps the memory of all that its pull brought: keep copies.
func (c *PushConsumer) Subscribe(topic string, f Filter, h Handler) error {
	if h == nil {
		return fmt.Errorf("client: the handler of topic %q is nil", topic)
	}
	return c.subscribe(topic, f, 1, func(ctx context.Context, ms []*message.Received) error { return h(ctx, ms[0]) })
}

// SubscribeBatch is Subscribe with a handler that gets up to most messages of one
// queue at a time, 1 to 1024; messages that are delivered again come one by one.
func (c *PushConsumer) SubscribeBatch(topic string, f Filter, most int, h BatchHandler) error {
	switch {
	case h == nil:
		return fmt.Errorf("client: the handler of topic %q is nil", topic)
	case most < 1 || most > maxBatch:
		return fmt.Errorf("client: %d messages at a time, at least 1, at most %d", most, maxBatch)
	}
	return c.subscribe(topic, f, most, h)
}

func (c *PushConsumer) subscribe(topic string, f Filter, most int, h BatchHandler) error {
	if err := message.CheckStoredTopic(topic); err != nil {
		return fmt.Errorf("client: %w", err)
	}
	if err := f.check(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == consumerClosed {
		return ErrClosed
	}
	s := &subscription{topic: topic, filter: f, version: time.Now().UnixMilli(), most: most, handle: h}
	if old := c.subs[topic]; old == nil {
		c.shares.forget(topic)
	} else {
		if old.retry {
			return fmt.Errorf("client: topic %q is the group's own", topic)
		}
		s.version = max(s.version, old.version+1)
	}
	c.subs[topic] = s
	c.changed()
	return nil
}

// Unsubscribe gives the queues of a topic up. Handlers that run go on.
func (c *PushConsumer) Unsubscribe(topic string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.subs[topic]; s != nil && !s.retry {
		delete(c.subs, topic)
		c.changed()
	}
}

// changed has brokers and queues follow a change of subscriptions; c.mu is held.
func (c *PushConsumer) changed() {
	if c.state != consumerStarted {
		return
	}
	c.link.forgetGreetings()
	c.wake()
}

// wake has the consumer rebalance soon.
func (c *PushConsumer) wake() {
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

// subscriptions in the order of their topics.
func (c *PushConsumer) subscriptions() []*subscription {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.SortedFunc(maps.Values(c.subs), func(a, b *subscription) int { return cmpTopics(a.topic, b.topic) })
}

func (c *PushConsumer) subscription(topic string) *subscription {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.subs[topic]
}

// heartbeat is what brokers are to know of the consumer.
func (c *PushConsumer) heartbeat() *body.HeartbeatData {
	d := body.ConsumerData{
		GroupName: c.group, ConsumeType: body.ConsumePassively, MessageModel: body.Clustering, ConsumeFromWhere: c.cfg.start.where,
	}
	if c.cfg.broadcast {
		d.MessageModel = body.Broadcasting
	}
	for _, s := range c.subscriptions() {
		d.SubscriptionDataSet = append(d.SubscriptionDataSet, s.filter.data(s.topic, s.version))
	}
	return &body.HeartbeatData{ClientID: c.link.id, ProducerDataSet: []body.ProducerData{}, ConsumerDataSet: []body.ConsumerData{d}}
}

// Pause has no more messages given to handlers and none pulled. Handlers that run
// go on, and so does the membership of the group.
func (c *PushConsumer) Pause() { c.pause(true) }

// Resume ends Pause.
func (c *PushConsumer) Resume() { c.pause(false) }

func (c *PushConsumer) pause(on bool) {
	c.paused.Store(on)
	c.work.wakeAll()
}
