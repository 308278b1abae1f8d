// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// standardAttempts is RocketMQ's: the first one and 16 more.
const standardAttempts = 17

// failed gives messages back whose handler failed. What the broker does not take
// is given back later; until then the group's offset does not go beyond it.
func (c *PushConsumer) failed(j job, at, n int, err error) {
	if c.ctx.Err() != nil { // Close has ended it: who has the queue next begins with them
		j.window.abandon(j.batch, n)
		return
	}
	level := levelOf(err)
	j.queue.sub.figures.fails(n)
	for i := at; i < at+n; i++ {
		c.log.Info("client: a handler failed", "queue", j.queue.queue, "offset", j.entries[i].offset, "again", !c.cfg.broadcast, "level", level, "err", err)
		switch r := (returned{job: j, at: i, level: level}); {
		case c.cfg.broadcast:
			j.finish(i)
		case c.back.isSilent(j.queue.queue.Broker):
			c.back.add(r)
		default:
			c.tryBack(c.ctx, r)
		}
	}
}

// tryBack gives a message back, or sees to it that it is tried again; false when the
// broker did not answer.
func (c *PushConsumer) tryBack(ctx context.Context, r returned) (answered bool) {
	q := r.queue.queue
	m, err := c.original(r.job, r.at, false)
	if err == nil {
		err = c.giveBack(ctx, q, m, r.level)
	}
	_, refused := errors.AsType[*AnswerError](err)
	answered = err == nil || refused
	c.back.heard(q.Broker, answered)
	if refused {
		r.refusals++
	}
	switch {
	case err == nil:
		r.finish(r.at)
	case r.gone() || c.ctx.Err() != nil:
		r.window.abandon(r.batch, 1)
	case r.refusals >= maxRefusals && c.handleAgain(r, err):
	default:
		c.log.Warn("client: message not given back, trying again", "queue", q, "offset", r.entries[r.at].offset, "err", err)
		c.back.add(r)
	}
	return answered
}

// maxRefusals is how often a broker refuses a message before the consumer has it
// handled again by itself: 5 s, as RocketMQ's.
const maxRefusals = 5

// handleAgain has a worker handle a message again that its broker does not take back.
func (c *PushConsumer) handleAgain(r returned, cause error) bool {
	r.entries[r.at].again++
	m, err := c.original(r.job, r.at, true)
	if err != nil {
		r.entries[r.at].again--
		c.log.Error("client: message neither given back nor handled again, since its handler has written into its body",
			"queue", r.queue.queue, "offset", r.entries[r.at].offset, "err", err)
		return false
	}
	c.log.Warn("client: the broker does not take a message back, it is handled again here", "message", m.ID(), "times", m.ReconsumeTimes, "err", cause)
	c.back.addDue(returned{job: r.job, at: r.at, message: m})
	c.work.wake()
	return true
}

// original is a message as handlers are to see it, whatever one has made of it.
func (c *PushConsumer) original(j job, at int, checked bool) (*message.Received, error) {
	m, err := j.batch.original(at, checked)
	if err != nil {
		return nil, err
	}
	c.prepare(j.queue, m)
	return m, nil
}

// giveBack has the broker of a message deliver it again after a delay, or make it a
// dead letter.
func (c *PushConsumer) giveBack(ctx context.Context, q Queue, m *message.Received, level int) error {
	addr, err := c.link.master(ctx, q)
	if err != nil {
		return err
	}
	attempts := c.cfg.attempts
	if attempts == 0 {
		attempts = standardAttempts
	}
	h := &header.SendBackRequest{
		Offset: m.PhysicalOffset, Group: c.group, DelayLevel: int32(level), OriginMsgID: m.ID(), OriginTopic: m.Topic,
		MaxReconsumeTimes: int32(attempts - 1), HasMaxReconsumeTimes: true,
	}
	ctx, cancel := c.link.request(ctx)
	defer cancel()
	if err := rpc.SendBack(ctx, c.link.net, addr, h); err != nil {
		return fmt.Errorf("client: giving %s back: %w", m.ID(), public(err))
	}
	c.retryTopic()
	return nil
}

// retryTopic has the consumer look for its retry topic when it does not know it, once
// a second at most: a broker makes it with the first message that is given back.
func (c *PushConsumer) retryTopic() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link.have(message.RetryTopic(c.group), false) != nil {
		return
	}
	if now := time.Now(); now.Sub(c.sought) >= retryPeriod {
		c.sought = now
		c.wake()
	}
}

// returned is a message whose handler failed.
type returned struct {
	job
	at       int
	level    int
	refusals int               // of its broker
	message  *message.Received // to be handled again
}

// gone says whether the queue is given up, or goes on elsewhere.
func (r *returned) gone() bool {
	return r.queue.leaving.Load() || r.queue.current() != r.window
}

// returns are the messages that brokers did not take back. Methods may be called from
// several goroutines.
type returns struct {
	mu     sync.Mutex
	all    []returned      // to be given back
	due    []returned      // to be handled again
	silent map[string]bool // brokers that did not answer the last time
}

func (r *returns) add(m returned) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, m)
}

func (r *returns) addDue(m returned) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.due = append(r.due, m)
}

// nextDue takes a message that is to be handled again.
func (r *returns) nextDue() (m returned, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.due) == 0 {
		return m, false
	}
	m, r.due[0] = r.due[0], m
	r.due = r.due[1:]
	return m, true
}

// take takes what is to be given back, by broker.
func (r *returns) take() map[string][]returned {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := map[string][]returned{}
	for _, m := range r.all {
		all[m.queue.queue.Broker] = append(all[m.queue.queue.Broker], m)
	}
	r.all = nil
	return all
}

// abandon leaves the messages of a window that is shut to who has the queue next.
func (r *returns) abandon(w *window) {
	r.mu.Lock()
	defer r.mu.Unlock()
	mine := func(m returned) bool {
		if m.window == w {
			w.abandon(m.batch, 1)
		}
		return m.window == w
	}
	r.all = slices.DeleteFunc(r.all, mine)
	r.due = slices.DeleteFunc(r.due, mine)
}

// heard notes whether a broker answered.
func (r *returns) heard(broker string, answered bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if answered {
		delete(r.silent, broker)
		return
	}
	if r.silent == nil {
		r.silent = map[string]bool{}
	}
	r.silent[broker] = true
}

func (r *returns) isSilent(broker string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.silent[broker]
}

// giveBackLater tries every second, all brokers side by side, and one that does not
// answer once. Close ends a try when it ends the handlers.
func (c *PushConsumer) giveBackLater(ctx context.Context) error {
	try, cancel := context.WithCancel(c.ctx)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	for wait(ctx, retryPeriod) {
		var brokers sync.WaitGroup
		for _, all := range c.back.take() {
			brokers.Go(func() { c.giveBackAll(try, all) })
		}
		brokers.Wait()
	}
	return nil
}

// giveBackAll gives messages of one broker back.
func (c *PushConsumer) giveBackAll(ctx context.Context, all []returned) {
	answers := true
	for _, r := range all {
		switch {
		case r.gone():
			r.window.abandon(r.batch, 1)
		case answers:
			answers = c.tryBack(ctx, r)
		default:
			c.back.add(r)
		}
	}
}
