// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package mqtest_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/mqtest"
)

// arrivals are the bodies that a consumer has got.
type arrivals struct {
	mu   sync.Mutex
	got  map[string]bool
	more chan struct{} // one element: something came
}

func (a *arrivals) handle(_ context.Context, m *message.Received) error {
	a.mu.Lock()
	a.got[string(m.Body)] = true
	a.mu.Unlock()
	select {
	case a.more <- struct{}{}:
	default:
	}
	return nil
}

// await waits until all of the bodies have come.
func (a *arrivals) await(t *testing.T, bodies []string) {
	t.Helper()
	missing := func() string {
		a.mu.Lock()
		defer a.mu.Unlock()
		for _, body := range bodies {
			if !a.got[body] {
				return body
			}
		}
		return ""
	}
	for ctx := within(t); missing() != ""; {
		select {
		case <-a.more:
		case <-ctx.Done():
			t.Fatalf("%q was acknowledged and not consumed", missing())
		}
	}
}

// A push consumer goes on whatever becomes of the broker, and misses nothing that
// was acknowledged.
func TestConsumersGoOn(t *testing.T) {
	t.Parallel()
	c := withTopic(t, mqtest.Set("flushDiskType", "SYNC_FLUSH"))
	a := &arrivals{got: map[string]bool{}, more: make(chan struct{}, 1)}
	consumer, err := client.NewPushConsumer("stock", client.WithNameServers(c.NameServer()), client.WithStart(client.StartEarliest))
	must(t, err)
	must(t, consumer.Subscribe("orders", client.All, a.handle))
	must(t, consumer.Start(within(t)))
	defer consumer.Close()
	p := producer(t, c)
	b := c.Broker(0)
	var acked []string
	for _, trouble := range []struct {
		name        string
		begin, over func()
	}{
		{"none", func() {}, func() {}},
		{"restart", b.Stop, b.Start},
		{"death", b.Kill, b.Start},
		{"power failure", b.Crash, b.Start},
		{"partition", func() { b.Partition() }, b.Heal},
		{"messages held back", func() { b.Partition(mqtest.ToClients) }, b.Heal},
	} {
		for i := range 5 {
			body := fmt.Sprintf("%s %d", trouble.name, i)
			send(t, p, body)
			acked = append(acked, body)
		}
		trouble.begin()
		trouble.over()
		body := "after " + trouble.name
		send(t, p, body)
		acked = append(acked, body)
		a.await(t, acked)
	}
}
