// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pending

import (
	"fmt"
)

// Decision is a transaction whose outcome is being made durable: the driver
// stores the records and then calls [Table.Settle].
type Decision struct {
	Outcome Outcome
	Half    Info    // the half message that the request named
	All     []int64 // the half queue offsets of the whole chain, rising: each needs an op record

	head    ident
	settled bool
	one     [1]int64 // for All, as a rule
}

// Decide begins to give the transaction of a half message its outcome. The half
// message is named by its queue offset; commit log offset and group must be its
// own. From then on nothing of the transaction is due, actions that were given
// out for it are void, and nothing else can decide it, until Settle.
//
// Errors, for errors.Is: ErrUnknown, ErrMismatch, ErrDecided, ErrOutcome, each
// without a decision; and ErrBusy with the one under way, which has the same
// outcome.
func (t *Table) Decide(queueOffset, physical int64, group string, o Outcome) (*Decision, error) {
	if o != Commit && o != Rollback && o != Discard {
		return nil, fmt.Errorf("%w: it is %d", ErrOutcome, o)
	}
	id := t.byOffset.get(queueOffset)
	if id == 0 {
		return nil, ErrUnknown
	}
	half := t.nodes.at(id)
	g := t.groups.items[half.group]
	switch {
	case g.name != group:
		return nil, fmt.Errorf("%w: it belongs to producer group %q, the request says %q", ErrMismatch, g.name, group)
	case half.physical != physical:
		return nil, fmt.Errorf("%w: it is stored at commit log offset %d, the request says %d", ErrMismatch, half.physical, physical)
	}
	x := half.head
	n := t.nodes.at(x)
	if n.phase == deciding {
		d := t.deciding[n.expiryPos]
		if d.Outcome == o {
			return d, ErrBusy
		}
		return nil, fmt.Errorf("%w: it is being %s", ErrDecided, d.Outcome)
	}
	if n.has(keyed) {
		t.byKey.drop(x, n) // a half message that comes from now on is a new transaction
	}
	n.phase = deciding
	t.arm(x)
	d := &Decision{Outcome: o, Half: t.info(id), head: x}
	d.All = t.chain(x, d.one[:0])
	n.expiryPos = uint32(len(t.deciding))
	t.deciding = append(t.deciding, d)
	return d, nil
}

// Settle ends what Decide began; a second call does nothing. durable: the
// outcome is in the log, and the transaction is gone. Otherwise it is undecided
// again and due after Config.Interval; if another one with its group and key
// came meanwhile and is not being decided, the two are one chain from now on,
// with the higher count of checks, and actions given out for either are void.
func (t *Table) Settle(d *Decision, durable bool, now int64) {
	t.tick(now)
	if d.settled {
		return
	}
	d.settled = true
	n := t.nodes.at(d.head)
	last := t.deciding[len(t.deciding)-1]
	t.deciding[n.expiryPos] = last
	t.nodes.at(last.head).expiryPos = n.expiryPos
	t.deciding[len(t.deciding)-1] = nil
	t.deciding = fit(t.deciding[:len(t.deciding)-1])
	n.expiryPos = 0
	if durable {
		t.forget(d.head)
		return
	}
	n.phase = waiting
	if t.tooOld(n) {
		n.phase = expiring // again at due, and not at once
	}
	n.due = plus(t.now, t.cfg.Interval)
	if n.has(keyed) {
		if other := t.byKey.get(&t.nodes, n.group, n.key); other != 0 {
			t.absorb(d.head, other)
		}
		t.byKey.put(d.head, n)
	}
	t.arm(d.head)
}

// forget drops a transaction that is being decided.
func (t *Table) forget(x ident) {
	t.transactions--
	t.topics.items[t.nodes.at(x).topic].txs--
	for x != 0 {
		n := t.nodes.at(x)
		t.byOffset.drop(n.offset)
		t.leaveTopic(t.topics.items[n.topic])
		t.leave(t.groups.items[n.group])
		t.halves--
		next := n.next
		t.nodes.drop(x)
		x = next
	}
}

// absorb moves the half messages of another undecided transaction into the chain
// of x, which is in no heap.
func (t *Table) absorb(x, other ident) {
	n, o := t.nodes.at(x), t.nodes.at(other)
	t.byKey.drop(other, o)
	o.phase = deciding
	t.arm(other)
	t.transactions--
	t.topics.items[o.topic].txs--
	n.checks = max(n.checks, o.checks)
	n.unread |= o.unread & extra
	n.ticket = max(n.ticket, o.ticket) + 1
	for other != 0 {
		next := t.nodes.at(other).next
		t.nodes.at(other).next = 0
		t.join(x, other)
		other = next
	}
}
