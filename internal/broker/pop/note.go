// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pop

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"

	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
)

// maxUnnoted is how many bytes of log may follow a note without news before it is
// written again, so that Open never has to read much.
const maxUnnoted = 256 << 20

// Note writes down what is in flight, durably, after the log and the consumers'
// offsets that belong to it. Run does it every Config.NoteInterval and Close at the
// end. Call it once a group's offset was set back by hand, before that is
// answered: what was popped before it moves no offset any more.
func (s *Service) Note() error {
	s.noting.Lock()
	defer s.noting.Unlock()
	s.gate.Lock()
	s.mu.Lock()
	n := body.PopNote{LogOffset: s.cfg.Log.MaxPhysical(), Open: make([]body.OpenPop, 0, len(s.open.open))}
	for _, c := range s.open.open {
		n.Open = append(n.Open, body.OpenPop{At: c.at, Revive: c.revive, Point: c.point(s.cfg.Broker)})
	}
	s.orders.forget(func(topic, group string) bool {
		_, t := s.cfg.Topics.Get(topic)
		_, g := s.cfg.Groups.Get(group)
		return t && g
	})
	orders := body.MarshalConfig(&body.ConsumerOrderInfo{Table: s.orders.table})
	s.dirty = false
	offsets := make(map[queueKey]int64, len(s.pending))
	for k, p := range s.pending {
		offsets[k] = p.next
	}
	s.mu.Unlock()
	s.gate.Unlock()
	err := s.cfg.Log.Flush(n.LogOffset)
	if err == nil {
		s.commit(offsets)
		err = s.cfg.Offsets.Flush()
	}
	if err == nil {
		err = vfs.ReplaceFile(s.cfg.FS, s.orderPath(), orders)
	}
	if err == nil {
		slices.SortFunc(n.Open, func(a, b body.OpenPop) int { return cmp.Compare(a.At, b.At) })
		err = vfs.ReplaceFile(s.cfg.FS, s.notePath(), body.MarshalConfig(&n))
	}
	if err != nil {
		s.mu.Lock()
		s.dirty = true
		s.mu.Unlock()
		return fmt.Errorf("what is popped: %w", err)
	}
	s.noted.Store(n.LogOffset)
	return nil
}

// commit commits offsets that the disk has the reasons of, but those of groups
// that were put elsewhere since.
func (s *Service) commit(offsets map[queueKey]int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, to := range offsets {
		if _, ok := s.pending[k]; !ok || !s.there(k) {
			continue
		}
		if off, known := s.cfg.Offsets.Query(k.group, k.topic, k.queue); !known || off < to {
			s.cfg.Offsets.Commit(k.group, k.topic, k.queue, to)
		}
	}
}

// there tells whether the topic of a queue still exists.
func (s *Service) there(k queueKey) bool {
	_, ok := s.cfg.Topics.Get(k.topic)
	return ok
}

// noteIfNew is Note, unless nothing has happened since the last one.
func (s *Service) noteIfNew() error {
	s.mu.Lock()
	dirty := s.dirty
	s.mu.Unlock()
	if !dirty && s.cfg.Log.MaxPhysical()-s.noted.Load() < maxUnnoted {
		return nil
	}
	return s.Note()
}

// readNote reads a file of the service's; ok is false when there is none.
func (s *Service) readNote(path string, b body.Body) (ok bool, err error) {
	data, backup, err := vfs.ReadConfigFile(s.cfg.FS, path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err = body.Unmarshal(data, b); err != nil && !backup {
		broken := err
		if data, err = vfs.ReadFile(s.cfg.FS, path+".bak"); err == nil {
			err = body.Unmarshal(data, b)
		}
		if err != nil {
			return false, fmt.Errorf("%s: %w (mend the file, or remove it: the whole log is read then)", path, broken)
		}
		s.cfg.Logger.Warn("a note of what is popped is damaged, its backup is used", "file", path, "error", broken)
	} else if err != nil {
		return false, fmt.Errorf("%s: %w (mend the file, or remove it: the whole log is read then)", path+".bak", err)
	}
	return true, nil
}

// resume builds the tables: from the notes, then from the log behind them.
func (s *Service) resume() error {
	var n body.PopNote
	var o body.ConsumerOrderInfo
	noted, err := s.readNote(s.notePath(), &n)
	if err != nil {
		return err
	}
	if _, err := s.readNote(s.orderPath(), &o); err != nil {
		return err
	}
	if o.Table != nil {
		s.orders.table = o.Table
	}
	s.open.byRecord = make(map[int64]*checkpoint)
	for i := range n.Open {
		s.open.add(fromPoint(&n.Open[i].Point, n.Open[i].At, n.Open[i].Revive))
	}
	if noted || s.poppedBefore() {
		w := walk{s: s, foreign: !noted, seen: make(map[key]bool)}
		if err := s.cfg.Log.Walk(n.LogOffset, w.visit); err != nil {
			return err
		}
	}
	s.open.byRecord = nil
	for name, queues := range s.orders.table {
		for id, info := range queues {
			if at := free(info); at > 0 {
				s.waking[keyOf(name, id)] = at
			}
		}
	}
	if err := s.Note(); err != nil {
		if !vfs.NoSpace(err) {
			return err
		}
		s.cfg.Logger.Error("what is popped could not be noted; the log is read again at the next start", "error", err)
	}
	return nil
}

// poppedBefore tells whether the store has revive records without a note of ours.
func (s *Service) poppedBefore() bool {
	for id := range s.cfg.ReviveQueues {
		if q := s.cfg.Log.LookupQueue(s.revive, int32(id)); q != nil && q.Max() > 0 {
			return true
		}
	}
	return s.cfg.Log.LookupQueue(timerTopic, 0) != nil
}

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
		if r.PreparedOffset > 0 {
			w.s.open.revived(r.PreparedOffset)
		}
		return nil
	}
	if r.PreparedOffset != 0 { // made out of one that was read, or noted
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
		if to, err := strconv.ParseInt(string(v), 10, 64); err == nil && w.had(&p, to-1, r.PhysicalOffset) {
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

// had tells whether the queue of a checkpoint had the offset before the
// checkpoint was stored: it may be that of another topic of the name since.
func (w *walk) had(p *body.PopCheckPoint, offset, at int64) bool {
	q := w.s.cfg.Log.LookupQueue(p.Topic, p.QueueID)
	if q == nil {
		return false
	}
	e, err := w.s.cfg.Log.Entries(nil, q, offset, 1)
	return err == nil && len(e) == 1 && e[0].PhysicalOffset < at
}

// order reads a pop in order, unless the note has it or a later one.
func (w *walk) order(r *message.Record, p *body.PopCheckPoint) {
	s := w.s
	if info := s.orders.get(p.Topic, p.Group, p.QueueID); len(p.QueueOffsetDiff) == 0 || info != nil && info.PopTime >= p.PopTime {
		return
	}
	offsets := make([]int64, len(p.QueueOffsetDiff))
	for i, d := range p.QueueOffsetDiff {
		offsets[i] = p.StartOffset + int64(d)
	}
	attempt, _ := r.Property(propertyAttempt)
	s.orders.put(p.Topic, p.Group, p.QueueID, string(attempt), p.PopTime, p.InvisibleTime, p.PopTime, offsets)
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
	if c, mask := s.open.begin(key{a.Topic, a.Group, a.QueueID, a.StartOffset, a.PopTime}, offsets...); c != nil {
		s.open.settle(c, mask, true)
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
