// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package mqtest

import (
	"context"
	"time"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// createTimeout is how long CreateTopic waits.
const createTimeout = 10 * time.Second

// permReadWrite lets a topic be sent to and consumed.
const permReadWrite = 6

// CreateTopic makes a topic with so many queues on each broker, or changes it. When
// it returns the topic is in the routes. It ends the test when a broker is stopped or
// does not answer, and must be called by the test's own goroutine. Without it the
// first message to a topic creates it, as in production: it is in the routes, and can
// be consumed, a moment after the message was stored.
func (c *Cluster) CreateTopic(name string, queues int) {
	c.t.Helper()
	client := remoting.NewClient(remoting.ClientConfig{Logger: c.o.log})
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), createTimeout)
	defer cancel()
	for _, b := range c.brokers {
		err := rpc.CreateTopic(ctx, client, b.Addr(), &header.CreateTopicRequest{
			Topic: name, DefaultTopic: message.TopicAutoCreate, ReadQueueNums: int32(queues), WriteQueueNums: int32(queues),
			Perm: permReadWrite, TopicFilterType: "SINGLE_TAG",
		})
		if err != nil {
			c.t.Fatalf("mqtest: topic %q on %s: %v", name, b.name, err)
		}
	}
}
