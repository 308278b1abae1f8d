// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"fmt"
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
func (c *PushConsumer) failed(j job, at int, msgs []*message.Received, err error) {
	if c.ctx.Err() != nil { // Close has ended it: who has the queue next begins with them
		j.window.abandon(j.batch, len(msgs))
		return
	}
	level := levelOf(err)
	j.queue.sub.figures.fails(len(msgs))
	for i, m := range msgs {
		if c.cfg.broadcast {
			c.log.Warn("client: a handler failed, its message is not delivered again", "message", m.ID(), "err", err)
			j.finish(at + i)
			continue
		}
		c.log.Info("client: a handler failed, its message is delivered again", "message", m.ID(), "times", m.ReconsumeTimes, "level", level, "err", err)
		if err := c.giveBack(context.WithoutCancel(c.ctx), j.queue.queue, m, level); err != nil {
			c.log.Warn("client: message not given back, trying again", "message", m.ID(), "err", err)
			c.back.add(returned{j, at + i, level})
			continue
		}
		j.finish(at + i)
	}
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
	if c.subs[message.RetryTopic(c.group)].found.Load() {
		return
	}
	if now := time.Now(); now.Sub(c.sought) >= retryPeriod {
		c.sought = now
		c.wake()
	}
}

// returned is a message that is still to be given back.
type returned struct {
	job
	at    int
	level int
}

// returns are the messages that brokers did not take back.
type returns struct {
	mu  sync.Mutex
	all []returned
}

func (r *returns) add(m returned) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, m)
}

func (r *returns) take() []returned {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.all
	r.all = nil
	return all
}

// giveBackLater tries every second. What comes of a queue that was given up is left
// to who has the queue next, when this try fails as well.
func (c *PushConsumer) giveBackLater(ctx context.Context) error {
	for wait(ctx, retryPeriod) {
		for _, r := range c.back.take() {
			err := c.giveBack(ctx, r.queue.queue, r.msgs[r.at], r.level)
			switch {
			case err == nil:
				r.finish(r.at)
			case r.queue.leaving.Load() || r.queue.current() != r.window:
				r.window.abandon(r.batch, 1)
			default:
				c.log.Warn("client: message not given back, trying again", "message", r.msgs[r.at].ID(), "err", err)
				c.back.add(r)
			}
		}
	}
	return nil
}
