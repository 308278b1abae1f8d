// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pop

import (
	"slices"
	"strconv"

	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
)

// walk reads revive records again.
type walk struct {
	s *Service
	// foreign: there is no note; what is there may be another broker's, whose
	// offsets in the revive queues say what is dealt with.
	foreign bool
	seen    map[key]bool // checkpoints that one message has moved to
}

func (w *walk) visit(r *message.Record) error {
	topic := string(r.Topic)
	revive, timed := r.QueueID, false
	switch {
	case topic == w.s.revive:
	case topic == timerTopic || topic == message.TopicSchedule:
		name, _ := r.Property(message.PropertyRealTopic)
		id, _ := r.Property(message.PropertyRealQueueID)
		n, err := strconv.ParseInt(string(id), 10, 32)
		if string(name) != w.s.revive || err != nil {
			return nil
		}
		revive, timed = int32(n), true
	default:
		if r.PreparedOffset > 0 && r.BornHost == r.StoreHost {
			w.s.open.revived(topic, r.PreparedOffset)
		}
		return nil
	}
	if r.PreparedOffset != 0 { // made out of one that was read, or noted
		return nil
	}
	if r.BornHost != r.StoreHost { // a client's, from when those could send here
		w.s.complain("a record of pops that a client has sent is passed over", "offset", r.PhysicalOffset, "client", r.BornHost)
		return nil
	}
	tag, _ := r.Property(message.PropertyTags)
	switch string(tag) {
	case tagCheckpoint:
		w.checkpoint(r, revive, timed)
	case tagAck, tagBatchAck:
		w.ack(r)
	}
	return nil
}

// revivesIn tells whether messages of the checkpoint may be stored again in a topic.
func (c *checkpoint) revivesIn(topic string) bool {
	switch {
	case topic == message.DLQTopic(c.group):
		return true
	case kindOf(c.topic) != Normal:
		return topic == c.topic
	}
	retries := message.PopRetryTopics(c.group, c.topic)
	return topic == retries[0] || topic == retries[1]
}

func (w *walk) checkpoint(r *message.Record, revive int32, timed bool) {
	s := w.s
	var p body.PopCheckPoint
	if err := body.Unmarshal(r.Body, &p); err != nil {
		s.cfg.Logger.Warn("a checkpoint record can't be read: what it stands for is not given again", "offset", r.PhysicalOffset, "error", err)
		return
	}
	if p.Topic == "" || p.Group == "" {
		return
	}
	if p.Num == 0 {
		w.order(r, &p)
		return
	}
	if v, ok := r.Property(propertyNext); ok {
		if to, err := strconv.ParseInt(string(v), 10, 64); err == nil && s.had(p.Topic, p.QueueID, to-1, r.PhysicalOffset) {
			if off, known := s.cfg.Offsets.Query(p.Group, p.Topic, p.QueueID); !known || off < to {
				s.cfg.Offsets.Commit(p.Group, p.Topic, p.QueueID, to)
			}
		}
	}
	c := fromPoint(&p, r.PhysicalOffset, revive)
	if p.Num == 1 {
		w.seen[c.key] = true
	}
	if w.foreign && !timed {
		if off, known := s.cfg.Offsets.Query(ReviveGroup, s.revive, revive); known && r.QueueOffset <= off {
			if old := s.open.open[c.key]; old != nil {
				s.open.drop(old)
			}
			return
		}
	}
	s.open.add(c)
}

// had tells whether a queue had an offset before the record at log offset at was
// stored, which says so: else that is of another topic of the name. What can't be
// read counts as had.
func (s *Service) had(topic string, queue int32, offset, at int64) bool {
	q := s.cfg.Log.LookupQueue(topic, queue)
	if q == nil {
		return false
	}
	e, err := s.cfg.Log.Entries(nil, q, offset, 1)
	if err != nil {
		return offset >= q.Min()
	}
	return len(e) == 1 && e[0].PhysicalOffset < at
}

// order reads a pop in order, or a change of when a message of it is visible,
// unless the note has it.
func (w *walk) order(r *message.Record, p *body.PopCheckPoint) {
	s := w.s
	info := s.orders.get(p.Topic, p.Group, p.QueueID)
	if len(p.QueueOffsetDiff) == 0 || info != nil && info.At >= r.PhysicalOffset {
		return
	}
	if until, ok := r.Property(propertyVisible); ok {
		at, err := strconv.ParseInt(string(until), 10, 64)
		if v, info, _ := s.orders.judge(p.Topic, p.Group, p.QueueID, p.StartOffset, p.PopTime); err == nil && v == counts {
			hide(info, p.StartOffset, at)
		}
		return
	}
	offsets := make([]int64, len(p.QueueOffsetDiff))
	for i, d := range p.QueueOffsetDiff {
		offsets[i] = p.StartOffset + int64(d)
	}
	if !s.had(p.Topic, p.QueueID, offsets[len(offsets)-1], r.PhysicalOffset) {
		return
	}
	attempt, _ := r.Property(propertyAttempt)
	info = s.orders.put(p.Topic, p.Group, p.QueueID, orderPop{attempt: string(attempt), time: p.PopTime, invisible: p.InvisibleTime, at: r.PhysicalOffset, offsets: offsets})
	if _, known := s.cfg.Offsets.Query(p.Group, p.Topic, p.QueueID); !known { // it was the group's first pop
		s.cfg.Offsets.Commit(p.Group, p.Topic, p.QueueID, next(info))
	}
}

func (w *walk) ack(r *message.Record) {
	s := w.s
	var a body.AckMsg
	if err := body.Unmarshal(r.Body, &a); err != nil {
		s.cfg.Logger.Warn("an ack record can't be read: what it acks is given again", "offset", r.PhysicalOffset, "error", err)
		return
	}
	offsets := a.AckOffsetList
	if len(offsets) == 0 {
		offsets = []int64{a.AckOffset}
	}
	if to, ok := r.Property(propertyMoved); ok && len(offsets) == 1 {
		time, err := strconv.ParseInt(string(to), 10, 64)
		if err != nil || !w.seen[key{a.Topic, a.Group, a.QueueID, offsets[0], time}] {
			return // a torn write: the old checkpoint has the message
		}
	}
	slices.Sort(offsets)
	if c, mask, _ := s.open.begin(key{a.Topic, a.Group, a.QueueID, a.StartOffset, a.PopTime}, offsets...); c != nil {
		s.open.settle(c, mask, true)
		return
	}
	if info := s.orders.get(a.Topic, a.Group, a.QueueID); info == nil || info.At >= r.PhysicalOffset {
		return
	}
	for _, o := range offsets {
		if v, info, bit := s.orders.judge(a.Topic, a.Group, a.QueueID, o, a.PopTime); v == counts {
			info.Committed |= 1 << bit
			if off, known := s.cfg.Offsets.Query(a.Group, a.Topic, a.QueueID); !known || off < next(info) {
				s.cfg.Offsets.Commit(a.Group, a.Topic, a.QueueID, next(info))
			}
		}
	}
}
