// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"sort"

	"github.com/twostage/twostage/internal/broker/txn/state"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/message"
)

// noted is how far everything is: what was taken down becomes valid once the log
// is on disk up to end.
type noted struct {
	mark    state.Mark
	javaOp  int64 // the op queue's consumer offset that goes with mark.Half
	end     int64 // log offset; 0: nothing was taken down
	rounds  int   // since the last commit of the state file
	wrote   state.Mark
	wroteOp int64

	wroteHalf int64
	failed    bool // and it was reported
}

// commitRounds is how many rounds of note lie between two commits of the state
// file, which sync it.
const commitRounds = 4

// note gives words and story to the operating system, and publishes the marks
// once everything that they stand on is on disk.
func (s *Service) note() {
	err := s.states.Write()
	if e := s.story.Write(); err == nil {
		err = e
	}
	if s.marks.rounds++; err == nil && s.marks.rounds >= commitRounds {
		if s.marks.end == 0 {
			s.capture()
		}
		if s.cfg.Log.Flushed() >= s.marks.end {
			s.marks.rounds = 0
			err = s.publish()
		}
	}
	if err != nil && !s.marks.failed {
		s.cfg.Logger.Error("the states of transactions can't be written: after a restart outcomes are read from the log again", "error", err)
	}
	s.marks.failed = err != nil
}

// capture takes down how far everything is.
func (s *Service) capture() {
	s.order.Lock()
	op := s.op.Max()
	s.order.Unlock()
	s.mu.Lock()
	half := s.table.Low()
	s.mu.Unlock()
	s.marks.mark = state.Mark{Half: half, Op: op, Proof: -1}
	s.marks.javaOp = s.firstOpFor(half, op)
	if op > s.op.Min() {
		if e, err := s.cfg.Log.Entries(nil, s.op, op-1, 1); err == nil && len(e) == 1 {
			s.marks.mark.Proof = e[0].PhysicalOffset
		}
	}
	s.marks.end = max(s.cfg.Log.MaxPhysical(), 1) // behind everything that the marks stand on
	s.marks.mark.Log = s.marks.end
}

// publish makes what was taken down valid.
func (s *Service) publish() error {
	m := s.marks.mark
	s.marks.end = 0
	if m.Half == s.marks.wrote.Half && m.Op == s.marks.wrote.Op && m.Half == s.marks.wroteHalf && s.marks.javaOp == s.marks.wroteOp {
		return nil // only the log has grown
	}
	if err := s.states.Commit(m); err != nil {
		return err
	}
	s.marks.wrote = m
	if err := s.states.DropBelow(s.half.Min()); err != nil {
		return err
	}
	if m.Half != s.marks.wroteHalf {
		s.cfg.Offsets.Commit(message.GroupTransCheck, message.TopicHalf, 0, m.Half)
		s.marks.wroteHalf = m.Half
	}
	if s.marks.javaOp != s.marks.wroteOp {
		s.cfg.Offsets.Commit(message.GroupTransCheck, message.TopicOpHalf, 0, s.marks.javaOp)
		s.marks.wroteOp = s.marks.javaOp
	}
	return nil
}

// firstOpFor is the first op message, below end, that can belong to the half
// message at a queue offset or a later one: it was stored after it.
func (s *Service) firstOpFor(half, end int64) int64 {
	low := s.op.Min()
	if end <= low {
		return end
	}
	h, err := s.entry(s.half, half)
	if err != nil { // nothing is pending
		return end
	}
	n := sort.Search(int(end-low), func(i int) bool {
		for off := low + int64(i); off < end; off++ {
			if e, err := s.entry(s.op, off); err != nil || e.Size > 0 { // the others stand for lost records
				return err != nil || e.PhysicalOffset > h.PhysicalOffset
			}
		}
		return true
	})
	return low + int64(n)
}

func (s *Service) entry(q *store.Queue, off int64) (store.Entry, error) {
	e, err := s.cfg.Log.Entries(nil, q, off, 1)
	if err != nil || len(e) == 0 {
		return store.Entry{}, store.ErrNotFound
	}
	return e[0], nil
}
