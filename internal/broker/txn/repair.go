// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"fmt"

	"github.com/twostage/twostage/internal/broker/txn/pending"
	"github.com/twostage/twostage/internal/broker/txn/state"
	"github.com/twostage/twostage/message"
)

// A power cut can leave any part of the write that carries an outcome:
//
//	committed record  op record   what the next start does
//	    or parked copy
//	      there         there     nothing
//	      there         lost      Repair writes the op record
//	      lost          there     redo carries the outcome out again, from the half message
//	      lost          lost      the transaction is undecided

// Replayed is an outcome's own record that the recovery of the store has read
// again.
type Replayed struct {
	Half     int64 // log offset of the half message that it names
	Physical int64 // its own
}

// Outcomes tells of a record whether Repair wants to know of it.
func Outcomes(rec *message.Record) (r Replayed, ok bool) {
	if rec.SysFlag.Transaction() != message.TransactionCommit && string(rec.Topic) != message.TopicCheckMax {
		return r, false
	}
	return Replayed{Half: rec.PreparedOffset, Physical: rec.PhysicalOffset}, true
}

// Repair completes outcomes of which a power cut left only the first record: the
// half message that one of them names, if it is undecided, gets its op message. It
// is called between Open and Run.
//
// An offset alone names nothing: delayed messages that were delivered, and
// retries, keep the commit bit of what they were copied from, but not the offset.
// So group and UNIQ_KEY must be the half message's own, and a record without a
// key repairs nothing at offset 0, which is what such copies have.
func (s *Service) Repair(list []Replayed) {
	if len(list) == 0 || broken("lost-op") {
		return
	}
	at := map[int64]pending.Info{}
	s.mu.Lock()
	s.table.Range(0, func(i pending.Info) bool { at[i.Physical] = i; return true })
	s.mu.Unlock()
	for _, r := range list {
		i, ok := at[r.Half]
		if !ok || r.Physical <= i.Physical {
			continue
		}
		o, err := s.outcomeIn(&i, r.Physical)
		if err != nil {
			s.cfg.Logger.Error("a record that seems to be a transaction's outcome can't be read", "at", r.Physical, "halfAt", i.Physical, "error", err)
			continue
		}
		if o != pending.None {
			s.finish(i, o, true, "an outcome was cut short; its op message is written now")
		}
	}
}

// outcomeIn is the outcome of a half message that the record at an offset is;
// None: it is nothing of the kind.
func (s *Service) outcomeIn(i *pending.Info, physical int64) (o Outcome, err error) {
	h, err := s.halfAt(i.QueueOffset)
	if err != nil {
		return pending.None, err
	}
	err = s.withRecord(physical, func(rec *message.Record) error {
		group, key := text(rec, message.PropertyProducerGroup), text(rec, message.PropertyUniqueKey)
		switch {
		case h.group != group || h.key != key || key == "" && rec.PreparedOffset == 0 || rec.PreparedOffset != h.physical:
		case string(rec.Topic) == message.TopicCheckMax:
			o = Discard
		case rec.SysFlag.Transaction() == message.TransactionCommit:
			o = Commit
		}
		return nil
	})
	return o, err
}

// redo carries outcomes out again of which only the op record is there.
func (s *Service) redo(lost []opRecord) {
	for _, o := range lost {
		s.mu.Lock()
		i, ok := s.table.Get(o.half)
		s.mu.Unlock()
		if !ok { // with another half message of the same transaction
			continue
		}
		outcome := Commit
		if o.kind() == state.Discarded {
			outcome = Discard
		}
		s.finish(i, outcome, false, fmt.Sprintf("the op message at %d has lost its outcome; it is stored again", o.physical))
	}
}

// finish carries out an outcome that a power cut has torn.
func (s *Service) finish(i pending.Info, o Outcome, stored bool, what string) {
	s.mu.Lock()
	d, err := s.table.Decide(i.QueueOffset, i.Physical, i.Group, o)
	s.mu.Unlock()
	if err != nil { // settled with another record of the same transaction
		return
	}
	s.cfg.Logger.Warn(what, "queueOffset", i.QueueOffset, "halfAt", i.Physical, "outcome", o.String())
	// The new op record must not outlive the record that it stands for.
	if err := s.cfg.Log.Flush(s.cfg.Log.MaxPhysical()); err != nil {
		s.unstored([]ending{{d: d}}, err)
		return
	}
	var b Ends
	s.gather(&b, ending{d: d, stored: stored})
	s.Carry(&b)
}
