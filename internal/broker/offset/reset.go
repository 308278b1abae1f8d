// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package offset

import (
	"fmt"

	"github.com/twostage/twostage/message"
)

// maxSent is how often pulls are sent to a reset offset. Several members may still
// be pulling a queue that moves from one to another; one that goes elsewhere on
// purpose is left alone after that.
const maxSent = 8

// reset is how far a reset of a queue's offset, which is the entry's, is known to
// the consumers. It is pending as long as one may still commit where it was before.
//
//	Reset -> (sent nobody) -- Redirect --> (sent) -- a pull from the offset ----> over
//	              |                          `----- after maxSent from elsewhere -> over
//	              |  Asked, then a pull from the offset: the consumer began there -> over
//	              |  Take --------------------------------------------------------> over
//
// No commit ends it: that of the offset itself may be an old one, too.
type reset struct {
	pending bool
	asked   bool // somebody was told the offset as the group's
	sent    int8 // pulls that were sent to the offset
}

// Reset sets the offset of a group in a queue and keeps it against the commits of
// consumers that do not know of it, which are dropped until one was sent there
// (Redirect, Take) or began there (Asked). That is in memory only; Flush makes the
// offset last. The error names what can't have an offset.
func (t *Table) Reset(group, topic string, queue int32, offset int64) error {
	return t.place(group, topic, queue, offset, true)
}

// Set sets the offset of a group in a queue as an administrator does. It is a Commit
// that is not dropped after Reset: the reset is one to this offset then. The error
// names what can't have an offset.
func (t *Table) Set(group, topic string, queue int32, offset int64) error {
	return t.place(group, topic, queue, offset, false)
}

// place sets an offset, whatever is pending.
func (t *Table) place(group, topic string, queue int32, offset int64, keep bool) error {
	if err := Check(queue, offset); err != nil {
		return err
	}
	err := message.CheckGroup(group)
	if err == nil {
		err = message.CheckStoredTopic(topic)
	}
	if err != nil {
		return fmt.Errorf("consumer offset: %w", err)
	}
	q := t.find(group, topic)
	if q == nil {
		q = t.add(group, topic, queue, offset)
	}
	if q == nil {
		return noRoom(group, topic)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	e := q.entry(queue, &t.size)
	switch {
	case e == nil && q.deleted: // as if it had been deleted right after
		return nil
	case e == nil:
		return noRoom(group, topic)
	}
	if e.offset != offset {
		e.offset = offset
		t.dirty.Store(true)
	}
	e.pulled = 0
	if keep && !e.reset.pending {
		t.pending.Add(1)
	}
	e.reset = reset{pending: keep || e.reset.pending}
	return nil
}

func noRoom(group, topic string) error {
	return fmt.Errorf("consumer offset: there is no room for that of group %s in topic %s: delete groups that are not used", group, topic)
}

// lockReset gives the entry of a queue whose reset is pending, and its queues, which
// the caller unlocks; nil when there is none. It takes no lock while nothing is
// reset, and then only that of the group's offsets in the topic.
func (t *Table) lockReset(group, topic string, queue int32) (*queues, *entry) {
	if t.pending.Load() == 0 {
		return nil, nil
	}
	q := t.find(group, topic)
	if q == nil {
		return nil, nil
	}
	q.mu.Lock()
	if i, ok := q.at(queue); ok && q.entries[i].reset.pending {
		return q, &q.entries[i]
	}
	q.mu.Unlock()
	return nil, nil
}

// IsReset reports whether commits of the group to the queue are dropped.
func (t *Table) IsReset(group, topic string, queue int32) bool {
	q, _ := t.lockReset(group, topic, queue)
	if q == nil {
		return false
	}
	q.mu.Unlock()
	return true
}

// Asked says that somebody was told the group's offset in the queue, and may begin
// to consume there.
func (t *Table) Asked(group, topic string, queue int32) {
	if q, e := t.lockReset(group, topic, queue); q != nil {
		e.reset.asked = true
		q.mu.Unlock()
	}
}

// Redirect gives the offset that a pull from an offset is to go on from, false when
// it is to be served. A pull that is sent elsewhere must commit nothing: what it
// wants to commit is older than the reset. It takes no lock while nothing is reset.
func (t *Table) Redirect(group, topic string, queue int32, from int64) (offset int64, ok bool) {
	q, e := t.lockReset(group, topic, queue)
	if q == nil {
		return 0, false
	}
	defer q.mu.Unlock()
	if there := from == e.offset && (e.reset.asked || e.reset.sent > 0); there || e.reset.sent == maxSent {
		t.end(e)
		return 0, false
	}
	e.reset.sent++
	return e.offset, true
}

// Take gives the offset that a queue was reset to, once: the caller, who has the
// group's place in the queue, goes there and commits from then on.
func (t *Table) Take(group, topic string, queue int32) (offset int64, ok bool) {
	q, e := t.lockReset(group, topic, queue)
	if q == nil {
		return 0, false
	}
	defer q.mu.Unlock()
	t.end(e)
	return e.offset, true
}

// end ends a reset; the lock of the entry's queues is held.
func (t *Table) end(e *entry) {
	e.reset = reset{}
	t.pending.Add(-1)
}
