// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package frames

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/test/rig"
)

// What is acknowledged stays away, what is not comes back after its invisible
// time, as a retry: the messages of one pop would come back together.
func testPopAck(t *testing.T, p *peer) {
	testAcks(t, p, func(group, topic string, msgs ...popped) { p.ack(group, topic, msgs...) })
}

func testPopBatchAck(t *testing.T, p *peer) {
	testAcks(t, p, p.batchAck)
}

func testAcks(t *testing.T, p *peer, ack func(group, topic string, msgs ...popped)) {
	topic, group := p.topic("topic", 2), p.group("group", 16)
	p.sendAll(topic, 0, "a0", "a1", "a2", "a3")
	p.sendAll(topic, 1, "b0", "b1", "b2", "b3")
	const invisible = 5 * time.Second
	r := popping{group: group, topic: topic, queue: allQueues, invisible: invisible}
	first := sorted(p.collect(r, 8))
	p.wantTexts("the first pops", first, "a0", "a1", "a2", "a3", "b0", "b1", "b2", "b3")
	for _, m := range first {
		if m.times != 0 || m.retry != "0" || m.answer.invisible != invisible.Milliseconds() || strconv.Itoa(int(m.queue)) != map[byte]string{'a': "0", 'b': "1"}[m.text[0]] {
			t.Errorf("%s: %d retries, handle %q, invisible for %d ms, queue %d", m.text, m.times, m.handle, m.answer.invisible, m.queue)
		}
		if q, err := strconv.Atoi(m.answer.reviveQueue); err != nil || q < 0 || q > 7 {
			t.Errorf("%s: revive queue %q, want one of 8", m.text, m.answer.reviveQueue)
		}
	}
	// Neither the first nor the last of their pops.
	left := []popped{p.named(first, "a1"), p.named(first, "b2")}
	ack(group, topic, slices.DeleteFunc(slices.Clone(first), func(m popped) bool { return m.text == "a1" || m.text == "b2" })...)

	again := sorted(p.collect(r, 2))
	p.wantTexts("after the invisible time", again, "a1", "b2")
	for i, m := range again {
		if m.times != 1 || m.retry != "1" {
			t.Errorf("%s came back with %d retries and the handle %q", m.text, m.times, m.handle)
		}
		if due := left[i].answer.popTime + invisible.Milliseconds(); m.answer.popTime < due {
			t.Errorf("%s came back %d ms before its invisible time was over", m.text, due-m.answer.popTime)
		}
	}
	// A retry is acknowledged like the rest, or comes back for the next time.
	ack(group, topic, again[0])
	last := p.collect(r, 1)
	p.wantTexts("after the second invisible time", last, "b2")
	if last[0].times != 2 {
		t.Errorf("b2 came back with %d retries, want 2", last[0].times)
	}
	ack(group, topic, last...)
}

// A pop of one queue gives of that one only, maxMsgNums at most, and says how
// much is left.
func testPopOneQueue(t *testing.T, p *peer) {
	topic, group := p.topic("topic", 2), p.group("group", 16)
	p.sendAll(topic, 0, "a0", "a1", "a2")
	p.sendAll(topic, 1, "b0", "b1", "b2", "b3", "b4")
	r := popping{group: group, topic: topic, queue: 1, max: 2}
	one := p.collect(r, 2)
	p.wantTexts("queue 1", one, "b0", "b1")
	if rest := one[0].answer.rest; rest != 3 {
		t.Errorf("%d messages are left, want 3", rest)
	}
	p.wantTexts("queue 1, again", p.collect(r, 2), "b2", "b3")
	p.wantTexts("queue 1, the end", p.collect(r, 1), "b4")
	if msgs, code := p.pop(r); code != wire.PollingTimeout {
		t.Errorf("an empty queue gives %q, %s; want POLLING_TIMEOUT", texts(msgs), wire.ResponseName(code))
	}
	p.wantTexts("queue 0", p.collect(popping{group: group, topic: topic, queue: 0}, 3), "a0", "a1", "a2")
}

