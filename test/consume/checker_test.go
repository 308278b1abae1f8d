// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package consume

import (
	"slices"
	"testing"
)

func TestJudgeAcceptsWhatIsCorrect(t *testing.T) {
	v := judge(&good().run)
	for _, s := range v.told {
		t.Error(s)
	}
	if v.sent != 5 || v.retries != 3 || v.deadLetters != 1 || v.redelivered != 1 || v.acks != 1 || v.pops != 4 {
		t.Errorf("counted %+v", v)
	}
}

func TestJudgeBites(t *testing.T) {
	bitten := make(map[violation]bool)
	for _, c := range []struct {
		name   string
		want   violation
		damage func(m *made)
	}{
		{"an acknowledged message is not stored", lostMessage, func(m *made) { m.queues[keyedQueue] = m.queues[keyedQueue][:1] }},
		{"another one is there", lostMessage, func(m *made) { m.queues[keyedQueue][1].id = "key#0" }},
		{"a message that nobody sent", phantom, func(m *made) { m.queues[plainQueue] = append(m.queues[plainQueue], record{id: "unsent"}) }},
		{"a message in another queue", phantom, func(m *made) { m.queues[queue{"Plain", 1}] = []record{{id: "a"}} }},
		{"a retry that nobody asked for", phantom, func(m *made) { m.queues[plainRetry] = append(m.queues[plainRetry], record{"a", 1}) }},
		{"a retry twice", phantom, func(m *made) { m.queues[plainRetry] = append(m.queues[plainRetry], record{"b", 1}) }},
		{"a dead letter twice", phantom, func(m *made) { m.queues[plainDead] = append(m.queues[plainDead], record{"c", 2}) }},
		{"a consumer gets what is not there", phantom, func(m *made) { m.events[m.find(pulled, 0)].id = "b" }},
		{"a revived message twice", phantom, func(m *made) { m.queues[popRetry] = append(m.queues[popRetry], record{"b", 1}) }},
		{"a message is not consumed", unconsumed, func(m *made) { m.events[m.find(done, 2)].kind = began }},
		{"a message is only given back", unconsumed, func(m *made) { m.queues[plainDead] = nil }},
		{"a retry is not consumed", unconsumed, func(m *made) { m.queues[plainRetry] = append(m.queues[plainRetry], record{"b", 1}) }},
		{"a popped message is not revived", unconsumed, func(m *made) { m.queues[popRetry] = nil }},
		{"a retry is not there", lostRetry, func(m *made) { m.queues[plainRetry] = m.queues[plainRetry][1:] }},
		{"a dead letter is not there", lostRetry, func(m *made) { m.queues[plainDead] = nil }},
		{"an offset is past what is not consumed", passedBy, func(m *made) { m.events[m.find(queryDone, 1)].offset = 2 }},
		{"the last offset is", passedBy, func(m *made) { m.final["orderly"][keyedQueue] = 3 }},
		{"an offset in the files is", passedBy, func(m *made) { m.events[m.find(kept, 0)].offset = 2 }},
		{"an offset that was overwritten", wrongOffset, func(m *made) { m.events[m.find(queryDone, 2)].offset = 2 }},
		{"an offset from before the kill that was not kept", wrongOffset, func(m *made) { m.events[m.find(queryDone, 1)].offset = 1 }},
		{"an offset that nobody stored", wrongOffset, func(m *made) { m.add(event{kind: queryDone, offset: 1, of: m.find(queryAsked, 2)}) }},
		{"the last offset was overwritten", wrongOffset, func(m *made) { m.final["pull"][plainQueue] = 2 }},
		{"a pull leaves a message out", gapInPull, func(m *made) {
			m.events = slices.Delete(m.events, len(m.events), len(m.events))
			m.events[m.find(pulled, 2)].kind = began
		}},
		{"a pull repeats a message", gapInPull, func(m *made) { e := m.events[m.find(pulled, 1)]; m.add(e) }},
		{"a queue is consumed out of order", queueDisorder, func(m *made) { m.move(m.find(began, 1), m.find(began, 0)) }},
		{"one begins before the other ends", queueDisorder, func(m *made) { m.move(m.find(began, 1), m.find(began, 0)+1) }},
		{"a key is consumed out of order", keyDisorder, func(m *made) { m.move(m.find(began, 1), m.find(began, 0)) }},
		{"a key is stored out of order", keyDisorder, func(m *made) {
			for _, k := range []kind{began, done} {
				m.events[m.find(k, 0)].id = "key#1"
			}
			for i := range m.events {
				if e := &m.events[i]; e.group == "orderly" && e.kind == done {
					e.id = "key#1"
				}
			}
		}},
		{"a lock is given to another", twoHolders, func(m *made) { m.events[m.find(unlockAsked, 0)].who = "nobody" }},
		{"a lock is given before the other gives it back", twoHolders, func(m *made) { m.move(m.find(unlockAsked, 0), len(m.events)-1) }},
		{"a dead letter before its time", earlyDead, func(m *made) { m.queues[plainDead][0].times = 1 }},
		{"a dead letter that failed too rarely", earlyDead, func(m *made) { m.events[m.find(failed, 2)].kind = began }},
		{"popped again after the acknowledgement", afterAck, func(m *made) {
			e := m.events[m.find(popped, 0)]
			m.now = e.until
			m.pop(e, 1000)
		}},
		{"revived after the acknowledgement", afterAck, func(m *made) { m.queues[popRetry] = append(m.queues[popRetry], record{"a", 1}) }},
		{"popped again while it is invisible", tooVisible, func(m *made) { m.pop(m.events[m.find(popped, 2)], 1000) }},
		{"popped again from its own queue", tooVisible, func(m *made) {
			e := m.events[m.find(popped, 1)]
			m.now = e.until
			m.pop(e, 1000)
		}},
		{"visible in order while it is hidden", tooVisible, func(m *made) { m.inOrder() }},
		{"popped by a client that hears of it when another has had it since", tooVisible, func(m *made) { m.late(5) }},
		{"a pop of the time before", wrongTime, func(m *made) { m.events[m.find(popped, 0)].from -= 1000 }},
		{"a pop of the time to come", wrongTime, func(m *made) { m.events[m.find(popped, 0)].from += 1000 }},
		{"a level's wait is cut short", earlyRetry, func(m *made) { m.events[m.find(backAsked, 0)].at += 500 }},
		{"a policy's wait is cut short", earlyRetry, func(m *made) {
			m.groups[0].policy, m.groups[0].waits = listedGroup.policy, []int64{levelWait + 500}
		}},
		{"an offset in order is past what is not acknowledged", passedBy, func(m *made) {
			m.inOrder()
			m.query("poporderly", "z", keyedQueue, 3)
		}},
		{"a message in order is acknowledged and comes again", afterAck, func(m *made) {
			m.inOrder(killed, restarted)
			e := m.events[m.find(popped, 5)]
			m.add(event{kind: ackDone, of: m.add(as(ackAsked, e))})
			m.add(event{kind: killed})
			m.now = e.until
			m.pop(e, 1000)
		}},
		{"an acknowledged message of a dead letter", afterAck, func(m *made) {
			m.queues[queue{"%DLQ%pop", 0}] = []record{{"a", 1}}
		}},
		{"revived too early", tooVisible, func(m *made) { m.events[m.find(popped, 1)].until += 1000 }},
	} {
		m := good()
		c.damage(m)
		bitten[c.want] = true
		if v := judge(&m.run); v.found[c.want] == 0 {
			t.Errorf("%s: not found as %q, but %q", c.name, c.want, v.told)
		}
	}
	for _, kind := range violations {
		if !bitten[kind] {
			t.Errorf("nothing shows that it finds %q", kind)
		}
	}
}

