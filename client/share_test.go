// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// A broker that is silent holds Start up for half a second, however many topics and
// queues it has; when it answers, the group has what it got meanwhile.
func TestStartBesideSilentBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, _ := w.groupBroker("a", 10001)
		b, g := w.groupBroker("b", 10002)
		g.before = func(r *remoting.Request) bool { // two messages are older than the group
			if r.Code == wire.ReqSearchOffsetByTimestamp {
				r.Reply(&wire.Response{Header: &header.OffsetResponse{Offset: 2}})
			}
			return r.Code == wire.ReqSearchOffsetByTimestamp
		}
		for _, topic := range []string{"T", "U", "V"} {
			w.topic(topic, 8, b, a)
		}
		b.number("T", 0, 2)
		var dead atomic.Bool
		dead.Store(true)
		c := newPush(t, w, WithStart(StartLatest), WithDialer(func(ctx context.Context, to string) (net.Conn, error) {
			if to == b.addr && dead.Load() {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return w.net.Dial(ctx, to)
		}))
		var all took
		for _, topic := range []string{"U", "V"} {
			if err := c.Subscribe(topic, All, func(context.Context, *message.Received) error { return nil }); err != nil {
				t.Fatal(err)
			}
		}
		begun := time.Now()
		startPush(t, c, "T", all.handler)
		if took := time.Since(begun); took > time.Second {
			t.Errorf("Start took %v", took)
		}
		if n := len(c.assignments()); n != 24 {
			t.Errorf("%d queues of the broker that answers, want 24", n)
		}
		b.put(0, &message.Record{Topic: []byte("T"), Body: []byte("new")})
		dead.Store(false)
		eventually(t, "what came meanwhile", func() bool { return len(all.list()) == 1 })
		if got := all.list(); got[0] != "new" {
			t.Errorf("consumed %q", got)
		}
		closePush(t, c)
	})
}

// What comes while nobody says who is in the group is not left out.
func TestBeginningWithoutMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		b, g := w.groupBroker("a", 10001)
		w.topic("T", 1, b)
		b.number("T", 0, 3)
		g.before = func(r *remoting.Request) bool {
			switch r.Code {
			case wire.ReqGetConsumerListByGroup:
				r.Reply(&wire.Response{Code: wire.SystemBusy, Remark: "on purpose"})
			case wire.ReqSearchOffsetByTimestamp:
				r.Reply(&wire.Response{Header: &header.OffsetResponse{Offset: 3}})
			default:
				return false
			}
			return true
		}
		c := newPush(t, w, WithStart(StartLatest))
		var all took
		startPush(t, c, "T", all.handler)
		if n := len(c.assignments()); n != 0 {
			t.Errorf("%d queues of a share that is not known", n)
		}
		b.put(0, &message.Record{Topic: []byte("T"), Body: []byte("new")})
		before := g.before
		g.mu.Lock()
		g.before = func(r *remoting.Request) bool { return r.Code != wire.ReqGetConsumerListByGroup && before(r) }
		g.mu.Unlock()
		eventually(t, "what came meanwhile", func() bool { return len(all.list()) == 1 })
		if got := all.list(); got[0] != "new" {
			t.Errorf("consumed %q", got)
		}
		closePush(t, c)
	})
}

// Nor is what comes to queues that were assigned, since each was, while their broker
// does not answer.
func TestBeginningOfAssignedQueues(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world, a *keeper) {
		a.fill(0, "old", 0, 2)
		a.fill(1, "old", 0, 2)
		var deaf atomic.Bool
		deaf.Store(true)
		a.before(wire.ReqQueryConsumerOffset, func(*remoting.Request) bool { return deaf.Load() })
		var since sync.Map // by queue
		a.before(wire.ReqSearchOffsetByTimestamp, func(r *remoting.Request) bool {
			var h header.SearchOffsetRequest
			if err := h.DecodeExt(r.Ext); err != nil {
				t.Error(err)
			}
			since.Store(h.QueueID, h.Timestamp)
			r.Reply(&wire.Response{Header: &header.OffsetResponse{Offset: 2}})
			return true
		})
		c := newTestPull(t, w, WithStart(StartLatest))
		first, second := Queue{"T", "a", 0}, Queue{"T", "a", 1}
		assigned := []int64{time.Now().UnixMilli(), 0}
		if err := c.Assign(first); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		assigned[1] = time.Now().UnixMilli()
		if err := c.Assign(first, second); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		a.fill(0, "new", 0, 1)
		a.fill(1, "new", 1, 1)
		deaf.Store(false)
		if got := polled(t, c, 2); got != "new-0 new-1" {
			t.Errorf("polled %q", got)
		}
		for q, want := range assigned {
			if at, _ := since.Load(int32(q)); at != want {
				t.Errorf("queue %d begins at %v, was assigned at %d", q, at, want)
			}
		}
		closed(t, c)
		a.stop()
	})
}

