// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"errors"
	"net/netip"

	"github.com/twostage/twostage/internal/broker/txn/pending"
	"github.com/twostage/twostage/internal/broker/txn/state"
	"github.com/twostage/twostage/internal/broker/txn/story"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/message"
)

// Outcome is how a transaction ends.
type Outcome = pending.Outcome

// The outcomes that a producer can ask for, and that of what nobody decided.
const (
	Commit   = pending.Commit
	Rollback = pending.Rollback
	Discard  = pending.Discard
)

// End is a decision about one half message (END_TRANSACTION).
type End struct {
	Group       string
	QueueOffset int64 // of the half message
	Physical    int64 // of the half message
	Outcome     Outcome
	FromCheck   bool
	Who         netip.AddrPort // the producer
	Operator    string         // whoever decides in its place; "": nobody does
}

// Ends gathers decisions, so that one append carries those that came together.
// One goroutine uses it at a time, over and over: its memory is kept.
type Ends struct {
	batch store.Batch
	list  []ending
	alone bool           // tried again, one by one
	op    message.Record // scratch
}

// ending is one decision of an Ends.
type ending struct {
	d       *pending.Decision
	from    End
	done    func(code int32, remark string)
	ops     int    // index of its first op record in the batch
	came    string // the topic of the first record; "": that is an op record
	size    int    // of that record, bytes
	stored  bool   // the outcome's own record is in the log already
	at      int64  // when it was asked for, if that is told in the story, wall clock
	why     string // of a discard
	untaken *error // when set, gets the error of the append
}

// gatherBytes is how much an Ends holds before it is carried out.
const gatherBytes = 256 << 10

// End carries out one decision. done is called once: with success when the
// outcome is durable as transactionFlushDiskType says (also if it was before),
// else with the code and remark of the refusal.
func (s *Service) End(e End, done func(code int32, remark string)) {
	var b Ends
	s.Gather(&b, e, done)
	s.Carry(&b)
}

// Gather begins to carry out a decision; Carry does the rest. done is as for End,
// and may be called before Gather returns.
func (s *Service) Gather(b *Ends, e End, done func(code int32, remark string)) {
	s.mu.Lock()
	d, err := s.table.Decide(e.QueueOffset, e.Physical, e.Group, e.Outcome)
	if errors.Is(err, pending.ErrBusy) {
		doubt := s.doubts[d]
		if doubt == "" {
			s.waiters[d] = append(s.waiters[d], done)
		}
		s.mu.Unlock()
		if doubt != "" {
			done(wire.ServiceNotAvailable, doubt)
		}
		return
	}
	s.mu.Unlock()
	switch {
	case errors.Is(err, pending.ErrUnknown):
		s.again(b, e, done)
	case errors.Is(err, pending.ErrMismatch):
		s.refuse(e, done, wire.SystemError, "the half message does not fit the request: "+err.Error())
	case err != nil:
		s.refuse(e, done, wire.IllegalOperation, err.Error())
	default:
		s.gather(b, ending{d: d, from: e, done: done})
	}
}

// Unknown is a producer's answer to a check that it does not know yet: the story
// tells of it, nothing else comes of it.
func (s *Service) Unknown(e End) {
	s.mu.Lock()
	i, ok := s.table.Get(e.QueueOffset)
	s.mu.Unlock()
	if ok && e.FromCheck && i.Physical == e.Physical && i.Group == e.Group {
		s.tell(story.Event{Half: e.QueueOffset, Kind: story.Answered, Who: e.who()})
	}
}

// refuse answers a decision that is not carried out, counts it and puts it into
// the story.
func (s *Service) refuse(e End, done func(int32, string), code int32, remark string) {
	s.counts.refused.Add(1)
	s.cfg.Logger.Warn("a transaction's outcome was refused", "group", e.Group, "queueOffset", e.QueueOffset, "asked", e.Outcome.String(),
		"fromCheck", e.FromCheck, "who", e.who(), "why", remark)
	s.tell(story.Event{Half: e.QueueOffset, Kind: story.Refused, Outcome: uint8(e.Outcome), Who: e.who(), Note: remark})
	done(code, remark)
}

