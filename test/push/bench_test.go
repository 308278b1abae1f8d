// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package push

import (
	"context"
	"os/exec"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/internal/proctest"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/test/rig"
)

// benchSeconds is how long the topic is filled.
const benchSeconds = 6

// BenchmarkConsume consumes what `twostage bench send` has put into 8 queues, with a
// handler that does nothing: messages a second, and the CPU time of this process for
// each. Run it with -benchtime 1x.
func BenchmarkConsume(b *testing.B) {
	for _, size := range []int{128, 1024} {
		b.Run(strconv.Itoa(size), func(b *testing.B) { benchConsume(b, size) })
	}
}

func benchConsume(b *testing.B, size int) {
	s := proctest.Start(b, "server", "--data", b.TempDir(), "--namesrv-set", "listenPort=0", "--namesrv-set", "bindAddress=127.0.0.1",
		"--set", "listenPort=0", "--set", "httpListenPort=0", "--set", "bindAddress=127.0.0.1", "--set", "brokerIP1=127.0.0.1", "--set", "brokerName=broker-a")
	ctx, net := context.Background(), rig.Client(b)
	out, err := exec.Command(proctest.Binary(b), "bench", "send", "--namesrv", s.Namesrv, "--topic", "bench", "--size", strconv.Itoa(size),
		"--conns", "8", "--inflight", "64", "--duration", strconv.Itoa(benchSeconds)+"s", "--warmup", "0s").CombinedOutput()
	if err != nil {
		b.Fatalf("filling: %v\n%s", err, out)
	}
	var total int64
	for q := range int32(64) {
		n, err := rpc.MaxOffset(ctx, net, s.Broker, "bench", q)
		if err != nil {
			break
		}
		total += n
	}
	b.ResetTimer()
	for i := range b.N {
		var n atomic.Int64
		done := make(chan struct{})
		c, err := client.NewPushConsumer("bench"+strconv.Itoa(i), client.WithNameServers(s.Namesrv), client.WithStart(client.StartEarliest))
		if err != nil {
			b.Fatal(err)
		}
		err = c.Subscribe("bench", client.All, func(context.Context, *message.Received) error {
			if n.Add(1) == total {
				close(done)
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
		used, begun := processTime(b), time.Now()
		if err := c.Start(ctx); err != nil {
			b.Fatal(err)
		}
		<-done
		took := time.Since(begun)
		b.ReportMetric(float64(total)/took.Seconds(), "messages/s")
		b.ReportMetric(float64(processTime(b)-used)/float64(total), "cpu-ns/message")
		if err := c.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// processTime is the CPU time that this process has used.
func processTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
