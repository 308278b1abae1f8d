// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package consume

import (
	"slices"
	"testing"
)

// made is a made-up run.
type made struct {
	run
	now int64
}

func (m *made) add(e event) int {
	m.now++
	e.at = m.now
	m.events = append(m.events, e)
	return len(m.events) - 1
}

// find gives the number of the n-th event of a kind.
func (m *made) find(k kind, n int) int {
	for i := range m.events {
		if m.events[i].kind == k {
			if n--; n < 0 {
				return i
			}
		}
	}
	panic("no such event")
}

// move puts event i in front of event j; answers keep what they answer.
func (m *made) move(i, j int) {
	order := make([]int, len(m.events))
	for n := range order {
		order[n] = n
	}
	order = slices.Insert(slices.Delete(order, i, i+1), j, i)
	was := slices.Clone(m.events)
	to := make([]int, len(was))
	for n, old := range order {
		to[old] = n
	}
	for n, old := range order {
		m.events[n] = was[old]
		m.events[n].of = to[was[old].of]
	}
}

func (m *made) sent(id string, q queue, offset int64) {
	m.add(event{kind: sendDone, offset: offset, of: m.add(event{kind: sendAsked, id: id, q: q})})
	m.queues[q] = append(m.queues[q], record{id: id})
}

func (m *made) query(group, who string, q queue, offset int64) {
	m.add(event{kind: queryDone, offset: offset, of: m.add(event{kind: queryAsked, group: group, who: who, q: q})})
}

func (m *made) commit(group, who string, q queue, offset int64) {
	m.add(event{kind: commitDone, of: m.add(event{kind: commitAsked, group: group, who: who, q: q, offset: offset})})
}

func (m *made) lock(group, who string, q queue) {
	m.add(event{kind: lockDone, of: m.add(event{kind: lockAsked, group: group, who: who, q: q})})
}

func (m *made) give(e event) {
	e.kind = backAsked
	m.add(event{kind: backDone, of: m.add(e)})
}

// at is what a consumer does with a record.
func at(group, who string, q queue, offset int64, id string, times int32) event {
	return event{group: group, who: who, q: q, offset: offset, id: id, times: times}
}

func as(k kind, e event) event {
	e.kind = k
	return e
}

var (
	plainQueue = queue{"Plain", 0}
	keyedQueue = queue{"Keyed", 0}
	plainRetry = queue{"%RETRY%pull", 0}
	plainDead  = queue{"%DLQ%pull", 0}
	popRetry   = queue{"%RETRY%pop_Plain", 0}
)

