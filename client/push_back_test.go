// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/message"
)

// Members without a queue of the retry topic do not rebalance with each message that
// they give back.
func TestGivingBackAsksForNoMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		b, g := w.groupBroker("a", 10001)
		w.topic("T", 2, b)
		b.number("T", 1, 300)
		g.members = []string{"0"} // has the retry topic's only queue
		c := newPush(t, w, WithConcurrency(1))
		fail := func(context.Context, *message.Received) error {
			time.Sleep(10 * time.Millisecond)
			return errors.New("no")
		}
		startPush(t, c, "T", fail)
		asked := func() int { return len(b.got(wire.ReqGetConsumerListByGroup)) }
		begun := asked()
		eventually(t, "given back while the retry topic is missing", func() bool { return len(g.given()) == 150 })
		if n := asked() - begun; n > 10 {
			t.Errorf("%d lists of members in 2 s", n)
		}
		w.topic(message.RetryTopic("g"), 1, b)
		eventually(t, "given back when it is there", func() bool { return len(g.given()) == 300 })
		if n := asked() - begun; n > 20 {
			t.Errorf("%d lists of members in 4 s", n)
		}
		closePush(t, c)
	})
}
