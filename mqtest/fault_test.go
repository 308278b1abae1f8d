// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package mqtest_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/mqtest"
)

func logger(w *bytes.Buffer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

func TestPartitionHoldsUntilHeal(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ways   []mqtest.Way
		during []string      // what another client finds after the broker got what it gets
		enough time.Duration // for that
	}{
		"both ways":    {nil, []string{"before"}, 100 * time.Millisecond},
		"from clients": {[]mqtest.Way{mqtest.FromClients}, []string{"before"}, 100 * time.Millisecond},
		"to clients":   {[]mqtest.Way{mqtest.ToClients}, []string{"before", "held"}, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := withTopic(t)
			p := producer(t, cluster)
			send(t, p, "before")
			cluster.Broker(0).Partition(c.ways...)
			ctx, cancel := context.WithTimeout(context.Background(), c.enough)
			defer cancel()
			if _, err := p.Send(ctx, message.New("orders", []byte("held"))); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("a send through a partition: %v", err)
			}
			cluster.Broker(0).Kill() // what the broker has got is there, and nothing else
			cluster.Broker(0).Start()
			wantBodies(t, cluster, c.during...)
		})
	}
}

func TestHealLetsArriveWhatWasHeldBack(t *testing.T) {
	t.Parallel()
	c := withTopic(t)
	p := producer(t, c)
	send(t, p, "before")
	c.Broker(0).Partition()
	sent := make(chan error, 1)
	go func() {
		_, err := p.Send(within(t), message.New("orders", []byte("held")))
		sent <- err
	}()
	select {
	case err := <-sent:
		t.Fatalf("a send through a partition: %v", err)
	case <-time.After(20 * time.Millisecond): // a lower bound: nothing may come
	}
	c.Broker(0).Heal()
	must(t, <-sent)
	wantBodies(t, c, "before", "held")
}

func TestSlowBrokerTakesItsTime(t *testing.T) {
	t.Parallel()
	c := withTopic(t)
	p := producer(t, c)
	send(t, p, "before")
	const late = 50 * time.Millisecond
	c.Broker(0).Slow(late)
	start := time.Now()
	send(t, p, "late")
	if took := time.Since(start); took < late {
		t.Errorf("a send took %v from a broker that is %v late", took, late)
	}
	c.Broker(0).Slow(time.Hour)
	ctx, cancel := context.WithTimeout(context.Background(), late)
	defer cancel()
	if _, err := p.Send(ctx, message.New("orders", []byte("very late"))); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a send that takes an hour: %v", err)
	}
	c.Broker(0).Heal() // not in an hour
	send(t, p, "then")
	wantBodies(t, c, "before", "late", "then", "very late")
	c.Broker(0).Slow(time.Hour)
	ctx, cancel = context.WithTimeout(context.Background(), late)
	defer cancel()
	if _, err := p.Send(ctx, message.New("orders", []byte("never"))); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a send that takes an hour: %v", err)
	}
	c.Broker(0).Kill() // does not wait either
	c.Broker(0).Start()
	wantBodies(t, c, "before", "late", "then", "very late")
}

// half leaves a transaction to its check-backs, which decide answers one by one.
func half(t *testing.T, c *mqtest.Cluster, decide client.Checker) *client.TransactionProducer {
	t.Helper()
	p, err := client.NewTransactionProducer("payments", decide, client.WithNameServers(c.NameServer()), client.WithCheckWorkers(1))
	must(t, err)
	t.Cleanup(func() { must(t, p.Close()) })
	_, err = p.SendInTransaction(within(t), message.New("orders", []byte("paid")), func(context.Context, *client.Half) client.Outcome {
		return client.Unknown
	})
	must(t, err)
	return p
}

// fast has check-backs come at once and then every 20 ms.
func fast() []mqtest.Option {
	return []mqtest.Option{mqtest.Set("transactionTimeOut", "20"), mqtest.Set("transactionCheckInterval", "20"), mqtest.Set("transactionCheckMax", "1000")}
}

// visible waits until a message of the topic can be consumed.
func visible(t *testing.T, c *mqtest.Cluster) *message.Received {
	t.Helper()
	p, err := client.NewPuller(client.WithNameServers(c.NameServer()))
	must(t, err)
	defer p.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var got *message.Received
	err = p.Tail(ctx, "orders", client.TailOptions{FromStart: true, Follow: true}, func(m *message.Received) error {
		got = m
		cancel()
		return nil
	})
	if got == nil {
		t.Fatalf("no message: %v", err)
	}
	return got
}

// told gets the numbers of the check-backs that arrive, as the broker counts them.
func told(numbers chan<- string) client.Checker {
	return func(ctx context.Context, m *message.Received) client.Outcome {
		select {
		case numbers <- m.Properties[message.PropertyTransactionCheckTimes]:
		case <-ctx.Done():
		}
		return client.Commit
	}
}

// next is what comes next.
func next(t *testing.T, numbers <-chan string) string {
	t.Helper()
	select {
	case n := <-numbers:
		return n
	case <-time.After(patience):
		t.Fatal("no check-back comes")
		return ""
	}
}

func TestDroppedCheckBacksComeAgain(t *testing.T) {
	t.Parallel()
	c := withTopic(t, fast()...)
	c.DropCheckBacks(3)
	numbers := make(chan string, 1000)
	half(t, c, told(numbers))
	visible(t, c)
	if n := next(t, numbers); n != "4" {
		t.Errorf("the first check-back that comes is number %q, after three that got lost", n)
	}
}

func TestRepeatedCheckBacksCommitOnce(t *testing.T) {
	t.Parallel()
	c := withTopic(t, fast()...)
	c.RepeatCheckBacks(2)
	numbers := make(chan string, 1000)
	p := half(t, c, told(numbers))
	for range 3 {
		if n := next(t, numbers); n != "1" {
			t.Errorf("a check-back has number %q, want the first one three times", n)
		}
	}
	visible(t, c)
	must(t, p.Close())
	c.RepeatCheckBacks(0)
	c.Broker(0).Stop()
	c.Broker(0).Start()
	wantBodies(t, c, "paid")
}
