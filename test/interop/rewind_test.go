// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
)

// The client takes ten seconds and a round of its own for a reset.

// testRewindOnline resets a running group to a time; the broker sets its offsets
// and the consumer goes on there.
func testRewindOnline(t *testing.T, c *cluster) { rewindOnline(t, c) }

// TestRewindRelayed is the same of a broker that leaves it to the consumers, as
// those of 4.9 do.
func TestRewindRelayed(t *testing.T) {
	t.Parallel()
	rewindOnline(t, start(t, "--set", "listenPort=0", "--namesrv-set", "listenPort=0", "--set", "useServerSideResetOffset=false"))
}

func rewindOnline(t *testing.T, c *cluster) {
	topic, group, in := c.topic(t, "topic", 2), name(t, "group"), &inbox{}
	p := c.producer(t)
	c.consumer(t, group, topic, in)
	before, after := numbered("before", 6), numbered("after", 6)
	sendAll(t, p, topic, before...)
	in.await(t, soon, before...)
	from := time.Now().UnixMilli() + 1
	await(t, soon, func() string {
		if time.Now().UnixMilli() < from {
			return "the clock stands"
		}
		return ""
	})
	sendAll(t, p, topic, after...)
	in.await(t, soon, slices.Concat(before, after)...)
	c.ask(t, raw(t), wire.ReqInvokeBrokerToResetOffset, &header.ResetOffsetRequest{Topic: topic, Group: group, Timestamp: from, Force: true})
	in.await(t, patient, slices.Concat(before, after, after)...)
}

// testRewindOffline resets a group that is not there: back to its beginning, and
// over all that has come meanwhile.
func testRewindOffline(t *testing.T, c *cluster) {
	topic, group := c.topic(t, "topic", 1), name(t, "group")
	p := c.producer(t)
	old := numbered("old", 5)
	sendAll(t, p, topic, old...)
	reset := func(timestamp int64) {
		t.Helper()
		c.ask(t, raw(t), wire.ReqInvokeBrokerToResetOffset, &header.ResetOffsetRequest{Topic: topic, Group: group, Timestamp: timestamp, Force: true})
	}
	// round runs the group until it has got these, and no others.
	round := func(want ...string) {
		t.Helper()
		in := &inbox{}
		running := c.consumer(t, group, topic, in)
		in.await(t, soon, want...)
		if err := running.Shutdown(); err != nil {
			t.Fatal(err)
		}
	}
	round(old...)
	c.awaitOffsets(t, topic, group, 5)
	reset(0)
	c.awaitOffsets(t, topic, group, 0)
	round(old...)
	c.awaitOffsets(t, topic, group, 5)
	sendAll(t, p, topic, numbered("skipped", 5)...)
	reset(-1)
	c.awaitOffsets(t, topic, group, 10)
	sendAll(t, p, topic, "new")
	round("new")
}

// testRelays asks a consumer through the broker: what it is doing, and to consume
// a message out of turn.
func testRelays(t *testing.T, c *cluster) {
	topic, group := c.topic(t, "topic", 2), name(t, "group")
	in := &inbox{answer: func(m *primitive.MessageExt) consumer.ConsumeResult {
		if m.GetProperty("refuse") != "" {
			return consumer.ConsumeRetryLater
		}
		return consumer.ConsumeSuccess
	}}
	c.consumer(t, group, topic, in)
	p := c.producer(t)
	sent := send(t, p, primitive.NewMessage(topic, []byte("once")))
	in.await(t, soon, "once")
	r := raw(t)
	ids, err := rpc.ConsumerList(within(t, soon), r, c.Broker, group)
	if err != nil || len(ids) != 1 {
		t.Fatalf("the group's clients are %q, %v", ids, err)
	}

	answer := c.ask(t, r, wire.ReqGetConsumerRunningInfo, &header.RunningInfoRequest{ConsumerGroup: group, ClientID: ids[0], Stacks: true})
	if info := string(answer.Body); !containsAll(info, `"properties"`, "PROP_CONSUME_TYPE", topic, "goroutine ") {
		t.Errorf("the consumer says of itself: %.2000s", info)
	}

	answer = c.ask(t, r, wire.ReqInvokeBrokerToGetConsumerStatus, &header.ConsumerStatusRequest{Topic: topic, Group: group})
	if status := string(answer.Body); !containsAll(status, ids[0], topic, "broker-a") {
		t.Errorf("the consumer says of its offsets: %.2000s", status)
	}

	directly := &header.ConsumeDirectlyRequest{ConsumerGroup: group, ClientID: ids[0], MsgID: sent.OffsetMsgID, BrokerName: "broker-a", Topic: topic}
	for i, want := range []int{0, 0} {
		answer = c.ask(t, r, wire.ReqConsumeMessageDirectly, directly)
		var result struct {
			Result int `json:"consumeResult"` // this client gives a number: 0 is success, 1 later
		}
		if err := json.Unmarshal(answer.Body, &result); err != nil || result.Result != want {
			t.Errorf("consuming directly is answered %s, %v", answer.Body, err)
		}
		if have := in.bodies(); len(have) != i+2 || have[i+1] != "once" {
			t.Errorf("received %q", have)
		}
	}

	for _, id := range []string{"nobody@1", ""} {
		answer, err := r.Invoke(within(t, soon), c.Broker, &wire.Request{Code: wire.ReqGetConsumerRunningInfo,
			Header: &header.RunningInfoRequest{ConsumerGroup: group, ClientID: id}})
		if err != nil || answer.Code != wire.SystemError || !containsAll(string(answer.Remark), fmt.Sprintf("<%s>", id)) {
			t.Errorf("asking %q: %v, %v", id, answer, err)
		}
	}
}
