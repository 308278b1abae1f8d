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

	"github.com/twostage/twostage/message"
)

// autoCommitPeriod is how often offsets are committed where nothing else is said.
const autoCommitPeriod = 5 * time.Second

// WithAutoCommit says how often a pull consumer commits by itself what the Polls
// before the last one have given. Default 5 s; 0: never, see PullConsumer.Commit.
func WithAutoCommit(interval time.Duration) Option {
	return Option{"WithAutoCommit", pullConsumers, func(c *config) { c.consumer.autoCommit = interval }}
}

// PullConsumer reads queues for a group when it is asked to. Either it subscribes to
// topics, and shares their queues with the other consumers of the group, or it is
// assigned queues. Messages are pulled ahead, see WithPrefetch. NewPullConsumer makes
// one. All methods may be called at the same time. A group that is shared out and has
// a consumer with Assign would share out to that one too: use a group for the one or
// the other.
type PullConsumer struct {
	group   string
	cfg     consumerConfig
	hold    time.Duration
	log     *slog.Logger
	link    *link
	offsets *brokerOffsets
	shares  *shares

	ctx       context.Context // of pulls; ends with Close
	cancel    context.CancelFunc
	stores    context.Context // of commits by themselves; ends behind the last of them
	endStores context.CancelFunc
	gone      chan struct{}  // closed behind Close
	err       error          // of Close
	running   sync.WaitGroup // readers and rounds
	once      sync.Once      // begins the rounds
	kick      chan struct{}  // capacity 1: the group has changed
	turn      sync.Mutex     // one change of the queues at a time

	mu      sync.Mutex
	closed  bool
	manual  bool // queues are assigned by Assign
	version int64
	subs    map[string]*pullSubscription
	missed  map[Queue]bool // given up with messages that were polled and not committed
	readers map[Queue]*reader
	order   []Queue       // of readers, sorted
	first   int           // in order: whom the next Poll begins with
	news    chan struct{} // closed when there is something for Poll
	failed  failures
}

// pullSubscription is a topic that the group shares.
type pullSubscription struct {
	filter  Filter
	version int64
}

// NewPullConsumer makes a consumer. It connects with the first call that needs it.
func NewPullConsumer(group string, opts ...Option) (*PullConsumer, error) {
	cfg, err := configure(pullConsumers, opts)
	if err != nil {
		return nil, err
	}
	if err := message.CheckGroup(group); err != nil {
		return nil, fmt.Errorf("client: consumer group: %w", err)
	}
	c := &PullConsumer{
		group: group, cfg: cfg.consumer, hold: cfg.puller.suspend, log: cfg.log, kick: make(chan struct{}, 1),
		subs: map[string]*pullSubscription{}, readers: map[Queue]*reader{}, news: make(chan struct{}),
		missed: map[Queue]bool{}, gone: make(chan struct{}),
	}
	c.link = newLink(&cfg.common, c.routes())
	c.link.heartbeat = c.heartbeat
	c.offsets = &brokerOffsets{link: c.link, group: group}
	c.shares = newShares(c.link, group, c.cfg.allocation, c.cfg.start)
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.stores, c.endStores = context.WithCancel(context.Background())
	return c, nil
}

// ClientID is the id that brokers know the consumer by.
func (c *PullConsumer) ClientID() string { return c.link.id }

// Queues are the queues of a topic that can be read, sorted by broker and id.
func (c *PullConsumer) Queues(ctx context.Context, topic string) ([]Queue, error) {
	r, err := c.link.routeSince(ctx, topic, time.Now().Add(-routeAge), false)
	if err != nil {
		return nil, err
	}
	return readable(r), nil
}

// Subscribe adds a topic, or changes its filter: from the next Poll on the group
// shares its queues out, every 20 s and when a consumer comes or goes. Not after
// Assign.
func (c *PullConsumer) Subscribe(topic string, f Filter) error {
	if err := errors.Join(message.CheckTopic(topic), f.check()); err != nil {
		return fmt.Errorf("client: subscribing to %q: %w", topic, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return ErrClosed
	case c.manual:
		return errors.New("client: Subscribe after Assign: a consumer does the one or the other")
	}
	if c.subs[topic] == nil {
		c.shares.forget(topic)
	}
	c.version = max(c.version+1, time.Now().UnixMilli())
	c.subs[topic] = &pullSubscription{filter: f, version: c.version}
	c.link.forgetGreetings()
	c.wake()
	return nil
}

// Unsubscribe takes a topic away, with its queues.
func (c *PullConsumer) Unsubscribe(topic string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.subs, topic)
	c.failed.clearTopic(topic)
	c.link.forgetGreetings()
	c.wake()
}

