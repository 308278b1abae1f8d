// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"errors"
	"fmt"

	"github.com/twostage/twostage/internal/broker/txn/pending"
	"github.com/twostage/twostage/internal/broker/txn/state"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/message"
)

// A power cut can leave any part of the write that carries an outcome:
//
//	committed record  op record   what the next start does
//	    or parked copy
//	      there         there     nothing
//	      there         lost      mend writes the op record
//	      lost          there     redo carries the outcome out again, from the half message
//	      lost          lost      the transaction is undecided
//
// Of several op records some may be there: complete writes the others.

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

// Repair completes outcomes of which a power cut left one half. It is called
// between Open and Run, also with an empty list. After an error (no space, say)
// nothing may be decided: Close the service and begin with Open again, and with a
// list that is not shorter (store.ReplayDone).
func (s *Service) Repair(list []Replayed) error {
	err := s.mend(list)
	if err == nil {
		// Only then: of what was carried out again by a start that a power cut has ended,
		// the new record may be there beside the old op message.
		err = s.redo(s.lost)
	}
	if err != nil {
		s.torn = true
		return fmt.Errorf("transactions: %w", err)
	}
	s.lost = nil
	return nil
}

// mend completes outcomes of which only the first record is there: the half message
// that one of them names, if it is undecided, gets its op message.
//
// An offset alone names nothing: delayed messages that were delivered, and
// retries, keep the commit bit of what they were copied from, but not the offset.
// So group and UNIQ_KEY must be the half message's own, and a record without a
// key repairs nothing at offset 0, which is what such copies have.
func (s *Service) mend(list []Replayed) error {
	if len(list) == 0 || broken("lost-op") {
		return nil
	}
	at := map[int64]pending.Info{}
	s.mu.Lock()
	s.table.Range(0, func(i pending.Info) bool { at[i.Physical] = i; return true })
	s.mu.Unlock()
	for _, r := range list {
		if len(at) == 0 {
			return nil
		}
		i, ok := at[r.Half]
		o, err := pending.None, error(nil)
		switch {
		case !ok:
			i, o, err = s.sibling(r)
		case r.Physical > i.Physical:
			o, err = s.outcomeIn(&i, r.Physical)
		}
		if errors.Is(err, errDamaged) || errors.Is(err, ErrGone) {
			s.cfg.Logger.Error("a record that seems to be a transaction's outcome can't be read", "at", r.Physical, "halfAt", r.Half, "error", err)
			continue
		}
		if err != nil {
			return err
		}
		if o != pending.None {
			if err := s.finish(i, o, true, "an outcome was cut short; its op message is written now"); err != nil {
				return err
			}
		}
	}
	return nil
}

// sibling finds the undecided half message that an outcome is for when the one that
// it names is lost: under ASYNC_FLUSH a power cut may leave what was written later,
// and others of the same transaction. Without one the outcome is None.
func (s *Service) sibling(r Replayed) (i pending.Info, o Outcome, err error) {
	if r.Half <= 0 {
		return i, o, nil // a copy of a committed message
	}
	if err := s.withRecord(r.Half, func(*message.Record) error { return nil }); !errors.Is(err, errDamaged) {
		return i, o, err // nil: it is there, and was decided long since
	}
	var group, key string
	err = s.withRecord(r.Physical, func(rec *message.Record) error {
		group, key, o = text(rec, message.PropertyProducerGroup), text(rec, message.PropertyUniqueKey), Commit
		if string(rec.Topic) == message.TopicCheckMax {
			o = Discard
		}
		return nil
	})
	if err != nil || key == "" {
		return i, pending.None, err
	}
	found := false
	err = s.byKey(message.TopicHalf, key, func(rec *message.Record) {
		if rec.PhysicalOffset > r.Physical || text(rec, message.PropertyProducerGroup) != group {
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if x, ok := s.table.Get(rec.QueueOffset); ok {
			i, found = x, true
		}
	})
	if !found {
		o = pending.None
	}
	return i, o, err
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
func (s *Service) redo(lost []opRecord) error {
	for _, o := range lost {
		s.mu.Lock()
		i, ok := s.table.Get(o.half)
		s.mu.Unlock()
		if !ok { // with another half message of the same transaction
			continue
		}
		err := s.finish(i, o.outcome(), false, fmt.Sprintf("the op message at %d has lost its outcome; it is stored again", o.physical))
		if err != nil {
			return err
		}
	}
	return nil
}

// shortOf is a half message whose transaction has an op record of another one.
type shortOf struct {
	half pending.Half
	op   opRecord
}

// complete writes op records that a power cut has taken from the end of a write,
// so that every half message of the transaction has one. A Java broker writes none
// for the copies that it makes, and needs none.
func (s *Service) complete(list []shortOf) error {
	for _, x := range list {
		if x.op.kind() == state.Decided || broken("lost-op") {
			continue
		}
		x.half.Key = "" // a younger transaction may have the key
		s.mu.Lock()
		s.table.Add(x.half)
		i, _ := s.table.Get(x.half.QueueOffset)
		s.mu.Unlock()
		err := s.finish(i, x.op.outcome(), true, fmt.Sprintf("the op message at %d is one of several, and this half message has none; it is written now", x.op.physical))
		if err != nil {
			return err
		}
	}
	return nil
}

// finish carries out an outcome that a power cut has torn. An error says that the
// log did not take it: its other half is there, so nothing else may be decided. A
// half message that can't be read is logged, and left undecided.
func (s *Service) finish(i pending.Info, o Outcome, stored bool, what string) error {
	s.mu.Lock()
	d, err := s.table.Decide(i.QueueOffset, i.Physical, i.Group, o)
	s.mu.Unlock()
	if err != nil { // settled with another record of the same transaction
		return nil
	}
	s.cfg.Logger.Warn(what, "queueOffset", i.QueueOffset, "halfAt", i.Physical, "outcome", o.String())
	// The new op record must not outlive the record that it stands for.
	if err := s.cfg.Log.Flush(s.cfg.Log.MaxPhysical()); err != nil {
		s.unstored([]ending{{d: d}}, err)
		return err
	}
	var b Ends
	s.gather(&b, ending{d: d, stored: stored, untaken: &err})
	s.Carry(&b)
	if err != nil && !errors.Is(err, store.ErrTooLarge) { // which it stays, and is logged
		return fmt.Errorf("the outcome of the half message at queue offset %d, which a power cut has torn, can't be completed: %w", i.QueueOffset, err)
	}
	return nil
}
