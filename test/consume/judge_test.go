// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package consume

import (
	"fmt"
	"strings"

	"github.com/twostage/twostage/message"
)

// violation is a rule that was broken.
type violation string

const (
	lostMessage   violation = "an acknowledged message is not in its queue"
	phantom       violation = "a record that nobody asked for"
	unconsumed    violation = "a message was neither consumed nor became a dead letter"
	lostRetry     violation = "a message that was given back is not there again"
	passedBy      violation = "an offset moved past a message that was not consumed"
	wrongOffset   violation = "an offset that is none of those that may be stored"
	gapInPull     violation = "pulls left out or repeated a message"
	queueDisorder violation = "a queue was not consumed in order"
	keyDisorder   violation = "a key was not consumed in order"
	twoHolders    violation = "a queue was locked for two"
	earlyDead     violation = "a dead letter before its time"
	afterAck      violation = "a message came again after its acknowledgement"
	tooVisible    violation = "a message was visible while it was not to be"
	earlyRetry    violation = "a message that was given back came again before its time"
	wrongTime     violation = "a pop's time is outside of its request"
)

var violations = []violation{
	lostMessage, phantom, unconsumed, lostRetry, passedBy, wrongOffset, gapInPull, queueDisorder, keyDisorder, twoHolders,
	earlyDead, afterAck, tooVisible, earlyRetry, wrongTime,
}

const maxTold = 5 // lines for each violation

// verdict is what the checker found.
type verdict struct {
	found map[violation]int
	told  []string

	revived                                                                map[string]int // records of retry topics
	sent, consumed, redelivered, deadLetters, retries, tenures, pops, acks int
}

func (v *verdict) add(kind violation, format string, args ...any) {
	v.found[kind]++
	if v.found[kind] <= maxTold {
		v.told = append(v.told, fmt.Sprintf("%s: ", kind)+fmt.Sprintf(format, args...))
	}
}

// addOf is add, with what happened to the message.
func (c *check) addOf(kind violation, group, id, format string, args ...any) {
	if c.add(kind, format, args...); c.found[kind] == 1 {
		c.told[len(c.told)-1] += c.run.trail(group, id)
	}
}

// place is a queue as a group sees it.
type place struct {
	group string
	q     queue
}

// spot is a record of a queue, for a group.
type spot struct {
	place
	offset int64
}

// attempt is a message after so many tries.
type attempt struct {
	group, id string
	times     int32
}

// judge compares a run with the rules. It is a pure function.
func judge(r *run) *verdict {
	c := &check{
		verdict: &verdict{found: make(map[violation]int), revived: make(map[string]int)}, run: r, groups: make(map[string]group),
		sent: make(map[string]queue), finished: make(map[spot]bool), low: make(map[place]int64), consumed: make(map[attempt]bool),
		seen: make(map[spot]bool), done: make(map[string]bool),
		tried: make(map[attempt]int), back: make(map[attempt]*given), cursors: make(map[int]int64), registers: make(map[place]*register),
		holders: make(map[place]holder), visible: make(map[spot]*popState), lastPop: make(map[attempt]*popState), late: make(map[attempt]int),
	}
	for _, g := range r.groups {
		c.groups[g.name] = g
	}
	c.count()
	for i := range r.events {
		c.one(i, &r.events[i])
	}
	c.atEnd()
	return c.verdict
}

// check is the state of a judgement.
type check struct {
	*verdict
	run    *run
	groups map[string]group

	sent     map[string]queue // by id; every attempt to send it goes to the same queue
	finished map[spot]bool
	low      map[place]int64  // every record below is finished
	consumed map[attempt]bool // times -1: after any number of tries
	seen     map[spot]bool
	done     map[string]bool // group and id: finished in an orderly group
	tried    map[attempt]int // failures
	back     map[attempt]*given

	cursors   map[int]int64 // by tenure: the next offset
	registers map[place]*register
	holders   map[place]holder
	lastKill  int // number of the event

	visible map[spot]*popState
	lastPop map[attempt]*popState
	late    map[attempt]int // changes of the time of which nobody knows that they came in time
	copies  map[attempt]int // records of a message in a group's topic, retry topic and dead letters
}

// count counts what the queues hold.
func (c *check) count() {
	c.copies = make(map[attempt]int)
	for q, records := range c.run.queues {
		for _, g := range c.run.groups {
			if !g.consumes(q.topic) && q.topic != message.DLQTopic(g.name) {
				continue
			}
			for _, r := range records {
				c.copies[attempt{g.name, r.id, r.times}]++
			}
		}
	}
}

// one looks at an event.
func (c *check) one(i int, e *event) {
	at := place{e.group, e.q}
	switch e.kind {
	case sendAsked:
		c.sent[e.id] = e.q
	case sendDone:
		c.verdict.sent++
		asked := &c.run.events[e.of]
		if held := c.run.queues[asked.q]; e.offset < 0 || e.offset >= int64(len(held)) || held[e.offset].id != asked.id {
			c.add(lostMessage, "%s, acknowledged at %s offset %d", asked.id, asked.q, e.offset)
		}
	case queryDone:
		asked := &c.run.events[e.of]
		at := place{asked.group, asked.q}
		c.observe(at, e.offset, "answered to "+asked.who)
		c.read(at, e.of, e.offset)
	case commitAsked:
		c.register(at).write(i, e.offset)
	case commitDone:
		asked := &c.run.events[e.of]
		c.register(place{asked.group, asked.q}).wrote(e.of, i)
	case kept:
		c.observe(at, e.offset, "in the files of a killed broker")
		c.register(at).keep(i, e.offset)
	case killed:
		c.lastKill = i
		clear(c.holders)
		c.forget()
	case lockDone:
		c.lock(e.of, e)
	case unlockAsked:
		if c.holders[at].who == e.who {
			delete(c.holders, at)
		}
	case tenureBegan:
		c.tenures++
		c.cursors[e.tenure] = e.offset
	case pulled:
		if want := c.cursors[e.tenure]; want != e.offset {
			c.add(gapInPull, "%s of group %s: offset %d came where %d was to", e.q, e.group, e.offset, want)
		}
		c.cursors[e.tenure] = e.offset + 1
		c.stored(e)
		c.again(e)
	case began:
		c.begun(e)
	case done:
		c.verdict.consumed++
		c.consumed[attempt{e.group, e.id, -1}] = true
		c.finish(e)
	case failed:
		c.tried[attempt{e.group, e.id, e.times}]++
	case backAsked:
		c.gives(e)
	case backDone:
		asked := &c.run.events[e.of]
		c.back[attempt{asked.group, asked.id, asked.times}].done++
		c.retries++
		c.finish(asked)
	case popped:
		c.pops++
		c.stored(e)
		c.popped(e)
	case ackDone:
		c.acks++
		c.acked(&c.run.events[e.of], e)
	case hideAsked:
		c.hiding(e)
	case hideDone:
		c.hidden(e.of, e)
	}
}

