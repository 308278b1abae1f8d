// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pop

import (
	"github.com/twostage/twostage/internal/pq"

	"math/bits"
	"slices"

	"github.com/twostage/twostage/internal/wire/body"
)

// key names a checkpoint, as Java's merge key does.
type key struct {
	topic, group string
	queue        int32
	start, time  int64
}

// checkpoint is what one pop gave out of one queue. Of each message it knows
// whether it is dealt with, bit by bit:
//
//	open -- begin --> acking -- settle(true) --> done
//	  ^                  |
//	  +-- settle(false) -+
//	open -- take -------> reviving (the whole checkpoint) -- finish --> done
//	  ^                                    |
//	  +-- finish(the rest), at a later time +
type checkpoint struct {
	key
	at        int64 // of its record in the log: its name in what is derived from it
	revive    int32 // revive queue
	invisible int64
	diffs     []int32
	rePut     string

	done     uint32 // acked, or revived
	acking   uint32 // an ack is being stored
	reviving bool
	due      int64  // ms since 1970
	pos      uint32 // in merge.heap; 0: not in it
}

func (c *checkpoint) all() uint32 { return uint32(1)<<len(c.diffs) - 1 }

// bits are those of offsets, which are sorted; what the checkpoint does not have
// counts for nothing. It is quick however many offsets there are.
func (c *checkpoint) bits(offsets []int64) (mask uint32) {
	for i, d := range c.diffs {
		if _, ok := slices.BinarySearch(offsets, c.start+int64(d)); ok {
			mask |= 1 << i
		}
	}
	return mask
}

// offsets are those of the messages whose bits are in mask.
func (c *checkpoint) offsets(mask uint32) []int64 {
	list := make([]int64, 0, bits.OnesCount32(mask))
	for i, d := range c.diffs {
		if mask&(1<<i) != 0 {
			list = append(list, c.start+int64(d))
		}
	}
	return list
}

// size is about how many bytes a note has of the checkpoint, without the broker's
// name.
func (c *checkpoint) size() int64 {
	return 200 + int64(len(c.topic)+len(c.group)+len(c.rePut)) + 8*int64(len(c.diffs))
}

// merge is the open checkpoints. It has no clock and no lock.
type merge struct {
	open   map[key]*checkpoint
	size   int64            // of all
	groups map[string]int64 // of each group's
	heap   pq.Queue[*checkpoint, byDue]
	taken  *checkpoint // by take, until finish
	// byRecord finds checkpoints by their record while the log is read again.
	byRecord map[int64]*checkpoint
}

func newMerge() *merge {
	return &merge{open: make(map[key]*checkpoint), groups: make(map[string]int64)}
}

// add takes a checkpoint in, unless one of the name is there.
func (m *merge) add(c *checkpoint) bool {
	if m.open[c.key] != nil {
		return false
	}
	if c.due == 0 {
		c.due = c.time + c.invisible
	}
	if c.done&c.all() == c.all() {
		return true
	}
	m.open[c.key] = c
	m.size += c.size()
	m.groups[c.group] += c.size()
	if m.byRecord != nil {
		m.byRecord[c.at] = c
	}
	m.heap.Push(c)
	return true
}

// drop forgets a checkpoint; that it is forgotten already is no error.
func (m *merge) drop(c *checkpoint) {
	if m.open[c.key] != c {
		return
	}
	delete(m.open, c.key)
	delete(m.byRecord, c.at)
	m.size -= c.size()
	if m.groups[c.group] -= c.size(); m.groups[c.group] <= 0 {
		delete(m.groups, c.group)
	}
	if c.pos > 0 {
		m.heap.Remove(c.pos)
	}
}

// begin marks messages whose ack is about to be stored. mask is those of them
// that are open: it is 0 when the ack changes nothing any more. busy: another ack of
// some is being stored, and nothing is marked; what this one is worth shows when that
// is settled. offsets are sorted.
func (m *merge) begin(k key, offsets ...int64) (c *checkpoint, mask uint32, busy bool) {
	if c = m.open[k]; c == nil || c.reviving {
		return nil, 0, false
	}
	mask = c.bits(offsets) &^ c.done
	if mask&c.acking != 0 {
		return c, 0, true
	}
	c.acking |= mask
	return c, mask, false
}

