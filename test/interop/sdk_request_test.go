// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/message"
)

// sdk gives a producer of package client.
func (c *cluster) sdk(t *testing.T) *client.Producer {
	t.Helper()
	p, err := client.NewProducer(name(t, "sdk"), client.WithNameServers(c.Namesrv), client.WithTimeout(soon))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// testRequestOfOurClient has package client ask, and the official client answer.
func testRequestOfOurClient(t *testing.T, c *cluster) {
	topic := c.topic(t, "topic", 2)
	answers := c.producer(t, producer.WithGroupName(name(t, "answers")))
	in := &inbox{answer: func(m *primitive.MessageExt) consumer.ConsumeResult {
		body := append([]byte("answer to "), m.Body...)
		reply, err := consumer.CreateReplyMessage(m, body)
		if err == nil {
			reply.Body = body                                    // the call of this version takes it for properties
			_, _ = answers.SendSync(context.Background(), reply) // whether it came, the requester sees
		}
		return consumer.ConsumeSuccess
	}}
	c.consumer(t, name(t, "group"), topic, in)
	asks := c.sdk(t)
	for i := range 5 {
		text := fmt.Sprint("question ", i)
		reply, err := asks.Request(within(t, patient), message.New(topic, []byte(text)))
		if err != nil || string(reply.Body) != "answer to "+text {
			t.Fatalf("%s: %+v, %v", text, reply, err)
		}
	}
}

// testReplyOfOurClient has the official client ask, and package client answer.
func testReplyOfOurClient(t *testing.T, c *cluster) {
	topic := c.topic(t, "topic", 2)
	answers := c.sdk(t)
	long := strings.Repeat(" and so on", 1000) // compressed
	failed := make(chan error, 100)
	in := &inbox{answer: func(m *primitive.MessageExt) consumer.ConsumeResult {
		asked := &message.Received{Message: message.Message{Topic: m.Topic, Properties: m.GetProperties(), Body: m.Body}, BrokerName: m.Queue.BrokerName}
		if err := answers.Reply(context.Background(), asked, []byte("answer to "+string(m.Body)+long)); err != nil {
			failed <- err
		}
		return consumer.ConsumeSuccess
	}}
	shared := instance()
	asks := c.producer(t, producer.WithGroupName(name(t, "asks")), producer.WithInstanceName(shared))
	c.consumer(t, name(t, "group"), topic, in, consumer.WithInstance(shared)) // see testRequestReply
	await(t, patient, func() string {
		got, err := asks.Request(t.Context(), 10*time.Second, primitive.NewMessage(topic, []byte("question")))
		switch {
		case err != nil:
			return err.Error()
		case string(got.Body) != "answer to question"+long:
			return fmt.Sprintf("the answer has %d bytes", len(got.Body))
		}
		return ""
	})
	for range len(failed) {
		t.Log("a reply:", <-failed) // as long as the requester is not known to the broker
	}
}
