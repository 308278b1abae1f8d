// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
)

// refuseLocks has brokers refuse locks, or grant them again.
func (g *groups) refuseLocks(refuse bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.before = nil
	if !refuse {
		return
	}
	g.before = func(r *remoting.Request) bool {
		if r.Code != wire.ReqLockBatchMQ {
			return false
		}
		r.Reply(&wire.Response{Body: body.Marshal(&body.LockBatchResponseBody{LockOKMQSet: []body.MessageQueue{}})})
		return true
	}
}

// A queue whose lock another member has is not taken, and is as soon as it is free.
func TestLockedQueueIsTakenLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		b, g := w.groupBroker("a", 10001)
		w.topic("T", 1, b)
		b.number("T", 0, 2)
		g.refuseLocks(true)
		c := newPush(t, w, WithOrderly())
		var all took
		startPush(t, c, "T", all.handler)
		time.Sleep(5 * time.Second)
		if n := len(c.assignments()); n != 0 {
			t.Errorf("%d queues without a lock", n)
		}
		g.refuseLocks(false)
		begun := time.Now()
		eventually(t, "all", func() bool { return len(all.list()) == 2 })
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("taken after %v", took)
		}
		closePush(t, c)
	})
}

// What another member has consumed while it had the lock is not consumed again
// behind it.
func TestLostLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		b, g := w.groupBroker("a", 10001)
		w.topic("T", 1, b)
		b.number("T", 0, 10)
		c := newPush(t, w, WithOrderly())
		var all took
		gate := make(chan struct{}, 10)
		gate <- struct{}{}
		startPush(t, c, "T", func(ctx context.Context, m *message.Received) error {
			select {
			case <-gate:
				return all.handler(ctx, m)
			case <-time.After(time.Second):
				return errors.New("not yet")
			}
		})
		eventually(t, "the first", func() bool { return len(all.list()) == 1 })
		g.refuseLocks(true)
		time.Sleep(time.Minute)
		for range 10 {
			select {
			case gate <- struct{}{}:
			default:
			}
		}
		time.Sleep(time.Minute)
		if got := all.list(); len(got) != 1 {
			t.Errorf("consumed %v without the lock", got)
		}
		g.mu.Lock()
		g.offsets[place("g", "T", 0)] = 7 // by who has it
		g.mu.Unlock()
		g.refuseLocks(false)
		eventually(t, "the rest", func() bool { return len(all.list()) >= 4 })
		closePush(t, c)
		if got := all.list(); !slices.Equal(got, []string{"0", "7", "8", "9"}) {
			t.Errorf("consumed %v", got)
		}
	})
}

// Close gives the lock back when the handler has ended, not before.
func TestLockIsGivenBackBehindTheHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		b, g := w.groupBroker("a", 10001)
		w.topic("T", 1, b)
		b.number("T", 0, 2)
		c := newPush(t, w, WithOrderly())
		running := make(chan bool, 2)
		startPush(t, c, "T", func(context.Context, *message.Received) error {
			running <- true
			time.Sleep(10 * time.Second)
			if n := len(b.got(wire.ReqUnlockBatchMQ)); n != 0 {
				t.Errorf("unlocked %d times while the handler runs", n)
			}
			return nil
		})
		<-running
		closePush(t, c)
		if n := len(b.got(wire.ReqUnlockBatchMQ)); n != 1 {
			t.Errorf("unlocked %d times", n)
		}
		if got := g.offset("g", "T", 0); got != 1 || len(running) != 0 {
			t.Errorf("offset %d, want 1", got)
		}
		if n := len(b.got(wire.ReqUnregisterClient)); n != 1 {
			t.Errorf("unregistered %d times", n)
		}
	})
}

// A handler waits for a place among those that run. When it gets one, the consumer may
// be paused, or another member have the queue: it is not called then.
func TestNoHandlerBehindPauseOrLostLock(t *testing.T) {
	for name, meanwhile := range map[string]func(c *PushConsumer, g *groups){
		"paused": func(c *PushConsumer, _ *groups) { c.Pause() },
		"lock lost": func(_ *PushConsumer, g *groups) {
			g.refuseLocks(true)
			time.Sleep(100 * time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				b, g := w.groupBroker("a", 10001)
				w.topic("T", 2, b)
				b.number("T", 0, 1)
				b.number("T", 1, 1)
				c := newPush(t, w, WithOrderly(), WithConcurrency(1))
				calls, gate := make(chan bool, 9), make(chan bool)
				startPush(t, c, "T", func(context.Context, *message.Received) error {
					calls <- true
					<-gate
					return nil
				})
				<-calls
				time.Sleep(time.Second)
				meanwhile(c, g)
				gate <- true
				time.Sleep(2 * time.Second)
				if len(calls) != 0 {
					t.Error("another handler was called")
				}
				close(gate)
				c.Resume()
				g.refuseLocks(false)
				eventually(t, "the other one", func() bool { return len(calls) > 0 })
				closePush(t, c)
			})
		})
	}
}

