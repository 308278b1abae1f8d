// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
)

// The parts of a consumer process that is killed. It says "got queue times body"
// of each message before it answers for it.
const (
	roleOrdered  = "ordered"  // orderly, 20 ms a message
	roleRefusing = "refusing" // gives back every message that begins with "hopeless"
)

// maxRetries is how often a refused message is given again.
const maxRetries = 2

// consume runs until its standard input ends.
func consume(role string) int {
	opts := []consumer.Option{
		consumer.WithNsResolver(primitive.NewPassthroughResolver([]string{os.Getenv(namesrvVariable)})),
		consumer.WithInstance("killed"), consumer.WithGroupName(os.Getenv(groupVariable)),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset),
	}
	if role == roleOrdered {
		// One lock at the start: it expires a minute later.
		opts = append(opts, consumer.WithConsumerOrder(true), consumer.WithRebalanceLockInterval(time.Hour))
	} else {
		opts = append(opts, consumer.WithMaxReconsumeTimes(maxRetries))
	}
	p, err := rocketmq.NewPushConsumer(opts...)
	if err == nil {
		err = p.Subscribe(os.Getenv(topicVariable), consumer.MessageSelector{}, func(_ context.Context, msgs ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			result := consumer.ConsumeSuccess
			for _, m := range msgs {
				fmt.Printf("got %d %d %s\n", m.Queue.QueueId, m.ReconsumeTimes, m.Body)
				if role == roleOrdered {
					<-time.After(20 * time.Millisecond)
				} else {
					result = max(result, refuse(m))
				}
			}
			return result, nil
		})
	}
	if err == nil {
		err = p.Start()
	}
	if err != nil {
		fmt.Println("failed", err)
		return 1
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	_ = p.Shutdown()
	return 0
}

func refuse(m *primitive.MessageExt) consumer.ConsumeResult {
	if strings.HasPrefix(string(m.Body), "hopeless") {
		return consumer.ConsumeRetryLater
	}
	return consumer.ConsumeSuccess
}

