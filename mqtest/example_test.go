// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package mqtest_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/mqtest"
)

// In a test this is mqtest.Start(t), and nothing need be closed.
func ExampleNew() {
	cluster, err := mqtest.New()
	if err != nil {
		log.Fatal(err)
	}
	defer cluster.Close()

	p, err := client.NewProducer("shop", client.WithNameServers(cluster.NameServer()))
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close()
	sent, err := p.Send(context.Background(), message.New("orders", []byte("one teapot")))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("stored by", sent.Queue.Broker)
	// Output: stored by broker-a
}

// What was acknowledged is there after a power failure if the broker syncs first.
func ExampleBroker_Crash() {
	cluster, err := mqtest.New(mqtest.Set("flushDiskType", "SYNC_FLUSH"))
	if err != nil {
		log.Fatal(err)
	}
	defer cluster.Close()
	cluster.CreateTopic("orders", 1)
	servers := client.WithNameServers(cluster.NameServer())

	p, err := client.NewProducer("shop", servers)
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close()
	ctx := context.Background()
	sent, err := p.Send(ctx, message.New("orders", []byte("one teapot")))
	if err != nil {
		log.Fatal(err)
	}

	cluster.Broker(0).Crash()
	cluster.Broker(0).Start()

	r, err := client.NewPuller(servers)
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	got, err := r.Pull(ctx, sent.Queue, sent.QueueOffset, 1, false)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", got.Messages[0].Body)
	// Output: one teapot
}

// A broker that can't be reached is not one that refuses: requests wait until they
// are given up.
func ExampleBroker_Partition() {
	cluster, err := mqtest.New()
	if err != nil {
		log.Fatal(err)
	}
	defer cluster.Close()
	p, err := client.NewProducer("shop", client.WithNameServers(cluster.NameServer()))
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close()
	send := func(patience time.Duration) error {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_, err := p.Send(ctx, message.New("orders", []byte("one teapot")))
		return err
	}

	cluster.Broker(0).Partition()
	fmt.Println("given up:", errors.Is(send(50*time.Millisecond), context.DeadlineExceeded))
	cluster.Broker(0).Heal()
	fmt.Println("healed:", send(10*time.Second))
	// Output:
	// given up: true
	// healed: <nil>
}

// The first two check-backs get lost on their way; the third one is answered.
func ExampleCluster_DropCheckBacks() {
	cluster, err := mqtest.New(mqtest.Set("transactionTimeOut", "100"), mqtest.Set("transactionCheckInterval", "100"))
	if err != nil {
		log.Fatal(err)
	}
	defer cluster.Close()
	cluster.DropCheckBacks(2)

	answered := make(chan string, 1)
	check := func(_ context.Context, m *message.Received) client.Outcome {
		select {
		case answered <- m.Properties[message.PropertyTransactionCheckTimes]:
		default:
		}
		return client.Commit
	}
	p, err := client.NewTransactionProducer("shop", check, client.WithNameServers(cluster.NameServer()), client.WithCheckWorkers(1))
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close()
	undecided := func(context.Context, *client.Half) client.Outcome { return client.Unknown }
	if _, err := p.SendInTransaction(context.Background(), message.New("orders", []byte("one teapot")), undecided); err != nil {
		log.Fatal(err)
	}
	fmt.Println("answered check-back", <-answered)
	// Output: answered check-back 3
}