// Kicks make the time no longer after which a round that is not settled comes again.
func TestKicksDelayNoRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		kick, rounds := make(chan struct{}), make(chan bool)
		var steering sync.WaitGroup
		steering.Go(func() {
			steer(ctx, kick, false, func(kicked bool) bool {
				rounds <- kicked
				return false
			})
		})
		for range 6 {
			kick <- struct{}{}
			if !<-rounds {
				t.Error("a kick brought no round of its own")
			}
		}
		for _, want := range []time.Duration{retryPeriod, 2 * retryPeriod, 4 * retryPeriod} {
			begun := time.Now()
			if kicked := <-rounds; kicked || time.Since(begun) != want {
				t.Errorf("the next round after %v, kicked: %v, want %v", time.Since(begun), kicked, want)
			}
		}
		cancel()
		steering.Wait()
	})
}

// A broker that takes connections and answers nothing but heartbeats is asked for one
// of its queues, and not for each; a Start whose ctx ends by then may be called again.
func TestStartWithDeafBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		b, g := w.groupBroker("a", 10001)
		w.topic("T", 8, b)
		g.before = mute(wire.ReqQueryConsumerOffset)
		c := newPush(t, w)
		if err := c.Subscribe("T", All, (&took{}).handler); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.Start(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Start says %v", err)
		}
		begun := time.Now()
		if err := c.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took > standardTimeout+time.Second {
			t.Errorf("Start took %v", took)
		}
		if err := c.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "started already") {
			t.Errorf("a second Start says %v", err)
		}
		g.refuseLocks(false) // nor is it deaf any more
		eventually(t, "the queues", func() bool { return len(c.assignments()) == 8 })
		closePush(t, c)
	})
}

// Close ends a Start that is under way, and gives the locks back that it has got.
func TestCloseEndsStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		b, g := w.groupBroker("a", 10001)
		w.topic("T", 8, b)
		g.before = mute(wire.ReqQueryConsumerOffset)
		c := newPush(t, w, WithOrderly())
		if err := c.Subscribe("T", All, (&took{}).handler); err != nil {
			t.Fatal(err)
		}
		var start sync.WaitGroup
		start.Go(func() {
			if err := c.Start(t.Context()); !errors.Is(err, ErrClosed) {
				t.Errorf("Start says %v", err)
			}
		})
		synctest.Wait()
		begun := time.Now()
		closePush(t, c)
		if took := time.Since(begun); took > time.Second {
			t.Errorf("Close took %v", took)
		}
		start.Wait()
		if locks, unlocks := len(b.got(wire.ReqLockBatchMQ)), len(b.got(wire.ReqUnlockBatchMQ)); locks != 1 || unlocks != 1 {
			t.Errorf("locked %d times, unlocked %d times", locks, unlocks)
		}
	})
}

// Other members may ask any broker of a topic who is in the group: all of them know it,
// also those that the consumer has no queue of.
func TestAllBrokersKnowTheMember(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world, a *keeper) {
		b := w.keeping("b", 10002)
		w.topic("T", 1, a.broker, b.broker)
		a.fill(0, "m", 0, 1)
		for _, k := range []*keeper{a, b} {
			k.members = []string{"zzz"}
		}
		c := newTestPull(t, w)
		if err := c.Subscribe("T", All); err != nil {
			t.Fatal(err)
		}
		polled(t, c, 1)
		if n, got := len(b.got(wire.ReqHeartBeat)), c.Assignment(); n != 1 || len(got) != 1 || got[0].Broker != "a" {
			t.Errorf("%d heartbeats, it has %v", n, got)
		}
		closed(t, c)
		a.stop()
		b.stop()
	})
}
