// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/admin"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/internal/bench"
	"github.com/twostage/twostage/internal/proctest"
	"github.com/twostage/twostage/message"
)

// The load of BenchmarkSends: connections, requests in flight on each, bytes of a
// body, and the length of a round, which begins with a third of it not counted.
const (
	loadConns    = 8
	loadInflight = 64
	loadBody     = 1024
	loadRound    = 1500 * time.Millisecond
)

// sharedBody is that of all messages, as the raw loader's are one.
var sharedBody = make([]byte, loadBody)

// BenchmarkSends has one broker store messages that come from the raw loader, from
// package client, which waits for each answer or does not, and from the official
// client: each operation is a round. Beside the rate it gives the CPU time a
// message of this process and of the broker, and the allocations here.
//
//	go test -run '^$' -bench Sends -benchtime 1x -count 3 .
func BenchmarkSends(b *testing.B) {
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
	for _, s := range []struct {
		name string
		open func(b *testing.B, c *cluster, topic string) sender
	}{{"client", openClient}, {"client-async", openAsync}, {"official", openOfficial}} {
		b.Run(s.name, func(b *testing.B) {
			send := s.open(b, c, "bench")
			for b.Loop() {
				measureSends(b, c, send)
			}
		})
	}
	b.Run("raw", func(b *testing.B) {
		for b.Loop() {
			before := spent(b, c)
			begin := time.Now()
			res, err := bench.Send(b.Context(), bench.Load{
				Targets: []bench.Target{{Addr: c.Broker, Broker: "broker-a", Queues: 8}}, Topic: "bench", Topics: 1,
				Conns: loadConns, Inflight: loadInflight, Size: loadBody, Duration: loadRound,
			})
			if err != nil {
				b.Fatal(err)
			}
			report(b, c, res.Messages, time.Since(begin), before)
		}
	})
}

// sender sends a message after the other until stop, from one of loadInflight
// places of one of loadConns connections.
type sender func(conn int, sent *atomic.Int64, stop *atomic.Bool) error

func measureSends(b *testing.B, c *cluster, send sender) {
	b.Helper()
	var sent atomic.Int64
	var stop atomic.Bool
	var wg sync.WaitGroup
	for conn := range loadConns {
		for range loadInflight {
			wg.Go(func() {
				if err := send(conn, &sent, &stop); err != nil && !stop.Swap(true) {
					b.Error(err)
				}
			})
		}
	}
	time.Sleep(loadRound / 3)
	before, from, begin := spent(b, c), sent.Load(), time.Now()
	time.Sleep(loadRound)
	report(b, c, sent.Load()-from, time.Since(begin), before)
	stop.Store(true)
	wg.Wait()
}

// usage is the CPU time of this process and of the broker, and the allocations.
type usage struct {
	own, broker time.Duration
	mallocs     uint64
}

func spent(b *testing.B, c *cluster) (u usage) {
	b.Helper()
	var err error
	if u.broker, err = bench.ProcessCPU(c.PID()); err != nil {
		b.Fatal(err)
	}
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	u.own = time.Duration(r.Utime.Nano() + r.Stime.Nano())
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	u.mallocs = m.Mallocs
	return u
}

func report(b *testing.B, c *cluster, messages int64, took time.Duration, before usage) {
	b.Helper()
	after, n := spent(b, c), float64(max(messages, 1))
	b.ReportMetric(n/took.Seconds(), "msg/s")
	b.ReportMetric(float64((after.own-before.own).Nanoseconds())/n/1000, "own-us/msg")
	b.ReportMetric(float64((after.broker-before.broker).Nanoseconds())/n/1000, "broker-us/msg")
	b.ReportMetric(float64(after.mallocs-before.mallocs)/n, "allocs/msg")
	b.ReportMetric(0, "ns/op")
}

func openClients(b *testing.B, c *cluster) []*client.Producer {
	b.Helper()
	var all []*client.Producer
	for range loadConns {
		p, err := client.NewProducer("bench", client.WithNameServers(c.Namesrv))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = p.Close() })
		all = append(all, p)
	}
	return all
}

func openClient(b *testing.B, c *cluster, topic string) sender {
	all := openClients(b, c)
	return func(conn int, sent *atomic.Int64, stop *atomic.Bool) error {
		m := message.New(topic, sharedBody)
		for !stop.Load() {
			if _, err := all[conn].Send(context.Background(), m); err != nil {
				return err
			}
			sent.Add(1)
		}
		return nil
	}
}

// openAsync sends the next message of a place from the callback of the last one.
func openAsync(b *testing.B, c *cluster, topic string) sender {
	all := openClients(b, c)
	return func(conn int, sent *atomic.Int64, stop *atomic.Bool) error {
		m := message.New(topic, sharedBody)
		ended := make(chan error, 1)
		var next func(*client.SendResult, error)
		next = func(_ *client.SendResult, err error) {
			if err != nil || stop.Load() {
				ended <- err
				return
			}
			sent.Add(1)
			all[conn].SendAsync(context.Background(), m, next)
		}
		all[conn].SendAsync(context.Background(), m, next)
		return <-ended
	}
}

func openOfficial(b *testing.B, c *cluster, topic string) sender {
	var all []rocketmq.Producer
	for range loadConns {
		p, err := rocketmq.NewProducer(producer.WithNsResolver(c.resolver()), producer.WithInstanceName(instance()), producer.WithGroupName("bench"))
		if err == nil {
			err = p.Start()
		}
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = p.Shutdown() })
		all = append(all, p)
	}
	return func(conn int, sent *atomic.Int64, stop *atomic.Bool) error {
		for !stop.Load() {
			// It adds properties to the message: each send needs its own.
			r, err := all[conn].SendSync(context.Background(), primitive.NewMessage(topic, sharedBody))
			if err != nil {
				return err
			}
			if r.Status != primitive.SendOK {
				return fmt.Errorf("sent with status %d", r.Status)
			}
			sent.Add(1)
		}
		return nil
	}
}