// visit makes a client join a group and leave it at once: the broker tells the
// others, who would otherwise look at their queues every 20 s only.
func (c *cluster) visit(t *testing.T, group, topic string) {
	t.Helper()
	r, id := raw(t), "127.0.0.1@zz-visitor"
	err := rpc.Heartbeat(within(t, soon), r, c.Broker, &body.HeartbeatData{ClientID: id, ConsumerDataSet: []body.ConsumerData{{
		GroupName: group, ConsumeType: body.ConsumePassively, MessageModel: body.Clustering, ConsumeFromWhere: body.ConsumeFromFirstOffset,
		SubscriptionDataSet: []body.SubscriptionData{{Topic: topic, SubString: "*", ExpressionType: "TAG", SubVersion: 1}},
	}}})
	if err == nil {
		err = rpc.Unregister(within(t, soon), r, c.Broker, &header.UnregisterClientRequest{ClientID: id, ConsumerGroup: group})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// testOrderedKilled kills an orderly consumer in the middle. Another takes its
// queues over, not before the locks have expired, and goes on in each where the
// first has stopped or earlier, in order and without a gap.
func testOrderedKilled(t *testing.T, c *cluster) {
	const queues, each = 2, 100
	topic, group := c.topic(t, "topic", queues), name(t, "group")
	p := c.producer(t, manual())
	for i := range each {
		for q := range queues {
			send(t, p, toQueue(topic, q, strconv.Itoa(i)))
		}
	}
	begin := time.Now()
	first := startPart(t, roleOrdered, c.Namesrv, group, topic)
	said := first.said(t, 30)
	locked := time.Now()
	said = append(said, first.kill(t)...)
	next := [queues]int{}
	for _, line := range said {
		var q, times, i int
		if _, err := fmt.Sscanf(line, "got %d %d %d", &q, &times, &i); err != nil {
			t.Fatalf("the first consumer said %q", line)
		}
		if i != next[q] {
			t.Errorf("the first consumer got %d of queue %d, want %d", i, q, next[q])
		}
		next[q] = i + 1
	}
	if next[0]+next[1] >= queues*each {
		t.Fatalf("the first consumer got all %d messages before it was killed", queues*each)
	}

	in := &inbox{}
	c.consumer(t, group, topic, in, consumer.WithConsumerOrder(true), consumer.WithRebalanceLockInterval(time.Second))
	visits := time.NewTicker(5 * time.Second)
	defer visits.Stop()
	await(t, 120*time.Second, func() string {
		all := in.all()
		if len(all) == 0 {
			select {
			case <-visits.C:
				c.visit(t, group, topic)
			default:
			}
		}
		have := [queues]int{}
		for _, m := range all {
			i, _ := strconv.Atoi(string(m.Body))
			have[m.Queue.QueueId] = max(have[m.Queue.QueueId], i+1)
		}
		if have != [queues]int{each, each} {
			return fmt.Sprintf("the second consumer is at %v of %d, %v after the kill", have, each, time.Since(locked).Round(time.Second))
		}
		return ""
	})
	// The lock was taken after begin and before the first message.
	if took := in.all()[0].At.Sub(begin); took < 60*time.Second {
		t.Errorf("the second consumer has a queue %v after the first was started: its lock holds for a minute", took)
	}
	last := map[int]int{}
	for _, m := range in.all() {
		q := m.Queue.QueueId
		i, _ := strconv.Atoi(string(m.Body))
		switch before, ok := last[q]; {
		case !ok && i > next[q]:
			t.Errorf("queue %d goes on at %d, the first consumer got up to %d", q, i, next[q])
		case ok && i != before+1:
			t.Errorf("queue %d: %d after %d", q, i, before)
		}
		last[q] = i
	}
}

// testRetryKilled kills a consumer between a message's deliveries. Another of the
// group goes on with the retries: each message is given for its last time, and
// is in the dead letters, whoever got it before.
func testRetryKilled(t *testing.T, c *cluster) {
	topic, group := c.topic(t, "topic", 2), name(t, "group")
	// The client looks for the retry topic at its start, or 30 s later.
	c.visit(t, group, topic)
	p := c.producer(t)
	const n = 10
	hopeless, fine := numbered("hopeless", n), numbered("fine", n)
	sendAll(t, p, topic, slices.Concat(hopeless, fine)...)
	first := startPart(t, roleRefusing, c.Namesrv, group, topic)
	// All for the first time, and some of the retries.
	said := first.said(t, 2*n+n/2)
	said = append(said, first.kill(t)...)
	seen := map[string]int{} // "times body" -> how often
	for _, line := range said {
		part := strings.SplitN(line, " ", 4)
		seen[part[2]+" "+part[3]]++
	}
	in := &inbox{answer: refuse}
	c.consumer(t, group, topic, in, consumer.WithMaxReconsumeTimes(maxRetries))
	dead := &inbox{}
	await(t, patient, func() string {
		all := map[string]int{}
		for k, v := range seen {
			all[k] = v
		}
		for _, m := range in.all() {
			all[fmt.Sprintf("%d %s", m.ReconsumeTimes, m.Body)]++
		}
		for _, b := range hopeless {
			for times := range maxRetries + 1 {
				if all[fmt.Sprintf("%d %s", times, b)] == 0 {
					return fmt.Sprintf("%s was not given with %d retries", b, times)
				}
			}
		}
		for _, b := range fine {
			if all["0 "+b] == 0 {
				return b + " was not given"
			}
		}
		return ""
	})
	for _, m := range in.all() {
		if m.ReconsumeTimes > maxRetries || m.ReconsumeTimes > 0 && strings.HasPrefix(string(m.Body), "fine") {
			t.Errorf("%s was given with %d retries", m.Body, m.ReconsumeTimes)
		}
	}
	c.awaitTopic(t, c.admin(t), "%DLQ%"+group)
	c.consumer(t, name(t, "undertaker"), "%DLQ%"+group, dead)
	await(t, patient, func() string {
		have := dead.bodies()
		for _, b := range hopeless {
			if !slices.Contains(have, b) {
				return fmt.Sprintf("%s is not among the dead letters %q", b, have)
			}
		}
		return ""
	})
	for _, m := range dead.all() {
		if strings.HasPrefix(string(m.Body), "fine") || m.GetProperty(primitive.PropertyRetryTopic) != topic {
			t.Errorf("%s is among the dead letters, of topic %q", m.Body, m.GetProperty(primitive.PropertyRetryTopic))
		}
	}
}