// settle ends what begin began.
func (m *merge) settle(c *checkpoint, mask uint32, stored bool) {
	c.acking &^= mask
	if !stored {
		return
	}
	if c.done |= mask; c.done&c.all() == c.all() {
		m.drop(c)
	}
}

// next is when take has something, false: never.
func (m *merge) next() (int64, bool) {
	if m.heap.Len() == 0 {
		return 0, false
	}
	return m.heap.Items()[0].due, true
}

// take gives a checkpoint whose time is up, nil if there is none. Its open
// messages are to be revived, and finish called before the next take. One with an ack on its way comes
// later.
func (m *merge) take(now int64) *checkpoint {
	for m.heap.Len() > 0 && m.heap.Items()[0].due <= now {
		c := m.heap.Items()[0]
		if c.acking != 0 {
			c.due = now + 10
			m.heap.Fix(1)
			continue
		}
		m.heap.Pop()
		c.reviving, m.taken = true, c
		return c
	}
	return nil
}

// finish ends what take began: mask is dealt with, the rest is due again.
func (m *merge) finish(c *checkpoint, mask uint32, again int64) {
	c.reviving, m.taken = false, nil
	if m.open[c.key] != c {
		return // forgotten meanwhile
	}
	if c.done |= mask; c.done&c.all() == c.all() {
		m.drop(c)
		return
	}
	c.due = again
	m.heap.Push(c)
}

// revived notes that topic has a record made of the checkpoint record at log offset
// from - i for its message i. In topics that the checkpoint revives nothing in, the
// number means something else. It is for reading the log again.
func (m *merge) revived(topic string, from int64) {
	for i := range int64(body.MaxPopMessages) {
		if c := m.byRecord[from-i]; c != nil && i < int64(len(c.diffs)) && c.revivesIn(topic) {
			if c.done |= 1 << i; c.done&c.all() == c.all() {
				m.drop(c)
			}
			return
		}
	}
}

// noted is an open checkpoint as it is at one moment: the rest of it does not
// change.
type noted struct {
	*checkpoint
	done uint32
}

// snapshot is all that is open. It is quick: nothing is copied but this.
func (m *merge) snapshot() []noted {
	list := make([]noted, 0, len(m.open))
	for _, c := range m.heap.Items() {
		list = append(list, noted{c, c.done})
	}
	if c := m.taken; c != nil && m.open[c.key] == c {
		list = append(list, noted{c, c.done})
	}
	return list
}

// inFlight is how many messages are neither acked nor revived.
func (m *merge) inFlight() (n int) {
	for _, c := range m.open {
		n += bits.OnesCount32(c.all() &^ c.done)
	}
	return n
}

// place is the queue and the group that the checkpoint is of.
func (c *checkpoint) place() queueKey { return queueKey{c.group, c.topic, c.queue} }

// byDue orders checkpoints by when they are due.
type byDue struct{}

// Before is of pq.Order.
func (byDue) Before(a, b *checkpoint) bool { return a.due < b.due }

// Placed is of pq.Order.
func (byDue) Placed(c *checkpoint, pos uint32) { c.pos = pos }

// point is the checkpoint as it is written, with the messages of done dealt with.
func (c *checkpoint) point(broker string, done uint32) body.PopCheckPoint {
	return body.PopCheckPoint{
		BitMap: int32(done), BrokerName: broker, Group: c.group, QueueOffsetDiff: c.diffs, InvisibleTime: c.invisible,
		Num: int32(len(c.diffs)), PopTime: c.time, QueueID: c.queue, RePutTimes: c.rePut, StartOffset: c.start, Topic: c.topic,
	}
}

// fromPoint is the checkpoint that was written.
func fromPoint(p *body.PopCheckPoint, at int64, revive int32) *checkpoint {
	c := &checkpoint{
		key: key{p.Topic, p.Group, p.QueueID, p.StartOffset, p.PopTime}, at: at, revive: revive, invisible: min(max(p.InvisibleTime, 0), MaxInvisible),
		diffs: p.QueueOffsetDiff, done: uint32(p.BitMap), rePut: p.RePutTimes,
	}
	if len(c.diffs) == 0 { // written before 5.0.0: offsets one behind the other
		for i := range p.Num {
			c.diffs = append(c.diffs, i)
		}
	}
	c.diffs = c.diffs[:p.Num]
	return c
}
