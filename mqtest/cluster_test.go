// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package mqtest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/mqtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what a test waits for; only a defect reaches it.
const patience = 20 * time.Second

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// withTopic starts a cluster with the topic orders.
func withTopic(t *testing.T, opts ...mqtest.Option) *mqtest.Cluster {
	t.Helper()
	c := mqtest.Start(t, opts...)
	c.CreateTopic("orders", 2)
	return c
}

func producer(t *testing.T, c *mqtest.Cluster, opts ...client.Option) *client.Producer {
	t.Helper()
	p, err := client.NewProducer("orders", append([]client.Option{client.WithNameServers(c.NameServer())}, opts...)...)
	must(t, err)
	t.Cleanup(func() { must(t, p.Close()) })
	return p
}

func send(t *testing.T, p *client.Producer, body string) {
	t.Helper()
	if _, err := p.Send(within(t), message.New("orders", []byte(body))); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
}

// bodies are all messages of the topic orders, sorted.
func bodies(t *testing.T, c *mqtest.Cluster) []string {
	t.Helper()
	p, err := client.NewPuller(client.WithNameServers(c.NameServer()))
	must(t, err)
	defer p.Close()
	ctx := within(t)
	queues, err := p.Queues(ctx, "orders")
	must(t, err)
	var all []string
	for _, q := range queues {
		for offset := int64(0); ; {
			got, err := p.Pull(ctx, q, offset, 32, false)
			must(t, err)
			if len(got.Messages) == 0 {
				break
			}
			for _, m := range got.Messages {
				all = append(all, string(m.Body))
			}
			offset = got.Next
		}
	}
	slices.Sort(all)
	return all
}

func wantBodies(t *testing.T, c *mqtest.Cluster, want ...string) {
	t.Helper()
	if got := bodies(t, c); !slices.Equal(got, want) {
		t.Errorf("the topic holds %q, want %q", got, want)
	}
}

func TestSendAndRead(t *testing.T) {
	t.Parallel()
	c := withTopic(t)
	p := producer(t, c)
	send(t, p, "one")
	send(t, p, "two")
	wantBodies(t, c, "one", "two")
}

func TestTwoBrokersShareATopic(t *testing.T) {
	t.Parallel()
	c := withTopic(t, mqtest.Brokers(2))
	p := producer(t, c)
	at := map[string]bool{}
	for i := range 32 {
		r, err := p.Send(within(t), message.New("orders", fmt.Append(nil, i)))
		must(t, err)
		at[r.Queue.Broker] = true
	}
	if !at["broker-a"] || !at["broker-b"] {
		t.Errorf("messages went to %v", at)
	}
	if got := bodies(t, c); len(got) != 32 {
		t.Errorf("%d messages of 32", len(got))
	}
}

// The broker that is left takes what is sent while the other one is down.
func TestStoppedBrokerIsPassedOver(t *testing.T) {
	t.Parallel()
	c := withTopic(t, mqtest.Brokers(2))
	p := producer(t, c)
	send(t, p, "before")
	c.Broker(0).Stop()
	c.Broker(0).Stop()
	for i := range 20 {
		send(t, p, fmt.Sprint("during ", i))
	}
	c.Broker(0).Start()
	c.Broker(0).Start()
	if got := bodies(t, c); len(got) != 21 {
		t.Errorf("%d messages of 21", len(got))
	}
}

func TestRestartKeepsTheDataAndTheAddress(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*mqtest.Broker){"stop": (*mqtest.Broker).Stop, "kill": (*mqtest.Broker).Kill} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := withTopic(t)
			p := producer(t, c)
			send(t, p, "before")
			addr := c.Broker(0).Addr()
			end(c.Broker(0))
			if _, err := p.Send(within(t), message.New("orders", []byte("lost"))); err == nil {
				t.Error("a message was sent to a broker that is down")
			}
			c.Broker(0).Start()
			if now := c.Broker(0).Addr(); now != addr {
				t.Errorf("it was at %s and is at %s", addr, now)
			}
			send(t, p, "then")
			wantBodies(t, c, "before", "then")
		})
	}
}