// late adds that another client popped c so many ms before z did, and hears of it
// now: it was invisible for 100 ms then.
func (m *made) late(before int64) {
	e := m.events[m.find(popped, 2)]
	e.who, e.of = "frozen", m.find(sendDone, 4)
	e.from -= before
	e.until = e.from + 100
	m.events[e.of].at = e.from
	m.add(e)
}

// TestJudgeAllows holds that what may happen is no fault.
func TestJudgeAllows(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(m *made)
	}{
		{"a lock passes on when it has expired", func(m *made) {
			m.events[m.find(unlockAsked, 0)].who = "nobody"
			for i := m.find(lockDone, 1); i < len(m.events); i++ {
				e := &m.events[i]
				e.at, e.from, e.until = e.at+lockExpiry, e.from+lockExpiry, e.until+lockExpiry
			}
		}},
		{"a lock passes on when the broker was killed", func(m *made) {
			i := m.find(unlockAsked, 0)
			m.events[i] = event{kind: killed}
		}},
		{"an offset whose storing was not answered is there", func(m *made) {
			m.add(event{kind: commitAsked, group: "pull", who: "x", q: plainQueue, offset: 1})
			m.query("pull", "y", plainQueue, 1)
		}},
		{"or not", func(m *made) {
			m.add(event{kind: commitAsked, group: "pull", who: "x", q: plainQueue, offset: 1})
			m.query("pull", "y", plainQueue, 3)
		}},
		{"a send that was not answered is stored, and not", func(m *made) {
			m.add(event{kind: sendAsked, id: "key#2", q: keyedQueue})
			m.add(event{kind: sendAsked, id: "key#3", q: keyedQueue})
			m.queues[keyedQueue] = append(m.queues[keyedQueue], record{id: "key#2"})
			m.add(as(began, at("orderly", "y", keyedQueue, 2, "key#2", 0)))
			m.add(as(done, at("orderly", "y", keyedQueue, 2, "key#2", 0)))
		}},
		{"what was acknowledged too late comes again", func(m *made) {
			m.events[m.find(ackDone, 0)].at += 10_000
			m.queues[popRetry] = append(m.queues[popRetry], record{"a", 1})
			m.now += 20_000
			m.add(as(done, m.pop(at("pop", "z", popRetry, 1, "a", 1), 1000)))
		}},
		{"a client hears of a pop when another has had the message after it", func(m *made) { m.late(100) }},
		{"a kill forgets what is hidden in order", func(m *made) { m.inOrder(killed, restarted) }},
		{"what was hidden too late comes twice", func(m *made) {
			m.events[m.find(hideDone, 0)].at += 10_000
			m.queues[popRetry] = append(m.queues[popRetry], record{"c", 1}, record{"c", 1})
			for i := range int64(2) {
				m.now += 20_000
				m.add(as(done, m.pop(at("pop", "z", popRetry, i+1, "c", 1), 1000)))
			}
		}},
	} {
		m := good()
		c.change(m)
		if v := judge(&m.run); len(v.told) > 0 {
			t.Errorf("%s: %q", c.name, v.told)
		}
	}
}
