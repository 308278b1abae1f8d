// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

// The selecting consumer gets a message without a tag of its own last, so that
// what it did not get by then it will never get.
func testTags(t *testing.T, c *cluster) {
	topic := c.topic(t, "topic", 1)
	all, some := &inbox{}, &inbox{}
	c.consumer(t, name(t, "all"), topic, all)
	c.selecting(t, name(t, "some"), topic, consumer.MessageSelector{Type: consumer.TAG, Expression: "red || Aa"}, some)
	p := c.producer(t)
	var bodies []string
	// BB has the hash of Aa.
	for i, tag := range []string{"red", "green", "Aa", "BB", "", "red"} {
		m := primitive.NewMessage(topic, []byte(fmt.Sprint(i, tag)))
		if tag != "" {
			m.WithTag(tag)
		}
		send(t, p, m)
		bodies = append(bodies, string(m.Body))
	}
	all.await(t, soon, bodies...)
	some.await(t, soon, bodies[0], bodies[2], bodies[5])
}

func testDelay(t *testing.T, c *cluster) {
	topic, in := c.topic(t, "topic", 2), &inbox{}
	c.consumer(t, name(t, "group"), topic, in)
	p := c.producer(t)
	sent := map[string]time.Time{}
	for level := range 4 {
		body := strconv.Itoa(level)
		m := primitive.NewMessage(topic, []byte(body))
		if level > 0 {
			m.WithDelayTimeLevel(level)
		}
		sent[body] = time.Now()
		send(t, p, m)
	}
	in.await(t, soon, "0", "1", "2", "3")
	for i, m := range in.all() {
		level, _ := strconv.Atoi(string(m.Body))
		took := m.At.Sub(sent[string(m.Body)])
		// The server counts from its store timestamp, in whole milliseconds.
		if want := time.Duration(level) * time.Second; took < want-2*time.Millisecond || took > want+5*time.Second {
			t.Errorf("level %d came after %v", level, took)
		}
		if level != i {
			t.Errorf("level %d came as number %d", level, i)
		}
		if m.Topic != topic {
			t.Errorf("level %d came from topic %s", level, m.Topic)
		}
	}
}

// Messages of one key go to one queue; whichever of two orderly consumers has
// the queue gets them in their order. The first consumer has locked all queues
// when the second comes and, being this client, never unlocks one that it gives
// away: the second gets its queues when the broker's locks expire, after 60 s.
func testOrdered(t *testing.T, c *cluster) {
	topic, group := c.topic(t, "topic", 4), name(t, "group")
	ins := []*inbox{{}, {}}
	for _, in := range ins {
		c.consumer(t, group, topic, in, consumer.WithConsumerOrder(true), consumer.WithRebalanceLockInterval(time.Second))
	}
	p := c.producer(t, producer.WithQueueSelector(producer.NewHashQueueSelector()))
	const keys, each = 12, 20
	for n := range each {
		for k := range keys {
			m := primitive.NewMessage(topic, []byte(strconv.Itoa(n)))
			m.WithShardingKey(fmt.Sprint("order-", k))
			send(t, p, m)
		}
	}
	await(t, 150*time.Second, func() string {
		if n := len(ins[0].all()) + len(ins[1].all()); n < keys*each {
			return fmt.Sprintf("%d of %d have come", n, keys*each)
		}
		return ""
	})
	seen := map[string]int{}
	for i, in := range ins {
		next := map[string]int{}
		for _, m := range in.all() {
			key := m.GetShardingKey()
			n, _ := strconv.Atoi(string(m.Body))
			// A queue that moved to the other consumer goes on, or some of it again.
			if want, ok := next[key]; ok && n != want {
				t.Errorf("consumer %d, %s: message %d, want %d", i, key, n, want)
			}
			next[key] = n + 1
			seen[key+"/"+string(m.Body)]++
		}
	}
	if len(seen) != keys*each {
		t.Errorf("%d different messages have come, want %d", len(seen), keys*each)
	}
	if len(ins[0].all()) == 0 || len(ins[1].all()) == 0 {
		t.Errorf("%d and %d messages: one consumer has nothing", len(ins[0].all()), len(ins[1].all()))
	}
}

