// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pop

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire/body"
)

// maxUnnoted is how many bytes of log may follow a note without news before it is
// written again, so that Open never has to read much.
const maxUnnoted = 256 << 20

// Note writes down what is in flight, durably, after the log and the consumers'
// offsets that belong to it. Run does it every Config.NoteInterval and Close at the
// end.
func (s *Service) Note() error {
	s.noting.Lock()
	defer s.noting.Unlock()
	end, open, orders, offsets := s.moment()
	err := s.cfg.Log.Flush(end)
	if err == nil {
		s.commit(offsets)
		err = s.cfg.Offsets.Flush()
	}
	if err == nil {
		err = vfs.ReplaceFile(s.cfg.FS, s.orderPath(), body.MarshalConfig(&body.ConsumerOrderInfo{Table: orders}))
	}
	if err == nil {
		slices.SortFunc(open, func(a, b noted) int { return cmp.Compare(a.at, b.at) })
		n := body.PopNote{LogOffset: end, Open: make([]body.OpenPop, len(open))}
		for i, c := range open {
			n.Open[i] = body.OpenPop{At: c.at, Revive: c.revive, Point: c.point(s.cfg.Broker, c.done)}
		}
		err = vfs.ReplaceFile(s.cfg.FS, s.notePath(), body.MarshalConfig(&n))
	}
	if err != nil {
		s.mu.Lock()
		s.dirty = true
		s.mu.Unlock()
		return fmt.Errorf("what is popped: %w", err)
	}
	s.noted.Store(end)
	return nil
}

// moment is an end of the log, and what the tables are there.
func (s *Service) moment() (end int64, open []noted, orders map[string]map[int32]*body.OrderInfo, offsets map[queueKey]waiting) {
	s.gate.Lock()
	defer s.gate.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dirty = false
	s.orders.forget(func(topic, group string) bool { return s.there(queueKey{group: group, topic: topic}) })
	offsets = make(map[queueKey]waiting, len(s.pending))
	for k, p := range s.pending {
		offsets[k] = waiting{p, p.next}
	}
	return s.cfg.Log.MaxPhysical(), s.open.snapshot(), s.orders.snapshot(), offsets
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
	s.dropStale()
	for name, queues := range s.orders.table {
		for id, info := range queues {
			s.waking.set(keyOf(name, id), free(info))
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

// dropStale drops what is noted of topics that were deleted since, if others are
// there under their names.
func (s *Service) dropStale() {
	for name, queues := range s.orders.table {
		for id, info := range queues {
			k := keyOf(name, id)
			if info.At > 0 && !s.had(k.topic, k.queue, offsetAt(info, len(info.Offsets)-1), info.At) { // 0: Java's
				s.orders.clear(k.topic, k.group, k.queue)
			}
		}
	}
	for _, c := range s.open.snapshot() {
		if !s.had(c.topic, c.queue, c.start+int64(c.diffs[len(c.diffs)-1]), c.at) {
			s.open.drop(c.checkpoint)
			s.cfg.Logger.Warn("popped messages that nobody acked are not given again: their topic was deleted, or they are gone", "topic", c.topic, "group", c.group, "queue", c.queue, "offset", c.start)
		}
	}
}
