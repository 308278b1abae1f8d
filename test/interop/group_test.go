// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/apache/rocketmq-client-go/v2/admin"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

// A message that is refused comes back after the delays of the levels from 3 on
// and ends in the dead letter topic; one that is refused once comes back once.
func testRetry(t *testing.T, c *cluster) {
	topic, group := c.topic(t, "topic", 1), name(t, "group")
	// The client learns of the retry topic at its start, or 30 to 50 s later. The
	// group has been here before.
	known := c.consumer(t, group, topic, &inbox{})
	if err := known.Shutdown(); err != nil {
		t.Fatal(err)
	}
	a := c.admin(t)
	c.awaitTopic(t, a, "%RETRY%"+group)

	in := &inbox{answer: func(m *primitive.MessageExt) consumer.ConsumeResult {
		if string(m.Body) == "hopeless" || string(m.Body) == "second chance" && m.ReconsumeTimes == 0 {
			return consumer.ConsumeRetryLater
		}
		return consumer.ConsumeSuccess
	}}
	c.consumer(t, group, topic, in, consumer.WithMaxReconsumeTimes(2))
	p := c.producer(t)
	m := primitive.NewMessage(topic, []byte("hopeless"))
	m.WithTag("tag").WithKeys([]string{"key"})
	sent := send(t, p, m)
	sendAll(t, p, topic, "second chance", "fine")
	in.await(t, patient, "hopeless", "second chance", "fine", "second chance", "hopeless", "hopeless")
	times := map[string][]received{}
	for _, r := range in.all() {
		times[string(r.Body)] = append(times[string(r.Body)], r)
	}
	for body, list := range times {
		for i, r := range list {
			if int(r.ReconsumeTimes) != i || r.Topic != topic {
				t.Errorf("%s, time %d: %d retries, topic %s", body, i, r.ReconsumeTimes, r.Topic)
			}
			if i > 0 {
				if origin := r.GetProperty(primitive.PropertyOriginMessageId); origin == "" {
					t.Errorf("%s, time %d has no id of its first message", body, i)
				}
				// Levels 3 and 4 are 3 s.
				if took := r.At.Sub(list[i-1].At); took < 3*time.Second-10*time.Millisecond || took > 15*time.Second {
					t.Errorf("%s, time %d came after %v", body, i, took)
				}
			}
		}
	}

	c.awaitTopic(t, a, "%DLQ%"+group)
	dead := &inbox{}
	c.consumer(t, name(t, "undertaker"), "%DLQ%"+group, dead)
	dead.await(t, soon, "hopeless")
	d := dead.all()[0]
	if d.ReconsumeTimes != 3 || d.GetTags() != "tag" || d.GetKeys() != "key" || d.GetProperty(primitive.PropertyRetryTopic) != topic ||
		d.GetProperty("DLQ_ORIGIN_TOPIC") != topic || d.GetProperty("DLQ_ORIGIN_MESSAGE_ID") != sent.MsgID ||
		d.GetProperty(primitive.PropertyOriginMessageId) != sent.OffsetMsgID && d.GetProperty(primitive.PropertyOriginMessageId) != sent.MsgID {
		t.Errorf("dead letter: %d retries, properties %v; sent as %v", d.ReconsumeTimes, d.GetProperties(), sent)
	}
}

// testConsumerRestart stops a consumer and starts another of the group.
func testConsumerRestart(t *testing.T, c *cluster) {
	topic, group := c.topic(t, "topic", 2), name(t, "group")
	p := c.producer(t)
	for round := range 3 {
		bodies := numbered(fmt.Sprint("round-", round), 10)
		sendAll(t, p, topic, bodies...)
		in := &inbox{}
		running := c.consumer(t, group, topic, in)
		in.await(t, soon, bodies...)
		if err := running.Shutdown(); err != nil {
			t.Fatal(err)
		}
	}
}

// manual sends to the queue of the message.
func manual() producer.Option { return producer.WithQueueSelector(producer.NewManualQueueSelector()) }

func toQueue(topic string, queue int, body string) *primitive.Message {
	m := primitive.NewMessage(topic, []byte(body))
	m.Queue = &primitive.MessageQueue{Topic: topic, BrokerName: "broker-a", QueueId: queue}
	return m
}

// testJoinAndLeave holds that consumers hear of each other from the broker:
// their own rounds are 20 s apart.
func testJoinAndLeave(t *testing.T, c *cluster) {
	const queues, notice = 4, 12 * time.Second
	topic, group := c.topic(t, "topic", queues), name(t, "group")
	p := c.producer(t, manual())
	// The producer learns of the route by its first message.
	sent := 0
	round := func() []string {
		var bodies []string
		for q := range queues {
			bodies = append(bodies, fmt.Sprintf("%05d", sent))
			send(t, p, toQueue(topic, q, bodies[q]))
			sent++
		}
		return bodies
	}
	count := func(in *inbox, bodies []string) int {
		n := 0
		for _, b := range bodies {
			if slices.Contains(in.bodies(), b) {
				n++
			}
		}
		return n
	}
	one, two := &inbox{}, &inbox{}
	shared := func(wantOne, wantTwo int, what string) {
		t.Helper()
		bodies := round()
		begin := time.Now()
		await(t, notice, func() string {
			n, m := count(one, bodies), count(two, bodies)
			switch {
			case n == wantOne && m == wantTwo:
				return ""
			case n+m >= queues || time.Since(begin) > time.Second:
				bodies, begin = round(), time.Now()
			}
			return fmt.Sprintf("%s: of %d messages the first consumer got %d and the second %d, want %d and %d",
				what, queues, n, m, wantOne, wantTwo)
		})
	}
	c.consumer(t, group, topic, one)
	shared(queues, 0, "alone")
	joined := c.consumer(t, group, topic, two)
	shared(queues/2, queues/2, "two")
	if err := joined.Shutdown(); err != nil {
		t.Fatal(err)
	}
	shared(queues, 0, "alone again")
	await(t, soon, func() string {
		have := append(one.bodies(), two.bodies()...)
		slices.Sort(have)
		if n := len(slices.Compact(have)); n != sent {
			return fmt.Sprintf("%d of %d messages have come", n, sent)
		}
		return ""
	})
}

func (c *cluster) awaitTopic(t *testing.T, a admin.Admin, topic string) {
	t.Helper()
	await(t, soon, func() string {
		list, err := a.FetchAllTopicList(t.Context())
		if err != nil {
			return err.Error()
		}
		if !slices.Contains(list.TopicList, topic) {
			return fmt.Sprintf("there is no topic %s", topic)
		}
		return ""
	})
}
