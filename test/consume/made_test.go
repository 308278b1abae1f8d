// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package consume

import "slices"

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

// pop pops a record, which is invisible then for so many ms.
func (m *made) pop(e event, invisible int64) event {
	e.kind = popped
	e.of = m.add(event{kind: popAsked, group: e.group, who: e.who})
	e.from, e.until = m.now, m.now+invisible
	m.add(e)
	return e
}

// hide makes a popped record visible at e.until only.
func (m *made) hide(e event) {
	m.add(event{kind: hideDone, until: e.until, of: m.add(as(hideAsked, e))})
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
	m.now += levelWait
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

	a := m.pop(at("pop", "z", plainQueue, 0, "a", 0), 1000)
	m.add(as(done, a))
	m.add(event{kind: ackDone, of: m.add(as(ackAsked, a))})
	m.pop(at("pop", "z", plainQueue, 1, "b", 0), 1)
	c := m.pop(at("pop", "z", plainQueue, 2, "c", 0), 100)
	c.until += 2000
	m.hide(c)
	m.add(as(done, c))
	m.add(as(done, m.pop(at("pop", "z", popRetry, 0, "b", 1), 1000)))
	return m
}

// inOrder adds a group that pops in order: key#0 is hidden for longer, and given
// again when only the time of the pop is over.
func (m *made) inOrder(between ...kind) {
	m.groups = append(m.groups, popOrderlyGroup)
	e := m.pop(at("poporderly", "z", keyedQueue, 0, "key#0", 0), 100)
	hidden := e
	hidden.until += 1000
	m.hide(hidden)
	for _, k := range between {
		m.add(event{kind: k})
	}
	m.now = e.until
	m.pop(e, 1000)
	for i, id := range []string{"key#0", "key#1"} {
		m.add(as(began, at("poporderly", "z", keyedQueue, int64(i), id, 0)))
		m.add(as(done, at("poporderly", "z", keyedQueue, int64(i), id, 0)))
	}
}
