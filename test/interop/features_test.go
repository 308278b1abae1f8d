// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

// testRequestReply asks and is answered, many times at once. The broker finds the
// requester by its heartbeat; this client sends one at its start only where it
// knows a broker by then, which is why the topic's consumer shares its connection.
func testRequestReply(t *testing.T, c *cluster) {
	topic := c.topic(t, "topic", 2)
	answers := c.producer(t, producer.WithGroupName(name(t, "answers")))
	failed := make(chan error, 100)
	in := &inbox{answer: func(m *primitive.MessageExt) consumer.ConsumeResult {
		body := append([]byte("answer to "), m.Body...)
		reply, err := consumer.CreateReplyMessage(m, body)
		if err == nil {
			reply.Body = body // the call of this version takes it for properties
			_, err = answers.SendSync(context.Background(), reply)
		}
		if err != nil {
			failed <- err
		}
		return consumer.ConsumeSuccess
	}}
	shared := instance()
	asks := c.producer(t, producer.WithGroupName(name(t, "asks")), producer.WithInstanceName(shared))
	c.consumer(t, name(t, "group"), topic, in, consumer.WithInstance(shared))

	const n = 20
	results := make(chan error, n)
	ask := func(text string) error {
		got, err := asks.Request(t.Context(), 10*time.Second, primitive.NewMessage(topic, []byte(text)))
		if err == nil && !bytes.Equal(got.Body, []byte("answer to "+text)) {
			err = fmt.Errorf("%s is answered %q", text, got.Body)
		}
		return err
	}
	// The producer is in the heartbeats once it has started.
	await(t, patient, func() string {
		if err := ask("first"); err != nil {
			return err.Error()
		}
		return ""
	})
	for _, text := range numbered("question", n) {
		go func() { results <- ask(text) }()
	}
	for range n {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	for range len(failed) {
		t.Log("a reply:", <-failed)
	}
}

// testTrace has the client write what it did to the trace topic, and reads it.
func testTrace(t *testing.T, c *cluster) {
	topic, group, in := c.topic(t, "topic", 1), name(t, "group"), &inbox{}
	cfg := &primitive.TraceConfig{Access: primitive.Local, Resolver: c.resolver()}
	c.consumer(t, group, topic, in, consumer.WithTrace(cfg))
	p := c.producer(t, producer.WithTrace(cfg))
	m := primitive.NewMessage(topic, []byte("traced"))
	m.WithKeys([]string{"the-key"}).WithTag("the-tag")
	sent := send(t, p, m)
	in.await(t, soon, "traced")

	traces := &inbox{}
	c.consumer(t, name(t, "reader"), "RMQ_SYS_TRACE_TOPIC", traces)
	await(t, soon, func() string {
		all := map[string]string{}
		for _, r := range traces.all() {
			for line := range strings.SplitSeq(string(r.Body), "\x02") {
				if kind, _, ok := strings.Cut(line, "\x01"); ok && strings.Contains(line, sent.MsgID) {
					all[kind] = line
					if !strings.Contains(r.GetKeys(), sent.MsgID) {
						t.Fatalf("the keys of the trace of %s are %q", sent.MsgID, r.GetKeys())
					}
				}
			}
		}
		switch {
		case !containsAll(all["Pub"], topic, "the-key", "the-tag", sent.OffsetMsgID):
			return fmt.Sprintf("no trace of the send: %q", all)
		case !containsAll(all["SubBefore"], group, "the-key"):
			return fmt.Sprintf("no trace of the delivery: %q", all)
		case !containsAll(all["SubAfter"], group, "true"):
			return fmt.Sprintf("no trace of the consumption: %q", all)
		}
		return ""
	})
}

// Two namespaces have nothing of each other, nor of what has none.
func testNamespaces(t *testing.T, c *cluster) {
	plain := c.topic(t, "topic", 2)
	sendAll(t, c.producer(t), plain, numbered("none", 4)...)
	none := &inbox{}
	c.consumer(t, name(t, "group"), plain, none)
	for _, space := range []string{"one", "two"} {
		t.Run(space, func(t *testing.T) {
			t.Parallel()
			in := &inbox{}
			p := c.producer(t, producer.WithNamespace(space))
			for _, body := range numbered(space, 4) {
				// The client puts the namespace into the message's topic.
				send(t, p, primitive.NewMessage(plain, []byte(body)))
			}
			c.consumer(t, name(t, "group"), plain, in, consumer.WithNamespace(space))
			in.await(t, soon, numbered(space, 4)...)
			for _, m := range in.all() {
				if m.Topic != space+"%"+plain {
					t.Errorf("%s came from topic %s", m.Body, m.Topic)
				}
			}
		})
	}
	none.await(t, soon, numbered("none", 4)...)
}

// Any delivery time, by properties that the client knows nothing of.
func testTimers(t *testing.T, c *cluster) {
	topic, in := c.topic(t, "topic", 2), &inbox{}
	c.consumer(t, name(t, "group"), topic, in)
	p := c.producer(t)
	due := map[string]time.Time{}
	timed := func(text, property, value string, after time.Duration) {
		t.Helper()
		m := primitive.NewMessage(topic, []byte(text))
		m.WithProperty(property, value)
		m.WithProperty("colour", "grün")
		m.WithTag("tag")
		due[text] = time.Now().Add(after).Truncate(time.Millisecond)
		send(t, p, m)
	}
	at := time.Now().Add(2500 * time.Millisecond)
	timed("at", "TIMER_DELIVER_MS", strconv.FormatInt(at.UnixMilli(), 10), time.Until(at))
	timed("seconds", "TIMER_DELAY_SEC", "3", 3*time.Second)
	timed("milliseconds", "TIMER_DELAY_MS", "1700", 1700*time.Millisecond)
	timed("past", "TIMER_DELIVER_MS", "1000", 0)
	in.await(t, soon, "at", "seconds", "milliseconds", "past")
	for i, m := range in.all() {
		body := string(m.Body)
		if want := []string{"past", "milliseconds", "at", "seconds"}[i]; body != want {
			t.Errorf("%s came as number %d, want %s", body, i, want)
		}
		// A call takes its time between the reading of the clock and the store's.
		if early := due[body].Sub(m.At); early > 2*time.Millisecond || early < -10*time.Second {
			t.Errorf("%s came %v after its time", body, -early)
		}
		if m.Topic != topic || m.GetProperty("colour") != "grün" || m.GetTags() != "tag" {
			t.Errorf("%s came from %s with %v", body, m.Topic, m.GetProperties())
		}
	}
}

// The properties of a message may take 32,767 bytes with all that client and
// broker add.
func testLargeProperties(t *testing.T, c *cluster) {
	topic, in := c.topic(t, "topic", 1), &inbox{}
	c.consumer(t, name(t, "group"), topic, in)
	p := c.producer(t)
	value := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte('a' + i%26)
		}
		return string(b)
	}
	attempt := func(n int) error {
		m := primitive.NewMessage(topic, []byte(strconv.Itoa(n)))
		m.WithProperty("large", value(n))
		_, err := p.SendSync(t.Context(), m)
		return err
	}
	// The largest value that is taken.
	low, high := 32_000, 32_767
	if err := attempt(low); err != nil {
		t.Fatalf("a property of %d bytes: %v", low, err)
	}
	sent := []string{strconv.Itoa(low)}
	for high-low > 1 {
		n := (low + high) / 2
		if attempt(n) == nil {
			low = n
			sent = append(sent, strconv.Itoa(n))
		} else {
			high = n
		}
	}
	if err := attempt(high); err == nil || !containsAll(err.Error(), "CODE: 13") {
		t.Errorf("a property of %d bytes is answered %v, want code 13", high, err)
	}
	in.await(t, soon, sent...)
	for _, m := range in.all() {
		n, _ := strconv.Atoi(string(m.Body))
		if m.GetProperty("large") != value(n) {
			t.Errorf("the property of %d bytes came with %d", n, len(m.GetProperty("large")))
		}
		size := 0
		for k, v := range m.GetProperties() {
			size += len(k) + len(v) + 2
		}
		// The receiving client adds its own: MIN_OFFSET, MAX_OFFSET, CONSUME_START_TIME.
		if n == low && (size < 32_767-20 || size > 32_767+120) {
			t.Errorf("the largest message that was taken has properties of %d bytes", size)
		}
	}
}
