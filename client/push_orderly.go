// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"slices"
	"sync"
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
	var mu sync.Mutex // of granted
	var all sync.WaitGroup
	for addr, set := range byBroker {
		all.Go(func() {
			begun := time.Now()
			ok, err := c.lockAt(ctx, addr, set)
			if err != nil {
				c.log.Warn("client: queues not locked", "broker", addr, "err", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			for _, q := range set {
				at := time.Time{}
				if slices.Contains(ok, q) {
					at = begun
				}
				granted[Queue{Topic: q.Topic, Broker: q.BrokerName, ID: q.QueueID}] = at
			}
		})
	}
	all.Wait()
	return granted
}

func (c *PushConsumer) lockAt(ctx context.Context, addr string, set []body.MessageQueue) ([]body.MessageQueue, error) {
	ctx, cancel := c.link.request(ctx)
	defer cancel()
	ok, err := rpc.LockBatch(ctx, c.link.net, addr, &body.LockBatchRequestBody{ConsumerGroup: c.group, ClientID: c.link.id, MqSet: set})
	return ok, public(err)
}

// unlock gives the locks of queues of one broker back, so that another member has them
// at once.
func (c *PushConsumer) unlock(queues ...Queue) {
	if len(queues) == 0 {
		return
	}
	ctx, cancel := c.link.request(context.Background())
	defer cancel()
	set := make([]body.MessageQueue, 0, len(queues))
	for _, q := range queues {
		set = append(set, body.MessageQueue{Topic: q.Topic, BrokerName: q.Broker, QueueID: q.ID})
	}
	addr, err := c.link.master(ctx, queues[0])
	if err == nil {
		err = rpc.UnlockBatch(ctx, c.link.net, addr, &body.LockBatchRequestBody{ConsumerGroup: c.group, ClientID: c.link.id, MqSet: set})
	}
	if err != nil {
		c.log.Warn("client: locks not given back", "queues", queues, "err", public(err))
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
			switch at, ok := granted[a.queue]; {
			case !ok:
			case a.unlocked.Load() && !at.IsZero() && c.gone(a): // the renewal was behind that
				c.unlock(a.queue)
			default:
				c.locked(ctx, a, at)
			}
		}
	}
	return nil
}

// gone says whether a queue was given up and not taken again.
func (c *PushConsumer) gone(a *assigned) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.queues[a.queue]
	return now == nil || now == a
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

// inOrder is consumeInOrder on a goroutine of running, and on a new one a while after
// a handler has ended it.
func (c *PushConsumer) inOrder(ctx context.Context, a *assigned, running *sync.WaitGroup) {
	running.Go(func() {
		over := false
		defer func() {
			if !over && wait(ctx, orderPause) {
				c.inOrder(ctx, a, running)
			}
		}()
		c.consumeInOrder(ctx, a)
		over = true
	})
}

// consumeInOrder gives the messages of a queue to its handler, until ctx ends; those
// that fail again and again, until they are consumed or given up.
func (c *PushConsumer) consumeInOrder(ctx context.Context, a *assigned) {
	work, cancel := context.WithCancelCause(c.ctx)
	defer cancel(nil)
	for ctx.Err() == nil {
		period := fullPeriod
		if !c.paused.Load() && c.holds(a) {
			if b := a.current().front(); b != nil {
				if !c.consumeFront(ctx, work, a, b) {
					wait(ctx, orderPause)
				}
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

// slot waits for a place among the handlers that run, and takes it if the window may be
// consumed then: it may be paused, the lock lost, or the queue go on elsewhere by now.
func (c *PushConsumer) slot(ctx context.Context, a *assigned, w *window) bool {
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	if ctx.Err() == nil && !c.paused.Load() && c.holds(a) && a.current() == w {
		return true
	}
	<-c.slots
	return false
}

// consumeFront consumes the next messages of a batch; false when they failed, and are
// to be claimed again.
func (c *PushConsumer) consumeFront(ctx, work context.Context, a *assigned, b *batch) (done bool) {
	if !c.slot(ctx, a, b.window) {
		return true
	}
	defer func() { <-c.slots }()
	at, msgs := b.claim(a.sub.most)
	if msgs == nil {
		return true
	}
	j, n, begun := job{b, a}, len(msgs), time.Now()
	err := errExited
	defer func() {
		a.sub.figures.consumes(n, time.Since(begun))
		done = c.settle(j, at, n, err)
	}()
	if msgs, err = c.handOut(j, at, msgs); err == nil {
		err = errExited
		err = c.handleWithin(work, a.sub, msgs)
	}
	return done
}

// handOut gives what a handler gets for messages that were claimed: nothing of them is
// what another attempt has had, or will.
func (c *PushConsumer) handOut(j job, at int, msgs []*message.Received) ([]*message.Received, error) {
	if j.entries[at].again > 0 { // later ones were tried as often, or less
		msgs = make([]*message.Received, len(msgs))
		for i := range msgs {
			var err error
			if msgs[i], err = c.original(j, at+i, false); err != nil {
				return nil, err
			}
		}
		return msgs, nil
	}
	for _, m := range msgs {
		m.Body = slices.Clone(m.Body) // a part of the records
	}
	return msgs, nil
}

// handleWithin calls the handler with the time that it may have.
func (c *PushConsumer) handleWithin(ctx context.Context, s *subscription, msgs []*message.Received) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.cfg.handlerTimeout, errHandlerTimeout)
	defer cancel()
	return c.handle(ctx, s, msgs)
}

// settle does what a handler's error says; false: messages are to be tried again, those
// that Close has interrupted by who has the queue next.
func (c *PushConsumer) settle(j job, at, n int, err error) (done bool) {
	end := at + n
	switch {
	case err == nil:
		for ; at < end; at++ {
			j.finish(at)
		}
	case c.ctx.Err() == nil:
		j.queue.sub.figures.fails(n)
		for at < end && c.bury(j, at, err) {
			at++
		}
		for i := at; i < end; i++ {
			j.entries[i].again++
		}
	}
	j.unclaim(at, end)
	return at == end
}

// bury ends a message that failed if it is given up, or has had its attempts, with a
// dead letter; false: it is to be tried again.
func (c *PushConsumer) bury(j job, at int, cause error) bool {
	m, err := c.original(j, at, false)
	if err != nil {
		c.log.Error("client: a message that failed cannot be read again", "queue", j.queue.queue, "offset", j.entries[at].offset, "err", err)
		return false
	}
	c.log.Info("client: a handler failed", "queue", j.queue.queue, "message", m.ID(), "times", m.ReconsumeTimes, "err", cause)
	if levelOf(cause) != deadLetter && !exhausted(m, c.cfg.attempts) {
		return false
	}
	if !c.cfg.broadcast {
		if err := c.giveBack(c.ctx, j.queue.queue, m, deadLetter); err != nil {
			c.log.Warn("client: message not made a dead letter, trying again", "message", m.ID(), "err", err)
			return false
		}
	}
	return j.finish(at)
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
