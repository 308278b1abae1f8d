// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/message"
)

// A topic that did not exist at Subscribe is read from its first message on.
func TestPullTopicThatComesLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.keeping("a", 10001)
		c, err := NewPullConsumer("g", w.with()...)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Subscribe("T", All); err != nil {
			t.Fatal(err)
		}
		if _, err = c.Poll(t.Context(), 1); !errors.Is(err, ErrNoRoute) {
			t.Errorf("%v", err)
		}
		a.fill(0, "m", 0, 1)
		w.topic("T", 1, a.broker)
		time.Sleep(time.Minute)
		if got := polled(t, c, 1); got != "m-0" {
			t.Errorf("polled %q", got)
		}
		closed(t, c)
		a.stop()
	})
}

// A topic that does not come is looked for ever more seldom.
func TestPullTopicThatNeverComes(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world, a *keeper) {
		c := newTestPull(t, w)
		if err := c.Subscribe("U", All); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Poll(t.Context(), 1); !errors.Is(err, ErrNoRoute) {
			t.Errorf("%v", err)
		}
		time.Sleep(10 * time.Minute)
		if n := w.asked(); n < 10 || n > 40 {
			t.Errorf("looked for %d times in 10 minutes", n)
		}
		closed(t, c)
		a.stop()
	})
}

// Subscribing while the queues are being shared out is no data race.
func TestPullSubscribeAgainAndAgain(t *testing.T) {
	w := newWorld(t)
	a := w.keeping("a", 10001)
	w.topic("T", 2, a.broker)
	c := newTestPull(t, w)
	if err := c.Subscribe("T", All); err != nil {
		t.Fatal(err)
	}
	a.fill(0, "m", 0, 1)
	polled(t, c, 1)
	for range 100 {
		c.Unsubscribe("T")
		if err := errors.Join(c.Subscribe("T", All), c.Subscribe("T", Tags("a"))); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		_, _ = c.Poll(ctx, 1) // gives way
		cancel()
	}
}

// Another filter holds from where the consumer is, and what is paused stays so.
func TestPullAnotherFilter(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world, a *keeper) {
		a.fill(0, "m", 0, 5)
		c := newTestPull(t, w, WithAutoCommit(0))
		if err := c.Subscribe("T", All); err != nil {
			t.Fatal(err)
		}
		polled(t, c, 3)
		q := Queue{"T", "a", 0}
		if err := errors.Join(c.Pause(q), c.Subscribe("T", SQL("a is null"))); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		pollNothing(t, c)
		if err := c.Resume(q); err != nil {
			t.Fatal(err)
		}
		if got := polled(t, c, 2); got != "m-3 m-4" {
			t.Errorf("polled %q", got)
		}
		pulls := a.got(wire.ReqPullMessage)
		if by, _ := pulls[len(pulls)-1].Ext.Get("subscription"); string(by) != "a is null" {
			t.Errorf("pulled by %q", by)
		}
		closed(t, c)
		a.stop()
	})
}

// While a master is away its slave serves, also the offset to begin with.
func TestPullFromSlaveAlone(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world, a *keeper) {
		a.fill(0, "m", 0, 5)
		a.offsets["T/0"] = 2
		w.mu.Lock()
		w.routes["T"].BrokerDatas[0].BrokerAddrs = map[int64]string{1: a.addr}
		w.mu.Unlock()
		c := newTestPull(t, w)
		q := Queue{"T", "a", 0}
		if err := c.Assign(q); err != nil {
			t.Fatal(err)
		}
		if got := polled(t, c, 3); got != "m-2 m-3 m-4" {
			t.Errorf("polled %q", got)
		}
		if err := errors.Join(c.Commit(t.Context()), c.SeekStart(t.Context(), q)); err != nil || a.offset("T/0") != 5 {
			t.Errorf("committed %d, %v", a.offset("T/0"), err)
		}
		closed(t, c)
		a.stop()
	})
}

// What a broker refused before it served is not told.
func TestPollForgetsRefusals(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world, a *keeper) {
		a.fill(0, "m", 0, 1)
		var bad atomic.Bool
		bad.Store(true)
		a.before(wire.ReqPullMessage, func(r *remoting.Request) bool { return bad.Load() && refuse(wire.ReqPullMessage, wire.NoPermission)(r) })
		c := newTestPull(t, w)
		if err := c.Assign(Queue{"T", "a", 0}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		bad.Store(false)
		time.Sleep(3 * time.Second)
		polled(t, c, 1)
		pollNothing(t, c)
		closed(t, c)
		a.stop()
	})
}

// The error of a call whose ctx has ended matches that of the ctx, and its cause.
func TestErrorsOfCancelledCalls(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world, a *keeper) {
		cause := errors.New("on purpose")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(cause)
		pull, pop, puller := newTestPull(t, w), newTestPopper(t, w, All), newTestPuller(t, w)
		if err := pull.Assign(Queue{"T", "a", 0}); err != nil {
			t.Fatal(err)
		}
		_, polled := pull.Poll(ctx, 1)
		_, received := pop.Receive(ctx, 1, time.Second)
		later, end := context.WithTimeoutCause(t.Context(), time.Second, cause)
		defer end()
		for call, err := range map[string]error{"Poll": polled, "Receive": received} {
			if !errors.Is(err, context.Canceled) || !errors.Is(err, cause) {
				t.Errorf("%s: %v", call, err)
			}
		}
		err := puller.Tail(later, "T", TailOptions{Follow: true}, func(*message.Received) error { return nil })
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, cause) {
			t.Errorf("Tail: %v", err)
		}
		closed(t, pull)
		if err := errors.Join(pop.Close(), puller.Close()); err != nil {
			t.Error(err)
		}
		a.stop()
	})
}
