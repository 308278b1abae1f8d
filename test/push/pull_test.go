// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package push

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/test/rig"
)

func (w *world) puller(group string, opts ...client.Option) *client.PullConsumer {
	w.t.Helper()
	c, err := client.NewPullConsumer(group, append([]client.Option{client.WithNameServers(w.srv.Namesrv), client.WithStart(client.StartEarliest)}, opts...)...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = c.Close() })
	return c
}

// poll polls until n messages have come, and gives their bodies as numbers.
func (w *world) poll(c *client.PullConsumer, n int) (all []int) {
	w.t.Helper()
	for len(all) < n {
		msgs, err := c.Poll(w.ctx, n-len(all))
		if err != nil {
			w.t.Fatalf("after %d of %d: %v", len(all), n, err)
		}
		for _, m := range msgs {
			i, _ := strconv.Atoi(string(m.Body))
			all = append(all, i)
		}
	}
	slices.Sort(all)
	return all
}

func upTo(n int) (all []int) {
	for i := range n {
		all = append(all, i)
	}
	return all
}

// What is committed of assigned queues the next consumer goes on from; what is
// sought comes again.
func TestPullAssigned(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.topic("ledger", 1)
	w.send("ledger", 50)
	q := client.Queue{Topic: "ledger", Broker: "broker-a"}
	c := w.puller("auditors")
	if all, err := c.Queues(w.ctx, "ledger"); err != nil || !slices.Equal(all, []client.Queue{q}) {
		t.Fatalf("%v, %v", all, err)
	}
	if err := c.Assign(q); err != nil {
		t.Fatal(err)
	}
	if got := w.poll(c, 30); !slices.Equal(got, upTo(30)) {
		t.Errorf("polled %v", got)
	}
	if err := errors.Join(c.Commit(w.ctx), c.Close()); err != nil {
		t.Fatal(err)
	}
	if n := w.offset("auditors", "ledger", 0); n != 30 {
		t.Errorf("committed %d", n)
	}
	c = w.puller("auditors")
	if err := c.Assign(q); err != nil {
		t.Fatal(err)
	}
	if got := w.poll(c, 20); got[0] != 30 || got[19] != 49 {
		t.Errorf("polled %v", got)
	}
	if err := c.Seek(q, 45); err != nil {
		t.Fatal(err)
	}
	if got := w.poll(c, 5); got[0] != 45 {
		t.Errorf("polled %v from 45 on", got)
	}
	if err := c.SeekTime(w.ctx, q, time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	if got := w.poll(c, 50); !slices.Equal(got, upTo(50)) {
		t.Errorf("polled %v from an hour ago on", got)
	}
	ctx, cancel := context.WithTimeout(w.ctx, quiet)
	defer cancel()
	if msgs, err := c.Poll(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%d messages, %v", len(msgs), err)
	}
	// A pull that the broker holds is answered when there is something.
	time.AfterFunc(quiet, func() { w.sendOne("ledger", "50") })
	if got := w.poll(c, 1); got[0] != 50 {
		t.Errorf("polled %v", got)
	}
}

// Members share the queues, and who stays goes on for who leaves.
func TestPullGroup(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.topic("orders", 4)
	members := []*client.PullConsumer{w.puller("billing"), w.puller("billing")}
	have := func(c *client.PullConsumer, n int) {
		t.Helper()
		rig.Poll(t, fmt.Sprintf("a share of %d queues", n), func() error {
			ctx, cancel := context.WithTimeout(w.ctx, 10*time.Millisecond)
			defer cancel()
			if _, err := c.Poll(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
				return fmt.Errorf("a message, or %w", err)
			}
			if got := c.Assignment(); len(got) != n {
				return fmt.Errorf("it has %v", got)
			}
			return nil
		})
	}
	for i, c := range members {
		if err := c.Subscribe("orders", client.All); err != nil {
			t.Fatal(err)
		}
		have(c, 4-2*i)
	}
	have(members[0], 2)
	w.send("orders", 40)
	got := append(w.poll(members[0], 20), w.poll(members[1], 20)...)
	if slices.Sort(got); !slices.Equal(got, upTo(40)) {
		t.Errorf("polled %v", got)
	}
	if err := errors.Join(members[0].Commit(w.ctx), members[0].Close(), members[1].Commit(w.ctx)); err != nil {
		t.Fatal(err)
	}
	have(members[1], 4)
	w.send("orders", 8)
	if got := w.poll(members[1], 8); !slices.Equal(got, upTo(8)) {
		t.Errorf("polled %v", got)
	}
}
