// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/twostage/twostage/internal/wire"
)

// A consumer starts while one of its brokers is away, and has that one's queues when
// it is back; without any broker, or refused by one, it does not.
func TestStartWithoutOneBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, _ := w.groupBroker("a", 10001)
		b, g := w.groupBroker("b", 10002)
		w.topic("T", 1, a, b)
		a.number("T", 0, 2)
		a.stop()
		b.stop()
		c := newPush(t, w)
		var all took
		if err := c.Subscribe("T", All, all.handler); err != nil {
			t.Fatal(err)
		}
		if err := c.Start(t.Context()); err == nil {
			t.Fatal("it starts without any broker")
		}
		b.start()
		g.before = refuse(wire.ReqHeartBeat, wire.NoPermission)
		if err := c.Start(t.Context()); !errors.Is(err, ErrDenied) {
			t.Fatalf("it starts with %v where a broker refuses it", err)
		}
		g.refuseLocks(false) // nor anything else
		if err := c.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.number("T", 0, 1)
		eventually(t, "a message of the broker that is there", func() bool { return len(all.list()) == 1 })
		a.start()
		eventually(t, "those of the one that is back", func() bool { return len(all.list()) == 3 })
		closePush(t, c)
	})
}

// A Start whose ctx ends while it waits for a broker says so, also when another one
// cannot be reached.
func TestStartEndsBesideBrokerThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, _ := w.groupBroker("a", 10001)
		b, _ := w.groupBroker("b", 10002)
		s, _ := w.groupBroker("s", 10003)
		w.topic("T", 1, a, b, s)
		b.stop()
		c := newPush(t, w, w.hanging(s.addr))
		if err := c.Subscribe("T", All, (&took{}).handler); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), greetWait/2)
		defer cancel()
		if err := c.Start(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Start says %v", err)
		}
		closePush(t, c)
	})
}
