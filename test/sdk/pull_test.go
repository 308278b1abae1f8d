// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sdk

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/test/rig"
)

func (c *cluster) puller(t *testing.T, group string, more ...client.Option) *client.PullConsumer {
	t.Helper()
	p, err := client.NewPullConsumer(group, c.with(append([]client.Option{client.WithStart(client.StartEarliest)}, more...)...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, p) })
	return p
}

// poll gathers n messages.
func poll(t *testing.T, p *client.PullConsumer, n int) (bodies []string) {
	t.Helper()
	for len(bodies) < n {
		got, err := p.Poll(rig.Context(t), n-len(bodies))
		if err != nil {
			t.Fatalf("polling: %v", err)
		}
		for _, m := range got {
			bodies = append(bodies, string(m.Body))
		}
	}
	return bodies
}

// A consumer of queues that it names reads from where it wants, and its group goes
// on at what it committed.
func testAssign(t *testing.T, c *cluster) {
	topic, group := c.topic(t, "topic", 1), name(t, "group")
	want := numbered("pull", 10)
	p := c.producer(t)
	sendAll(t, p, topic, want...)
	q := send(t, p, message.New(topic, []byte("last"))).Queue
	first := c.puller(t, group)
	if err := first.Assign(q); err != nil {
		t.Fatal(err)
	}
	if have := poll(t, first, 4); !slices.Equal(have, want[:4]) {
		t.Errorf("polled %q", have)
	}
	if err := first.Seek(q, 7); err != nil {
		t.Fatal(err)
	}
	if have := poll(t, first, 2); !slices.Equal(have, want[7:9]) {
		t.Errorf("polled %q from offset 7", have)
	}
	if at, known, err := first.Position(q); err != nil || !known || at != 9 {
		t.Errorf("the position is %d, %t, %v; want 9", at, known, err)
	}
	if err := first.Commit(rig.Context(t)); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	next := c.puller(t, group)
	if err := next.Assign(q); err != nil {
		t.Fatal(err)
	}
	if at, ok, err := next.Committed(rig.Context(t), q); err != nil || !ok || at != 9 {
		t.Errorf("committed is %d, %t, %v; want 9", at, ok, err)
	}
	if have := poll(t, next, 2); !slices.Equal(have, []string{want[9], "last"}) {
		t.Errorf("polled %q", have)
	}
}

// Two pull consumers of a group share a topic's queues and see every message.
func testPollShared(t *testing.T, c *cluster) {
	topic, group := c.topic(t, "topic", 4), name(t, "group")
	sender := c.producer(t)
	var members []*client.PullConsumer
	for range 2 {
		p := c.puller(t, group)
		if err := p.Subscribe(topic, client.Tags("wanted")); err != nil {
			t.Fatal(err)
		}
		members = append(members, p)
	}
	var sent []string
	have := map[string]bool{}
	counts := make([]int, len(members))
	await(t, func() string {
		for _, body := range numbered(fmt.Sprint("m", len(sent)), 8) {
			m := message.New(topic, []byte(body))
			m.SetTags("wanted")
			send(t, sender, m)
			m.SetTags("other")
			send(t, sender, m)
			sent = append(sent, body)
		}
		for i, p := range members {
			got, err := p.Poll(rig.Context(t), 100)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range got {
				if m.Tags() != "wanted" {
					t.Errorf("polled %s of tag %s", m.Body, m.Tags())
				}
				have[string(m.Body)] = true
				counts[i]++
			}
		}
		for _, p := range members {
			if n := len(p.Assignment()); n != 2 {
				return fmt.Sprintf("a member has %d queues", n)
			}
		}
		if len(have) < len(sent)-8 || counts[0] == 0 || counts[1] == 0 {
			return fmt.Sprintf("%d of %d have come, by member %d", len(have), len(sent), counts)
		}
		return ""
	})
}

// Seeking a time goes to the first message that was stored then. Brokers of
// RocketMQ 4.9 go to the one before.
func testSeekTime(t *testing.T, c *cluster) {
	topic := c.topic(t, "topic", 1)
	p := c.producer(t)
	old, recent := numbered("old", 3), numbered("recent", 3)
	sendAll(t, p, topic, old...)
	<-time.After(20 * time.Millisecond)
	border := time.Now()
	<-time.After(20 * time.Millisecond)
	sendAll(t, p, topic, recent...)
	q := send(t, p, message.New(topic, []byte("last"))).Queue
	consumer := c.puller(t, name(t, "group"))
	if err := consumer.Assign(q); err != nil {
		t.Fatal(err)
	}
	if err := consumer.SeekTime(rig.Context(t), q, border); err != nil {
		t.Fatal(err)
	}
	have := poll(t, consumer, 3)
	if os.Getenv(namesrvVariable) != "" && have[0] == old[2] {
		have = append(have[1:], poll(t, consumer, 1)...)
	}
	if !slices.Equal(have, recent) {
		t.Errorf("polled %q", have)
	}
}
