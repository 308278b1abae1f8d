// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sdk

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/test/rig"
)

// Messages of one key go to one queue; whichever of two orderly consumers has the
// queue gets them in their order, also when the second comes while they flow.
func testOrdered(t *testing.T, c *cluster) {
	topic, group := c.topic(t, "topic", 4), name(t, "group")
	ins := []*inbox{{}, {}}
	c.consumer(t, group, topic, ins[0], client.WithOrderly())
	p := c.producer(t)
	const keys, each = 13, 20 // no multiple of the queues: round robin would not do
	for n := range each {
		if n == each/2 {
			c.consumer(t, group, topic, ins[1], client.WithOrderly())
		}
		for k := range keys {
			key := fmt.Sprint("order-", k)
			m := message.New(topic, []byte(strconv.Itoa(n)))
			m.SetKeys(key)
			if _, err := p.SendOrdered(rig.Context(t), key, m); err != nil {
				t.Fatal(err)
			}
		}
	}
	seen := func() map[string]bool {
		seen := map[string]bool{}
		for _, in := range ins {
			for _, m := range in.all() {
				seen[m.Keys()[0]+"/"+string(m.Body)] = true
			}
		}
		return seen
	}
	await(t, func() string {
		if n := len(seen()); n < keys*each {
			return fmt.Sprintf("%d of %d have come", n, keys*each)
		}
		return ""
	})
	// The second has its queues when the first has let them go.
	extra := 0
	await(t, func() string {
		if len(ins[1].all()) > 0 {
			return ""
		}
		m := message.New(topic, []byte(strconv.Itoa(each+extra)))
		extra++
		for k := range keys {
			m.SetKeys(fmt.Sprint("order-", k))
			if _, err := p.SendOrdered(rig.Context(t), m.Keys()[0], m); err != nil {
				t.Fatal(err)
			}
		}
		return "the second consumer has nothing"
	})
	for i, in := range ins {
		next := map[string]int{}
		for _, m := range in.all() {
			key := m.Keys()[0]
			n, err := strconv.Atoi(string(m.Body))
			if err != nil {
				t.Fatal(err)
			}
			if want, ok := next[key]; ok && n != want {
				t.Errorf("consumer %d, %s: message %d, want %d", i, key, n, want)
			}
			next[key] = n + 1
		}
	}
}

// An orderly consumer whose handler fails gets the same message again, and nothing
// overtakes it.
func testOrderedFails(t *testing.T, c *cluster) {
	topic := c.topic(t, "topic", 1)
	var failures atomic.Int32
	in := &inbox{answer: func(m *message.Received) error {
		if string(m.Body) == "step-001" && failures.Add(1) <= 2 {
			return errors.New("not yet")
		}
		return nil
	}}
	c.consumer(t, name(t, "group"), topic, in, client.WithOrderly())
	sendAll(t, c.producer(t), topic, numbered("step", 4)...)
	want := []string{"step-000", "step-001", "step-001", "step-001", "step-002", "step-003"}
	in.await(t, want...)
	if have := in.bodies(); !slices.Equal(have, want) {
		t.Errorf("received %q, want %q", have, want)
	}
}