// A message whose handler Close has interrupted becomes no dead letter.
func TestOrderlyCloseMakesNoDeadLetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		b, g := w.groupBroker("a", 10001)
		w.topic("T", 1, b)
		b.number("T", 0, 3)
		c := newPush(t, w, WithOrderly(), WithMaxAttempts(1), WithCloseTimeout(5*time.Second))
		running := make(chan bool, 1)
		startPush(t, c, "T", func(ctx context.Context, _ *message.Received) error {
			running <- true
			<-ctx.Done()
			return ctx.Err()
		})
		<-running
		closePush(t, c)
		if back, at := g.given(), g.offset("g", "T", 0); len(back) != 0 || at != 0 {
			t.Errorf("dead letters %+v, offset %d", back, at)
		}
	})
}

// Of a batch that is given up, what has become a dead letter is not handled again when
// the broker refuses another one.
func TestOrderlyBatchIsBuriedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		b, g := w.groupBroker("a", 10001)
		w.topic("T", 1, b)
		b.number("T", 0, 3)
		asked := 0
		g.before = func(r *remoting.Request) bool {
			if r.Code != wire.ReqConsumerSendMsgBack {
				return false
			}
			if asked++; asked == 2 {
				r.Reply(&wire.Response{Code: wire.SystemError, Remark: "on purpose"})
			}
			return asked == 2
		}
		c := newPush(t, w, WithOrderly(), WithMaxAttempts(1))
		var seen []string
		if err := c.SubscribeBatch("T", All, 3, func(_ context.Context, ms []*message.Received) error {
			all := ""
			for _, m := range ms {
				all += string(m.Body)
			}
			seen = append(seen, all)
			return errors.New("no")
		}); err != nil {
			t.Fatal(err)
		}
		if err := c.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		closePush(t, c)
		if want := []string{"012", "12"}; !slices.Equal(seen, want) || len(g.given()) != 3 {
			t.Errorf("handled %q, want %q; %d dead letters", seen, want, len(g.given()))
		}
		if got := g.offset("g", "T", 0); got != 3 {
			t.Errorf("offset %d", got)
		}
	})
}

// TestRenewalBehindAnUnlock: a queue that is given up while its lock is renewed does not
// stay locked, and a silent broker holds up the renewal at no other.
func TestRenewalBehindAnUnlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, _ := w.groupBroker("a", 10001)
		b, _ := w.groupBroker("b", 10002)
		var renewing atomic.Bool
		ofA, ofB := a.answer, b.answer
		a.answer = func(r *remoting.Request) bool {
			return renewing.Load() && r.Code == wire.ReqLockBatchMQ || ofA(r)
		}
		b.answer = func(r *remoting.Request) bool {
			if renewing.Load() && r.Code == wire.ReqLockBatchMQ {
				time.Sleep(2 * time.Second) // it is carried out behind the unlock
			}
			return ofB(r)
		}
		w.topic("T", 1, a)
		w.topic("U", 1, b)
		c := newPush(t, w, WithOrderly())
		nothing := func(context.Context, *message.Received) error { return nil }
		if err := c.Subscribe("U", All, nothing); err != nil {
			t.Fatal(err)
		}
		startPush(t, c, "T", nothing)
		eventually(t, "both queues", func() bool {
			return len(a.got(wire.ReqLockBatchMQ)) > 0 && len(b.got(wire.ReqLockBatchMQ)) > 0
		})
		renewing.Store(true)
		before := len(b.got(wire.ReqLockBatchMQ))
		eventually(t, "the renewal", func() bool { return len(b.got(wire.ReqLockBatchMQ)) > before })
		c.Unsubscribe("U")
		time.Sleep(10 * time.Second)
		if n := len(b.got(wire.ReqUnlockBatchMQ)); n != 2 {
			t.Errorf("unlocked %d times, want again behind the renewal", n)
		}
		closePush(t, c)
	})
}
