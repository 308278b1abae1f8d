// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package frames

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/test/rig"
)

// heartbeat makes the peer a member of a group that wants all of a topic.
func (p *peer) heartbeat(group, topic string) {
	p.t.Helper()
	if err := rpc.Heartbeat(rig.Context(p.t), p.c, p.b.Broker, heartbeat(p.id, group, topic)); err != nil {
		p.t.Fatal(err)
	}
}

func heartbeat(id, group, topic string) *body.HeartbeatData {
	return &body.HeartbeatData{ClientID: id, ConsumerDataSet: []body.ConsumerData{{
		GroupName: group, ConsumeType: body.ConsumePassively, MessageModel: body.Clustering, ConsumeFromWhere: body.ConsumeFromFirstOffset,
		SubscriptionDataSet: []body.SubscriptionData{{Topic: topic, SubString: "*", ExpressionType: "TAG", SubVersion: 1}},
	}}}
}

// assigned asks for the peer's queues, as "mode queue" in order.
func (p *peer) assigned(group, topic, strategy, model string) []string {
	p.t.Helper()
	text, err := json.Marshal(map[string]any{
		"topic": topic, "consumerGroup": group, "clientId": p.id, "strategyName": strategy, "messageModel": model,
	})
	if err != nil {
		p.t.Fatal(err)
	}
	answer := p.must(wire.ReqQueryAssignment, text)
	var have struct {
		Assignments []struct {
			Queue struct {
				Topic  string `json:"topic"`
				Broker string `json:"brokerName"`
				ID     int    `json:"queueId"`
			} `json:"messageQueue"`
			Mode string `json:"mode"`
		} `json:"messageQueueAssignments"`
	}
	if err := json.Unmarshal(answer.Body, &have); err != nil {
		p.t.Fatalf("%v: %s", err, answer.Body)
	}
	var all []string
	for _, a := range have.Assignments {
		if a.Queue.Topic != topic || a.Queue.Broker != brokerName {
			p.t.Errorf("assigned %+v, want queues of %s on %s", a, topic, brokerName)
		}
		all = append(all, fmt.Sprint(a.Mode, " ", a.Queue.ID))
	}
	slices.Sort(all)
	return all
}

// mode sets how a group gets a topic's messages.
func (p *peer) mode(group, topic, mode string, share int) {
	p.t.Helper()
	text, err := json.Marshal(map[string]any{"topic": topic, "consumerGroup": group, "mode": mode, "popShareQueueNum": share})
	if err != nil {
		p.t.Fatal(err)
	}
	p.must(wire.ReqSetMessageRequestMode, text)
}

func testAssignment(t *testing.T, p *peer) {
	topic, group := p.topic("topic", 4), p.group("group", 16)
	a, b := p, p.b.peer(t, p.enc)
	a.heartbeat(group, topic)
	b.heartbeat(group, topic)
	if a.id > b.id {
		a, b = b, a
	}
	want := func(q *peer, strategy, model string, want ...string) {
		t.Helper()
		if have := q.assigned(group, topic, strategy, model); !slices.Equal(have, want) {
			t.Errorf("%s, %s: %s has %q, want %q", strategy, model, q.id, have, want)
		}
	}
	want(a, "AVG", "CLUSTERING", "PULL 0", "PULL 1")
	want(b, "AVG", "CLUSTERING", "PULL 2", "PULL 3")
	want(a, "AVG_BY_CIRCLE", "CLUSTERING", "PULL 0", "PULL 2")
	want(b, "AVG_BY_CIRCLE", "CLUSTERING", "PULL 1", "PULL 3")
	want(b, "AVG", "BROADCASTING", "PULL 0", "PULL 1", "PULL 2", "PULL 3")
	a.mode(group, topic, "POP", 0)
	// Four times the same: any queue.
	for _, q := range []*peer{a, b} {
		have := slices.Compact(q.assigned(group, topic, "AVG", "CLUSTERING"))
		if !slices.Equal(have, []string{"POP -1"}) {
			t.Errorf("in pop mode %s has %q, want POP -1", q.id, have)
		}
	}
	// A slave fetches all modes.
	if all := string(a.must(wire.ReqGetAllMessageRequestMode, nil).Body); !strings.Contains(all, topic) || !strings.Contains(all, group) {
		t.Errorf("the modes of all groups are %.2000s", all)
	}
	a.mode(group, topic, "PULL", 0)
	want(b, "AVG", "CLUSTERING", "PULL 2", "PULL 3")

	body := func(topic, group string) []byte {
		return fmt.Appendf(nil, `{"topic":%q,"consumerGroup":%q,"mode":"POP","popShareQueueNum":0}`, topic, group)
	}
	p.refused(wire.TopicNotExist, wire.ReqSetMessageRequestMode, body(p.name("unknown"), group))
	p.refused(wire.NoPermission, wire.ReqSetMessageRequestMode, body("%RETRY%"+group, group))
}

// A group moves from pull to pop and back while it consumes: each message is
// seen once, as nothing is left unacknowledged.
func testPullToPop(t *testing.T, p *peer) {
	topic, group := p.topic("topic", 1), p.group("group", 16)
	p.heartbeat(group, topic)
	want := func(have []string, from, to int) {
		t.Helper()
		var all []string
		for i := from; i < to; i++ {
			all = append(all, fmt.Sprintf("m%d", i))
		}
		if !slices.Equal(have, all) {
			t.Fatalf("consumed %q, want %q", have, all)
		}
	}
	sent := 0
	send := func(n int) {
		for range n {
			p.sendAll(topic, 0, fmt.Sprintf("m%d", sent))
			sent++
		}
	}
	send(6)
	next := int64(0)
	pull := func(n int32) []string {
		t.Helper()
		h := rig.PullHeader(topic, 0, next)
		h.ConsumerGroup, h.MaxMsgNums = []byte(group), n
		got, err := rpc.Pull(rig.Context(t), p.c, p.b.Broker, h)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		if err := message.RangeRecords(got.Records, true, func(r *message.Record) error {
			all = append(all, string(r.Body))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		next = got.Header.NextBeginOffset
		if err := rpc.UpdateOffset(rig.Context(t), p.c, p.b.Broker, group, topic, 0, next); err != nil {
			t.Fatal(err)
		}
		return all
	}
	want(pull(4), 0, 4)

	p.mode(group, topic, "POP", 0)
	r := popping{group: group, topic: topic, queue: allQueues, invisible: time.Minute}
	msgs := p.collect(r, 2)
	want(texts(msgs), 4, 6)
	p.ack(group, topic, msgs...)
	send(3)
	msgs = p.collect(r, 3)
	want(texts(msgs), 6, 9)
	p.ack(group, topic, msgs...)

	p.mode(group, topic, "PULL", 0)
	send(2)
	// The broker moves the group's offset behind what was popped.
	rig.Poll(t, "the group's offset", func() error {
		at, err := rpc.QueryOffset(rig.Context(t), p.c, p.b.Broker, group, topic, 0)
		if err == nil && at != 9 {
			err = fmt.Errorf("it is %d, want 9", at)
		}
		return err
	})
	next = 9
	want(pull(32), 9, 11)
}
