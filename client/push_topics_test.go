// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
)

// A consumer has the queues of all brokers of a topic, and goes on when one of them
// stops, or the name server.
func TestQueuesOfSeveralBrokers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, _ := w.groupBroker("a", 10001)
		b, _ := w.groupBroker("b", 10002)
		w.topic("T", 2, a, b)
		a.number("T", 1, 3)
		b.number("T", 0, 3)
		c := newPush(t, w)
		var all took
		startPush(t, c, "T", all.handler)
		eventually(t, "messages of both", func() bool { return len(all.list()) == 6 })
		b.stop()
		w.stopNames()
		time.Sleep(time.Minute)
		a.number("T", 0, 2)
		eventually(t, "messages of the one that is left", func() bool { return len(all.list()) == 8 })
		b.start()
		b.number("T", 1, 2)
		eventually(t, "messages of the one that is back", func() bool { return len(all.list()) == 10 })
		closePush(t, c)
	})
}

// Topics come and go while the consumer runs, and brokers are told.
func TestSubscriptionsChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, _ := w.groupBroker("a", 10001)
		b, _ := w.groupBroker("b", 10002)
		w.topic("T", 1, a)
		c := newPush(t, w)
		var one, two took
		startPush(t, c, "T", one.handler)
		if err := c.Subscribe("U", Tags("x"), two.handler); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		b.put(0, &message.Record{Topic: []byte("U"), Body: []byte("early"), Properties: []byte("TAGS\x01x")})
		w.topic("U", 1, b) // it comes into being behind the subscription: nothing of it is left out
		eventually(t, "the new topic", func() bool { return len(two.list()) == 1 })
		said := func(of *broker) (topics []string) {
			beats := of.got(wire.ReqHeartBeat)
			var h body.HeartbeatData
			if err := body.Unmarshal(beats[len(beats)-1].Body, &h); err != nil {
				t.Fatal(err)
			}
			for _, s := range h.ConsumerDataSet[0].SubscriptionDataSet {
				topics = append(topics, s.Topic+" "+s.SubString)
			}
			return topics
		}
		if got := said(b); !slices.Equal(got, []string{"%RETRY%g *", "T *", "U x"}) {
			t.Errorf("heartbeat says %q", got)
		}
		c.Unsubscribe("U")
		eventually(t, "it is given up", func() bool { return len(c.assignments()) == 1 })
		eventually(t, "a heartbeat", func() bool { return slices.Equal(said(a), []string{"%RETRY%g *", "T *"}) })
		a.number("T", 0, 1)
		eventually(t, "the other topic", func() bool { return len(one.list()) == 1 })
		closePush(t, c)
	})
}

// Handlers that take long on several queues that are given up hold what is taken instead
// up as long as one does.
func TestManySlowHandlersHoldUpOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		b, _ := w.groupBroker("a", 10001)
		w.topic("T", 5, b)
		for q := range int32(4) {
			b.number("T", q, 1)
		}
		var others atomic.Bool
		c := newPush(t, w, WithOrderly(), WithAllocation(func(queues []Queue, _ []string, _ string) []Queue {
			if others.Load() {
				return queues[4:]
			}
			return queues[:4]
		}))
		release := make(chan bool)
		startPush(t, c, "T", func(context.Context, *message.Received) error {
			<-release
			return nil
		})
		time.Sleep(time.Second)
		others.Store(true)
		c.wake()
		time.Sleep(handOver + standardTimeout + time.Second)
		if n := len(c.assignments()); n != 5 {
			t.Errorf("it has %d queues, want the one that it takes, and four with handlers", n)
		}
		close(release)
		closePush(t, c)
	})
}

// A batch handler has up to so many messages of one queue, in their order, and its
// error is that of all of them.
func TestBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		b, g := w.groupBroker("a", 10001)
		w.topic("T", 1, b)
		b.number("T", 0, 10)
		c := newPush(t, w, WithConcurrency(1))
		var mu sync.Mutex
		var got []string
		err := c.SubscribeBatch("T", All, 4, func(_ context.Context, ms []*message.Received) error {
			mu.Lock()
			defer mu.Unlock()
			text := ""
			for _, m := range ms {
				text += string(m.Body)
			}
			got = append(got, text)
			if text == "4567" {
				return errors.New("on purpose")
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		eventually(t, "all", func() bool { return g.offset("g", "T", 0) == 10 })
		mu.Lock()
		defer mu.Unlock()
		if fmt.Sprint(got) != "[0123 4567 89]" || len(g.given()) != 4 {
			t.Errorf("batches %q, %d given back", got, len(g.given()))
		}
		closePush(t, c)
	})
}
