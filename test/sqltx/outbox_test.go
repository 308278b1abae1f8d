// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sqltx

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/sqltx"
	"github.com/twostage/twostage/test/rig"
)

// parcels are the bodies of what a transaction adds to the outbox.
var parcels = []string{"ordered", "packed", "shipped"}

func newOutbox(d *sqltx.DB, p *client.Producer) *sqltx.Outbox {
	return sqltx.NewOutbox(d, p, sqltx.WithPoll(20*time.Millisecond), sqltx.WithLease(2*time.Second))
}

// A forwarder that dies at any point leaves nothing of a transaction, or all
// messages to the next one, which sends them in their order, some of them again.
func forwarderKilled(t *testing.T, c *cell) {
	dies(t, c.plan)
	p, err := client.NewProducer(c.Group, client.WithNameServers(c.NameServer))
	if err != nil {
		t.Fatal(err)
	}
	o := newOutbox(c.d, p)
	ctx, cancel := context.WithCancel(rig.Context(t))
	done := make(chan error)
	go func() { done <- o.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}()
	var want, orders []string
	if c.At != commitBefore {
		want, orders = parcels, []string{c.Order}
	}
	rig.Poll(t, "the outbox in the topic", func() error {
		var bodies []string
		keys := map[string]string{} // to bodies
		_, err := rig.Drain(ctx, c.w.net, c.w.server.Broker, c.Topic, 0, 0, func(r *message.Record) error {
			m := message.NewReceived(r)
			if body, again := keys[m.UniqueKey()]; again && body != string(m.Body) {
				return fmt.Errorf("the unique key %s is that of %s and %s", m.UniqueKey(), body, m.Body)
			} else if !again {
				keys[m.UniqueKey()] = string(m.Body)
				bodies = append(bodies, string(m.Body))
			}
			return nil
		})
		if err != nil {
			return err
		}
		waiting, err := o.Pending(ctx)
		if err != nil {
			return err
		}
		if waiting != 0 || !slices.Equal(bodies, want) {
			return fmt.Errorf("%d wait, sent are %q", waiting, bodies)
		}
		return nil
	})
	if has, paid, err := c.orders(ctx); err != nil || !slices.Equal(has, orders) || paid != len(orders)*price {
		t.Errorf("orders %q, paid %d, %v", has, paid, err)
	}
}
