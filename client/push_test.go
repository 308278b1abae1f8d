// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/message"
)

// A message that a broker does not take back holds the offset up, is given back
// again until it is taken, and no worker waits for that.
func TestGivenBackUntilTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		b, g := w.groupBroker("a", 10001)
		w.topic("T", 1, b)
		b.number("T", 0, 5)
		refused := 0
		g.before = func(r *remoting.Request) bool {
			if r.Code != wire.ReqConsumerSendMsgBack || refused == 4 {
				return false
			}
			refused++
			r.Reply(&wire.Response{Code: wire.SystemBusy, Remark: "on purpose"})
			return true
		}
		c := newPush(t, w, WithConcurrency(1))
		var others took
		startPush(t, c, "T", func(ctx context.Context, m *message.Received) error {
			if string(m.Body) == "1" {
				return RetryLater(errors.New("no"), 7)
			}
			return others.handler(ctx, m)
		})
		eventually(t, "the others", func() bool { return len(others.list()) == 4 })
		if got := g.offset("g", "T", 0); got > 1 {
			t.Errorf("offset %d while message 1 is neither consumed nor given back", got)
		}
		eventually(t, "the offset", func() bool { return g.offset("g", "T", 0) == 5 })
		back := g.given()
		if len(back) != 1 || refused != 4 {
			t.Fatalf("given back %d times, refused %d times", len(back), refused)
		}
		if h := back[0]; h.Group != "g" || h.OriginTopic != "T" || h.DelayLevel != 7 || h.Offset != 1001 || h.MaxReconsumeTimes != 16 || !h.HasMaxReconsumeTimes {
			t.Errorf("given back with %+v", h)
		}
		closePush(t, c)
	})
}

// A handler that does not end has its ctx ended, and its message is delivered again.
func TestHandlerTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		b, g := w.groupBroker("a", 10001)
		w.topic("T", 1, b)
		b.number("T", 0, 2)
		c := newPush(t, w, WithConcurrency(1), WithHandlerTimeout(10*time.Second))
		var cause error
		var second took
		begun := time.Now()
		startPush(t, c, "T", func(ctx context.Context, m *message.Received) error {
			if string(m.Body) == "0" {
				<-ctx.Done()
				cause = context.Cause(ctx)
				time.Sleep(20 * time.Second) // it does not look
				return errors.New("counts no more")
			}
			if ctx.Err() != nil {
				t.Errorf("the next handler begins with %v", context.Cause(ctx))
			}
			return second.handler(ctx, m)
		})
		eventually(t, "it is given back", func() bool { return len(g.given()) == 1 })
		if took := time.Since(begun); took < 10*time.Second || took > 12*time.Second {
			t.Errorf("given back after %v", took)
		}
		eventually(t, "the next message", func() bool { return len(second.list()) == 1 })
		if !errors.Is(cause, errHandlerTimeout) || len(g.given()) != 1 {
			t.Errorf("cause %v, given back %d times", cause, len(g.given()))
		}
		closePush(t, c)
		if got := g.offset("g", "T", 0); got != 2 {
			t.Errorf("offset %d, want 2", got)
		}
	})
}

// Close ends the ctx of handlers that do not end by themselves; what they were
// working on is left to who comes next, and counts as no attempt.
func TestCloseEndsHandlers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		b, g := w.groupBroker("a", 10001)
		w.topic("T", 1, b)
		b.number("T", 0, 3)
		c := newPush(t, w, WithConcurrency(1), WithCloseTimeout(5*time.Second))
		running := make(chan bool, 1)
		startPush(t, c, "T", func(ctx context.Context, m *message.Received) error {
			if string(m.Body) == "0" {
				return nil
			}
			running <- true
			<-ctx.Done()
			return ctx.Err()
		})
		<-running
		begun := time.Now()
		closePush(t, c)
		if took := time.Since(begun); took < 5*time.Second || took > 6*time.Second {
			t.Errorf("Close took %v", took)
		}
		if got := g.offset("g", "T", 0); got != 1 || len(g.given()) != 0 {
			t.Errorf("offset %d, %d given back", got, len(g.given()))
		}
		closePush(t, c)
		if err := c.Subscribe("U", All, (&took{}).handler); !errors.Is(err, ErrClosed) {
			t.Errorf("Subscribe after Close: %v", err)
		}
		if err := c.Start(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("Start after Close: %v", err)
		}
	})
}

// No more is pulled than fits, and the rest when there is room.
func TestPrefetchIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		b, g := w.groupBroker("a", 10001)
		w.topic("T", 1, b)
		b.number("T", 0, 2*pullBatch)
		c := newPush(t, w, WithConcurrency(1), WithPrefetch(10, 1<<20))
		release := make(chan struct{})
		var all took
		startPush(t, c, "T", func(ctx context.Context, m *message.Received) error {
			<-release
			return all.handler(ctx, m)
		})
		time.Sleep(30 * time.Second)
		if got := c.assignments()[0].current().position(); got != pullBatch {
			t.Errorf("pulled up to %d with room for 10", got)
		}
		close(release)
		eventually(t, "all", func() bool { return len(all.list()) == 2*pullBatch })
		if !slices.IsSortedFunc(all.list(), func(a, b string) int { return len(a) - len(b) }) {
			t.Error("one worker does not go by the queue")
		}
		closePush(t, c)
		if got := g.offset("g", "T", 0); got != 2*pullBatch {
			t.Errorf("offset %d", got)
		}
	})
}

