// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package frames

import (
	"slices"
	"strconv"
	"testing"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/test/rig"
)

// letter is a record as an operator's tool reads it.
type letter struct {
	text, id string // id: its offset message id
	at       int64  // in the commit log
	times    int32
	props    message.Properties
}

// letters gives what is in the first queue of a topic.
func (p *peer) letters(topic string) []letter {
	p.t.Helper()
	var all []letter
	if _, err := rig.Drain(rig.Context(p.t), p.c, p.b.Broker, topic, 0, 0, func(r *message.Record) error {
		id := string(message.AppendOffsetID(nil, r.StoreHost, r.PhysicalOffset))
		all = append(all, letter{string(r.Body), id, r.PhysicalOffset, r.ReconsumeTimes, message.ParseProperties(slices.Clone(r.Properties))})
		return nil
	}); err != nil {
		p.t.Fatal(err)
	}
	return all
}

// A message that a consumer gives up is a dead letter that tells where it comes
// from. Read from the dead letters and sent to its topic again, it is a message
// like any other; given up once more, it is a dead letter of its new life.
func testResend(t *testing.T, p *peer) {
	topic, group := p.topic("topic", 1), p.group("group", 16)
	dlq := "%DLQ%" + group
	giveUp := func(m letter) {
		t.Helper()
		if err := rpc.SendBack(rig.Context(t), p.c, p.b.Broker, &header.SendBackRequest{
			Offset: m.at, Group: group, DelayLevel: -1, OriginMsgID: m.id, OriginTopic: topic,
		}); err != nil {
			t.Fatal(err)
		}
	}
	var unique string
	await := func(n int, first letter) letter {
		t.Helper()
		all := p.letters(dlq) // it is readable when it is answered
		if len(all) != n {
			t.Fatalf("there are %d dead letters, want %d", len(all), n)
		}
		m := all[n-1]
		for name, want := range map[string]string{
			"DLQ_ORIGIN_TOPIC": topic, "DLQ_ORIGIN_MESSAGE_ID": unique, "ORIGIN_MESSAGE_ID": first.id, "RETRY_TOPIC": topic,
			message.PropertyUniqueKey: unique, message.PropertyTags: "red", message.PropertyKeys: "order-1", "colour": "grün",
		} {
			if have := m.props[name]; have != want {
				t.Errorf("dead letter %d has %s=%q, want %q", n, name, have, want)
			}
		}
		if m.text != "hopeless" || m.times != 1 {
			t.Errorf("dead letter %d is %q after %d retries", n, m.text, m.times)
		}
		return m
	}
	p.send(topic, 0, "hopeless", message.PropertyTags, "red", message.PropertyKeys, "order-1", "colour", "grün")
	first := p.letters(topic)[0]
	unique = first.props[message.PropertyUniqueKey]
	giveUp(first)
	dead := await(1, first)

	// As tools do: its properties as they are.
	answer := p.sendAs(wire.ReqSendMessageV2, topic, string(dead.props.Append(nil)), false, []byte(dead.text))
	if answer.Code != wire.Success || p.number(answer, "queueOffset") != 1 {
		t.Fatalf("sending it again: %s %s, %q", wire.ResponseName(answer.Code), answer.Remark, answer.Ext)
	}
	p.subscribe(group, topic, "TAG", "red")
	if have := p.readTexts(p.pullAs(group, topic, 0, 1)); !slices.Equal(have, []string{"hopeless"}) {
		t.Errorf("sent again, the group pulls %q", have)
	}
	again := p.letters(topic)[1]
	if again.times != 0 {
		t.Errorf("sent again, it has %d retries", again.times)
	}
	giveUp(again)
	await(2, first)
}

// reset asks the broker to reset one queue of a group to an offset.
func (p *peer) reset(group, topic string, queue int32, to int64) *wire.Command {
	p.t.Helper()
	return p.ask(wire.ReqInvokeBrokerToResetOffset, nil, "topic", topic, "group", group, "timestamp", "-1", "isForce", "true",
		"queueId", strconv.Itoa(int(queue)), "offset", strconv.FormatInt(to, 10))
}

// wantOffsets compares a group's offsets in the queues from 0 on.
func (p *peer) wantOffsets(when, group, topic string, want ...int64) {
	p.t.Helper()
	for queue, w := range want {
		if at, err := rpc.QueryOffset(rig.Context(p.t), p.c, p.b.Broker, group, topic, int32(queue)); err != nil || at != w {
			p.t.Errorf("%s: queue %d of %s is at %d, %v; want %d", when, queue, group, at, err, w)
		}
	}
}