// A peek gives what a pop would, and takes nothing.
func testPeek(t *testing.T, p *peer) {
	topic, group := p.topic("topic", 1), p.group("group", 16)
	p.sendAll(topic, 0, "m0", "m1", "m2")
	peek := func() (code int32, all []string) {
		t.Helper()
		answer := p.ask(wire.ReqPeekMessage, nil, "consumerGroup", group, "topic", topic, "queueId", "0", "maxMsgNums", "2")
		if err := message.RangeRecords(answer.Body, true, func(rec *message.Record) error {
			all = append(all, string(rec.Body))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return answer.Code, all
	}
	for range 2 {
		if code, all := peek(); code != wire.Success || !slices.Equal(all, []string{"m0", "m1"}) {
			t.Errorf("a peek gives %q, %s", all, wire.ResponseName(code))
		}
	}
	msgs := p.collect(popping{group: group, topic: topic, queue: 0}, 3)
	p.wantTexts("after the peeks", msgs, "m0", "m1", "m2")
	if code, all := peek(); code != wire.PullNotFound {
		t.Errorf("a peek after the last message gives %q, %s", all, wire.ResponseName(code))
	}
	p.ack(group, topic, msgs...)
}

func testPopFilter(t *testing.T, p *peer) {
	topic := p.topic("topic", 1)
	for i := range 20 {
		tag := []string{"red", "green", "Aa", "BB"}[i%4] // BB has the hash of Aa
		p.send(topic, 0, fmt.Sprintf("%02d", i), "TAGS", tag, "n", strconv.Itoa(i))
	}
	tags := popping{group: p.group("tags", 16), topic: topic, queue: allQueues, language: "TAG", expression: "red || Aa"}
	for _, m := range p.collect(tags, 10) {
		// Of equal hashes Java's broker gives both, and its client looks again.
		if n, _ := strconv.Atoi(m.text); n%4 == 1 {
			t.Errorf("the pop of red and Aa gave %s, which is green", m.text)
		}
	}
	sql := popping{group: p.group("sql", 16), topic: topic, queue: allQueues, language: "SQL92", expression: "n BETWEEN 3 AND 6 OR TAGS = 'red' AND n > 10"}
	p.wantTexts("SQL92", p.collect(sql, 6), "03", "04", "05", "06", "12", "16")
	bad := sql
	bad.expression = "n BETWEEN 3"
	p.refused(wire.SubscriptionParseFailed, wire.ReqPopMessage, nil, bad.fields()...)
}

// A pop that finds nothing is held until something arrives.
func testPopHeld(t *testing.T, p *peer) {
	topic, group := p.topic("topic", 2), p.group("group", 16)
	r := popping{group: group, topic: topic, queue: allQueues, poll: 30 * time.Second}
	done := make(chan struct{})
	var msgs []popped
	var err error
	begin := time.Now()
	go func() {
		defer close(done)
		var answer *wire.Command
		if answer, err = p.try(wire.ReqPopMessage, nil, r.fields()...); err == nil {
			msgs, err = readPop(answer, topic)
		}
	}()
	rig.Poll(t, "holding the pop", func() error {
		info := p.must(wire.ReqPollingInfo, nil, "consumerGroup", group, "topic", topic, "queueId", "-1")
		if n := p.number(info, "pollingNum"); n != 1 {
			return fmt.Errorf("%d pops are held", n)
		}
		return nil
	})
	p.send(topic, 1, "news")
	<-done
	if err != nil {
		t.Fatal(err)
	}
	p.wantTexts("the held pop", msgs, "news")
	if took := time.Since(begin); took > 25*time.Second {
		t.Errorf("the held pop was answered after %v", took)
	}
	p.ack(group, topic, msgs...)

	r.poll = 300 * time.Millisecond
	begin = time.Now()
	if msgs, code := p.pop(r); code != wire.PollingTimeout || time.Since(begin) < 250*time.Millisecond {
		t.Errorf("a pop that may be held for %v is answered %s, %q, after %v", r.poll, wire.ResponseName(code), texts(msgs), time.Since(begin))
	}
}

func testPopRefused(t *testing.T, p *peer) {
	topic, group := p.topic("topic", 1), p.group("group", 16)
	p.sendAll(topic, 0, "m0")
	r := popping{group: group, topic: p.name("unknown"), queue: allQueues}
	p.refused(wire.TopicNotExist, wire.ReqPopMessage, nil, r.fields()...)
	r = popping{group: group, topic: topic, queue: 7}
	p.refused(wire.InvalidParameter, wire.ReqPopMessage, nil, r.fields()...)
	r = popping{group: group, topic: topic, queue: allQueues, max: 33}
	p.refused(wire.InvalidParameter, wire.ReqPopMessage, nil, r.fields()...)

	m := p.collect(popping{group: group, topic: topic, queue: 0}, 1)[0]
	beyond := m.ackFields(group, topic)
	beyond[len(beyond)-1] = "1000"
	if answer := p.ask(wire.ReqAckMessage, nil, beyond...); answer.Code != wire.NoMessage {
		t.Errorf("an ack at offset 1000 of a queue of 1 is answered %s", wire.ResponseName(answer.Code))
	}
	for _, handle := range []string{"", "x", "1 2 3", "a b c d e f g h"} {
		f := m.ackFields(group, topic)
		f[7] = handle
		if answer := p.ask(wire.ReqAckMessage, nil, f...); answer.Code == wire.Success {
			t.Errorf("an ack with the handle %q succeeds", handle)
		}
	}
	p.ack(group, topic, m)
}

// The invisible time can be changed in both directions, as often as one likes.
func testChangeInvisible(t *testing.T, p *peer) {
	topic, group := p.topic("topic", 1), p.group("group", 16)
	p.sendAll(topic, 0, "shorter", "longer", "neither")
	r := popping{group: group, topic: topic, queue: 0, invisible: 6 * time.Second}
	first := p.collect(r, 3)
	p.wantTexts("the first pop", first, "shorter", "longer", "neither")
	longer := p.invisible(group, topic, first[1], time.Minute)
	p.invisible(group, topic, first[0], time.Second)

	r.invisible, r.poll = time.Minute, time.Second
	p.wantTexts("first", p.collect(r, 1), "shorter")
	var later []popped
	rig.Poll(t, "the message whose time was not changed", func() error {
		msgs, _ := p.pop(r)
		later = append(later, msgs...)
		if slices.Contains(texts(later), "neither") {
			return nil
		}
		return fmt.Errorf("popped %q", texts(later))
	})
	if slices.Contains(texts(later), "longer") {
		t.Fatalf("the message with the longer time is back: %q", texts(later))
	}
	p.invisible(group, topic, longer, time.Second)
	rig.Poll(t, "the message whose time was made shorter", func() error {
		msgs, _ := p.pop(r)
		later = append(later, msgs...)
		if slices.Contains(texts(later), "longer") {
			return nil
		}
		return fmt.Errorf("popped %q", texts(later))
	})
	if m := p.named(later, "longer"); m.times != 1 {
		t.Errorf("it has %d retries, want 1", m.times)
	}
	p.ack(group, topic, later...)
}

// A message that was given as often as the group allows is a dead letter.
// A message that was not acknowledged as often as its group may get it is a dead
// letter that tells where it comes from, by the id that its sender gave it.
func testDeadLetter(t *testing.T, p *peer) {
	topic, group := p.topic("topic", 1), p.group("group", 1)
	p.send(topic, 0, "hopeless", "colour", "grün")
	p.send(topic, 0, "fine")
	unique := p.letters(topic)[0].props[message.PropertyUniqueKey]
	r := popping{group: group, topic: topic, queue: allQueues, invisible: 4 * time.Second}
	first := p.collect(r, 2)
	p.ack(group, topic, p.named(first, "fine"))
	r.invisible = time.Second
	again := p.collect(r, 1)
	p.wantTexts("once more", again, "hopeless")
	rig.Poll(t, "the dead letter", func() error {
		msgs, _ := p.pop(r)
		if len(msgs) > 0 {
			t.Fatalf("popped %q, which has had its %d retries", texts(msgs), 1)
		}
		dead, err := p.stored("%DLQ%"+group, 0)
		if err != nil {
			return err
		}
		if !slices.Equal(dead, []string{"hopeless"}) {
			return fmt.Errorf("the dead letters are %q", dead)
		}
		return nil
	})
	props := p.letters("%DLQ%" + group)[0].props
	for name, want := range map[string]string{"DLQ_ORIGIN_TOPIC": topic, "DLQ_ORIGIN_MESSAGE_ID": unique, message.PropertyUniqueKey: unique, "colour": "grün"} {
		if have := props[name]; have != want {
			t.Errorf("the dead letter has %s=%q, want %q", name, have, want)
		}
	}
}

// A notification says that there is something to pop, and takes nothing.
func testNotification(t *testing.T, p *peer) {
	topic, group := p.topic("topic", 2), p.group("group", 16)
	ask := func(queue int, poll time.Duration) []string {
		return []string{
			"consumerGroup", group, "topic", topic, "queueId", strconv.Itoa(queue), "pollTime", strconv.FormatInt(poll.Milliseconds(), 10),
			"bornTime", strconv.FormatInt(time.Now().UnixMilli(), 10), "order", "false",
		}
	}
	if has := p.field(p.must(wire.ReqNotification, nil, ask(allQueues, 200*time.Millisecond)...), "hasMsg"); has != "false" {
		t.Errorf("an empty topic has a message: %s", has)
	}
	done := make(chan struct{})
	var answer *wire.Command
	var err error
	go func() {
		defer close(done)
		answer, err = p.try(wire.ReqNotification, nil, ask(allQueues, 30*time.Second)...)
	}()
	begin := time.Now()
	p.send(topic, 1, "news")
	<-done
	if err != nil || answer.Code != wire.Success {
		t.Fatalf("%v, %v", answer, err)
	}
	if has := p.field(answer, "hasMsg"); has != "true" || time.Since(begin) > 25*time.Second {
		t.Errorf("after a message: hasMsg %s, after %v", has, time.Since(begin))
	}
	if has := p.field(p.must(wire.ReqNotification, nil, ask(1, 0)...), "hasMsg"); has != "true" {
		t.Errorf("the notification took the message: hasMsg %s", has)
	}
	if has := p.field(p.must(wire.ReqNotification, nil, ask(0, 0)...), "hasMsg"); has != "false" {
		t.Errorf("queue 0 has a message: %s", has)
	}
	p.ack(group, topic, p.collect(popping{group: group, topic: topic, queue: allQueues}, 1)...)
}