// Where a queue has no such offset any more, consumption goes on where it has one.
func TestOffsetMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		b, g := w.groupBroker("a", 10001)
		w.topic("T", 1, b)
		b.min = 50
		b.number("T", 0, 3)
		g.offsets[place("g", "T", 0)] = 10
		c := newPush(t, w)
		var all took
		startPush(t, c, "T", all.handler)
		eventually(t, "all", func() bool { return len(all.list()) == 3 })
		closePush(t, c)
		if got := g.offset("g", "T", 0); got != 53 {
			t.Errorf("offset %d, want 53", got)
		}
	})
}

// What was pulled is consumed, though the queue does not have it any more, nor what
// was to be pulled next.
func TestPulledBeforeItIsDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		b, g := w.groupBroker("a", 10001)
		w.topic("T", 1, b)
		b.number("T", 0, 3)
		c := newPush(t, w, WithConcurrency(1))
		release := make(chan bool)
		var all took
		startPush(t, c, "T", func(ctx context.Context, m *message.Received) error {
			<-release
			return all.handler(ctx, m)
		})
		time.Sleep(time.Second)
		b.mu.Lock()
		b.min, b.queues[0] = 50, nil
		b.mu.Unlock()
		time.Sleep(time.Second)
		close(release)
		b.number("T", 0, 1)
		eventually(t, "all", func() bool { return len(all.list()) == 4 })
		closePush(t, c)
		if got := g.offset("g", "T", 0); got != 51 {
			t.Errorf("offset %d, want 51", got)
		}
	})
}

// A broker that has forgotten the client is told again, and the queues stay.
func TestForgottenMemberGreetsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		b, g := w.groupBroker("a", 10001)
		w.topic("T", 1, b)
		c := newPush(t, w)
		var all took
		startPush(t, c, "T", all.handler)
		a := c.assignments()[0]
		g.forget()
		c.wake()
		eventually(t, "it is a member again", func() bool {
			g.mu.Lock()
			defer g.mu.Unlock()
			return len(g.members) == 1
		})
		b.number("T", 0, 1)
		eventually(t, "a message", func() bool { return len(all.list()) == 1 })
		if got := c.assignments(); len(got) != 1 || got[0] != a {
			t.Error("the queue was given up meanwhile")
		}
		closePush(t, c)
	})
}

// Options that a push consumer has no use for, and bad values, are refused by name.
func TestPushOptions(t *testing.T) {
	for want, opts := range map[string][]Option{
		"WithAttempts means nothing to a push consumer": {WithAttempts(2)},
		"concurrency 0": {WithConcurrency(0)},
		"prefetch of 0": {WithPrefetch(0, 1)},
		"strategy":      {WithAllocation(nil)},
		"close timeout": {WithCloseTimeout(-1)},
		"at least 1s":   {WithHandlerTimeout(time.Millisecond)},
		"-1 attempts":   {WithMaxAttempts(-1)},
	} {
		_, err := NewPushConsumer("g", append(opts, WithNameServers(nameServer))...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want something with %q", err, want)
		}
	}
	c, err := NewPushConsumer("g", WithNameServers(nameServer))
	if err != nil {
		t.Fatal(err)
	}
	closing(t, c)
	for _, err := range []error{
		c.Subscribe("", All, (&took{}).handler), c.Subscribe("T", SQL(" "), (&took{}).handler), c.Subscribe("T", Tags("||"), (&took{}).handler),
		c.Subscribe("T", All, nil), c.SubscribeBatch("T", All, 0, func(context.Context, []*message.Received) error { return nil }),
		c.Subscribe(message.RetryTopic("g"), All, (&took{}).handler),
	} {
		if err == nil {
			t.Error("a bad subscription is taken")
		}
	}
}

func TestVerdicts(t *testing.T) {
	plain := errors.New("plain")
	for _, tt := range []struct {
		err   error
		level int
	}{
		{plain, 0}, {RetryLater(plain, 5), 5}, {RetryLater(plain, -3), 0}, {GiveUp(plain), -1}, {fmt.Errorf("so: %w", GiveUp(nil)), -1},
	} {
		if got := levelOf(tt.err); got != tt.level {
			t.Errorf("%v: level %d, want %d", tt.err, got, tt.level)
		}
	}
	if !errors.Is(GiveUp(plain), plain) || !errors.Is(RetryLater(plain, 1), plain) {
		t.Error("the cause is lost")
	}
}

func TestChanges(t *testing.T) {
	q := func(ids ...int32) (all []Queue) {
		for _, id := range ids {
			all = append(all, Queue{"T", "a", id})
		}
		return all
	}
	give, take := changes(q(3, 1, 2), q(5, 2, 4, 4))
	if !slices.Equal(give, q(1, 3)) || !slices.Equal(take, q(4, 5)) {
		t.Errorf("give %v, take %v", give, take)
	}
}
