// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/admin"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/internal/bench"
	"github.com/twostage/twostage/internal/proctest"
	"github.com/twostage/twostage/message"
)

// The load of BenchmarkConsumes: bytes of a body, how long the topic is filled, and
// how long a consumer consumes at most.
const (
	consumedBody = 128
	fillRound    = 8 * time.Second
	consumeRound = 5 * time.Second
	firstMessage = 30 * time.Second
)

// BenchmarkConsumes has a new group consume what 8 queues hold, with a handler that
// does nothing: package client's push consumer, the official client's, and the raw
// loader, which only receives. Figures as those of BenchmarkSends, from the first
// message on. Messages that come twice count twice.
//
//	go test -run '^$' -bench Consumes -benchtime 1x -count 3 .
func BenchmarkConsumes(b *testing.B) {
	c := &cluster{proctest.Start(b, "server", "--data", b.TempDir(), "--set", "bindAddress=127.0.0.1", "--namesrv-set", "bindAddress=127.0.0.1",
		"--set", "brokerIP1=127.0.0.1", "--set", "httpListenPort=0", "--set", "brokerName=broker-a")}
	a, err := admin.NewAdmin(admin.WithResolver(c.resolver()))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = a.Close() }()
	if err := a.CreateTopic(b.Context(), admin.WithTopicCreate("bench"), admin.WithBrokerAddrCreate(c.Broker),
		admin.WithReadQueueNums(8), admin.WithWriteQueueNums(8)); err != nil {
		b.Fatal(err)
	}
	load := bench.Load{
		Targets: []bench.Target{{Addr: c.Broker, Broker: "broker-a", Queues: 8}}, Topic: "bench", Topics: 1,
		Conns: loadConns, Inflight: loadInflight, Size: consumedBody, Duration: fillRound,
	}
	filled, err := bench.Send(b.Context(), load)
	if err != nil {
		b.Fatal(err)
	}
	for _, s := range []struct {
		name string
		open func(b *testing.B, c *cluster, got *atomic.Int64)
	}{{"client", consumeByClient}, {"official", consumeByOfficial}} {
		b.Run(s.name, func(b *testing.B) {
			for b.Loop() {
				measureConsumes(b, c, filled.Messages, s.open)
			}
		})
	}
	b.Run("raw", func(b *testing.B) {
		once := load
		once.Conns, once.Inflight, once.Pull.Once = 1, 8, true
		for b.Loop() {
			before, begin := spent(b, c), time.Now()
			res, err := bench.Consume(b.Context(), once)
			if err != nil {
				b.Fatal(err)
			}
			report(b, c, res.Messages, time.Since(begin), before)
		}
	})
}

func measureConsumes(b *testing.B, c *cluster, all int64, open func(b *testing.B, c *cluster, got *atomic.Int64)) {
	b.Helper()
	var got atomic.Int64
	open(b, c, &got)
	for opened := time.Now(); got.Load() == 0; time.Sleep(time.Millisecond) {
		if time.Since(opened) > firstMessage {
			b.Fatalf("no message in %v", firstMessage)
		}
	}
	before, from, begin := spent(b, c), got.Load(), time.Now()
	for got.Load() < all && time.Since(begin) < consumeRound {
		time.Sleep(time.Millisecond)
	}
	report(b, c, got.Load()-from, time.Since(begin), before)
}

func consumeByClient(b *testing.B, c *cluster, got *atomic.Int64) {
	p, err := client.NewPushConsumer("c"+instance(), client.WithNameServers(c.Namesrv), client.WithStart(client.StartEarliest))
	if err == nil {
		err = p.Subscribe("bench", client.All, func(context.Context, *message.Received) error {
			got.Add(1)
			return nil
		})
	}
	if err == nil {
		err = p.Start(b.Context())
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = p.Close() })
}

func consumeByOfficial(b *testing.B, c *cluster, got *atomic.Int64) {
	p, err := rocketmq.NewPushConsumer(consumer.WithNsResolver(c.resolver()), consumer.WithInstance(instance()), consumer.WithGroupName("o"+instance()),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset))
	if err == nil {
		err = p.Subscribe("bench", consumer.MessageSelector{}, func(_ context.Context, all ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			got.Add(int64(len(all)))
			return consumer.ConsumeSuccess, nil
		})
	}
	if err == nil {
		err = p.Start()
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = p.Shutdown() })
}
