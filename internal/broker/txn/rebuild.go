// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/twostage/twostage/internal/broker/txn/pending"
	"github.com/twostage/twostage/internal/broker/txn/state"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/message"
)

// reading is what a start finds out.
type reading struct {
	half, op int64 // queue offsets from which half and op messages are read
	log      int64 // log offset from which an outcome has to be proven by the op records that are read

	decided map[int64]opRecord    // by half queue offset, those of the op records that are read
	chains  map[chainKey]opRecord // the op record that ended the last transaction of a group and key
	lost    []opRecord            // outcomes whose own record is not there
	short   []shortOf             // half messages whose op record is not there
}

type chainKey struct{ group, key string }

// opRecord is what one op message says about one half message.
type opRecord struct {
	half     int64 // queue offset
	physical int64 // of the op record
	flag     int32
	last     int64 // of ours: the last half message that the outcome is for, queue offset
}

// covers tells whether it ended a half message that has its group and key: a Java
// broker's those that were stored before it, ours those that were one transaction
// when it was decided. One that arrived then, and stands before the op record in the
// log, is the next transaction.
func (o opRecord) covers(h *pending.Half) bool {
	return o.physical > h.Physical && (o.kind() == state.Decided || h.QueueOffset <= o.last)
}

func (o opRecord) kind() state.Kind {
	switch k := state.Kind(o.flag & flagKind); k {
	case state.Committed, state.RolledBack, state.Discarded:
		return k
	}
	return state.Decided
}

// outcome is that of a record of our own.
func (o opRecord) outcome() Outcome {
	switch o.kind() {
	case state.Committed:
		return Commit
	case state.RolledBack:
		return Rollback
	case state.Discarded:
		return Discard
	}
	return pending.None
}

// rebuild finds what is undecided. The words of the state file are right below
// its mark; the op records from there on say the rest, and every half message
// from the low-water mark on that neither knows as decided is pending.
//
// An op message of a Java broker decides about its half message and about every
// copy that was stored before it: that broker writes none for the copies that it
// makes when it checks.
func (s *Service) rebuild() error {
	st, err := s.begin()
	if err != nil {
		return err
	}
	if err := s.readOps(st); err != nil {
		return err
	}
	s.table = pending.New(pending.Config{
		CheckMax: int32(s.cfg.Checks), Interval: s.cfg.Interval.Milliseconds(), MaxAge: s.cfg.MaxAge.Milliseconds(), Rate: s.cfg.Rate, Next: s.half.Max(),
	})
	n, err := s.readHalves(st)
	if err != nil {
		return err
	}
	s.table.Spare(s.mono() + s.cfg.Interval.Milliseconds()) // the answers to last checks may be on their way
	if n > 0 {
		s.cfg.Logger.Info("undecided transactions", "halfMessages", n)
	}
	s.lost = st.lost // see Repair
	if err := s.complete(st.short); err != nil {
		return err
	}
	s.brokenStart()
	return nil
}

// begin finds out where to begin. Everything is read when there is neither a mark
// nor consumer offsets that fit.
func (s *Service) begin() (*reading, error) {
	st := &reading{decided: map[int64]opRecord{}, chains: map[chainKey]opRecord{}}
	st.half, st.op = s.savedMarks()
	s.marks = noted{wrote: state.Mark{Half: -1}, wroteHalf: st.half, wroteOp: st.op}
	m, ok := s.states.Mark()
	if ok && !s.proves(m) {
		s.cfg.Logger.Warn("the states of transactions are those of another store: they are forgotten", "dir", s.cfg.Dir)
		if err := s.states.Reset(); err != nil {
			return nil, err
		}
		ok = false
	}
	if !ok {
		return st, nil
	}
	s.marks.wrote = m
	// A Java broker that ran in between has moved the consumer offsets on: what is
	// below was resolved, copied or discarded by it.
	st.half, st.op, st.log = max(st.half, m.Half), m.Op, m.Log
	return st, nil
}

// proves tells whether the mark of the state file is one of this store: it names
// an op record.
func (s *Service) proves(m state.Mark) bool {
	if m.Half > s.half.Max() || m.Op > s.op.Max() {
		return false
	}
	if m.Op <= s.op.Min() {
		return true
	}
	entries, err := s.cfg.Log.Entries(nil, s.op, m.Op-1, 1)
	return err == nil && len(entries) == 1 && entries[0].PhysicalOffset == m.Proof
}