// consumed leaves a group that is not online with 8 messages in each of three
// queues, at these offsets.
func (p *peer) consumed(what string, offsets ...int64) (topic, group string) {
	p.t.Helper()
	topic, group = p.topic(what, int32(len(offsets))), p.group(what, 16)
	for queue, at := range offsets {
		p.sendAll(topic, int32(queue), numbered("m", 0, 8)...)
		if err := rpc.UpdateOffset(rig.Context(p.t), p.c, p.b.Broker, group, topic, int32(queue), at); err != nil {
			p.t.Fatal(err)
		}
	}
	return topic, group
}

// One queue of a group that is offline goes to an offset, back or ahead, and the
// others stay. The group begins there when it comes back, whatever it pulls first.
func testRewindQueue(t *testing.T, p *peer) {
	topic, group := p.consumed("topic", 8, 8, 2)
	for _, tc := range []struct {
		queue int32
		to    int64
		want  []int64
	}{{1, 3, []int64{8, 3, 2}}, {2, 6, []int64{8, 3, 6}}, {0, 0, []int64{0, 3, 6}}, {0, 8, []int64{8, 3, 6}}} {
		if answer := p.reset(group, topic, tc.queue, tc.to); answer.Code != wire.Success {
			t.Fatalf("queue %d to %d: %s %s", tc.queue, tc.to, wire.ResponseName(answer.Code), answer.Remark)
		}
		p.wantOffsets("after queue "+strconv.Itoa(int(tc.queue))+" was reset", group, topic, tc.want...)
	}
	for _, bad := range []struct {
		queue int32
		to    int64
	}{{1, 9}, {3, 0}, {1, -2}} {
		if answer := p.reset(group, topic, bad.queue, bad.to); answer.Code == wire.Success || len(answer.Remark) == 0 {
			t.Errorf("queue %d to %d: %s %q", bad.queue, bad.to, wire.ResponseName(answer.Code), answer.Remark)
		}
	}
	p.wantOffsets("after resets that were refused", group, topic, 8, 3, 6)

	// It comes back with what it remembers.
	p.subscribe(group, topic, "TAG", "*")
	answer := p.pullAs(group, topic, 1, 8)
	if next := p.number(answer, "nextBeginOffset"); answer.Code != wire.PullOffsetMoved || next != 3 {
		t.Errorf("a pull from where it was: %s, go on at %d; want PULL_OFFSET_MOVED, 3", wire.ResponseName(answer.Code), next)
	}
	if have := p.readTexts(p.pullAs(group, topic, 1, 3)); !slices.Equal(have, numbered("m", 3, 8)) {
		t.Errorf("then pulled %q", have)
	}
}

// A group gets the offsets of another one, in one topic or in all, both offline.
func testCloneOffsets(t *testing.T, p *peer) {
	topic, from := p.consumed("topic", 5, 0, 8)
	second := p.topic("second", 1)
	p.sendAll(second, 0, numbered("m", 0, 8)...)
	for group, at := range map[string]int64{from: 7, p.group("to", 16): 1} {
		if err := rpc.UpdateOffset(rig.Context(t), p.c, p.b.Broker, group, second, 0, at); err != nil {
			t.Fatal(err)
		}
	}
	to := p.name("to")
	p.must(wire.ReqCloneGroupOffset, nil, "srcGroup", from, "destGroup", to, "topic", topic, "offline", "true")
	p.wantOffsets("one topic", to, topic, 5, 0, 8)
	p.wantOffsets("one topic", to, second, 1)
	p.must(wire.ReqCloneGroupOffset, nil, "srcGroup", from, "destGroup", to, "topic", "", "offline", "true")
	p.wantOffsets("all topics", to, second, 7)
	p.wantOffsets("the source", from, topic, 5, 0, 8)
	p.refused(wire.TopicNotExist, wire.ReqCloneGroupOffset, nil, "srcGroup", from, "destGroup", to, "topic", p.name("unknown"), "offline", "true")
	p.subscribe(to, topic, "TAG", "*")
	if have := p.readTexts(p.pullAs(to, topic, 0, 5)); !slices.Equal(have, numbered("m", 5, 8)) {
		t.Errorf("the group that got the offsets pulls %q", have)
	}
}
