// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
)

// A slave that is read from hears of the client as often as its master, and that it
// goes.
func TestHeartbeatsToSlave(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world, a *keeper) {
		s := w.keeping("a", 10002)
		s.fill(0, "m", 0, 1)
		w.mu.Lock()
		w.routes["T"].BrokerDatas[0].BrokerAddrs[1] = s.addr
		w.mu.Unlock()
		a.before(wire.ReqPullMessage, func(r *remoting.Request) bool {
			r.Reply(&wire.Response{Code: wire.PullRetryImmediately, Header: &header.PullResponse{SuggestWhichBrokerID: 1}})
			return true
		})
		c := newTestPull(t, w)
		if err := c.Assign(Queue{"T", "a", 0}); err != nil {
			t.Fatal(err)
		}
		polled(t, c, 1)
		beats := len(s.got(wire.ReqHeartBeat))
		time.Sleep(10*heartbeatPeriod + time.Second)
		if n := len(s.got(wire.ReqHeartBeat)) - beats; n != 10 {
			t.Errorf("%d heartbeats in ten periods", n)
		}
		closed(t, c)
		if n := len(s.got(wire.ReqUnregisterClient)); n != 1 {
			t.Errorf("%d farewells", n)
		}
		a.stop()
		s.stop()
	})
}

// A broker that is silent takes no time of the others'.
func TestHeartbeatsBesideSilentBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b := w.keeping("a", 10001), w.keeping("b", 10002)
		w.topic("T", 1, a.broker, b.broker)
		b.fill(0, "m", 0, 1)
		a.before(wire.ReqHeartBeat, silent)
		c := newTestPull(t, w)
		if err := c.Assign(Queue{"T", "b", 0}); err != nil {
			t.Fatal(err)
		}
		polled(t, c, 1)
		beats := len(b.got(wire.ReqHeartBeat))
		time.Sleep(heartbeatPeriod + time.Second)
		if n := len(b.got(wire.ReqHeartBeat)) - beats; n != 1 {
			t.Errorf("%d heartbeats in a period", n)
		}
		closed(t, c)
		a.stop()
		b.stop()
	})
}

// What is new while a heartbeat is under way is told by the next one, and soon.
func TestHeartbeatOvertakenByNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		b, g := w.groupBroker("a", 10001)
		for _, topic := range []string{"T", "U", "V"} {
			w.topic(topic, 1, b)
		}
		c := newPush(t, w)
		startPush(t, c, "T", (&took{}).handler)
		var held []remoting.Ticket
		g.mu.Lock()
		g.before = func(r *remoting.Request) bool {
			if r.Code == wire.ReqHeartBeat {
				held = append(held, r.Ticket())
			}
			return r.Code == wire.ReqHeartBeat
		}
		g.mu.Unlock()
		for _, topic := range []string{"U", "V"} {
			if err := c.Subscribe(topic, All, (&took{}).handler); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second / 2)
		}
		g.refuseLocks(false) // and answers heartbeats again
		for i := range held {
			held[i].Reply(&wire.Response{})
		}
		time.Sleep(5 * time.Second)
		beats := b.got(wire.ReqHeartBeat)
		if last := string(beats[len(beats)-1].Body); !strings.Contains(last, `"V"`) {
			t.Errorf("%d heartbeats, the last one says %s", len(beats), last)
		}
		closePush(t, c)
	})
}

// A broker that is back hears of the client at once, though others are not to be
// reached.
func TestHeartbeatToABrokerThatIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var all []*broker
		for i, name := range []string{"a", "b", "c", "d"} {
			all = append(all, w.broker(name, 10001+i, nil))
		}
		last := all[len(all)-1]
		w.topic("T", 1, all...)
		var hang atomic.Bool
		p, err := NewTransactionProducer("g", answerUnknown, w.with(WithDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			if hang.Load() && addr != last.addr && addr != nameServer {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return w.net.Dial(ctx, addr)
		}))...)
		if err == nil {
			err = p.Start(t.Context(), "T")
		}
		if err != nil {
			t.Fatal(err)
		}
		hang.Store(true)
		for _, b := range all {
			b.stop()
		}
		time.Sleep(heartbeatPeriod/3 + reunionPeriod/2)
		last.start()
		time.Sleep(standardTimeout + reunionPeriod)
		synctest.Wait()
		if n := len(last.got(wire.ReqHeartBeat)); n != 2 {
			t.Errorf("%d heartbeats to the broker that is back, one of them before", n)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		last.stop()
		w.stopNames()
	})
}
