// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/twostage/twostage/internal/broker/txn/pending"
	"github.com/twostage/twostage/internal/broker/txn/state"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
)

// Why a half message is not what a request takes it for.
var (
	// ErrNoHalf: there is no half message there, and was none.
	ErrNoHalf = body.ErrNoHalf
	// ErrGone: the half message is no longer in the log.
	ErrGone = errors.New("decided or expired")
	// ErrMismatch: the half message is another one than the request says.
	ErrMismatch = pending.ErrMismatch
	// ErrDecided: the transaction has another outcome.
	ErrDecided = body.ErrDecided
)

// stored is a half message as its record says.
type stored struct {
	queueOffset, physical int64
	group, key, topic     string
	queue                 int32
	at                    int64          // store timestamp
	born                  int64          // by the producer's clock
	host                  netip.AddrPort // where it was born
	broker                netip.AddrPort // that stored it
	resumes               int64          // queue offset of the half message that it stands for; -1: none
}

// halfAt reads the half message at a queue offset. ErrNoHalf, ErrGone, or why it
// can't be read.
func (s *Service) halfAt(off int64) (h stored, err error) {
	if off >= s.half.Max() { // it may be on its way to its queue
		if err := s.cfg.Log.WaitDispatched(s.cfg.Log.MaxPhysical()); err != nil {
			return h, err
		}
	}
	switch {
	case off < 0 || off >= s.half.Max():
		return h, fmt.Errorf("%w: nothing is at offset %d of the half queue, which holds %d to %d", ErrNoHalf, off, s.half.Min(), s.half.Max()-1)
	case off < s.half.Min():
		return h, fmt.Errorf("%w: the half message at queue offset %d is no longer in the log", ErrGone, off)
	}
	entries, err := s.cfg.Log.Entries(nil, s.half, off, 1)
	if err != nil {
		return h, fmt.Errorf("half message at queue offset %d: %w", off, err)
	}
	if len(entries) == 0 || entries[0].Size == 0 {
		return h, fmt.Errorf("%w: the half message at queue offset %d is lost", ErrGone, off)
	}
	h.queueOffset, h.physical = off, entries[0].PhysicalOffset
	err = s.withHalf(off, h.physical, func(rec *message.Record) error {
		h.group, h.key = text(rec, message.PropertyProducerGroup), text(rec, message.PropertyUniqueKey)
		h.at, h.born, h.host, h.broker, h.resumes = rec.StoreTimestamp, rec.BornTimestamp, rec.BornHost, rec.StoreHost, resumes(rec)
		var err error
		h.topic, h.queue, err = realQueue(rec)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		err = fmt.Errorf("%w: the half message at queue offset %d is no longer in the log", ErrGone, off)
	}
	return h, err
}

// resumes reads which half message a half message stands for, -1: none.
func resumes(rec *message.Record) int64 {
	if v, ok := rec.Property(message.PropertyPreparedQueueOffset); ok {
		if n, err := strconv.ParseInt(string(v), 10, 64); err == nil && n >= 0 && n < rec.QueueOffset {
			return n
		}
	}
	return -1
}

func text(rec *message.Record, name string) string {
	v, _ := rec.Property(name)
	return string(v)
}

// fate is what became of a half message that is not pending.
type fate struct {
	kind      state.Kind // Undecided: nobody knows any more
	at        int64      // wall clock, ms; 0: not known
	committed int64      // log offset of the committed record or the parked copy; -1: not known
	next      int64      // Resumed: the half message that stands for it, resumed or a Java broker's copy
}

// fateOf finds out what became of a half message that is not pending: from its
// word, or, where a broker decided that did not say how, from the message that a
// commit has left; or which copy a Java broker has made of it.
func (s *Service) fateOf(h *stored) (fate, error) {
	w, err := s.states.Get(h.queueOffset)
	if err != nil {
		return fate{}, err
	}
	f := fate{kind: w.Kind, committed: -1, next: w.Next}
	switch w.Kind {
	case state.Committed, state.RolledBack, state.Discarded:
		err := s.withRecord(w.Op, func(op *message.Record) error {
			f.at = op.StoreTimestamp
			if d := int64(op.Flag >> flagDistance); d > 0 && op.Flag&flagKind == int32(w.Kind) {
				f.committed = w.Op - d
			}
			return nil
		})
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return fate{}, err
		}
		return f, nil
	case state.Resumed:
		return f, nil
	}
	f.kind = state.Undecided
	if err := s.search(h, &f); err != nil || f.kind != state.Undecided || w.Kind != state.Undecided || h.key == "" {
		return f, err
	}
	// A Java broker that checked it has moved on to a copy.
	err = s.byKey(message.TopicHalf, h.key, func(rec *message.Record) {
		_, checked := rec.Property(message.PropertyTransactionCheckTimes)
		if checked && rec.QueueOffset > h.queueOffset && rec.BornTimestamp == h.born && rec.BornHost == h.host && text(rec, message.PropertyProducerGroup) == h.group {
			f.kind, f.next = state.Resumed, rec.QueueOffset
		}
	})
	return f, err
}

