// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package frames

import (
	"strings"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/wire"
)

// While messages of a queue are out, an orderly group gets no more of it.
func testPopOrderly(t *testing.T, p *peer) {
	topic, group := p.topic("topic", 1), p.group("group", 16)
	p.sendAll(topic, 0, "m0", "m1", "m2", "m3", "m4")
	r := popping{group: group, topic: topic, queue: 0, order: true, max: 2, attempt: "one"}
	first := p.collect(r, 2)
	p.wantTexts("the first pop", first, "m0", "m1")
	if q := first[0].answer.reviveQueue; q != orderlyQueue {
		t.Errorf("revive queue %s, want %s", q, orderlyQueue)
	}
	other := r
	other.attempt = "other"
	blocked := func(when string) {
		t.Helper()
		third := r
		third.attempt = when
		if msgs, code := p.pop(third); code != wire.PollingTimeout {
			t.Fatalf("%s: popped %q, %s; want POLLING_TIMEOUT", when, texts(msgs), wire.ResponseName(code))
		}
	}
	blocked("two are out")
	// Whoever did not see the answer to an attempt makes it again.
	p.wantTexts("the same attempt", p.collect(r, 2), "m0", "m1")
	first = p.collect(r, 2)
	p.ack(group, topic, first[0])
	blocked("one is out")
	p.ack(group, topic, first[1])
	second := p.collect(other, 2)
	p.wantTexts("both are done", second, "m2", "m3")
	p.ack(group, topic, second[1])
	blocked("the first of two is out")
	p.ack(group, topic, second[0])
	last := p.collect(other, 1)
	p.wantTexts("the end", last, "m4")
	p.ack(group, topic, last...)
}

// What was not acknowledged in time comes back before all that follows it, and
// the answer says how often it has.
func testPopOrderlyInvisible(t *testing.T, p *peer) {
	topic, group := p.topic("topic", 1), p.group("group", 16)
	p.sendAll(topic, 0, "m0", "m1", "m2")
	r := popping{group: group, topic: topic, queue: 0, order: true, max: 2, invisible: 4 * time.Second, attempt: "one"}
	first := p.collect(r, 2)
	p.wantTexts("the first pop", first, "m0", "m1")
	p.ack(group, topic, first[0])
	due := first[1].answer.popTime + r.invisible.Milliseconds()
	r.attempt, r.max, r.invisible = "two", 3, time.Minute
	second := p.collect(r, 1)
	if second[0].text != "m1" {
		t.Fatalf("popped %q, want m1 again first", texts(second))
	}
	if second[0].times != 1 {
		t.Errorf("m1 was given %d times before, says the broker", second[0].times)
	}
	if second[0].answer.popTime < due {
		t.Errorf("m1 came back %d ms before its invisible time was over", due-second[0].answer.popTime)
	}
	if !strings.HasSuffix(second[0].handle, " 1") {
		t.Errorf("m1 is in the handle %q", second[0].handle)
	}
	p.ack(group, topic, second...)
	if len(second) == 1 {
		r.attempt = "three"
		last := p.collect(r, 1)
		p.wantTexts("the end", last, "m2")
		p.ack(group, topic, last...)
	}
	// Made visible at once, the next may have it.
	p.sendAll(topic, 0, "m3")
	r.attempt = "four"
	out := p.collect(r, 1)
	p.wantTexts("one more", out, "m3")
	p.invisible(group, topic, out[0], time.Second)
	r.attempt = "five"
	back := p.collect(r, 1)
	p.wantTexts("after the changed time", back, "m3")
	p.ack(group, topic, back...)
}