// Assign sets the queues that are read, whatever the group's other consumers read.
// Of those that were assigned before everything stays as it is. The others begin
// with the group's offset, or where it has none by WithStart, which is stored then.
// Before it takes queues away it waits for their last commit, up to a second. Not
// after Subscribe.
func (c *PullConsumer) Assign(queues ...Queue) error {
	for _, q := range queues {
		if err := message.CheckTopic(q.Topic); err != nil || q.Broker == "" || q.ID < 0 {
			return fmt.Errorf("client: assigning %s: it is no queue: %w", q, errors.Join(err))
		}
	}
	c.turn.Lock()
	defer c.turn.Unlock()
	c.mu.Lock()
	if c.closed || len(c.subs) > 0 {
		defer c.mu.Unlock()
		if c.closed {
			return ErrClosed
		}
		return errors.New("client: Assign after Subscribe: a consumer does the one or the other")
	}
	c.manual = true
	c.mu.Unlock()
	have := c.Assignment()
	share := slices.Clone(queues)
	slices.SortFunc(share, cmpQueues)
	give, take := changes(have, slices.Compact(share))
	if err := c.giveUp(give); err != nil {
		c.log.Warn("client: queues were given up without their offsets", "err", err)
	}
	for _, q := range take {
		c.take(q, &pullSubscription{filter: All})
	}
	return nil
}

// Assignment is the queues that the consumer has, sorted.
func (c *PullConsumer) Assignment() []Queue {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.order)
}

// Poll waits until there are messages and gives at most max of them, those of a queue
// in its order. It says that what earlier Polls gave is consumed: with WithAutoCommit
// that is committed. Failures of brokers are logged and tried again; when ctx ends
// the error matches that of ctx and names the last of them. What a broker refuses is
// told at once, as an *AnswerError, and so is a topic that does not exist (ErrNoRoute).
func (c *PullConsumer) Poll(ctx context.Context, max int) ([]*message.Received, error) {
	if max < 1 {
		return nil, fmt.Errorf("client: polling for %d messages: at least 1", max)
	}
	if err := c.begin(); err != nil {
		return nil, err
	}
	for {
		got, news, err := c.poll(max)
		if len(got) > 0 || err != nil {
			return got, err
		}
		select {
		case <-news:
		case <-ctx.Done():
			return nil, c.late(ctx)
		case <-c.ctx.Done():
			return nil, ErrClosed
		}
	}
}

// begin notes what is consumed and begins the rounds.
func (c *PullConsumer) begin() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return ErrClosed
	}
	if !c.manual && len(c.subs) == 0 {
		c.mu.Unlock()
		return errors.New("client: nothing to poll: call Subscribe or Assign first")
	}
	for _, r := range c.readers {
		r.pos.done = r.pos.at
	}
	c.mu.Unlock()
	c.once.Do(c.rounds)
	return nil
}

func (c *PullConsumer) poll(limit int) (got []*message.Received, news <-chan struct{}, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, nil, ErrClosed
	}
	for i := range c.order {
		r := c.readers[c.order[(c.first+i)%len(c.order)]]
		some := r.pos.take(limit - len(got))
		if len(some) > 0 {
			got = append(got, some...)
			r.wake()
		}
		if len(got) == limit {
			c.first += i + 1
			return got, nil, nil
		}
	}
	if len(got) > 0 {
		return got, nil, nil
	}
	return nil, c.news, c.failed.tell()
}

// late is the error of a Poll whose ctx has ended.
func (c *PullConsumer) late(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.failed.last(); err != nil {
		return fmt.Errorf("client: nothing polled: %w; a broker failed: %w", ended(ctx), err)
	}
	return fmt.Errorf("client: nothing polled: %w", ended(ctx))
}

// told wakes Polls; c.mu is held.
func (c *PullConsumer) told() {
	close(c.news)
	c.news = make(chan struct{})
}

// Pause has Poll give nothing of queues, and nothing more be pulled of them.
func (c *PullConsumer) Pause(queues ...Queue) error { return c.pause(queues, true) }

// Resume is the end of Pause.
func (c *PullConsumer) Resume(queues ...Queue) error { return c.pause(queues, false) }

func (c *PullConsumer) pause(queues []Queue, paused bool) error {
	var errs []error
	for _, q := range queues {
		errs = append(errs, c.at(q, func(r *reader) {
			r.pos.paused = paused
			r.wake()
			c.told()
		}))
	}
	return errors.Join(errs...)
}

// Close ends pulls and calls under way, with WithAutoCommit commits what Polls before
// the last one have given, tells the brokers that the consumer goes, and waits, for
// brokers that are silent a second or so. What the last Poll gave, the group gets
// again, unless Commit was called. The error joins those of what was not committed;
// the consumer is closed all the same. Called again it waits for the first call.
func (c *PullConsumer) Close() error {
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
	c.turn.Lock()
	err := c.giveUp(c.Assignment())
	c.turn.Unlock()
	c.endStores()
	c.running.Wait()
	c.err = errors.Join(err, c.link.close())
	return c.err
}
