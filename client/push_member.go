// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twostage/twostage/internal/lifecycle"
	"github.com/twostage/twostage/internal/rpc"
)

// Start makes the consumer a member of its group and takes its share of the queues.
// When it returns, where the group begins is settled for the topics that exist. A
// topic that does not is looked for again, and so are brokers that do not answer, if
// one does: when half a second has passed since they were asked, they are waited for no
// longer. ctx bounds the call. Errors match ErrNameServer, ErrClosed, an *AnswerError, or
// those of ctx; Start may then be called again.
func (c *PushConsumer) Start(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.open, cancel)()
	c.turn.Lock()
	defer c.turn.Unlock()
	if err := c.join(ctx); err != nil {
		if c.open.Err() != nil {
			return ErrClosed
		}
		return err
	}
	settled := c.rebalanceNow(ctx, routeAge)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.open.Err() != nil:
		return ErrClosed
	case !settled && ctx.Err() != nil:
		return fmt.Errorf("client: taking the first queues: %w", ended(ctx))
	}
	c.settled = true
	c.steering.Go("rebalance", func(ctx context.Context) error {
		steer(ctx, c.kick, settled, func(kicked bool) bool {
			if kicked {
				return c.rebalance(ctx, routeAge)
			}
			return c.rebalance(ctx, 0)
		})
		return nil
	})
	return nil
}

// join tells the brokers of the topics that there are of the consumer, and starts
// what it needs to consume.
func (c *PushConsumer) join(ctx context.Context) error {
	for _, s := range c.subscriptions() {
		_, err := c.link.route(ctx, s.topic, false)
		switch {
		case errors.Is(err, ErrNoRoute) && !s.retry:
			c.log.Warn("client: the topic does not exist yet", "topic", s.topic)
		case err != nil && !errors.Is(err, ErrNoRoute):
			return err
		}
	}
	if err := c.greetAll(ctx); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.state == consumerClosed:
		return ErrClosed
	case c.settled:
		return errors.New("client: the consumer is started already")
	case c.state == consumerStarted: // by a Start whose ctx ended
		return nil
	}
	c.state, c.began = consumerStarted, time.Now()
	c.link.begin()
	c.steering = lifecycle.NewGroup(context.Background(), c.log)
	c.services = lifecycle.NewGroup(context.Background(), c.log)
	c.services.Go("offsets", c.commits)
	c.services.Go("returns", c.giveBackLater)
	if c.cfg.orderly {
		if !c.cfg.broadcast {
			c.services.Go("locks", c.renewLocks)
		}
		return nil
	}
	c.work.start(&c.running) // before the watch, which goes over the workers
	c.services.Go("watch", c.work.watch)
	return nil
}

// greetAll tells the masters of known topics of the consumer. Some may be away, but
// not all; what comes back is told by the heartbeats. None may refuse.
func (c *PushConsumer) greetAll(ctx context.Context) error {
	c.link.forgetGreetings() // of a Start that failed, with other subscriptions
	masters := c.link.masters()
	failed, err := c.link.meet(ctx, masters, greetWait)
	if err != nil {
		return err
	}
	for _, err := range failed {
		if _, refused := rpc.CodeOf(err); refused {
			return err
		}
	}
	if ctx.Err() != nil {
		return errors.Join(failed...)
	}
	if away := slices.DeleteFunc(masters, c.link.knownAt); len(away) > 0 {
		c.log.Warn("client: starting without some brokers", "brokers", away, "err", errors.Join(failed...))
	}
	return nil
}

// Close gives the queues up: no handler is called any more, those that run, also out
// of turn since a tool has a broker ask for that, are waited for, after
// WithCloseTimeout with their ctx ended. Then offsets are stored, or the log says why
// not, locks given back, and the brokers told that the consumer goes. Handlers that run
// on for 10 s behind the end of their ctx are left behind: an error names their queues,
// whose locks run out by themselves, and their messages are delivered again. Called
// again Close waits for the first call. A handler must not call it.
func (c *PushConsumer) Close() error {
	c.leave()
	c.mu.Lock()
	first, started := c.state != consumerClosed, c.state == consumerStarted
	c.state = consumerClosed
	c.mu.Unlock()
	if !first {
		<-c.ended
		return c.err
	}
	defer close(c.ended)
	var left error
	if started {
		left = c.leaveGroup()
	}
	c.cancel(ErrClosed)
	c.err = errors.Join(left, c.kept.flush(), c.link.close())
	return c.err
}

// leaveGroup ends rebalancing, queues and workers. The error says which handlers do
// not end.
func (c *PushConsumer) leaveGroup() error {
	_ = c.steering.Stop() // nothing of it fails
	limit := time.AfterFunc(c.cfg.closeTimeout, func() { c.cancel(ErrClosed) })
	defer limit.Stop()
	c.turn.Lock()
	c.mu.Lock()
	for _, a := range c.queues {
		a.stop()
	}
	c.mu.Unlock()
	c.turn.Unlock()
	c.work.close()
	err := c.waitForHandlers()
	_ = c.services.Stop()
	return err
}

// waitForHandlers waits until queues and workers have ended, but no longer than
// closeGrace behind the end of their ctx.
func (c *PushConsumer) waitForHandlers() error {
	ended := make(chan struct{})
	go func() { // left behind with the handlers
		c.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-c.ctx.Done():
	}
	grace := time.NewTimer(closeGrace)
	defer grace.Stop()
	select {
	case <-ended:
		return nil
	case <-grace.C:
	}
	close(c.behind)
	const left = "client: handlers of %d messages %s have not ended %v after their ctx, and are left behind"
	var errs []error
	for _, a := range c.assignments() {
		w := a.current()
		w.shut()
		c.commitNow(a)
		if n := w.running(); n > 0 {
			errs = append(errs, fmt.Errorf(left, n, "of "+a.queue.String(), closeGrace))
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.direct > 0 {
		errs = append(errs, fmt.Errorf(left, c.direct, "consumed directly", closeGrace))
	}
	return errors.Join(errs...)
}