// stored compares what a consumer got with what the queue holds.
func (c *check) stored(e *event) {
	held := c.run.queues[e.q]
	if e.offset < 0 || e.offset >= int64(len(held)) || held[e.offset] != (record{e.id, e.times}) {
		c.add(phantom, "group %s got %s after %d tries at %s offset %d, where it is not", e.group, e.id, e.times, e.q, e.offset)
	}
	s := spot{place{e.group, e.q}, e.offset}
	if c.seen[s] {
		c.redelivered++
	}
	c.seen[s] = true
}

// finish notes that a group is done with a record.
func (c *check) finish(e *event) {
	at := place{e.group, e.q}
	c.finished[spot{at, e.offset}] = true
	for c.finished[spot{at, c.low[at]}] {
		c.low[at]++
	}
	if c.groups[e.group].orderly {
		c.done[e.group+" "+e.id] = true
	}
}

// observe holds an offset against what is finished.
func (c *check) observe(at place, offset int64, where string) {
	if offset > c.low[at] {
		c.add(passedBy, "%s of group %s: %d, %s, but %d is not consumed", at.q, at.group, offset, where, c.low[at])
	}
}

// begun holds the order of an orderly group.
func (c *check) begun(e *event) {
	if !c.groups[e.group].orderly {
		return
	}
	at := place{e.group, e.q}
	if e.offset > c.low[at] {
		c.add(queueDisorder, "%s of group %s: %s began %d before %d was consumed", e.q, e.group, e.who, e.offset, c.low[at])
	}
	if key, n, ok := serial(e.id); ok && n > 0 && !c.done[e.group+" "+keyed(key, n-1)] {
		c.add(keyDisorder, "group %s: %s began %s before %s was consumed", e.group, e.who, e.id, keyed(key, n-1))
	}
}

// atEnd looks at what is left.
func (c *check) atEnd() {
	for q, records := range c.run.queues {
		if strings.HasPrefix(q.topic, message.RetryPrefix) || strings.HasPrefix(q.topic, message.DLQPrefix) {
			continue
		}
		for n, r := range records {
			if to, ok := c.sent[r.id]; !ok || to != q || r.times != 0 {
				c.add(phantom, "%s after %d tries at %s offset %d", r.id, r.times, q, n)
			}
		}
	}
	for _, g := range c.run.groups {
		dead := c.dead(g)
		c.ends(g, dead)
		for _, q := range c.queuesOf(g) {
			for n, r := range c.run.queues[q] {
				c.ended(g, q, int64(n), r, dead)
			}
		}
		for a, n := range c.back {
			if a.group != g.name {
				continue
			}
			again := c.copies[attempt{g.name, a.id, a.times + 1}]
			if again < n.done {
				c.add(lostRetry, "%s of group %s after %d tries: given back %d times, %d records", a.id, g.name, a.times, n.done, again)
			}
		}
		for q, offset := range c.run.final[g.name] {
			at := place{g.name, q}
			c.observe(at, offset, "at the end")
			c.read(at, len(c.run.events), offset)
		}
	}
}

// queuesOf gives the queues that a group consumes.
func (c *check) queuesOf(g group) (all []queue) {
	for q := range c.run.queues {
		if g.consumes(q.topic) {
			all = append(all, q)
		}
	}
	return all
}

// ended holds that a record that a group was to consume came to an end.
func (c *check) ended(g group, q queue, offset int64, r record, dead map[string]bool) {
	if q.topic != g.topic {
		c.reasoned(g, r, fmt.Sprintf("%s offset %d", q, offset))
		c.revived[q.topic]++
	}
	s := spot{place{g.name, q}, offset}
	if !g.pop {
		if !c.finished[s] {
			c.add(unconsumed, "%s after %d tries, at %s offset %d, by group %s", r.id, r.times, q, offset, g.name)
		}
		return
	}
	if !c.finished[s] && c.copies[attempt{g.name, r.id, r.times + 1}] == 0 && !dead[r.id] {
		c.add(unconsumed, "%s after %d tries, at %s offset %d, by group %s", r.id, r.times, q, offset, g.name)
	}
}

// ends holds that every message that a group was to consume was consumed, or is
// among the dead.
func (c *check) ends(g group, dead map[string]bool) {
	for id, q := range c.sent {
		if q.topic == g.topic && c.copies[attempt{g.name, id, 0}] > 0 && !c.consumed[attempt{g.name, id, -1}] && !dead[id] {
			c.add(unconsumed, "%s of %s, by group %s, by anybody after any number of tries", id, q, g.name)
		}
	}
}
