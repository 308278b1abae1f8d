// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sdk

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/test/rig"
)

func (c *cluster) popper(t *testing.T, group, topic string) *client.PopConsumer {
	t.Helper()
	p, err := client.NewPopConsumer(group, c.with(client.WithStart(client.StartEarliest))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, p) })
	if err := p.Subscribe(topic, client.All); err != nil {
		t.Fatal(err)
	}
	return p
}

// receive gathers n messages.
func receive(t *testing.T, p *client.PopConsumer, n int, invisible time.Duration) (all []*client.Popped) {
	t.Helper()
	for len(all) < n {
		got, err := p.Receive(rig.Context(t), n-len(all), invisible)
		if err != nil {
			t.Fatalf("receiving: %v", err)
		}
		all = append(all, got...)
	}
	return all
}

func poppedBodies(all []*client.Popped) (bodies []string) {
	for _, m := range all {
		bodies = append(bodies, string(m.Body))
	}
	slices.Sort(bodies)
	return bodies
}

// Two members share every queue: what one has received the other does not get
// until its time is over, and what was acknowledged nobody ever gets.
func testPop(t *testing.T, c *cluster) {
	topic, group := c.topic(t, "topic", 2), name(t, "group")
	bodies := numbered("pop", 12)
	sendAll(t, c.producer(t), topic, bodies...)
	one, two := c.popper(t, group, topic), c.popper(t, group, topic)
	begin := time.Now()
	lost := receive(t, one, 4, 2*time.Second)
	done := receive(t, two, 8, time.Minute)
	if have := append(poppedBodies(lost), poppedBodies(done)...); !slices.Equal(slices.Sorted(slices.Values(have)), bodies) {
		t.Fatalf("received %q and %q", poppedBodies(lost), poppedBodies(done))
	}
	if err := two.Ack(rig.Context(t), done...); err != nil {
		t.Fatal(err)
	}
	again := receive(t, two, 4, time.Minute)
	if took := time.Since(begin); took < 2*time.Second-2*time.Millisecond {
		t.Errorf("they came again after %v", took)
	}
	if have := poppedBodies(again); !slices.Equal(have, poppedBodies(lost)) {
		t.Errorf("received %q again, want %q", have, poppedBodies(lost))
	}
	for _, m := range again {
		if m.ReconsumeTimes != 1 || m.Topic != topic {
			t.Errorf("%s came again with %d retries from %s", m.Body, m.ReconsumeTimes, m.Topic)
		}
	}
	if err := two.Ack(rig.Context(t), again...); err != nil {
		t.Fatal(err)
	}
}

// Whoever needs longer says so, and keeps the message; whoever gives it back early
// sees it early.
func testPopInvisible(t *testing.T, c *cluster) {
	topic, group := c.topic(t, "topic", 1), name(t, "group")
	sendAll(t, c.producer(t), topic, "kept", "returned")
	p := c.popper(t, group, topic)
	begin := time.Now()
	for _, m := range receive(t, p, 2, 3*time.Second) {
		d := time.Minute
		if string(m.Body) == "returned" {
			d = time.Second
		}
		if err := p.ChangeInvisible(rig.Context(t), m, d); err != nil {
			t.Fatal(err)
		}
		if string(m.Body) == "kept" {
			defer func() {
				if err := p.Ack(rig.Context(t), m); err != nil { // by the new handle
					t.Error(err)
				}
			}()
		}
	}
	again := receive(t, p, 1, time.Minute)
	if have := strings.Join(poppedBodies(again), " "); have != "returned" {
		t.Errorf("received %s after %v", have, time.Since(begin))
	}
	if err := p.Ack(rig.Context(t), again...); err != nil {
		t.Fatal(err)
	}
}