func TestCrashUnderSyncFlushLosesNothing(t *testing.T) {
	t.Parallel()
	c := withTopic(t, mqtest.Set("flushDiskType", "SYNC_FLUSH"))
	p := producer(t, c)
	var want []string
	for round := range 3 {
		for i := range 5 {
			want = append(want, fmt.Sprintf("%d-%d", round, i))
			send(t, p, want[len(want)-1])
		}
		c.Broker(0).Crash()
		c.Broker(0).Start()
	}
	wantBodies(t, c, want...)
}

// What a crash takes is the end of what was sent: nothing in between is missing.
func TestCrashUnderAsyncFlushLosesTheEnd(t *testing.T) {
	t.Parallel()
	c := withTopic(t, mqtest.Set("flushIntervalCommitLog", "3600000"), mqtest.Set("flushCommitLogLeastPages", "1000"), mqtest.Set("flushCommitLogThoroughInterval", "3600000"))
	p := producer(t, c)
	send(t, p, "kept")
	c.Broker(0).Stop() // syncs
	c.Broker(0).Start()
	for range 5 {
		send(t, p, "never synced")
	}
	c.Broker(0).Crash()
	c.Broker(0).Crash()
	c.Broker(0).Start()
	send(t, p, "then")
	wantBodies(t, c, "kept", "then")
}

func TestKeysAreTheTestsOwnOrRefused(t *testing.T) {
	t.Parallel()
	for _, bad := range []struct {
		opt  mqtest.Option
		says string
	}{
		{mqtest.Set("listenPort", "10911"), `Set("listenPort")`},
		{mqtest.Set("tls.server.mode", "enforcing"), `Set("tls.server.mode")`},
		{mqtest.Set("flushDiskTyp", "SYNC_FLUSH"), "flushDiskType"},
		{mqtest.Set("transactionCheckMax", "many"), "transactionCheckMax"},
		{mqtest.Brokers(0), "Brokers(0)"},
		{mqtest.Brokers(27), "at most 26"},
		{mqtest.Logger(nil), "Logger(nil)"},
	} {
		c, err := mqtest.New(bad.opt)
		if err == nil {
			err = errors.Join(errors.New("no error"), c.Close())
		}
		if !strings.Contains(err.Error(), bad.says) {
			t.Errorf("%v does not say %q", err, bad.says)
		}
	}
	c := mqtest.Start(t, mqtest.Set("autoCreateTopicEnable", "false"))
	if _, err := producer(t, c).Send(within(t), message.New("orders", []byte("x"))); !errors.Is(err, client.ErrNoRoute) {
		t.Errorf("a topic that nobody has made: %v", err)
	}
}

// Without a test there is nobody to fail, and what is wrong is not passed over.
func TestWithoutATestFailuresPanic(t *testing.T) {
	t.Parallel()
	c, err := mqtest.New()
	must(t, err)
	defer c.Close()
	panics := func(says string, do func()) {
		defer func() {
			if text := fmt.Sprint(recover()); !strings.Contains(text, says) {
				t.Errorf("%q does not say %q", text, says)
			}
		}()
		do()
	}
	panics("no broker 1 of 1", func() { c.Broker(1) })
	c.Broker(0).Stop()
	panics(`topic "orders" on broker-a`, func() { c.CreateTopic("orders", 1) })
	c.Broker(0).Start()
	panics("-1", func() { c.CreateTopic("orders", -1) })
}

// Nothing is said as long as nothing goes wrong, also about what a test makes crash.
func TestLogIsQuiet(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	c, err := mqtest.New(mqtest.Logger(logger(&log)), mqtest.Brokers(2))
	must(t, err)
	c.CreateTopic("orders", 2)
	p := producer(t, c)
	send(t, p, "one")
	c.Broker(0).Stop()
	c.Broker(0).Start()
	c.Broker(1).Crash()
	c.Broker(1).Start()
	send(t, p, "two")
	c.Broker(1).Kill()
	must(t, c.Close())
	must(t, c.Close())
	if log.Len() > 0 {
		t.Errorf("logged:\n%s", log.String())
	}
}

func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		c, err := mqtest.New()
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := c.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