// searchMost bounds how many records of one UNIQ_KEY are looked at.
const searchMost = 64

// search looks for what became of a half message whose word is lost: for what a
// commit or a discard has left, by its UNIQ_KEY in the index of its topic, of those
// in which a committed message waits, and of the parked ones. What is delivered
// after a wait names the record that waited. A discarded one may have been resumed
// since.
func (s *Service) search(h *stored, f *fate) error {
	if h.key == "" {
		return nil
	}
	for _, place := range []struct {
		topic string
		flag  message.SysFlag
		kind  state.Kind
	}{
		{h.topic, message.TransactionCommit, state.Committed},
		{message.TopicSchedule, message.TransactionCommit, state.Committed},
		{message.TopicTimer, message.TransactionCommit, state.Committed},
		{message.TopicCheckMax, message.TransactionNone, state.Discarded},
	} {
		err := s.byKey(place.topic, h.key, func(rec *message.Record) {
			if rec.SysFlag.Transaction() == place.flag && text(rec, message.PropertyProducerGroup) == h.group && rec.PhysicalOffset > h.physical && s.comesFrom(rec, h) {
				f.kind, f.at, f.committed = place.kind, rec.StoreTimestamp, rec.PhysicalOffset
			}
		})
		if err != nil {
			return err
		}
		if f.kind != state.Undecided {
			break
		}
	}
	if f.kind != state.Discarded {
		return nil
	}
	return s.byKey(message.TopicHalf, h.key, func(rec *message.Record) {
		if f.kind == state.Discarded && rec.QueueOffset > h.queueOffset && resumes(rec) >= 0 && text(rec, message.PropertyProducerGroup) == h.group {
			f.kind, f.next = state.Resumed, rec.QueueOffset
		}
	})
}

// comesFrom tells whether an outcome's own record, with the half message's group
// and key, is that of this half message: it names it, or a copy that a Java broker
// made of it, or, as a copy that RocketMQ has parked, none. A half message that was
// sent with the same key later is another transaction.
func (s *Service) comesFrom(rec *message.Record, h *stored) bool {
	if rec.PreparedOffset == h.physical || rec.PreparedOffset == 0 && string(rec.Topic) == message.TopicCheckMax {
		return true
	}
	copied := false
	err := s.withRecord(rec.PreparedOffset, func(half *message.Record) error {
		_, checked := half.Property(message.PropertyTransactionCheckTimes)
		copied = string(half.Topic) == message.TopicHalf && (checked || resumes(half) >= 0) &&
			text(half, message.PropertyProducerGroup) == h.group && text(half, message.PropertyUniqueKey) == h.key
		return nil
	})
	return err == nil && copied
}

