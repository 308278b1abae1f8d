// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package consume

// near is how far, in ms, a pop's time may be from when it took place: a broker
// notes the time before it looks into the queues, or counts it up for pops of the
// same millisecond.
const near = 50

// popState is what the last pop of a record made of it.
type popState struct {
	from  int64 // of the pop; ms since 1970
	until int64 // nobody else gets it before; ms since 1970
	first int64 // the same, as the pop had it
	acked bool  // acknowledged before that
}

// popped judges a record that a pop gave. A client that was frozen notes it when
// others may have had the record after it.
func (c *check) popped(e *event) {
	if asked := &c.run.events[e.of]; e.from < asked.at || e.from > e.at+near {
		c.add(wrongTime, "%s to %s, from %s offset %d: popped at %d, asked at %d and answered at %d", e.id, e.who, e.q, e.offset, e.from, asked.at, e.at)
	}
	s := spot{place{e.group, e.q}, e.offset}
	if old := c.visible[s]; old != nil {
		switch {
		case e.from < old.from:
			if e.until > old.from+near {
				c.addOf(tooVisible, e.group, e.id, "%s, from %s offset %d to another %d ms before the end of its time with %s", e.id, e.q, e.offset, e.until-old.from, e.who)
			}
			return
		case old.acked:
			c.addOf(afterAck, e.group, e.id, "%s to %s, from %s offset %d again", e.id, e.who, e.q, e.offset)
		case e.before(old.until):
			c.addOf(tooVisible, e.group, e.id, "%s to %s, from %s offset %d again, %d ms early", e.id, e.who, e.q, e.offset, old.until-e.from)
		case !c.groups[e.group].orderly:
			c.addOf(tooVisible, e.group, e.id, "%s to %s, from %s offset %d again: its next try is to come from the retry topic", e.id, e.who, e.q, e.offset)
		}
	}
	before := attempt{e.group, e.id, e.times - 1}
	if old := c.lastPop[before]; old != nil && c.copies[before] == 1 && e.before(old.until) {
		c.addOf(tooVisible, e.group, e.id, "%s to %s, its try %d %d ms early", e.id, e.who, e.times, old.until-e.from)
	}
	state := &popState{from: e.from, until: e.until, first: e.until}
	c.visible[s], c.lastPop[attempt{e.group, e.id, e.times}] = state, state
}

// before says whether a pop took place before a time.
func (e *event) before(t int64) bool { return e.at < t || e.from+near < t }

func (c *check) stateOf(e *event) *popState {
	return c.visible[spot{place{e.group, e.q}, e.offset}]
}

// acked notes an acknowledgement. One that was not answered while the record was
// invisible may have come too late.
func (c *check) acked(asked, answered *event) {
	if s := c.stateOf(asked); s != nil && answered.at < s.until {
		s.acked = true
	}
}

// hiding notes that the time may change from now on.
func (c *check) hiding(e *event) {
	c.late[attempt{e.group, e.id, e.times}]++
	if s := c.stateOf(e); s != nil {
		s.until = min(s.until, e.until)
	}
}

// hidden notes that it did. One that was not answered in time may have made a
// second next try.
func (c *check) hidden(number int, answered *event) {
	asked := &c.run.events[number]
	s := c.stateOf(asked)
	if s == nil || answered.at >= s.until || c.groups[asked.group].orderly && number < c.lastKill {
		return
	}
	c.late[attempt{asked.group, asked.id, asked.times}]--
	s.until = answered.until
}

// reasoned holds that a record of a retry topic or of the dead letters comes from
// a failed try.
func (c *check) reasoned(g group, r record, where string) {
	a, before := attempt{g.name, r.id, r.times}, attempt{g.name, r.id, r.times - 1}
	if !g.pop {
		given := c.back[before]
		if given == nil || c.copies[a] > given.asked {
			c.addOf(phantom, g.name, r.id, "%s after %d tries at %s: %d such records", r.id, r.times, where, c.copies[a])
		}
		return
	}
	if c.copies[a] > c.copies[before]+c.late[before] {
		c.addOf(phantom, g.name, r.id, "%s after %d tries at %s: %d such records, of the try before %d", r.id, r.times, where, c.copies[a], c.copies[before])
	}
	if old := c.lastPop[before]; old != nil && old.acked && c.copies[before] == 1 && c.late[before] == 0 {
		c.addOf(afterAck, g.name, r.id, "%s after %d tries at %s", r.id, r.times, where)
	}
}

// forget is a kill. A broker may forget changes of the time in order, which are
// not in the log: then the time of the pop counts.
func (c *check) forget() {
	for s, state := range c.visible {
		if c.groups[s.group].orderly {
			state.until = min(state.until, state.first)
		}
	}
}
