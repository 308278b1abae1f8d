// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package push

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/test/rig"
)

// What a broker asks of a consumer: how it is doing, to consume a message now, and
// to go on elsewhere.
func TestBrokersAsk(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.topic("orders", 1)
	w.send("orders", 10)
	var all seen
	c := w.consumer("billing")
	err := c.Subscribe("orders", client.Tags("*"), func(_ context.Context, m *message.Received) error {
		all.add(m)
		switch string(m.Body) {
		case "bad":
			return errors.New("on purpose")
		case "worse":
			panic("on purpose")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	w.start(c)
	all.waitFor(t, 10)

	queue := body.MessageQueue{Topic: "orders", BrokerName: "broker-a", QueueID: 0}
	rig.Poll(t, "running info", func() error {
		info, err := rpc.RunningInfo(w.ctx, w.net, w.srv.Broker, "billing", c.ClientID(), true)
		switch {
		case err != nil:
			return err
		case info.MqTable[queue].CommitOffset != 10 || info.MqTable[queue].CachedMsgCount != 0:
			return errors.New("not consumed yet")
		}
		if info.Properties["PROP_CONSUME_TYPE"] != "CONSUME_PASSIVELY" || len(info.SubscriptionSet) != 2 || !strings.Contains(info.Jstack, "goroutine") {
			t.Errorf("running info: properties %v, subscriptions %v, stacks %.40q", info.Properties, info.SubscriptionSet, info.Jstack)
		}
		if s := info.StatusTable["orders"]; s.PullTPS <= 0 || s.ConsumeOKTPS <= 0 || s.ConsumeFailedMsgs != 0 {
			t.Errorf("figures %+v", s)
		}
		return nil
	})

	for text, want := range map[string]string{"good": "CR_SUCCESS", "bad": "CR_LATER", "worse": "CR_THROW_EXCEPTION"} {
		w.topic("spare", 1)
		sent := w.sendOne("spare", text) // nobody consumes it by itself
		if err := c.Subscribe("spare", client.All, func(ctx context.Context, m *message.Received) error {
			if text != string(m.Body) {
				return nil
			}
			switch text {
			case "bad":
				return errors.New("on purpose")
			case "worse":
				panic("on purpose")
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		res, err := rpc.ConsumeDirectly(w.ctx, w.net, w.srv.Broker, &header.ConsumeDirectlyRequest{
			ConsumerGroup: "billing", ClientID: c.ClientID(), MsgID: sent.OffsetID, BrokerName: "broker-a", Topic: "spare",
		})
		if err != nil || res.ConsumeResult != want || want != "CR_SUCCESS" && !strings.Contains(res.Remark, "on purpose") {
			t.Errorf("%s: %+v, %v, want %s", text, res, err, want)
		}
		c.Unsubscribe("spare")
	}
}

// Offsets that somebody resets while the group is there: told by the broker that
// does it itself, and by one that leaves it to the consumers.
func TestReset(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"true", "false"} {
		t.Run(key, func(t *testing.T) {
			w := newWorld(t, "useServerSideResetOffset="+key)
			w.topic("orders", 1)
			w.send("orders", 10)
			var all seen
			c := w.consumer("billing")
			if err := c.Subscribe("orders", client.All, all.handler); err != nil {
				t.Fatal(err)
			}
			w.start(c)
			all.waitFor(t, 10)
			begun := time.Now()
			to, err := rpc.ResetOffsets(w.ctx, w.net, w.srv.Broker, &header.ResetOffsetRequest{Topic: "orders", Group: "billing", Timestamp: time.Now().Add(-time.Hour).UnixMilli(), Force: true})
			if err != nil || to[body.MessageQueue{Topic: "orders", BrokerName: "broker-a"}] != 0 {
				t.Fatalf("reset to %v, %v", to, err)
			}
			w.sendOne("orders", "wakes the held pull")
			all.waitFor(t, 21)
			if took := time.Since(begun); took > 10*time.Second {
				t.Errorf("consumed again after %v", took)
			}
			w.close(c)
			if got := w.offset("billing", "orders", 0); got != 11 {
				t.Errorf("offset %d after the messages were consumed again, want 11", got)
			}
		})
	}
}

// A consumer that is paused is given nothing, and stays a member.
func TestPause(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.topic("orders", 1)
	for _, opts := range [][]client.Option{nil, {client.WithOrderly()}} {
		var all seen
		group := "billing"
		if opts != nil {
			group = "ordered"
		}
		c := w.consumer(group, opts...)
		if err := c.Subscribe("orders", client.All, all.handler); err != nil {
			t.Fatal(err)
		}
		w.start(c)
		w.sendOne("orders", "one")
		all.waitFor(t, 1)
		c.Pause()
		n := all.len()
		w.sendOne("orders", "two")
		time.Sleep(quiet)
		if got := all.len(); got != n {
			t.Errorf("%s: %d messages while paused, %d before", group, got, n)
		}
		c.Resume()
		all.waitFor(t, n+1)
		w.close(c)
	}
}
