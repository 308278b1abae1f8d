// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"fmt"
	"slices"
	"testing"
	"time"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

// puller starts a pull consumer. It polls in the background from the group's
// offset on, as the client has it.
func (c *cluster) puller(t *testing.T, group, topic string) rocketmq.PullConsumer {
	t.Helper()
	p, err := rocketmq.NewPullConsumer(
		consumer.WithNsResolver(c.resolver()), consumer.WithInstance(instance()), consumer.WithGroupName(group),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset), consumer.WithPullBatchSize(32))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Subscribe(topic, consumer.MessageSelector{}); err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Shutdown() })
	return p
}

func bodies(msgs []*primitive.MessageExt) []string {
	var all []string
	for _, m := range msgs {
		all = append(all, string(m.Body))
	}
	return all
}

// poll takes one lot of messages.
func poll(t *testing.T, p rocketmq.PullConsumer) *consumer.ConsumeRequest {
	t.Helper()
	var got *consumer.ConsumeRequest
	await(t, soon, func() string {
		var err error
		if got, err = p.Poll(t.Context(), time.Second); err != nil {
			return "polling: " + err.Error()
		}
		return ""
	})
	return got
}

func testPullFrom(t *testing.T, c *cluster) {
	topic, group := c.topic(t, "topic", 1), name(t, "group")
	want := numbered("pull", 10)
	sendAll(t, c.producer(t), topic, want...)
	p := c.puller(t, group, topic)
	q := &primitive.MessageQueue{Topic: topic, BrokerName: "broker-a"}
	for _, tc := range []struct {
		from, n int
	}{{0, 4}, {4, 32}, {9, 1}} {
		r, err := p.PullFrom(t.Context(), q, int64(tc.from), tc.n)
		if err != nil {
			t.Fatal(err)
		}
		end := min(tc.from+tc.n, 10)
		if have := bodies(r.GetMessageExts()); r.Status != primitive.PullFound || !slices.Equal(have, want[tc.from:end]) {
			t.Errorf("%d from %d: status %d, %q", tc.n, tc.from, r.Status, have)
		}
		if r.NextBeginOffset != int64(end) || r.MinOffset != 0 || r.MaxOffset != 10 {
			t.Errorf("%d from %d: next %d, min %d, max %d", tc.n, tc.from, r.NextBeginOffset, r.MinOffset, r.MaxOffset)
		}
	}
	// Beyond the end the broker says where to go on.
	r, err := p.PullFrom(t.Context(), q, 5000, 4)
	if err != nil || r.Status != primitive.PullOffsetIllegal || r.NextBeginOffset != 10 {
		t.Errorf("from 5000: %v, %v", r, err)
	}

	// The client persists the offsets of queues that it has been given only.
	if first := poll(t, p).GetMsgList(); string(first[0].Body) != want[0] {
		t.Errorf("polled %q first", first[0].Body)
	}
	if err := p.UpdateOffset(q, 7); err != nil {
		t.Fatal(err)
	}
	if err := p.PersistOffset(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
	if err := p.Shutdown(); err != nil {
		t.Fatal(err)
	}
	next := c.puller(t, group, topic)
	if at, err := next.CurrentOffset(q); err != nil || at != 7 {
		t.Errorf("the group's offset is %d, %v; want 7", at, err)
	}
	if r, err = next.Pull(t.Context(), 2); err != nil || !slices.Equal(bodies(r.GetMessageExts()), want[7:9]) {
		t.Errorf("pulled %v, %v; want from offset 7", r, err)
	}
}

func testPoll(t *testing.T, c *cluster) {
	topic, group := c.topic(t, "topic", 2), name(t, "group")
	producer := c.producer(t)
	for round := range 2 {
		want := numbered(fmt.Sprint("poll-", round), 20)
		sendAll(t, producer, topic, want...)
		p := c.puller(t, group, topic)
		var have []string
		for len(have) < len(want) {
			r := poll(t, p)
			have = append(have, bodies(r.GetMsgList())...)
			p.ACK(t.Context(), r, consumer.ConsumeSuccess)
		}
		slices.Sort(have)
		if !slices.Equal(have, want) {
			t.Errorf("round %d: polled %q", round, have)
		}
		if err := p.Shutdown(); err != nil {
			t.Fatal(err)
		}
	}
}