// byKey calls fn for the records of a topic with a UNIQ_KEY, in log order. It reads
// them by their offsets: what a query gives is mapped, and faults when the disk
// does.
func (s *Service) byKey(topic, key string, fn func(*message.Record)) error {
	res, err := s.cfg.Log.Query(topic, key, searchMost, 0, 1<<62)
	if err != nil {
		return err
	}
	defer res.Release()
	for _, offset := range res.Offsets {
		err := s.withRecord(offset, func(rec *message.Record) error {
			if string(rec.Topic) == topic && text(rec, message.PropertyUniqueKey) == key {
				fn(rec)
			}
			return nil
		})
		if err != nil && !errors.Is(err, errDamaged) {
			return err
		}
	}
	return nil
}

// resumedMost bounds how often one transaction is followed through resumptions.
const resumedMost = 64

// again answers a decision about a half message that is not pending: the outcome
// that it has is a success that changes nothing, any other is refused. Who names
// a resumed half message by its old offset decides about the new one.
func (s *Service) again(b *Ends, e End, done func(int32, string)) {
	for range resumedMost {
		h, err := s.halfAt(e.QueueOffset)
		if err != nil {
			s.refuseError(e, done, err)
			return
		}
		if err := fits(&h, &e); err != nil {
			s.refuseError(e, done, err)
			return
		}
		f, err := s.fateOf(&h)
		switch {
		case err != nil:
			s.refuseError(e, done, err)
			return
		case f.kind == state.Resumed:
			next, err := s.halfAt(f.next)
			if err == nil && (next.group != h.group || next.key != h.key) {
				err = fmt.Errorf("%w: it does not stand for the one at queue offset %d", ErrMismatch, h.queueOffset)
			}
			if err != nil {
				s.refuseError(e, done, err)
				return
			}
			e.QueueOffset, e.Physical = next.queueOffset, next.physical
			s.mu.Lock()
			_, here := s.table.Get(f.next)
			s.mu.Unlock()
			if here {
				s.Gather(b, e, done)
				return
			}
			continue
		case s.brokenAgain(&h, &f, &e), f.kind == kindOf(e.Outcome) && f.kind != state.Discarded:
			done(wire.Success, "")
			return
		}
		s.refuse(e, done, wire.IllegalOperation, f.refusal())
		return
	}
	s.refuse(e, done, wire.SystemError, "the transaction was resumed too often to be followed")
}

// fits compares what a request says of a half message with its record.
func fits(h *stored, e *End) error {
	switch {
	case h.physical != e.Physical:
		return fmt.Errorf("%w: the one at queue offset %d is stored at commit log offset %d, the request says %d", ErrMismatch, h.queueOffset, h.physical, e.Physical)
	case h.group != e.Group:
		return fmt.Errorf("%w: the one at queue offset %d belongs to producer group %q, the request says %q", ErrMismatch, h.queueOffset, h.group, e.Group)
	}
	return nil
}

func (s *Service) refuseError(e End, done func(int32, string), err error) {
	switch {
	case errors.Is(err, ErrMismatch):
		s.refuse(e, done, wire.SystemError, "the half message does not fit the request: "+err.Error())
	case errors.Is(err, ErrGone):
		s.refuse(e, done, wire.IllegalOperation, err.Error())
	default:
		s.refuse(e, done, wire.SystemError, err.Error())
	}
}

// refusal says why no other outcome is taken.
func (f *fate) refusal() string {
	when := ""
	if f.at > 0 {
		when = " at " + time.UnixMilli(f.at).UTC().Format("2006-01-02T15:04:05.000Z07:00")
	}
	switch f.kind {
	case state.Committed:
		return "the transaction was committed" + when
	case state.RolledBack:
		return "the transaction was rolled back" + when
	case state.Discarded:
		return "the transaction was discarded" + when + ": nobody had decided about it; it can be resumed (twostage tx resume, or request 323)"
	}
	return "decided or expired: the transaction ended before, and this broker was not told how"
}
