// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pending

import (
	"math"
	"strings"

	"github.com/twostage/twostage/internal/pq"
)

// never is a time that does not come.
const never = math.MaxInt64

const (
	pauseFirst   = 500    // milliseconds that a group pauses when nobody takes a check, doubled each time,
	pauseLongest = 10_000 // at most this
)

// group is a producer group that has pending half messages.
type group struct {
	name string
	id   ident
	refs int // pending half messages
	due  pq.Queue[ident, byDue]

	absent bool   // nobody is there to be asked
	pause  int64  // nobody took a check: the length of the pause, milliseconds; 0: no pause
	until  int64  // when one may try again
	epoch  uint16 // rises whenever absent or pause change: an answer to an action of an earlier one says nothing new

	tokens int64 // thousandths of a check that may go now, as of filled
	filled int64

	at    int64  // when its next check may go; never: not before something happens
	pos   uint32 // in the heap of groups, from 1; 0: not there
	turn  bool   // it is in the ring of those whose check may go now,
	prev  *group // between these
	after *group
}

// burst is how many thousandths of a check may go at once.
func (c *Config) burst() int64 { return max(1, int64(c.Rate)/10) * 1000 }

// ready is when the next check of g may go.
func (t *Table) ready(g *group) int64 {
	if g.absent || len(g.due.Items()) == 0 {
		return never
	}
	at := t.nodes.at(g.due.Items()[0]).due
	if g.pause > 0 {
		at = max(at, g.until)
	}
	if rate := int64(t.cfg.Rate); rate > 0 && g.tokens < 1000 {
		at = max(at, plus(g.filled, (1000-g.tokens+rate-1)/rate))
	}
	return at
}

// pay takes the token for one check.
func (t *Table) pay(g *group) {
	rate := int64(t.cfg.Rate)
	if rate == 0 {
		return
	}
	if room := t.cfg.burst() - g.tokens; room > 0 {
		if passed := t.now - g.filled; passed > room/rate {
			g.tokens += room
		} else {
			g.tokens += passed * rate
		}
	}
	g.filled = t.now
	g.tokens -= 1000
}

// refund gives the token of a check back that was not sent.
func (t *Table) refund(g *group) {
	if t.cfg.Rate > 0 {
		g.tokens = min(g.tokens+1000, t.cfg.burst())
	}
}

// place puts g where it belongs after a change: into the ring, into the heap of
// groups, or nowhere.
func (t *Table) place(g *group) {
	at := t.ready(g)
	if turn := at != never && at <= t.now; turn != g.turn {
		if turn {
			t.enqueue(g)
		} else {
			t.dequeue(g)
		}
	}
	inHeap := at != never && !g.turn
	switch {
	case inHeap && g.pos == 0:
		g.at = at
		t.groupsByTime.Push(g)
	case inHeap && g.at != at:
		g.at = at
		t.groupsByTime.Fix(g.pos)
	case !inHeap && g.pos != 0:
		t.groupsByTime.Remove(g.pos)
	}
}

// enqueue puts g at the end of the ring.
func (t *Table) enqueue(g *group) {
	g.turn = true
	if t.ring == nil {
		t.ring, g.prev, g.after = g, g, g
		return
	}
	g.after, g.prev = t.ring, t.ring.prev
	g.prev.after, g.after.prev = g, g
}

func (t *Table) dequeue(g *group) {
	g.turn = false
	if g.after == g {
		t.ring = nil
	} else {
		g.prev.after, g.after.prev = g.after, g.prev
		if t.ring == g {
			t.ring = g.after
		}
	}
	g.prev, g.after = nil, nil
}

// groupOf returns the group of a name with one reference more.
func (t *Table) groupOf(name string) *group {
	g := t.groupNames[name]
	if g == nil {
		g = &group{name: strings.Clone(name), due: pq.Queue[ident, byDue]{Order: byDue{&t.nodes}}, tokens: t.cfg.burst()}
		g.id = t.groups.put(g)
		t.groupNames[g.name] = g
		t.mostGroups = max(t.mostGroups, len(t.groupNames))
	}
	g.refs++
	return g
}

// leave takes a reference from g. One without half messages is forgotten, with
// its pause and its tokens.
func (t *Table) leave(g *group) {
	if g.refs--; g.refs > 0 {
		return
	}
	delete(t.groupNames, g.name)
	t.groups.drop(g.id)
	t.groupNames, t.mostGroups = shrink(t.groupNames, t.mostGroups)
}

// topic is a real topic that has pending half messages.
type topic struct {
	name string
	id   ident
	refs int // pending half messages
	txs  int // transactions whose first half message has it
}

func (t *Table) topicOf(name string) *topic {
	p := t.topicNames[name]
	if p == nil {
		p = &topic{name: strings.Clone(name)}
		p.id = t.topics.put(p)
		t.topicNames[p.name] = p
		t.mostTopics = max(t.mostTopics, len(t.topicNames))
	}
	p.refs++
	return p
}

func (t *Table) leaveTopic(p *topic) {
	if p.refs--; p.refs > 0 {
		return
	}
	delete(t.topicNames, p.name)
	t.topics.drop(p.id)
	t.topicNames, t.mostTopics = shrink(t.topicNames, t.mostTopics)
}

// slots numbers what nodes point to.
type slots[T any] struct {
	items []*T
	free  []ident
}

func (s *slots[T]) put(x *T) ident {
	if last := len(s.free) - 1; last >= 0 {
		id := s.free[last]
		s.free = s.free[:last]
		s.items[id] = x
		return id
	}
	s.items = append(s.items, x)
	return ident(len(s.items) - 1)
}

func (s *slots[T]) drop(id ident) {
	s.items[id] = nil
	s.free = append(s.free, id)
	if len(s.free) == len(s.items) {
		*s = slots[T]{}
	}
}

// shrink gives the memory of a map back that has lost most of its entries.
func shrink[V any](m map[string]V, most int) (map[string]V, int) {
	if most <= 64 || len(m)*4 >= most {
		return m, most
	}
	small := make(map[string]V, len(m))
	for k, v := range m {
		small[k] = v
	}
	return small, len(m)
}

// plus adds two times and stops at the ends of int64.
func plus(a, b int64) int64 {
	sum := a + b
	switch {
	case b > 0 && sum < a:
		return math.MaxInt64
	case b < 0 && sum > a:
		return math.MinInt64
	}
	return sum
}
