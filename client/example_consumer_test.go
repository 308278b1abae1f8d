// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/message"
)

// The members of a group share the messages. A handler's error has the message come
// again.
func ExamplePushConsumer() {
	addr, done := cluster("orders")
	defer done()
	ctx := context.Background()
	produce(addr, "orders", "placed", "order 17")
	handled := make(chan string, 1)
	handle := func(_ context.Context, m *message.Received) error {
		handled <- string(m.Body)
		return nil
	}

	consumer, err := client.NewPushConsumer("billing", client.WithNameServers(addr), client.WithStart(client.StartEarliest))
	if err != nil {
		log.Fatal(err)
	}
	defer consumer.Close()
	err = consumer.Subscribe("orders", client.Tags("placed || paid"), func(ctx context.Context, m *message.Received) error {
		return handle(ctx, m)
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := consumer.Start(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-handled)
	// Output: order 17
}

// What can never be handled goes to the dead letters at once.
func ExampleGiveUp() {
	addr, done := cluster("orders")
	defer done()
	ctx := context.Background()
	produce(addr, "orders", "", "not an order")

	consumer, err := client.NewPushConsumer("billing", client.WithNameServers(addr), client.WithStart(client.StartEarliest))
	if err != nil {
		log.Fatal(err)
	}
	defer consumer.Close()
	err = consumer.Subscribe("orders", client.All, func(_ context.Context, m *message.Received) error {
		return client.GiveUp(errors.New("it cannot be read"))
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := consumer.Start(ctx); err != nil {
		log.Fatal(err)
	}

	dead, err := client.NewPushConsumer("undertaker", client.WithNameServers(addr), client.WithStart(client.StartEarliest))
	if err != nil {
		log.Fatal(err)
	}
	defer dead.Close()
	letters := make(chan string, 1)
	err = dead.Subscribe(message.DLQTopic("billing"), client.All, func(_ context.Context, m *message.Received) error {
		letters <- string(m.Body)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := dead.Start(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-letters)
	// Output: not an order
}

// A pull consumer is asked for messages, and commits when it is told to.
func ExamplePullConsumer() {
	addr, done := cluster("orders")
	defer done()
	ctx := context.Background()
	queue := produce(addr, "orders", "", "order 17")

	consumer, err := client.NewPullConsumer("reports", client.WithNameServers(addr), client.WithStart(client.StartEarliest))
	if err != nil {
		log.Fatal(err)
	}
	defer consumer.Close()
	if err := consumer.Assign(queue); err != nil {
		log.Fatal(err)
	}
	batch, err := consumer.Poll(ctx, 32)
	if err != nil {
		log.Fatal(err)
	}
	for _, m := range batch {
		fmt.Printf("%s\n", m.Body)
	}
	if err := consumer.Commit(ctx); err != nil {
		log.Fatal(err)
	}
	// Output: order 17
}

// What is received stays invisible to others for a time, and comes again unless it
// is acknowledged by then.
func ExamplePopConsumer() {
	addr, done := cluster("orders")
	defer done()
	ctx := context.Background()
	produce(addr, "orders", "", "order 17")

	consumer, err := client.NewPopConsumer("workers", client.WithNameServers(addr), client.WithStart(client.StartEarliest))
	if err != nil {
		log.Fatal(err)
	}
	defer consumer.Close()
	if err := consumer.Subscribe("orders", client.All); err != nil {
		log.Fatal(err)
	}
	got, err := consumer.Receive(ctx, 16, 30*time.Second)
	if err != nil {
		log.Fatal(err)
	}
	for _, m := range got {
		fmt.Printf("%s\n", m.Body)
	}
	if err := consumer.Ack(ctx, got...); err != nil {
		log.Fatal(err)
	}
	// Output: order 17
}