// good is a run in which nothing is wrong. Of the messages of Plain group pull
// consumes a, and b at its second try; c becomes a dead letter. The broker is
// killed, forgets an offset and has a again. Group orderly consumes key#0 and
// key#1, and key#1 again after a change of holders. Group pop acknowledges a, lets b lapse, and hides c.
func good() *made {
	m := &made{now: 1000}
	m.queues = make(map[queue][]record)
	m.groups = []group{
		{name: "pull", topic: "Plain", maxTimes: 1}, {name: "orderly", topic: "Keyed", orderly: true, maxTimes: 1},
		{name: "pop", topic: "Plain", pop: true, maxTimes: 3},
	}
	m.final = map[string]map[queue]int64{"pull": {plainQueue: 3, plainRetry: 2}, "orderly": {keyedQueue: 2}}
	for i, id := range []string{"a", "b", "c"} {
		m.sent(id, plainQueue, int64(i))
	}
	m.sent("key#0", keyedQueue, 0)
	m.sent("key#1", keyedQueue, 1)
	m.queues[plainRetry] = []record{{"b", 1}, {"c", 1}}
	m.queues[plainDead] = []record{{"c", 2}}
	m.queues[popRetry] = []record{{"b", 1}}

	pull := func(tenure int, k kind, q queue, offset int64, id string, times int32) {
		e := as(k, at("pull", "x", q, offset, id, times))
		e.tenure = tenure
		m.add(e)
	}
	m.query("pull", "x", plainQueue, 0)
	m.add(event{kind: tenureBegan, group: "pull", who: "x", q: plainQueue})
	pull(0, pulled, plainQueue, 0, "a", 0)
	pull(0, done, plainQueue, 0, "a", 0)
	m.commit("pull", "x", plainQueue, 1)
	m.add(event{kind: killed})
	m.add(event{kind: kept, group: "pull", q: plainQueue})
	m.add(event{kind: restarted})
	m.query("pull", "x", plainQueue, 0)
	m.add(event{kind: tenureBegan, group: "pull", who: "x", q: plainQueue, tenure: 1})
	for i, id := range []string{"a", "b", "c"} {
		pull(1, pulled, plainQueue, int64(i), id, 0)
	}
	pull(1, done, plainQueue, 0, "a", 0)
	for i, id := range []string{"b", "c"} {
		pull(1, failed, plainQueue, int64(i+1), id, 0)
		m.give(at("pull", "x", plainQueue, int64(i+1), id, 0))
	}
	m.commit("pull", "x", plainQueue, 2)
	m.commit("pull", "x", plainQueue, 3)
	m.query("pull", "y", plainQueue, 3)
	m.add(event{kind: tenureBegan, group: "pull", who: "x", q: plainRetry, tenure: 2})
	pull(2, pulled, plainRetry, 0, "b", 1)
	pull(2, pulled, plainRetry, 1, "c", 1)
	pull(2, done, plainRetry, 0, "b", 1)
	pull(2, failed, plainRetry, 1, "c", 1)
	m.give(at("pull", "x", plainRetry, 1, "c", 1))
	m.commit("pull", "x", plainRetry, 2)

	m.lock("orderly", "x", keyedQueue)
	for i, id := range []string{"key#0", "key#1"} {
		m.add(as(began, at("orderly", "x", keyedQueue, int64(i), id, 0)))
		m.add(as(done, at("orderly", "x", keyedQueue, int64(i), id, 0)))
	}
	m.commit("orderly", "x", keyedQueue, 2)
	m.add(event{kind: unlockAsked, group: "orderly", who: "x", q: keyedQueue})
	m.lock("orderly", "y", keyedQueue)
	m.add(as(began, at("orderly", "y", keyedQueue, 1, "key#1", 0)))

	pop := func(q queue, offset int64, id string, times int32, wait int64) event {
		e := as(popped, at("pop", "z", q, offset, id, times))
		e.until = m.now + wait
		m.add(e)
		return e
	}
	a := pop(plainQueue, 0, "a", 0, 1000)
	m.add(as(done, a))
	m.add(event{kind: ackDone, of: m.add(as(ackAsked, a))})
	pop(plainQueue, 1, "b", 0, 1)
	c := pop(plainQueue, 2, "c", 0, 100)
	c.until += 2000
	m.add(event{kind: hideDone, until: c.until, of: m.add(as(hideAsked, c))})
	m.add(as(done, c))
	m.add(as(done, pop(popRetry, 0, "b", 1, 1000)))
	return m
}

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
			m.add(e)
		}},
		{"revived after the acknowledgement", afterAck, func(m *made) { m.queues[popRetry] = append(m.queues[popRetry], record{"a", 1}) }},
		{"popped again while it is invisible", tooVisible, func(m *made) { m.add(m.events[m.find(popped, 2)]) }},
		{"popped again from its own queue", tooVisible, func(m *made) {
			e := m.events[m.find(popped, 1)]
			m.now = e.until
			m.add(e)
		}},
		{"visible in order while it is hidden", tooVisible, func(m *made) { m.inOrder() }},
		{"revived too early", tooVisible, func(m *made) { m.events[m.find(popped, 1)].until += 1000 }},
	} {
		m := good()
		c.damage(m)
		if v := judge(&m.run); v.found[c.want] == 0 {
			t.Errorf("%s: not found as %q, but %q", c.name, c.want, v.told)
		}
	}
}

// inOrder adds a group that pops in order: key#0 is hidden for longer, and given
// again when only the time of the pop is over.
func (m *made) inOrder(between ...kind) {
	m.groups = append(m.groups, group{name: "poporderly", topic: "Keyed", orderly: true, pop: true, maxTimes: 3})
	e := as(popped, at("poporderly", "z", keyedQueue, 0, "key#0", 0))
	e.until = m.now + 100
	m.add(e)
	again := e
	e.until += 1000
	m.add(event{kind: hideDone, until: e.until, of: m.add(as(hideAsked, e))})
	for _, k := range between {
		m.add(event{kind: k})
	}
	m.now = again.until
	again.until += 1000
	m.add(again)
	for i, id := range []string{"key#0", "key#1"} {
		m.add(as(began, at("poporderly", "z", keyedQueue, int64(i), id, 0)))
		m.add(as(done, at("poporderly", "z", keyedQueue, int64(i), id, 0)))
	}
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
				m.events[i].at += lockExpiry
				m.events[i].until += lockExpiry
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
			e := as(popped, at("pop", "z", popRetry, 1, "a", 1))
			m.now += 20_000
			m.add(e)
			m.add(as(done, e))
		}},
		{"a kill forgets what is hidden in order", func(m *made) { m.inOrder(killed, restarted) }},
		{"what was hidden too late comes twice", func(m *made) {
			m.events[m.find(hideDone, 0)].at += 10_000
			m.queues[popRetry] = append(m.queues[popRetry], record{"c", 1}, record{"c", 1})
			for i := range int64(2) {
				e := as(popped, at("pop", "z", popRetry, i+1, "c", 1))
				m.now += 20_000
				m.add(e)
				m.add(as(done, e))
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
