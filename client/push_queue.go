// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// Pulls of a push consumer.
const (
	pullBatch   = 256 // messages; brokers give 32 unless they are set up for more
	pullSuspend = 15 * time.Second
	fullPeriod  = 20 * time.Millisecond // a full window is looked at again
)

// assigned is a queue that the consumer has.
type assigned struct {
	queue Queue
	sub   *subscription
	end   context.CancelFunc
	gone  chan struct{} // closed when the queue is given up

	leaving  atomic.Bool
	unlocked atomic.Bool // its lock was given back
	storing  sync.Mutex  // one commit at a time: none overtakes that of a restart

	mu        sync.Mutex
	window    *window
	abort     context.CancelFunc // of the pull under way
	committed int64              // as the broker was told last
	locked    time.Time          // when the lock was granted last
	fresh     chan struct{}      // capacity 1: messages came (orderly)
	pulled    time.Time          // when the last pull was answered
	consumed  time.Time          // when it was last seen that messages were consumed
}

// stop has the queue given up.
func (a *assigned) stop() {
	a.leaving.Store(true)
	a.end()
}

func (a *assigned) current() *window {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.window
}

// restart has the queue go on at an offset: what is held and not claimed is dropped.
func (a *assigned) restart(next int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.window.shut()
	a.window = newWindow(next, a.window.low)
	a.committed = -1
	if a.abort != nil {
		a.abort()
	}
}

// pulling notes how a pull for a window is ended; false when the queue goes on elsewhere.
func (a *assigned) pulling(w *window, abort context.CancelFunc) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.window != w {
		return false
	}
	a.abort = abort
	return true
}