func (e End) who() string {
	if e.Operator != "" || !e.Who.IsValid() {
		return e.Operator
	}
	return e.Who.String()
}

// tell adds to the story, as of now if e does not say when.
func (s *Service) tell(e story.Event) {
	if e.At == 0 {
		e.At = s.cfg.NowMillis()
	}
	s.story.Append(e)
}

// gather puts the records of an outcome into b.
func (s *Service) gather(b *Ends, e ending) {
	if s.brokenGather(&e) {
		return
	}
	if e.told() {
		e.at = s.cfg.NowMillis()
	}
	n := b.batch.Len()
	if err := s.addOutcome(b, &e); err != nil {
		b.batch.Truncate(n)
		s.unstored([]ending{e}, err)
		return
	}
	if b.list = append(b.list, e); b.batch.Size() > gatherBytes {
		s.Carry(b)
	}
}

// Carry appends what b has gathered, with one write, and settles it when it is
// durable.
func (s *Service) Carry(b *Ends) {
	if len(b.list) == 0 {
		return
	}
	list := b.list
	b.list = nil
	// Vital: a decision that is refused while the disk counts as full would be asked
	// for until its checks are used up.
	b.batch.Atomic, b.batch.Durable, b.batch.Vital = true, s.cfg.Sync, true
	err := s.appendOutcomes(&b.batch, list)
	if !b.alone && (errors.Is(err, store.ErrTooLarge) || errors.Is(err, store.ErrDeleted)) {
		// Together they do not fit into one file, or a topic was deleted just now.
		b.batch.Reset()
		for _, e := range list {
			one := Ends{alone: true}
			s.gather(&one, e)
			s.Carry(&one)
		}
		return
	}
	var end int64
	if n := b.batch.Len(); err == nil && n > 0 {
		last := b.batch.Result(n - 1)
		end = last.PhysicalOffset + int64(last.Size)
	}
	b.batch.Reset()
	switch {
	case err != nil:
		for i := range list {
			if e := &list[i]; e.untaken != nil {
				*e.untaken = err
			}
		}
		s.unstored(list, err)
	case !s.cfg.Sync:
		s.settled(list)
	default:
		s.cfg.Log.WhenFlushed(end, func(err error) {
			if err != nil {
				s.doubt(list, err)
				return
			}
			s.settled(list)
		})
	}
}

// appendOutcomes stores the batch and notes the words of its half messages.
func (s *Service) appendOutcomes(b *store.Batch, list []ending) error {
	s.order.RLock()
	defer s.order.RUnlock()
	if err := s.cfg.Log.Append(b); err != nil {
		return err
	}
	if broken("lost-op") {
		return nil
	}
	for i := range list {
		e := &list[i]
		for j, off := range e.d.All {
			s.states.Set(off, state.Word{Kind: kindOf(e.d.Outcome), Op: b.Result(e.ops + j).PhysicalOffset})
		}
	}
	return nil
}

func kindOf(o Outcome) state.Kind {
	switch o {
	case Commit:
		return state.Committed
	case Rollback:
		return state.RolledBack
	case Discard:
		return state.Discarded
	}
	return state.Undecided
}

// unstored makes what could not be stored undecided again.
func (s *Service) unstored(list []ending, err error) {
	for i := range list {
		e := &list[i]
		h := &e.d.Half
		s.cfg.Logger.Error("a transaction's outcome could not be stored", "group", h.Group, "queueOffset", h.QueueOffset, "outcome", e.d.Outcome.String(), "error", err)
		s.mu.Lock()
		s.table.Settle(e.d, false, s.mono())
		waiters := s.takeWaiters(e.d)
		s.mu.Unlock()
		e.answer(waiters, wire.ServiceNotAvailable, "the outcome could not be stored: "+err.Error())
	}
	s.poke() // they are due again
}

// doubt leaves transactions as they are: their records may or may not be on disk,
// so nothing else may be decided until a recovery has looked.
func (s *Service) doubt(list []ending, err error) {
	remark := "the outcome may not be on disk: " + err.Error()
	for i := range list {
		e := &list[i]
		s.mu.Lock()
		s.doubts[e.d] = remark
		waiters := s.takeWaiters(e.d)
		s.mu.Unlock()
		s.cfg.Logger.Error("nobody knows whether a transaction's outcome is on disk", "group", e.d.Half.Group, "queueOffset", e.d.Half.QueueOffset, "outcome", e.d.Outcome.String(), "error", err)
		e.answer(waiters, wire.ServiceNotAvailable, remark)
	}
}

