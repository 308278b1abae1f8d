// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pending

import "slices"

// info describes a half message and its transaction.
func (t *Table) info(id ident) Info {
	half := t.nodes.at(id)
	n := t.nodes.at(half.head)
	g := t.groups.items[half.group]
	i := Info{
		QueueOffset: half.offset, Physical: half.physical, Group: g.name, Topic: t.topics.items[half.topic].name,
		Stored: half.stored, Due: n.due, Checks: int32(n.checks), First: n.offset,
	}
	if t.spent(n) {
		i.Due = max(i.Due, t.spare)
	}
	switch {
	case n.phase == deciding:
		i.State, i.Due = Deciding, 0
	case n.duePos != 0 && n.due <= t.now && g.absent:
		i.State = NoProducer
	case n.duePos != 0 && n.due <= t.now:
		i.State = Paced
	case n.checks > 0 || n.phase == out || n.phase == urgent:
		i.State = Checking
	}
	return i
}

// Get describes a pending half message.
func (t *Table) Get(queueOffset int64) (Info, bool) {
	id := t.byOffset.get(queueOffset)
	if id == 0 {
		return Info{}, false
	}
	return t.info(id), true
}

// Range calls fn for each pending half message from a queue offset on, in rising
// order, until it returns false. fn must not change the table.
func (t *Table) Range(from int64, fn func(Info) bool) {
	t.byOffset.from(from, func(id ident) bool { return fn(t.info(id)) })
}

// Below lists the queue offsets of the pending half messages, also those being
// decided, that are stored below a commit log offset, in rising order. It looks
// at no more than these, as commit log offsets rise with queue offsets.
func (t *Table) Below(physical int64) []int64 {
	var list []int64
	t.byOffset.from(-1<<63, func(id ident) bool {
		n := t.nodes.at(id)
		if n.physical >= physical {
			return false
		}
		list = append(list, n.offset)
		return true
	})
	return list
}

// Len is how many half messages are pending, those being decided among them.
func (t *Table) Len() int { return t.halves }

// Transactions is how many transactions they make.
func (t *Table) Transactions() int { return t.transactions }

// ByTopic counts the transactions by the real topic of their first half message.
// The map is the caller's.
func (t *Table) ByTopic() map[string]int {
	m := make(map[string]int, len(t.topicNames))
	for name, p := range t.topicNames {
		if p.txs > 0 {
			m[name] = p.txs
		}
	}
	return m
}

// Waiting is how many transactions are in the states NoProducer and Paced. It
// visits each of them.
func (t *Table) Waiting() (noProducer, paced int) {
	for _, g := range t.groupNames {
		if n := t.due(g, 0); g.absent {
			noProducer += n
		} else {
			paced += n
		}
	}
	return noProducer, paced
}

// due counts what is due in the part of a group's heap at place i.
func (t *Table) due(g *group, i int) int {
	if i >= len(g.due.Items()) || t.nodes.at(g.due.Items()[i]).due > t.now {
		return 0
	}
	return 1 + t.due(g, 2*i+1) + t.due(g, 2*i+2)
}

// Chain lists the queue offsets of the pending half messages of the transaction
// that has one at queueOffset, in rising order; nil when none is pending there.
func (t *Table) Chain(queueOffset int64) []int64 {
	id := t.byOffset.get(queueOffset)
	if id == 0 {
		return nil
	}
	return t.chain(t.nodes.at(id).head, nil)
}

// chain appends the queue offsets of a transaction, in rising order.
func (t *Table) chain(x ident, list []int64) []int64 {
	for ; x != 0; x = t.nodes.at(x).next {
		list = append(list, t.nodes.at(x).offset)
	}
	slices.Sort(list)
	return list
}