// keep takes a queue, from an offset on; false when the consumer is closed.
func (c *PushConsumer) keep(q Queue, s *subscription, next, committed int64, locked time.Time) bool {
	ctx, cancel := context.WithCancel(context.Background())
	a := &assigned{
		queue: q, sub: s, end: cancel, gone: make(chan struct{}), window: newWindow(next, int64(c.cfg.prefetch.messages)*3/4),
		committed: committed, locked: locked, fresh: make(chan struct{}, 1), pulled: time.Now(), consumed: time.Now(),
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == consumerClosed {
		cancel()
		return false
	}
	c.queues[q] = a
	c.running.Go(func() {
		defer close(a.gone)
		defer cancel()
		var inOrder sync.WaitGroup
		if c.cfg.orderly {
			c.inOrder(ctx, a, &inOrder)
		}
		c.pulls(ctx, a)
		inOrder.Wait()
		c.giveUp(a)
	})
	return true
}

// giveUp stores how far a queue was consumed, now and when the handlers that run
// have ended, unless they take long: then their messages are delivered again, to
// who has the queue next.
func (c *PushConsumer) giveUp(a *assigned) {
	w := a.current()
	w.shut()
	c.commitNow(a)
	for begun := time.Now(); w.running() > 0 && (c.open.Err() != nil || time.Since(begun) < handOver); {
		c.back.abandon(w)
		select {
		case <-c.behind: // Close has stored it
			return
		case <-time.After(pollPeriod):
		}
	}
	c.commitNow(a)
	if c.locks() {
		a.unlocked.Store(true)
		c.unlock(a.queue)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.queues[a.queue] == a {
		delete(c.queues, a.queue)
	}
}

// pollPeriod is how often what has no signal is looked at.
const pollPeriod = 5 * time.Millisecond

// pulls reads the queue until ctx ends.
func (c *PushConsumer) pulls(ctx context.Context, a *assigned) {
	var from int64 // broker id that the last pull suggested
	for failures := 0; ctx.Err() == nil; {
		w := a.current()
		if c.paused.Load() || !c.holds(a) || w.full(c.cfg.limits()) {
			c.waitForRoom(ctx, w)
			continue
		}
		begun := time.Now()
		got, suggested, err := c.pull(ctx, a, w, from)
		switch {
		case ctx.Err() != nil:
			return
		case a.current() != w: // the queue goes on elsewhere
			continue
		case err != nil:
			from = 0
			failures++
			c.log.Warn("client: pull failed", "queue", a.queue, "err", err)
			wait(ctx, min(time.Duration(failures)*retryPeriod, 5*retryPeriod))
			continue
		}
		failures, from = 0, suggested
		if n := len(got.messages); n > 0 {
			a.sub.figures.pulls(n, time.Since(begun))
		}
		if got.moved {
			c.log.Warn("client: the queue goes on elsewhere", "queue", a.queue, "from", w.position(), "to", got.next)
			a.restart(got.next)
			c.commitNow(a)
			continue
		}
		stuck := got.next == w.position()
		b := w.add(got.messages, got.records, got.next)
		if b == nil {
			if stuck && time.Since(begun) < fullPeriod {
				wait(ctx, fullPeriod) // the broker does not hold pulls
			}
			continue
		}
		if c.cfg.orderly {
			select {
			case a.fresh <- struct{}{}:
			default:
			}
			continue
		}
		c.work.put(job{b, a})
	}
}

// waitForRoom waits until a full window may have room, or what holds pulls back may
// be over.
func (c *PushConsumer) waitForRoom(ctx context.Context, w *window) {
	t := time.NewTimer(fullPeriod)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-w.room:
	case <-t.C:
	}
}

// pulled is what a pull brought.
type pulled struct {
	messages []*message.Received
	records  []byte // that they were read from
	next     int64
	moved    bool
}

// pull asks a broker for what comes at the end of the window, and stores the
// group's offset with it.
func (c *PushConsumer) pull(ctx context.Context, a *assigned, w *window, from int64) (got pulled, suggested int64, err error) {
	r, err := c.link.route(ctx, a.queue.Topic, false)
	if err != nil {
		return got, 0, err
	}
	addr, id, ok := r.ReadAddr(a.queue.Broker, from)
	if !ok {
		return got, 0, ErrNotReadable
	}
	ctx, cancel := c.link.held(ctx, pullSuspend)
	defer cancel()
	if !a.pulling(w, cancel) {
		return got, 0, context.Canceled // pulls look at the window first
	}
	conn, err := c.link.greetedConn(ctx, addr)
	if err != nil {
		return got, 0, err
	}
	h := header.PullRequest{
		ConsumerGroup: []byte(c.group), Topic: []byte(a.queue.Topic), QueueID: a.queue.ID, QueueOffset: w.position(), MaxMsgNums: pullBatch,
		SysFlag: header.PullSuspend, SuspendTimeoutMillis: pullSuspend.Milliseconds(), SubVersion: a.sub.version,
		ExpressionType: []byte(a.sub.filter.expressionType()),
	}
	if next := w.consumed(); !c.cfg.broadcast && id == 0 && next > 0 {
		h.CommitOffset = next
		h.SysFlag |= header.PullCommitOffset
	}
	answer, err := rpc.Pull(ctx, connCaller{conn}, addr, &h)
	if err != nil {
		switch code, _ := rpc.CodeOf(err); code {
		case wire.SubscriptionNotExist, wire.SubscriptionNotLatest, wire.FilterDataNotExist, wire.FilterDataNotLatest:
			c.link.forgetGreetings() // the broker does not know, or no longer
		}
		return got, 0, public(err)
	}
	a.mu.Lock()
	a.pulled = time.Now()
	if a.window == w && h.CommitOffset > 0 && h.CommitOffset != a.committed {
		a.committed, a.consumed = h.CommitOffset, a.pulled
	}
	a.mu.Unlock()
	got.next, got.moved = answer.Header.NextBeginOffset, answer.Code == wire.PullOffsetMoved
	if low := answer.Header.MinOffset; got.moved && h.QueueOffset < low && low <= got.next {
		got.moved = false // what was pulled before is not to be dropped with what is gone
		c.log.Warn("client: messages were deleted before they were pulled", "queue", a.queue, "from", h.QueueOffset, "to", got.next)
	}
	if answer.Code == wire.Success {
		got.records = answer.Records
		var all []*message.Received
		all, err = readPulled(c.log, a.queue, answer.Records, message.TakeReceived, &got.next)
		got.messages = c.decode(a, all)
	}
	return got, answer.Header.SuggestWhichBrokerID, err
}

// decode gives the messages of a pull that the subscription wants, as handlers are to see them.
func (c *PushConsumer) decode(a *assigned, all []*message.Received) []*message.Received {
	wanted := all[:0]
	for _, m := range all {
		if !a.sub.filter.wants(m) {
			continue
		}
		c.prepare(a, m)
		wanted = append(wanted, m)
	}
	return wanted
}

// prepare makes of a message as its broker gave it what handlers are to see.
func (c *PushConsumer) prepare(a *assigned, m *message.Received) {
	m.BrokerName = a.queue.Broker
	if a.sub.retry || strings.HasPrefix(m.Topic, message.RetryPrefix) {
		if topic := m.Property(message.PropertyRetryTopic); topic != "" {
			m.Topic = topic
		}
	}
	if err := Decompress(m, MaxBody); err != nil {
		c.log.Warn("client: message with the body as it is", "message", m.ID(), "err", err)
	}
}

// commits stores offsets every five seconds.
func (c *PushConsumer) commits(ctx context.Context) error {
	for wait(ctx, commitPeriod) {
		c.commitAll(ctx)
	}
	return nil
}

func (c *PushConsumer) commitAll(ctx context.Context) {
	for _, a := range c.assignments() {
		if err := c.commit(ctx, a, false); err != nil && ctx.Err() == nil {
			c.log.Warn("client: offset not stored", "err", err)
		}
	}
	if err := c.kept.flush(); err != nil {
		c.log.Error("client: offsets not written", "err", err)
	}
}

// commitNow stores the offset of a queue and waits for that.
func (c *PushConsumer) commitNow(a *assigned) {
	if err := c.commit(context.Background(), a, true); err != nil {
		c.log.Warn("client: offset not stored", "err", err)
	}
}

// commit stores the offset of a queue if it has changed, and the queue may not be
// another member's by now.
func (c *PushConsumer) commit(ctx context.Context, a *assigned, sure bool) error {
	a.storing.Lock()
	defer a.storing.Unlock()
	a.mu.Lock()
	w, told := a.window, a.committed
	a.mu.Unlock()
	next := w.consumed()
	if next == told || !c.holds(a) {
		return nil
	}
	if err := c.kept.commit(ctx, a.queue, next, sure); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.window == w {
		a.committed, a.consumed = next, time.Now()
	}
	return nil
}

// assignments are the queues that the consumer has now.
func (c *PushConsumer) assignments() []*assigned {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]*assigned, 0, len(c.queues))
	for _, a := range c.queues {
		all = append(all, a)
	}
	return all
}
