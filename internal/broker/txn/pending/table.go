// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pending

import (
	"hash/maphash"
	"math"
	"slices"

	"github.com/twostage/twostage/internal/pq"
)

// Table is the set of undecided transactions. Times are monotonic milliseconds
// of the driver's choosing, which may be negative; a time that lies before the
// latest one told counts as that. A Table is not safe for concurrent use.
type Table struct {
	cfg   Config
	now   int64 // the latest time told
	spare int64 // nothing expires for used-up checks before

	nodes        slab
	byOffset     offsets
	byKey        keys
	halves       int
	transactions int

	groups       slots[group]
	groupNames   map[string]*group
	mostGroups   int
	groupsByTime pq.Queue[*group, byReady] // those that have something due later
	ring         *group                    // those whose next check may go now, in turn
	topics       slots[topic]
	topicNames   map[string]*topic
	mostTopics   int

	byExpiry    pq.Queue[ident, byExpiry]
	expireFirst bool    // if both a check and an expiry are due
	urgent      []int64 // half queue offsets to check out of turn; those not in phase urgent are skipped
	deciding    []*Decision

	next  int64  // every half queue offset below it was seen
	ahead []span // those seen beyond next, in order
}

// span is a run of half queue offsets.
type span struct{ from, to int64 } // to is behind the last

// sensible holds the values to what is possible.
func (cfg Config) sensible() Config {
	cfg.CheckMax = min(max(cfg.CheckMax, 0), 1<<24-1)
	cfg.Interval = max(cfg.Interval, 1)
	cfg.MaxAge = max(cfg.MaxAge, 0)
	cfg.Rate = min(max(cfg.Rate, 0), math.MaxInt32)
	return cfg
}

// Retune changes the rules (all but Config.Next) for what is pending too: a check
// that is due stays due when it was, the pause after it is the new one; who is over the
// new limits expires with the next Next. It takes as long as adding all again.
func (t *Table) Retune(cfg Config) {
	cfg = cfg.sensible()
	cfg.Next = t.cfg.Next
	unpaced := t.cfg.Rate == 0
	t.cfg = cfg
	for _, g := range t.groupNames {
		if g.tokens = min(g.tokens, cfg.burst()); unpaced {
			g.tokens = cfg.burst()
		}
	}
	for _, x := range t.byExpiry.Items() {
		t.nodes.at(x).expiryPos = 0
	}
	t.byExpiry = pq.Queue[ident, byExpiry]{Order: byExpiry{t}} // the old one is in another order
	t.byOffset.from(math.MinInt64, func(x ident) bool {
		if t.nodes.at(x).head == x {
			t.arm(x)
		}
		return true
	})
}

// New returns an empty table.
func New(cfg Config) *Table {
	cfg = cfg.sensible()
	t := &Table{
		cfg: cfg, now: math.MinInt64, spare: math.MinInt64, next: cfg.Next,
		groupNames: map[string]*group{}, topicNames: map[string]*topic{},
		byKey: keys{seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}},
	}
	t.byExpiry.Order = byExpiry{t}
	return t
}

// Tick says how late it is, for Get, Range and Waiting: while nothing is to be done
// nobody calls Next. A time before the last one changes nothing.
func (t *Table) Tick(now int64) { t.tick(now) }

// tick notes what time it is.
func (t *Table) tick(now int64) { t.now = max(t.now, now) }

// Add puts a stored half message under watch. One whose producer group and key
// are those of an undecided transaction joins its chain, unless that is being
// decided: the chain keeps its deadline and takes the higher count of checks.
// A queue offset that is pending, or that was seen from Config.Next on, is
// ignored. The strings of h are not kept.
func (t *Table) Add(h Half) {
	if t.byOffset.get(h.QueueOffset) != 0 || !t.see(h.QueueOffset) {
		return
	}
	g, p := t.groupOf(h.Group), t.topicOf(h.Topic)
	id := t.nodes.take()
	n := t.nodes.at(id)
	n.offset, n.physical, n.stored = h.QueueOffset, h.Physical, h.Stored
	n.group, n.topic, n.head = g.id, p.id, id
	t.byOffset.set(h.QueueOffset, id)
	t.halves++
	checks := uint32(min(max(h.Checks, 0), 1<<24-1))
	if h.Key != "" {
		n.key = t.byKey.hash(h.Key)
		n.key[1] ^= uint64(p.id) // who may send to one topic has no say about another
		if x := t.byKey.get(&t.nodes, g.id, n.key); x != 0 {
			t.join(x, id)
			head := t.nodes.at(x)
			head.checks = max(head.checks, checks)
			t.arm(x)
			return
		}
		n.unread = keyed
		t.byKey.put(id, n)
	}
	n.due, n.checks = h.Due, checks
	p.txs++
	t.transactions++
	t.arm(id)
}