// savedMarks are the low-water marks among the consumer offsets. They belong
// together: if one of them is missing or behind the end of its queue, all is
// read.
func (s *Service) savedMarks() (half, op int64) {
	half, okHalf := s.cfg.Offsets.Query(message.GroupTransCheck, message.TopicHalf, 0)
	op, okOp := s.cfg.Offsets.Query(message.GroupTransCheck, message.TopicOpHalf, 0)
	if !okHalf || !okOp || half > s.half.Max() || op > s.op.Max() {
		return s.half.Min(), s.op.Min()
	}
	return max(half, s.half.Min()), max(op, s.op.Min())
}

// readAtOnce is how many queue entries are read together.
const readAtOnce = 256

// readQueue calls fn for each record of a queue in [from, to). Records that are
// damaged are reported and passed over; any other error ends it.
func (s *Service) readQueue(q *store.Queue, from, to int64, fn func(off int64, rec *message.Record)) error {
	var entries []store.Entry
	for off := from; off < to; {
		var err error
		if entries, err = s.cfg.Log.Entries(entries[:0], q, off, int(min(to-off, readAtOnce))); err != nil {
			return fmt.Errorf("%s at %d: %w", q.Topic(), off, err)
		}
		if len(entries) == 0 {
			return nil
		}
		for _, e := range entries {
			if e.Size > 0 {
				err := s.withRecord(e.PhysicalOffset, func(rec *message.Record) error { fn(off, rec); return nil })
				if err != nil && !errors.Is(err, errDamaged) {
					return fmt.Errorf("%s at %d: %w", q.Topic(), off, err)
				}
				if err != nil {
					s.cfg.Logger.Error("a transaction's record can't be read", "topic", q.Topic(), "queueOffset", off, "error", err)
				}
			}
			off++
		}
	}
	return nil
}

// readOps reads the op records that the state file does not have yet.
func (s *Service) readOps(st *reading) error {
	err := s.readQueue(s.op, max(st.op, s.op.Min()), s.op.Max(), func(_ int64, rec *message.Record) {
		for part := range bytes.SplitSeq(rec.Body, []byte(",")) {
			if off, err := strconv.ParseInt(string(bytes.TrimSpace(part)), 10, 64); err == nil && off >= 0 {
				st.decided[off] = opRecord{half: off, physical: rec.PhysicalOffset, flag: rec.Flag, last: rec.PreparedOffset}
			}
		}
	})
	if err != nil {
		return err
	}
	var resumed []stored
	for _, o := range slices.SortedFunc(maps.Values(st.decided), func(a, b opRecord) int { return cmp.Compare(a.physical, b.physical) }) {
		h, err := s.halfAt(o.half)
		if errors.Is(err, ErrGone) || errors.Is(err, ErrNoHalf) || errors.Is(err, errDamaged) {
			continue // nothing can be decided about it any more
		}
		if err != nil {
			return err
		}
		if o.physical < h.physical {
			delete(st.decided, o.half) // of one that a power cut has taken; its queue offset was given again
			continue
		}
		lost, err := o.lostIn(s, &h)
		if err != nil {
			return err
		}
		if lost {
			st.lost = append(st.lost, o)
			delete(st.decided, o.half)
			continue
		}
		s.states.Set(o.half, state.Word{Kind: o.kind(), Op: o.physical})
		if h.resumes >= 0 {
			resumed = append(resumed, h)
		}
		// Of ours, one that a start wrote later says nothing of younger transactions.
		if k := (chainKey{h.group, h.key}); h.key != "" && (o.kind() == state.Decided || h.physical >= st.chains[k].physical) {
			st.chains[k] = o
		}
	}
	// Once every word is there: that of the old one must not hide the new one.
	for i := range resumed {
		s.standsFor(&resumed[i])
	}
	return nil
}

// lostIn tells whether the op record stands alone: the record that was written
// before it with the same write, and is the outcome itself, is not there. A power
// cut can leave any part of a write.
func (o opRecord) lostIn(s *Service, h *stored) (bool, error) {
	d := int64(o.flag >> flagDistance)
	if d <= 0 {
		return false, nil
	}
	found := false
	err := s.withRecord(o.physical-d, func(rec *message.Record) error {
		switch o.kind() {
		case state.Committed:
			found = rec.SysFlag.Transaction() == message.TransactionCommit && text(rec, message.PropertyProducerGroup) == h.group && text(rec, message.PropertyUniqueKey) == h.key
		case state.Discarded:
			found = string(rec.Topic) == message.TopicCheckMax && text(rec, message.PropertyUniqueKey) == h.key
		}
		return nil
	})
	if errors.Is(err, errDamaged) {
		return true, nil
	}
	return !found, err
}

// wordsAtOnce is how many words are looked at together.
const wordsAtOnce = 1 << 16

