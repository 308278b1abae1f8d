// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"slices"
	"time"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
)

// Times of orderly consumption.
const (
	lockPeriod = 20 * time.Second
	lockLife   = 30 * time.Second // for the consumer, since it asked
	lockHeld   = 60 * time.Second // at a broker, since it was asked: nobody else has it
	orderPause = time.Second      // before a message that failed is tried again
)

// locks says whether queues are locked.
func (c *PushConsumer) locks() bool { return c.cfg.orderly && !c.cfg.broadcast }

// lock locks queues and gives when it asked for those that this client now has, the
// zero time for those that another one has. Brokers that do not answer are left out.
func (c *PushConsumer) lock(ctx context.Context, queues []Queue) map[Queue]time.Time {
	byBroker := map[string][]body.MessageQueue{}
	for _, q := range queues {
		addr, err := c.link.master(ctx, q)
		if err != nil {
			c.log.Warn("client: queue not locked", "queue", q, "err", err)
			continue
		}
		byBroker[addr] = append(byBroker[addr], body.MessageQueue{Topic: q.Topic, BrokerName: q.Broker, QueueID: q.ID})
	}
	granted := map[Queue]time.Time{}
	for addr, set := range byBroker {
		begun := time.Now()
		ok, err := c.lockAt(ctx, addr, set)
		if err != nil {
			c.log.Warn("client: queues not locked", "broker", addr, "err", err)
			continue
		}
		for _, q := range set {
			at := time.Time{}
			if slices.Contains(ok, q) {
				at = begun
			}
			granted[Queue{Topic: q.Topic, Broker: q.BrokerName, ID: q.QueueID}] = at
		}
	}
	return granted
}

func (c *PushConsumer) lockAt(ctx context.Context, addr string, set []body.MessageQueue) ([]body.MessageQueue, error) {
	ctx, cancel := c.link.request(ctx)
	defer cancel()
	ok, err := rpc.LockBatch(ctx, c.link.net, addr, &body.LockBatchRequestBody{ConsumerGroup: c.group, ClientID: c.link.id, MqSet: set})
	return ok, public(err)
}

// unlock gives the lock of a queue back, so that another member has it at once.
func (c *PushConsumer) unlock(q Queue) {
	ctx, cancel := c.link.request(context.Background())
	defer cancel()
	addr, err := c.link.master(ctx, q)
	if err == nil {
		err = rpc.UnlockBatch(ctx, c.link.net, addr, &body.LockBatchRequestBody{
			ConsumerGroup: c.group, ClientID: c.link.id, MqSet: []body.MessageQueue{{Topic: q.Topic, BrokerName: q.Broker, QueueID: q.ID}},
		})
	}
	if err != nil {
		c.log.Warn("client: lock not given back", "queue", q, "err", public(err))
	}
}

// renewLocks locks the queues that the consumer has again, every 20 s.
func (c *PushConsumer) renewLocks(ctx context.Context) error {
	for wait(ctx, lockPeriod) {
		all := c.assignments()
		queues := make([]Queue, 0, len(all))
		for _, a := range all {
			queues = append(queues, a.queue)
		}
		granted := c.lock(ctx, queues)
		for _, a := range all {
			if at, ok := granted[a.queue]; ok {
				c.locked(ctx, a, at)
			}
		}
	}
	return nil
}

// locked notes what a broker says of a lock. Where another member may have had the
// queue meanwhile, consumption goes on where that one came to.
func (c *PushConsumer) locked(ctx context.Context, a *assigned, at time.Time) {
	a.mu.Lock()
	lost := time.Since(a.locked) >= lockHeld
	a.mu.Unlock()
	if lost && !at.IsZero() {
		next, ok, err := c.kept.stored(ctx, a.queue)
		if err != nil {
			c.log.Warn("client: queue waits though it is locked again", "queue", a.queue, "err", err)
			return
		}
		if ok {
			a.restart(next)
		}
	}
	a.mu.Lock()
	a.locked = at
	a.mu.Unlock()
}

// holds says whether the queue's lock is known to last.
func (c *PushConsumer) holds(a *assigned) bool {
	if !c.locks() {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return time.Since(a.locked) < lockLife
}

// consumeInOrder gives the messages of a queue to its handler, until ctx ends.
func (c *PushConsumer) consumeInOrder(ctx context.Context, a *assigned) {
	work, cancel := context.WithCancelCause(c.ctx)
	defer cancel(nil)
	for ctx.Err() == nil {
		period := fullPeriod
		if !c.paused.Load() && c.holds(a) {
			if b := a.current().front(); b != nil {
				c.consumeFront(ctx, work, a, b)
				continue
			}
			period = time.Second
		}
		t := time.NewTimer(period)
		select {
		case <-ctx.Done():
		case <-a.fresh:
		case <-t.C:
		}
		t.Stop()
	}
}

// consumeFront consumes the next messages of a batch; messages that fail again and
// again, until they are consumed or given up.
func (c *PushConsumer) consumeFront(ctx, work context.Context, a *assigned, b *batch) {
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return
	}
	at, msgs := b.claim(a.sub.most)
	if msgs == nil {
		return
	}
	for {
		begun := time.Now()
		err := c.handleWithin(work, a.sub, msgs)
		a.sub.figures.consumes(len(msgs), time.Since(begun))
		if err == nil || c.settle(a, msgs, err) {
			for i := range msgs {
				b.finish(at + i)
			}
			return
		}
		<-c.slots // others go on meanwhile
		next := c.holdOn(ctx, a, b)
		c.slots <- struct{}{}
		if !next { // who has the queue next begins with them
			b.window.shut()
			b.window.abandon(b, len(msgs))
			return
		}
	}
}

// handleWithin calls the handler with the time that it may have.
func (c *PushConsumer) handleWithin(ctx context.Context, s *subscription, msgs []*message.Received) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.cfg.handlerTimeout, errHandlerTimeout)
	defer cancel()
	return c.handle(ctx, s, msgs)
}

// holdOn waits until messages that failed may be tried again; false when the queue
// is not the consumer's any more, or goes on elsewhere.
func (c *PushConsumer) holdOn(ctx context.Context, a *assigned, b *batch) bool {
	for wait(ctx, orderPause) {
		if a.current() != b.window {
			return false
		}
		if c.holds(a) && !c.paused.Load() {
			return true
		}
	}
	return false
}

// settle does what a handler's error says; false: the messages are to be tried again.
func (c *PushConsumer) settle(a *assigned, msgs []*message.Received, err error) (done bool) {
	a.sub.figures.fails(len(msgs))
	c.log.Info("client: a handler failed", "queue", a.queue, "message", msgs[0].ID(), "times", msgs[0].ReconsumeTimes, "err", err)
	dead := levelOf(err) == deadLetter
	for _, m := range msgs {
		dead = dead || exhausted(m, c.cfg.attempts)
		m.ReconsumeTimes++
	}
	switch {
	case !dead:
		return false
	case c.cfg.broadcast:
		return true
	}
	for _, m := range msgs {
		if err := c.giveBack(context.WithoutCancel(c.ctx), a.queue, m, deadLetter); err != nil {
			c.log.Warn("client: message not made a dead letter, trying again", "message", m.ID(), "err", err)
			return false
		}
	}
	return true
}

// front is the first batch with a message that nobody has claimed; nil: none.
func (w *window) front() *batch {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trim()
	for _, b := range w.batches {
		if b.unclaimed() > 0 {
			return b
		}
	}
	return nil
}