// settled ends decisions whose records are in the log for good.
func (s *Service) settled(list []ending) {
	now := s.mono()
	var waiters [][]func(int32, string)
	s.mu.Lock()
	for i := range list {
		d := list[i].d
		s.table.Settle(d, true, now)
		if w := s.takeWaiters(d); w != nil {
			if waiters == nil {
				waiters = make([][]func(int32, string), len(list))
			}
			waiters[i] = w
		}
	}
	s.mu.Unlock()
	for i := range list {
		e := &list[i]
		s.count(e, now)
		if e.came != "" && s.cfg.Came != nil {
			s.cfg.Came(e.came, 1, e.size)
		}
		if e.told() {
			kind := story.Answered
			if e.from.Operator != "" {
				kind = story.Operated
			}
			if e.d.Outcome == Discard {
				kind = story.Discarded
			}
			s.tell(story.Event{Half: e.d.Half.QueueOffset, At: e.at, Kind: kind, Outcome: uint8(e.d.Outcome), Who: e.from.who(), Note: e.why})
		}
		var w []func(int32, string)
		if waiters != nil {
			w = waiters[i]
		}
		e.answer(w, wire.Success, "")
		s.brokenSettled(e)
	}
}

// told tells whether the story has an event of its own for a decision: the plain
// ones, which are most, stand in the log.
func (e *ending) told() bool {
	return e.from.FromCheck || e.from.Operator != "" || e.d.Outcome == Discard
}

// takeWaiters gives those that asked for the same outcome meanwhile; s.mu is
// held.
func (s *Service) takeWaiters(d *pending.Decision) []func(int32, string) {
	if len(s.waiters) == 0 {
		return nil
	}
	w := s.waiters[d]
	delete(s.waiters, d)
	return w
}

func (e *ending) answer(waiters []func(int32, string), code int32, remark string) {
	if e.done != nil {
		e.done(code, remark)
	}
	for _, w := range waiters {
		w(code, remark)
	}
}

// discard parks a transaction that nobody decided about; nil: somebody has.
func (s *Service) discard(d *pending.Decision, why string) {
	if d == nil {
		return
	}
	if err := s.cfg.Topic(message.TopicCheckMax); err != nil {
		s.cfg.Logger.Error("the topic of discarded transactions can't be made, so nobody can consume it", "topic", message.TopicCheckMax, "error", err)
	}
	i := d.Half
	var b Ends
	s.gather(&b, ending{d: d, why: why, done: func(code int32, remark string) {
		if code != wire.Success {
			s.cfg.Logger.Error("a transaction could not be discarded", "topic", i.Topic, "group", i.Group, "queueOffset", i.QueueOffset, "because", why, "why", remark)
			return
		}
		s.cfg.Logger.Error("a transaction was discarded", "topic", i.Topic, "group", i.Group, "queueOffset", i.QueueOffset, "because", why, "checks", i.Checks, "to", message.TopicCheckMax)
	}})
	s.Carry(&b)
}

// DiscardBelow parks every undecided transaction with a half message below a log
// offset: retention is about to delete those records, and a message that nobody
// decided about is not to vanish unseen. The caller makes the log durable, asks
// Below whether anything is left, and deletes if not.
func (s *Service) DiscardBelow(physical int64) {
	s.mu.Lock()
	var list []*pending.Decision
	for _, off := range s.table.Below(physical) {
		if i, ok := s.table.Get(off); ok {
			if d, err := s.table.Decide(off, i.Physical, i.Group, Discard); err == nil {
				list = append(list, d)
			}
		}
	}
	s.mu.Unlock()
	for _, d := range list {
		s.discard(d, "its half message is about to be deleted with the log file that it is in")
	}
}

// Below is how many half messages below a log offset are undecided or being
// decided.
func (s *Service) Below(physical int64) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.table.Below(physical))
}