// join puts the half message n, which is in no chain, into that of x.
func (t *Table) join(x, n ident) {
	head, half := t.nodes.at(x), t.nodes.at(n)
	if half.offset < head.offset {
		t.topics.items[head.topic].txs--
		t.topics.items[half.topic].txs++
		head.offset, half.offset = half.offset, head.offset
		head.physical, half.physical = half.physical, head.physical
		head.stored, half.stored = half.stored, head.stored
		head.topic, half.topic = half.topic, head.topic
		t.byOffset.set(head.offset, x)
		t.byOffset.set(half.offset, n)
	}
	half.head = x
	before := head
	if head.next != 0 && half.offset < t.nodes.at(head.next).offset {
		before = t.nodes.at(head.next)
	}
	half.next, before.next = before.next, n
}

// arm puts a transaction into the heaps that it belongs to after a change, and
// its group where that belongs.
func (t *Table) arm(x ident) {
	n := t.nodes.at(x)
	g := t.groups.items[n.group]
	switch check := n.phase == waiting && !t.usedUp(n); {
	case check && n.duePos == 0:
		g.due.Push(x)
	case check:
		g.due.Fix(n.duePos)
	case n.duePos != 0:
		g.due.Remove(n.duePos)
	}
	switch expires := n.phase != deciding && t.expiry(n) != never; {
	case expires && n.expiryPos == 0:
		t.byExpiry.Push(x)
	case expires:
		t.byExpiry.Fix(n.expiryPos)
	case n.expiryPos != 0:
		t.byExpiry.Remove(n.expiryPos)
	}
	t.place(g)
}

// usedUp reports whether a transaction gets no more checks.
func (t *Table) usedUp(n *node) bool { return int32(n.checks) >= t.cfg.CheckMax && !n.has(extra) }

// expiry is when a transaction expires, for its checks or its age.
func (t *Table) expiry(n *node) int64 {
	at := int64(never)
	if n.phase == expiring {
		return n.due
	}
	if n.phase == waiting && t.usedUp(n) {
		at = n.due
	}
	if t.cfg.MaxAge > 0 {
		at = min(at, plus(n.stored, t.cfg.MaxAge))
	}
	return at
}

// see notes that a half queue offset is taken, and reports whether that is new.
// Connections add their half messages in another order than the log got them.
func (t *Table) see(off int64) bool {
	switch {
	case off < t.cfg.Next:
		return true
	case off < t.next:
		return false
	case off == t.next:
		t.next++
		if len(t.ahead) > 0 && t.ahead[0].from == t.next {
			t.next = t.ahead[0].to
			t.ahead = slices.Delete(t.ahead, 0, 1)
		}
		return true
	}
	i := len(t.ahead) // the first span that begins above off
	for i > 0 && t.ahead[i-1].from > off {
		i--
	}
	if i > 0 && off < t.ahead[i-1].to {
		return false
	}
	left := i > 0 && t.ahead[i-1].to == off
	right := i < len(t.ahead) && t.ahead[i].from == off+1
	switch {
	case left && right:
		t.ahead[i-1].to = t.ahead[i].to
		t.ahead = slices.Delete(t.ahead, i, i+1)
	case left:
		t.ahead[i-1].to++
	case right:
		t.ahead[i].from--
	default:
		t.ahead = slices.Insert(t.ahead, i, span{off, off + 1})
	}
	return true
}

// Low is the low-water mark: every half queue offset below it was seen and is
// not pending; one that is being decided is.
func (t *Table) Low() int64 {
	if first, ok := t.byOffset.first(); ok {
		return min(first, t.next)
	}
	return t.next
}