// An orderly consumer that can't go on gets the same message again, and nothing
// overtakes it.
func testOrderedSuspended(t *testing.T, c *cluster) {
	topic := c.topic(t, "topic", 1)
	failures := 0 // of orderly calls: one at a time
	in := &inbox{answer: func(m *primitive.MessageExt) consumer.ConsumeResult {
		if string(m.Body) == "step-002" && failures < 3 {
			failures++
			return consumer.SuspendCurrentQueueAMoment
		}
		return consumer.ConsumeSuccess
	}}
	c.consumer(t, name(t, "group"), topic, in, consumer.WithConsumerOrder(true), consumer.WithRebalanceLockInterval(time.Second),
		consumer.WithSuspendCurrentQueueTimeMillis(10*time.Millisecond))
	sendAll(t, c.producer(t), topic, numbered("step", 5)...)
	want := []string{"step-000", "step-001", "step-002", "step-002", "step-002", "step-002", "step-003", "step-004"}
	await(t, patient, func() string {
		if have := in.bodies(); len(have) < len(want) {
			return fmt.Sprintf("received %q", have)
		}
		return ""
	})
	if have := in.bodies(); !slices.Equal(have, want) {
		t.Errorf("received %q, want %q", have, want)
	}
}

// Every consumer of a broadcast group gets everything, and goes on where it
// stopped: the offsets are its own.
func testBroadcast(t *testing.T, c *cluster) {
	topic, group := c.topic(t, "topic", 3), name(t, "group")
	p := c.producer(t)
	a, b := &inbox{}, &inbox{}
	c.consumer(t, group, topic, a, consumer.WithConsumerModel(consumer.BroadCasting))
	second := instance()
	stopped := c.consumer(t, group, topic, b, consumer.WithConsumerModel(consumer.BroadCasting), consumer.WithInstance(second))
	sendAll(t, p, topic, numbered("first", 9)...)
	a.await(t, soon, numbered("first", 9)...)
	b.await(t, soon, numbered("first", 9)...)
	if err := stopped.Shutdown(); err != nil {
		t.Fatal(err)
	}
	sendAll(t, p, topic, numbered("second", 9)...)
	a.await(t, soon, append(numbered("first", 9), numbered("second", 9)...)...)
	again := &inbox{}
	c.consumer(t, group, topic, again, consumer.WithConsumerModel(consumer.BroadCasting), consumer.WithInstance(second))
	again.await(t, soon, numbered("second", 9)...)
}

// New consumers begin at the first message, at the last, or at a time. The latter
// two broadcast: a new group's offset in a queue that begins at 0 is 0 for the
// broker, as in RocketMQ, and the client goes by that.
func testFromWhere(t *testing.T, c *cluster) {
	topic := c.topic(t, "topic", 1)
	p := c.producer(t)
	sendAll(t, p, topic, numbered("old", 5)...)
	// The client's times are in whole seconds.
	border := time.Now().Truncate(time.Second).Add(2 * time.Second)
	<-time.After(time.Until(border.Add(10 * time.Millisecond)))
	sendAll(t, p, topic, numbered("middle", 5)...)
	first, last, timed := &inbox{}, &inbox{}, &inbox{}
	c.consumer(t, name(t, "first"), topic, first)
	c.consumer(t, name(t, "last"), topic, last, consumer.WithConsumeFromWhere(consumer.ConsumeFromLastOffset),
		consumer.WithConsumerModel(consumer.BroadCasting))
	c.consumer(t, name(t, "timed"), topic, timed, consumer.WithConsumeFromWhere(consumer.ConsumeFromTimestamp),
		consumer.WithConsumerModel(consumer.BroadCasting),
		consumer.WithConsumeTimestamp(border.UTC().Format("20060102150405")))
	first.await(t, soon, append(numbered("old", 5), numbered("middle", 5)...)...)
	timed.await(t, soon, numbered("middle", 5)...)
	// The last one begins at the end at its start or soon after: of what is sent
	// from now on it may miss the first.
	n := 0
	await(t, soon, func() string {
		if len(last.all()) > 0 {
			return ""
		}
		sendAll(t, p, topic, fmt.Sprint("new-", n))
		n++
		return fmt.Sprintf("%d messages sent, none has come", n)
	})
	for _, body := range last.bodies() {
		if body[:4] != "new-" {
			t.Errorf("the group that begins at the end got %s", body)
		}
	}
}
