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

// A producer is made once and used by any number of goroutines.
func ExampleProducer_Send() {
	addr, done := cluster()
	defer done()
	ctx := context.Background()
	producer, err := client.NewProducer("shop", client.WithNameServers(addr))
	if err != nil {
		log.Fatal(err)
	}
	defer producer.Close()

	sent, err := producer.Send(ctx, message.New("orders", []byte("order 17")))
	if err != nil {
		log.Fatal(err) // not stored, or nobody knows: the error says
	}
	fmt.Println(sent.Status)
	// Output: stored
}

// SendAsync calls back when the broker has answered.
func ExampleProducer_SendAsync() {
	addr, done := cluster()
	defer done()
	ctx := context.Background()
	producer, err := client.NewProducer("shop", client.WithNameServers(addr))
	if err != nil {
		log.Fatal(err)
	}
	defer producer.Close()

	results := make(chan error, 1)
	producer.SendAsync(ctx, message.New("orders", []byte("order 18")), func(sent *client.SendResult, err error) {
		results <- err
	})
	fmt.Println(<-results)
	// Output: <nil>
}

// The messages of a batch go together: one request, one queue, all or none.
func ExampleProducer_SendBatch() {
	addr, done := cluster()
	defer done()
	ctx := context.Background()
	producer, err := client.NewProducer("sensors", client.WithNameServers(addr))
	if err != nil {
		log.Fatal(err)
	}
	defer producer.Close()

	batch := []*message.Message{
		message.New("readings", []byte("21.5")),
		message.New("readings", []byte("21.7")),
	}
	sent, err := producer.SendBatch(ctx, batch)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(sent.Status)
	// Output: stored
}

// Messages of one key keep their order, for consumers that are orderly.
func ExampleProducer_SendOrdered() {
	addr, done := cluster()
	defer done()
	ctx := context.Background()
	producer, err := client.NewProducer("shop", client.WithNameServers(addr))
	if err != nil {
		log.Fatal(err)
	}
	defer producer.Close()

	for _, step := range []string{"placed", "paid", "shipped"} {
		if _, err := producer.SendOrdered(ctx, "order-17", message.New("order-events", []byte(step))); err != nil {
			log.Fatal(err)
		}
	}

	consumer, err := client.NewPushConsumer("watchers", client.WithNameServers(addr), client.WithOrderly(), client.WithStart(client.StartEarliest))
	if err != nil {
		log.Fatal(err)
	}
	defer consumer.Close()
	steps := make(chan string, 3)
	err = consumer.Subscribe("order-events", client.All, func(_ context.Context, m *message.Received) error {
		steps <- string(m.Body)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := consumer.Start(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-steps, <-steps, <-steps)
	// Output: placed paid shipped
}

// A timed message is delivered at its time, not before.
func ExampleProducer_Send_timed() {
	addr, done := cluster()
	defer done()
	ctx := context.Background()
	producer, err := client.NewProducer("shop", client.WithNameServers(addr))
	if err != nil {
		log.Fatal(err)
	}
	defer producer.Close()

	m := message.New("reminders", []byte("pay order 17"))
	m.SetDeliverTime(time.Now().Add(30 * time.Minute))
	sent, err := producer.Send(ctx, m)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(sent.Status)
	// Output: stored
}

// A request waits for the reply of whoever consumes it.
func ExampleProducer_Request() {
	addr, done := cluster("quotes")
	defer done()
	ctx := context.Background()
	answers, err := client.NewProducer("quotes", client.WithNameServers(addr))
	if err != nil {
		log.Fatal(err)
	}
	defer answers.Close()
	consumer, err := client.NewPushConsumer("quotes", client.WithNameServers(addr), client.WithStart(client.StartEarliest))
	if err != nil {
		log.Fatal(err)
	}
	defer consumer.Close()
	err = consumer.Subscribe("quotes", client.All, func(ctx context.Context, m *message.Received) error {
		return answers.Reply(ctx, m, []byte("29.95"))
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := consumer.Start(ctx); err != nil {
		log.Fatal(err)
	}
	producer, err := client.NewProducer("shop", client.WithNameServers(addr))
	if err != nil {
		log.Fatal(err)
	}
	defer producer.Close()

	answer, err := producer.Request(ctx, message.New("quotes", []byte("price of 17?")))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", answer.Body)
	// Output: 29.95
}

// The broker asks for the outcome of what it has heard nothing about. With a
// database, package sqltx does all of this.
func ExampleTransactionProducer() {
	addr, done := cluster()
	defer done()
	ctx := context.Background()
	ledger := &ledger{}

	check := func(ctx context.Context, m *message.Received) client.Outcome {
		return ledger.outcome(m.TransactionID())
	}
	producer, err := client.NewTransactionProducer("shop", check, client.WithNameServers(addr))
	if err != nil {
		log.Fatal(err)
	}
	defer producer.Close()
	res, err := producer.SendInTransaction(ctx, message.New("orders", []byte("order 17")),
		func(ctx context.Context, h *client.Half) client.Outcome {
			return ledger.book(h.TransactionID)
		})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(res.Outcome)
	// Output: commit
}

// Errors can be asked what they are, and whether it may help to try again.
func ExampleRetriable() {
	addr, done := cluster()
	defer done()
	puller, err := client.NewPuller(client.WithNameServers(addr))
	if err != nil {
		log.Fatal(err)
	}
	defer puller.Close()
	_, err = puller.Queues(context.Background(), "nowhere")
	fmt.Println(errors.Is(err, client.ErrNoRoute), client.Retriable(err))
	// Output: true false
}
