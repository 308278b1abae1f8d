// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package frames

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/test/rig"
)

// unacked collects pops over kills, and holds that no message is given again
// before its invisible time is over, and none that was acknowledged.
type unacked struct {
	p     *peer
	until map[string]int64 // message -> when it may be given again, ms
	done  map[string]bool
	last  map[string]popped
}

func newUnacked(p *peer) *unacked {
	return &unacked{p: p, until: map[string]int64{}, done: map[string]bool{}, last: map[string]popped{}}
}

func (u *unacked) take(msgs []popped) {
	u.p.t.Helper()
	for _, m := range msgs {
		if u.done[m.text] {
			u.p.t.Errorf("%s was acknowledged and is given again", m.text)
		}
		if early := u.until[m.text] - m.answer.popTime; early > 0 {
			u.p.t.Errorf("%s is given again %d ms before its invisible time is over", m.text, early)
		}
		if before, ok := u.last[m.text]; ok && m.times != before.times+1 {
			u.p.t.Errorf("%s has %d retries, and had %d when it was given before", m.text, m.times, before.times)
		}
		u.until[m.text] = m.answer.popTime + m.answer.invisible
		u.last[m.text] = m
	}
}

// collect pops until all of these have come since the call.
func (u *unacked) collect(r popping, want ...string) {
	u.p.t.Helper()
	have := map[string]bool{}
	r.poll = time.Second
	deadline := time.Now().Add(90 * time.Second)
	for {
		msgs, _ := u.p.pop(r)
		u.take(msgs)
		for _, m := range msgs {
			have[m.text] = true
		}
		missing := slices.DeleteFunc(slices.Clone(want), func(s string) bool { return have[s] })
		if len(missing) == 0 {
			return
		}
		if time.Now().After(deadline) {
			u.p.t.Fatalf("these did not come: %q", missing)
		}
	}
}

func (u *unacked) ack(group, topic string, texts ...string) {
	u.p.t.Helper()
	for _, text := range texts {
		u.p.ack(group, topic, u.last[text])
		u.done[text] = true
	}
}

func numbered(prefix string, from, to int) []string {
	var all []string
	for i := from; i < to; i++ {
		all = append(all, fmt.Sprintf("%s%02d", prefix, i))
	}
	return all
}

// The server is killed after a pop, after acks, and when the messages that were
// not acknowledged have become retries.
func TestPopKilled(t *testing.T) {
	t.Parallel()
	b := start(t)
	p := b.peer(t, wire.JSON)
	topic, group := p.topic("topic", 2), p.group("group", 16)
	p.sendAll(topic, 0, numbered("a", 0, 10)...)
	p.sendAll(topic, 1, numbered("b", 0, 10)...)
	u := newUnacked(p)
	r := popping{group: group, topic: topic, queue: 0, max: 6, invisible: 15 * time.Second}
	u.collect(r, numbered("a", 0, 6)...)
	b.kill(t)

	// What was popped is not given again at once, and can be acknowledged.
	r.queue, r.max = allQueues, 32
	u.collect(r, slices.Concat(numbered("a", 6, 10), numbered("b", 0, 10))...)
	u.ack(group, topic, "a01", "a07", "b00")
	longer := p.invisible(group, topic, u.last["b09"], 5*time.Minute)
	u.until["b09"] = time.Now().Add(4 * time.Minute).UnixMilli()
	u.last["b09"] = longer
	b.kill(t)

	rest := slices.DeleteFunc(slices.Concat(numbered("a", 0, 10), numbered("b", 0, 10)), func(s string) bool {
		return u.done[s] || s == "b09"
	})
	r.invisible = 4 * time.Second
	u.collect(r, rest...)
	for _, text := range rest {
		if m := u.last[text]; m.times < 1 || m.retry == "0" {
			t.Errorf("%s came back with %d retries and the handle %q", text, m.times, m.handle)
		}
	}
	b.kill(t)
	// The retries were popped: they come back once more.
	u.collect(r, rest...)
	r.invisible = 5 * time.Minute
	u.collect(r, rest...)
	u.ack(group, topic, rest...)
	u.ack(group, topic, "b09")
	b.kill(t)
	// A message that comes back twice would come back behind those.
	p.sendAll(topic, 0, "sentinel")
	r.invisible = 2 * time.Second
	for range 2 {
		u.collect(r, "sentinel")
	}
	u.ack(group, topic, "sentinel")
}

// The server is killed while messages that were not acknowledged become retries,
// one after the other: each becomes one, and one only.
func TestReviveKilled(t *testing.T) {
	t.Parallel()
	b := start(t)
	p := b.peer(t, wire.JSON)
	topic, group := p.topic("topic", 1), p.group("group", 16)
	want := numbered("m", 0, 60)
	p.sendAll(topic, 0, want...)
	for i, text := range want {
		r := popping{group: group, topic: topic, queue: 0, max: 1, invisible: 12*time.Second + time.Duration(i)*50*time.Millisecond}
		if msgs := p.collect(r, 1); msgs[0].text != text {
			t.Fatalf("popped %q, want %s: the first messages are visible again, 12 s after they were popped", texts(msgs), text)
		}
	}
	retries := func(n int) []string {
		t.Helper()
		var all []string
		rig.Poll(t, fmt.Sprintf("%d retries", n), func() error {
			var err error
			if all, err = p.stored(retryTopic(group, topic), 0); err == nil && len(all) < n {
				err = fmt.Errorf("there are %q", all)
			}
			return err
		})
		return all
	}
	if n := len(retries(len(want) / 3)); n == len(want) {
		t.Log("all were retries before the server was killed")
	}
	b.kill(t)
	for range 2 {
		all := retries(len(want))
		slices.Sort(all)
		if !slices.Equal(all, want) {
			t.Fatalf("the retries are %q, want each message once", all)
		}
		b.kill(t)
	}
}

// An orderly group's order holds over a kill, whatever was out.
func TestPopOrderlyKilled(t *testing.T) {
	t.Parallel()
	b := start(t)
	p := b.peer(t, wire.Binary)
	topic, group := p.topic("topic", 1), p.group("group", 16)
	p.sendAll(topic, 0, numbered("m", 0, 9)...)
	r := popping{group: group, topic: topic, queue: 0, order: true, max: 3, invisible: 5 * time.Second, attempt: "one"}
	first := p.collect(r, 3)
	p.wantTexts("the first pop", first, "m00", "m01", "m02")
	p.ack(group, topic, first[0])
	b.kill(t)

	due := first[0].answer.popTime + r.invisible.Milliseconds()
	r.attempt, r.invisible = "two", time.Minute
	second := p.collect(r, 1)
	if second[0].text != "m01" {
		t.Fatalf("after the kill popped %q, want m01 first", texts(second))
	}
	if second[0].answer.popTime < due {
		t.Errorf("m01 is given again before its invisible time is over")
	}
	var done []string
	for _, m := range second {
		p.ack(group, topic, m)
		done = append(done, m.text)
	}
	b.kill(t)
	for n := 0; len(done) < 8; n++ {
		r.attempt = fmt.Sprint("after-", n)
		for _, m := range p.collect(r, 1) {
			p.ack(group, topic, m)
			done = append(done, m.text)
		}
	}
	if want := numbered("m", 1, 9); !slices.Equal(done, want) {
		t.Errorf("consumed %q, want %q", strings.Join(done, " "), strings.Join(want, " "))
	}
}