// readHalves puts the half messages that are not known as decided into the table.
func (s *Service) readHalves(st *reading) (n int, err error) {
	type unread struct {
		off  int64
		word state.Word
	}
	var list []unread
	for from, end := st.half, s.half.Max(); from < end; from += wordsAtOnce {
		list = list[:0]
		err := s.states.Range(from, min(from+wordsAtOnce, end), func(off int64, w state.Word) bool {
			switch w.Kind {
			case state.Resumed:
				return true
			case state.Committed, state.RolledBack, state.Discarded, state.Decided:
				if _, ok := st.decided[off]; ok || w.Op < st.log {
					return true
				}
				// It was not on disk when the machine died.
			}
			list = append(list, unread{off, w})
			return true
		})
		if err != nil {
			return n, err
		}
		for len(list) > 0 {
			run := 1
			for run < len(list) && list[run].off == list[0].off+int64(run) {
				run++
			}
			first := list[0].off
			err := s.readQueue(s.half, first, first+int64(run), func(off int64, rec *message.Record) {
				if s.watch(st, off, list[off-first].word, rec) {
					n++
				}
			})
			if err != nil {
				return n, err
			}
			list = list[run:]
		}
	}
	return n, s.states.Clear(s.half.Max(), 1<<60) // of half messages that the log has lost: their offsets are given again
}

// watch puts a half message that a start has read into the table, unless one that
// is decided stands for it.
func (s *Service) watch(st *reading, off int64, w state.Word, rec *message.Record) bool {
	if w.Kind != state.Undecided {
		w = state.Word{}
		s.states.Set(off, w)
	}
	f := s.found(off, w, rec)
	s.standsFor(&stored{queueOffset: off, group: f.Group, key: f.Key, resumes: resumes(rec)})
	if o, ok := st.chains[chainKey{f.Group, f.Key}]; ok && o.covers(&f) {
		st.short = append(st.short, shortOf{f, o})
		return false
	}
	if broken("lose-half") {
		return false
	}
	if f.Key == "" { // a copy that a Java broker made of one without a key
		root := off
		if r := resumes(rec); r >= 0 {
			root = r
		}
		f.Key = "\x00" + strconv.FormatInt(root, 10)
	}
	if broken("split-chain") {
		f.Key = ""
	}
	s.table.Add(f)
	return true
}

// standsFor notes for the half message that h stands for, and for those that were
// discarded with it, what became of them.
func (s *Service) standsFor(h *stored) {
	if h.resumes < 0 {
		return
	}
	old, err := s.halfAt(h.resumes)
	if err != nil || old.group != h.group || old.key != h.key {
		return
	}
	all, err := s.discardedWith(&old, h.queueOffset)
	if err != nil {
		s.cfg.Logger.Error("the half messages that were discarded with a resumed one can't be found", "queueOffset", h.resumes, "error", err)
		all = []int64{h.resumes}
	}
	for _, off := range all {
		if w, err := s.states.Get(off); err == nil && (w.Kind == state.Discarded || w.Kind == state.Undecided) {
			s.states.Set(off, state.Word{Kind: state.Resumed, Next: h.queueOffset})
		}
	}
}

// found reads what there is to know of a half message.
func (s *Service) found(off int64, w state.Word, rec *message.Record) pending.Half {
	f := pending.Half{QueueOffset: off, Physical: rec.PhysicalOffset, Checks: w.Checks}
	imm, born, idle, counted := s.cfg.Timeout, rec.StoreTimestamp, false, int32(0)
	message.RangeProperties(rec.Properties, func(name, value []byte) bool {
		switch string(name) {
		case message.PropertyProducerGroup:
			f.Group = string(value)
		case message.PropertyUniqueKey:
			f.Key = string(value)
		case message.PropertyRealTopic:
			f.Topic = string(value)
		case message.PropertyCheckImmunityInSeconds:
			imm = immunity(value, s.cfg.Timeout)
		case message.PropertyTransactionCheckTimes: // a copy that a Java broker made: it is older than it looks
			born = min(born, rec.BornTimestamp)
			if n, err := strconv.ParseInt(string(value), 10, 32); err == nil {
				counted = int32(n)
			}
		case message.PropertyPreparedQueueOffset: // made by Java while it was immune, and counted without being checked; or resumed
			idle = true
		}
		return true
	})
	if idle {
		counted = 0
	}
	f.Checks = max(f.Checks, counted)
	now, wall := s.monoUp()+1, s.cfg.NowMillis() // one more, as both wall times are rounded down
	f.Stored = now - max(wall-rec.StoreTimestamp, 0)
	f.Due = now + max(imm.Milliseconds()-max(wall-born, 0), 0)
	if w.Checks > 0 {
		pause := pending.Pause(s.cfg.Interval.Milliseconds(), w.Checks)
		f.Due = max(f.Due, now+max(pause-max(wall-w.CheckedAt, 0), 0))
	}
	return f
}
