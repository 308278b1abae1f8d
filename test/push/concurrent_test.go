// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package push

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/test/rig"
)

// Every message once, offsets stored by Close, and the next consumer goes on there.
func TestConsumesOnceAndGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.topic("orders", 4)
	w.send("orders", 100)
	var first seen
	c := w.consumer("billing")
	if err := c.Subscribe("orders", client.All, first.handler); err != nil {
		t.Fatal(err)
	}
	w.start(c)
	first.waitFor(t, 100)
	w.close(c)
	var sum int64
	for q := range int32(4) {
		sum += w.offset("billing", "orders", q)
	}
	if sum != 100 {
		t.Errorf("offsets sum up to %d after Close, want 100", sum)
	}
	w.sendOne("orders", "later")
	var second seen
	c = w.consumer("billing")
	if err := c.Subscribe("orders", client.All, second.handler); err != nil {
		t.Fatal(err)
	}
	w.start(c)
	second.waitFor(t, 1)
	w.close(c)
	if got := second.bodies(); !slices.Equal(got, []string{"later"}) {
		t.Errorf("the second consumer was given %q", got)
	}
	if got := slices.Compact(first.sorted()); len(got) != 100 || first.len() != 100 {
		t.Errorf("%d messages, %d of them different, want 100", first.len(), len(got))
	}
}

// A message that fails comes again with its count, until it is a dead letter; what
// GiveUp says at once.
func TestFailuresComeAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.topic("orders", 1)
	w.sendOne("orders", "twice")
	w.sendOne("orders", "never")
	w.sendOne("orders", "hopeless")
	var all seen
	c := w.consumer("billing", client.WithMaxAttempts(3))
	err := c.Subscribe("orders", client.All, func(_ context.Context, m *message.Received) error {
		all.add(m)
		switch string(m.Body) {
		case "twice":
			if m.ReconsumeTimes == 0 {
				return client.RetryLater(errors.New("not yet"), 1)
			}
			return nil
		case "never":
			if m.ReconsumeTimes == 1 {
				panic("on purpose")
			}
			return client.RetryLater(nil, 1)
		}
		return client.GiveUp(errors.New("hopeless"))
	})
	if err != nil {
		t.Fatal(err)
	}
	w.start(c)
	var dead seen
	d := w.consumer("undertaker")
	if err := d.Subscribe(message.DLQTopic("billing"), client.All, dead.handler); err != nil {
		t.Fatal(err)
	}
	all.waitFor(t, 6)
	w.start(d)
	dead.waitFor(t, 2)
	if got := fmt.Sprint(all.sorted()); got != "[hopeless never never never twice twice]" {
		t.Errorf("handlers were given %s", got)
	}
	if got := fmt.Sprint(dead.sorted()); got != "[hopeless never]" {
		t.Errorf("dead letters %s", got)
	}
	for _, m := range all.all {
		if m.Topic != "orders" {
			t.Errorf("a handler of orders was given a message of %s", m.Topic)
		}
	}
}

// When a second member comes the queues are shared, and nobody misses a message;
// when it goes, the first one has all.
func TestMembersShare(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.topic("orders", 4)
	var one, two seen
	a, b := w.consumer("billing"), w.consumer("billing")
	for c, s := range map[*client.PushConsumer]*seen{a: &one, b: &two} {
		if err := c.Subscribe("orders", client.All, s.handler); err != nil {
			t.Fatal(err)
		}
	}
	w.start(a)
	w.start(b)
	sent := 0
	rig.Poll(t, "both members have messages", func() error {
		for range 4 {
			w.sendOne("orders", fmt.Sprint("message ", sent))
			sent++
		}
		if one.len() == 0 || two.len() == 0 {
			return errors.New("one has none")
		}
		return nil
	})
	rig.Poll(t, "every message", func() error {
		bodies := append(one.bodies(), two.bodies()...)
		slices.Sort(bodies)
		if n := len(slices.Compact(bodies)); n < sent {
			return fmt.Errorf("%d of %d", n, sent)
		}
		return nil
	})
	w.close(b)
	before := one.len()
	w.send("orders", 8)
	one.waitFor(t, before+8)
}

// Close waits for handlers that run, and calls none any more.
func TestCloseFinishesWhatRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.topic("orders", 1)
	w.send("orders", 20)
	var running, ended atomic.Int32
	release := make(chan struct{})
	c := w.consumer("billing", client.WithConcurrency(3))
	err := c.Subscribe("orders", client.All, func(context.Context, *message.Received) error {
		running.Add(1)
		<-release
		ended.Add(1)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	w.start(c)
	rig.Poll(t, "three handlers", func() error {
		if running.Load() < 3 {
			return errors.New("not yet")
		}
		return nil
	})
	closed := make(chan error)
	go func() { closed <- c.Close() }()
	select {
	case err := <-closed:
		t.Fatalf("Close returned %v while handlers ran", err)
	case <-time.After(quiet):
	}
	close(release)
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	if running.Load() != 3 || ended.Load() != 3 {
		t.Errorf("%d handlers ran, %d ended, want 3", running.Load(), ended.Load())
	}
	if got := w.offset("billing", "orders", 0); got != 3 {
		t.Errorf("offset %d after Close, want 3", got)
	}
}

// A broker that is killed and comes back: the group goes on, and nothing is missing.
func TestBrokerIsKilled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "flushDiskType=SYNC_FLUSH")
	w.topic("orders", 2)
	w.send("orders", 10)
	var all seen
	c := w.consumer("billing")
	if err := c.Subscribe("orders", client.All, all.handler); err != nil {
		t.Fatal(err)
	}
	w.start(c)
	all.waitFor(t, 10)
	if err := w.srv.Kill(); err != nil {
		t.Fatal(err)
	}
	w.srv.Restart(t)
	rig.Poll(t, "a send", func() error {
		_, err := w.p.Send(w.ctx, message.New("orders", []byte("after")))
		return err
	})
	rig.Poll(t, "the new message", func() error {
		if !slices.Contains(all.bodies(), "after") {
			return errors.New("not yet")
		}
		return nil
	})
	w.close(c)
}
