// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"slices"
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
