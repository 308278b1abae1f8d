// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"log"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/message"
)

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

// run uses the name servers of NAMESRV_ADDR.
func run(ctx context.Context) error {
	producer, err := client.NewProducer("hello")
	if err != nil {
		return err
	}
	defer producer.Close()
	sent, err := producer.Send(ctx, message.New("greetings", []byte("hello, world")))
	if err != nil {
		return err
	}
	fmt.Println("sent", sent.MessageID)

	consumer, err := client.NewPushConsumer("readers", client.WithStart(client.StartEarliest))
	if err != nil {
		return err
	}
	defer consumer.Close()
	waiting, done := context.WithCancel(ctx)
	defer done()
	err = consumer.Subscribe("greetings", client.All, func(_ context.Context, m *message.Received) error {
		fmt.Printf("received %s: %s\n", m.ID(), m.Body)
		if m.ID() == sent.MessageID {
			done()
		}
		return nil // consumed; after an error it comes again later
	})
	if err != nil {
		return err
	}
	if err := consumer.Start(ctx); err != nil {
		return err
	}
	<-waiting.Done()
	return ctx.Err() // nil: it has come. Close stores how far the group is
}
