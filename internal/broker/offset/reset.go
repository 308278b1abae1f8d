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

// reset is a queue whose offset was reset, as long as a consumer may still commit
// where it was before.
//
//	Reset -> (sent nobody) -- Redirect --> (sent) -- a pull from the offset, or a commit of it --> over
//	              |                          `----- after maxSent pulls from elsewhere ---------> over
//	              |  Asked, then a pull from the offset: the consumer began there --------------> over
//	              |  Take ----------------------------------------------------------------------> over
type reset struct {
	offset int64
	sent   int  // pulls that were sent to offset
	asked  bool // somebody was told offset as the group's
}

// Reset sets the offset of a group in a queue and keeps it against the commits of
// consumers that do not know of it, which are dropped until one was sent there
// (Redirect, Take) or began there (Asked). That is in memory only; Flush makes the
// offset last. The error names what can't have an offset.
func (t *Table) Reset(group, topic string, queue int32, offset int64) error {
	if err := Check(queue, offset); err != nil {
		return err
	}
	for _, name := range []string{group, topic} {
		if err := message.CheckGroup(name); err != nil {
			return fmt.Errorf("consumer offset: %w", err)
		}
	}
	key := pair{group, topic}
	t.mu.RLock()
	q := t.pairs[key]
	t.mu.RUnlock()
	if q == nil {
		q = t.add(group, topic, queue, offset)
	}
	if q == nil {
		return t.noRoom(key)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	old, changed := q.set(queue, offset, &t.size)
	switch {
	case changed:
		t.dirty.Store(true)
	case old < 0:
		return t.noRoom(key)
	}
	t.resetMu.Lock()
	defer t.resetMu.Unlock()
	if t.resets[key] == nil {
		t.resets[key] = map[int32]*reset{}
	}
	if t.resets[key][queue] == nil {
		t.pending.Add(1)
	}
	t.resets[key][queue] = &reset{offset: offset}
	return nil
}

func (t *Table) noRoom(p pair) error {
	return fmt.Errorf("consumer offset: there is no room for that of group %s in topic %s: delete groups that are not used", p.group, p.topic)
}

// IsReset reports whether commits of the group to the queue are dropped.
func (t *Table) IsReset(group, topic string, queue int32) bool {
	if t.pending.Load() == 0 {
		return false
	}
	t.resetMu.Lock()
	defer t.resetMu.Unlock()
	return t.resets[pair{group, topic}][queue] != nil
}

// Asked says that somebody was told the group's offset in the queue, and may begin
// to consume there.
func (t *Table) Asked(group, topic string, queue int32) {
	if t.pending.Load() == 0 {
		return
	}
	t.resetMu.Lock()
	defer t.resetMu.Unlock()
	if r := t.resets[pair{group, topic}][queue]; r != nil {
		r.asked = true
	}
}

// Redirect gives the offset that a pull from an offset is to go on from, false when
// it is to be served. It takes no lock while nothing is reset.
func (t *Table) Redirect(group, topic string, queue int32, from int64) (offset int64, ok bool) {
	if t.pending.Load() == 0 {
		return 0, false
	}
	t.resetMu.Lock()
	defer t.resetMu.Unlock()
	key := pair{group, topic}
	r := t.resets[key][queue]
	if r == nil {
		return 0, false
	}
	if there := from == r.offset && (r.asked || r.sent > 0); there || r.sent == maxSent {
		t.drop(key, queue)
		return 0, false
	}
	r.sent++
	return r.offset, true
}

// Take gives the offset that a queue was reset to, once: the caller, who has the
// group's place in the queue, goes there and commits from then on.
func (t *Table) Take(group, topic string, queue int32) (offset int64, ok bool) {
	if t.pending.Load() == 0 {
		return 0, false
	}
	t.resetMu.Lock()
	defer t.resetMu.Unlock()
	key := pair{group, topic}
	r := t.resets[key][queue]
	if r == nil {
		return 0, false
	}
	t.drop(key, queue)
	return r.offset, true
}

// refuses reports whether a commit is to be dropped. That of the offset itself by
// a consumer that was sent there ends the reset.
func (t *Table) refuses(key pair, queue int32, offset int64) bool {
	t.resetMu.Lock()
	defer t.resetMu.Unlock()
	r := t.resets[key][queue]
	switch {
	case r == nil:
		return false
	case r.sent > 0 && offset == r.offset:
		t.drop(key, queue)
		return false
	}
	return offset != r.offset
}

// drop ends a reset; t.resetMu is held.
func (t *Table) drop(key pair, queue int32) {
	queues := t.resets[key]
	if queues[queue] == nil {
		return
	}
	delete(queues, queue)
	if len(queues) == 0 {
		delete(t.resets, key)
	}
	t.pending.Add(-1)
}

// dropAll ends the resets of the pairs that pick names.
func (t *Table) dropAll(pick func(pair) bool) {
	t.resetMu.Lock()
	defer t.resetMu.Unlock()
	for key, queues := range t.resets {
		if pick(key) {
			t.pending.Add(-int64(len(queues)))
			delete(t.resets, key)
		}
	}
}
