// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/twostage/twostage/internal/config"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/store/retention"
	"github.com/twostage/twostage/message"
)

// retentionPolicy is what the store is told about deleting, nil: nothing goes.
func (b *Broker) retentionPolicy() *retention.Policy {
	if b.cfg.Retention.Interval == 0 {
		return nil
	}
	p := retentionOf(&b.cfg.Retention)
	return &p
}

func retentionOf(c *config.Retention) retention.Policy {
	return retention.Policy{
		Reserved: c.Reserved, Hours: c.Hours, MaxUsed: c.MaxUsed, CleanForcibly: c.CleanForcibly, Warning: c.Warning,
		Forcibly: c.Forcibly, Batch: c.Batch,
	}
}

// beforeDelete is told by the store that log files are about to go. A transaction
// that is undecided is discarded first, so that it can be found afterwards.
func (b *Broker) beforeDelete(d store.Deletion) error {
	if !b.opened.Load() {
		return errors.New("the broker is starting")
	}
	if b.txn.Below(d.End) > 0 {
		b.txn.DiscardBelow(d.End)
		if err := b.store.Flush(b.store.MaxPhysical()); err != nil {
			return err
		}
		if n := b.txn.Below(d.End); n > 0 {
			if b.store.NoSpace() == nil {
				return fmt.Errorf("%d half messages in them are still being decided", n)
			}
			// Nothing can be parked without space, and only the deletion makes some.
			b.log.Error("half messages that nobody has decided about are deleted and could not be parked, for lack of space: they count as discarded once they are due",
				"number", n, "from", d.From, "end", d.End)
		}
	}
	if err := b.timersBelow(d); err != nil {
		return err
	}
	if d.Unexpired > 0 {
		b.sayUnconsumed(d)
	}
	return nil
}

// timersBelow holds log files with records of messages that wait for their time of
// delivery: they go on once those have been delivered or rolled. Where there is no
// space for others, they go all the same, counted.
func (b *Broker) timersBelow(d store.Deletion) error {
	if b.timers == nil {
		return nil
	}
	forced := d.Unexpired > 0 || b.store.DiskFull() != nil || b.store.NoSpace() != nil
	most := int64(1)
	if forced {
		most = math.MaxInt64
	}
	n, err := b.timers.WaitingBelow(d.End, most)
	if err != nil && !forced {
		return err
	}
	if n < most {
		n += b.behind(message.TopicTimer, map[int32]int64{0: b.timers.Position()}, d, map[*store.Queue]deleted{})
	}
	switch {
	case !forced && n > 0:
		return errors.New("messages in them wait for their time of delivery; they are stored again when timerRollWindowSlot is over")
	case err != nil:
		b.log.Error("how many messages wait for their time of delivery in log files that are deleted can't be read", "error", err)
	}
	if n > 0 {
		b.unconsumed.Add(n)
		b.log.Error("messages that wait for their time of delivery are deleted, for lack of space: they are never delivered", "messages", n, "from", d.From, "end", d.End)
	}
	return nil
}

// unconsumed says how many messages a group loses.
type unconsumed struct {
	group, topic string
	messages     int64
}

// sayUnconsumed names the groups that have not consumed what goes although it has
// not expired. Who never said how far it is (a group that never consumed, a
// broadcast consumer) can't be named.
func (b *Broker) sayUnconsumed(d store.Deletion) {
	var list []unconsumed
	ranges := map[*store.Queue]deleted{}
	add := func(group, topic string, queues map[int32]int64) {
		if n := b.behind(topic, queues, d, ranges); n > 0 {
			list = append(list, unconsumed{group, topic, n})
		}
	}
	b.offsets.Range(func(group, topic string, queues map[int32]int64) {
		if group != message.GroupTransCheck { // undecided transactions have been discarded
			add(group, topic, queues)
		}
	})
	levels := map[int32]int64{}
	for level, offset := range b.delays.Offsets() {
		levels[level-1] = offset
	}
	add("delayed delivery", message.TopicSchedule, levels)
	slices.SortFunc(list, func(a, b unconsumed) int {
		return cmp.Or(cmp.Compare(b.messages, a.messages), cmp.Compare(a.group, b.group), cmp.Compare(a.topic, b.topic))
	})
	for i, u := range list {
		b.unconsumed.Add(u.messages)
		if i < maxNamed {
			b.log.Error("messages that a group has not consumed are deleted, for lack of space", "group", u.group, "topic", u.topic, "messages", u.messages)
		}
	}
	if n := len(list) - maxNamed; n > 0 {
		b.log.Error("messages that groups have not consumed are deleted, for lack of space: more groups", "number", n)
	}
}

// deleted is the entries of a queue, from and up to which, whose records go.
type deleted struct{ from, to int64 }

// behind counts the entries of records that d deletes which are not consumed when
// the offsets of the queues are those. ranges keeps what was read of each queue: many
// groups may consume it.
func (b *Broker) behind(topic string, queues map[int32]int64, d store.Deletion, ranges map[*store.Queue]deleted) (n int64) {
	for id, consumed := range queues {
		q := b.store.LookupQueue(topic, id)
		if q == nil || consumed >= q.Max() {
			continue
		}
		gone, known := ranges[q]
		if !known {
			var err, errTo error
			gone.from, err = b.store.OffsetFrom(q, d.From)
			gone.to, errTo = b.store.OffsetFrom(q, d.End)
			if err = cmp.Or(err, errTo); err != nil {
				b.log.Warn("how much of a queue is deleted can't be read", "topic", topic, "queue", id, "error", err)
				gone = deleted{}
			}
			ranges[q] = gone
		}
		n += max(gone.to-max(consumed, gone.from), 0)
	}
	return n
}

// maxNamed is how many groups one deletion names in the log.
const maxNamed = 100
