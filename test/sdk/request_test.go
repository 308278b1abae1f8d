// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sdk

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/test/rig"
)

// testRequestReply asks and is answered, many times at once.
func testRequestReply(t *testing.T, c *cluster) {
	topic := c.topic(t, "topic", 2)
	answers, asks := c.producer(t), c.producer(t)
	in := &inbox{answer: func(m *message.Received) error {
		if string(m.Body) == "nobody knows" {
			return nil
		}
		return answers.Reply(context.Background(), m, append([]byte("answer to "), m.Body...))
	}}
	c.consumer(t, name(t, "group"), topic, in)
	questions := numbered("question", 20)
	results := make(chan error, len(questions))
	for _, text := range questions {
		go func() {
			got, err := asks.Request(rig.Context(t), message.New(topic, []byte(text)))
			if err == nil && string(got.Body) != "answer to "+text {
				err = fmt.Errorf("%s is answered %q", text, got.Body)
			}
			results <- err
		}()
	}
	for range questions {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := asks.Request(ctx, message.New(topic, []byte("nobody knows"))); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a request that nobody answers: %v", err)
	}
}

// Errors say what went wrong: nobody has to read their text.
func testErrors(t *testing.T, c *cluster) {
	p, err := client.NewPuller(c.with()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, p) })
	if _, err := p.Queues(rig.Context(t), name(t, "nowhere")); !errors.Is(err, client.ErrNoRoute) {
		t.Errorf("a topic that does not exist: %v", err)
	}
	producer, topic := c.producer(t), c.topic(t, "topic", 1)
	q := send(t, producer, message.New(topic, []byte("x"))).Queue
	q.ID = 99
	var answer *client.AnswerError
	if _, err = producer.SendTo(rig.Context(t), q, message.New(topic, []byte("x"))); !errors.As(err, &answer) || answer.Code == 0 {
		t.Errorf("a queue that the topic does not have: %v", err)
	}
	closed(t, producer)
	if _, err := producer.Send(rig.Context(t), message.New(name(t, "topic"), []byte("x"))); !errors.Is(err, client.ErrClosed) {
		t.Errorf("a send after Close: %v", err)
	}
	gone, err := client.NewProducer("gone", client.WithNameServers("127.0.0.1:1"), client.WithTimeout(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, gone) })
	if _, err := gone.Send(rig.Context(t), message.New(name(t, "topic"), []byte("x"))); !errors.Is(err, client.ErrNameServer) {
		t.Errorf("no name server: %v", err)
	}
}
