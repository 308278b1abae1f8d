// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"time"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/message"
)

// readAtOnce is how many queue entries are read together.
const readAtOnce = 256

// rebuild finds what is undecided: the half messages from the half mark on
// without an op message from the op mark on. An op message decides about its
// half message and about every copy that was stored before it: a Java broker
// writes none for the copies it makes when it checks.
func (s *Service) rebuild() error {
	halfMark, opMark := s.savedMarks()
	decided := map[int64]int64{} // half queue offset: where its op message is in the log
	if err := s.readQueue(s.op, opMark, func(_ int64, rec *message.Record) {
		for part := range bytes.SplitSeq(rec.Body, []byte(",")) {
			if off, err := strconv.ParseInt(string(bytes.TrimSpace(part)), 10, 64); err == nil {
				decided[off] = rec.PhysicalOffset
			}
		}
	}); err != nil {
		return err
	}
	chains := map[chainKey]int64{} // where the last op message of a transaction is in the log
	note := func(h Half, op int64) {
		if k := (chainKey{h.Group, h.Key}); h.Key != "" {
			chains[k] = max(chains[k], op)
		}
	}
	for off, op := range decided {
		if off >= s.half.Min() && off < halfMark {
			if err := s.readSome(s.half, off, off+1, func(_ int64, rec *message.Record) { note(s.found(off, opMark, rec).Half, op) }); err != nil {
				return err
			}
		}
	}
	checks, err := s.loadChecks()
	if err != nil {
		return err
	}
	var open []found
	if err := s.readQueue(s.half, halfMark, func(off int64, rec *message.Record) {
		f := s.found(off, opMark, rec)
		if op, ok := decided[off]; ok {
			note(f.Half, op)
			return
		}
		f.checks = max(f.checks, checks[off])
		open = append(open, f)
	}); err != nil {
		return err
	}
	s.table = NewTable(int32(s.cfg.Checks), s.cfg.Interval.Milliseconds(), s.half.Max(), opMark)
	s.marks.wroteHalf, s.marks.wroteOp = halfMark, opMark
	for _, f := range open {
		if chains[chainKey{f.Group, f.Key}] <= f.Physical {
			s.table.Add(f.Half, s.mono()+f.wait.Milliseconds(), f.checks)
		}
	}
	s.table.Spare(s.mono() + s.cfg.Interval.Milliseconds()) // the answers to last checks may be on their way
	if len(s.table.byOffset) > 0 {
		s.cfg.Logger.Info("undecided transactions", "halfMessages", len(s.table.byOffset))
	}
	return nil
}

// found is a half message that a start has read.
type found struct {
	Half
	checks int32         // as a Java broker counted them
	wait   time.Duration // until its first check is due
}

// found reads what there is to know of a half message.
func (s *Service) found(off, opMark int64, rec *message.Record) found {
	f := found{Half: Half{QueueOffset: off, Physical: rec.PhysicalOffset, OpMark: opMark, StoredAt: rec.StoreTimestamp}}
	imm, born, idle := s.cfg.Timeout, rec.StoreTimestamp, false
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
				f.checks = int32(n)
			}
		case message.PropertyPreparedQueueOffset: // made while it was immune, and counted without being checked
			idle = true
		}
		return true
	})
	if idle {
		f.checks = 0
	}
	age := time.Duration(max(s.cfg.NowMillis()-born, 0)) * time.Millisecond
	f.wait = max(imm-age, 0)
	return f
}

// savedMarks are the low-water marks that were noted. They belong together: if
// one of them is missing or behind the end of its queue, all is read.
func (s *Service) savedMarks() (half, op int64) {
	half, okHalf := s.cfg.Offsets.Query(message.GroupTransCheck, message.TopicHalf, 0)
	op, okOp := s.cfg.Offsets.Query(message.GroupTransCheck, message.TopicOpHalf, 0)
	if !okHalf || !okOp || half > s.half.Max() || op > s.op.Max() {
		return s.half.Min(), s.op.Min()
	}
	return max(half, s.half.Min()), max(op, s.op.Min())
}

// readQueue calls fn for each record of a queue from an offset on. Records that
// can't be read are reported and passed over.
func (s *Service) readQueue(q *store.Queue, from int64, fn func(off int64, rec *message.Record)) error {
	return s.readSome(q, from, q.Max(), fn)
}

func (s *Service) readSome(q *store.Queue, from, to int64, fn func(off int64, rec *message.Record)) error {
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
				if err := s.readEntry(e, off, fn); err != nil {
					s.cfg.Logger.Error("a transaction's record can't be read", "topic", q.Topic(), "queueOffset", off, "error", err)
				}
			}
			off++
		}
	}
	return nil
}

func (s *Service) readEntry(e store.Entry, off int64, fn func(off int64, rec *message.Record)) error {
	stored, release, err := s.cfg.Log.Record(e.PhysicalOffset)
	if err != nil {
		return err
	}
	defer release()
	var rec message.Record
	if _, err := message.DecodeRecord(stored, &rec, true); err != nil {
		return err
	}
	fn(off, &rec)
	return nil
}

// Committed is what a committed record says of its transaction.
type Committed struct {
	Prepared   int64 // log offset of the half message
	Group, Key string
}

// RepairCommitted completes outcomes of which a power cut left only the first
// record. list are the committed records that the recovery of the store has read
// again: the half message that one of them names, if it is undecided, gets its
// op message. It is called before Run.
//
// An offset alone names nothing: delayed messages that were delivered, and
// retries, keep the commit bit of what they were copied from, but not the
// offset. So group and UNIQ_KEY must be the half message's own, and a record
// without a key repairs nothing at offset 0, which is what such copies have.
func (s *Service) RepairCommitted(list []Committed) {
	s.mu.Lock()
	at := make(map[int64]Half, len(s.table.byOffset))
	for off, x := range s.table.byOffset {
		for _, h := range x.halves {
			if h.QueueOffset == off {
				at[h.Physical] = h
			}
		}
	}
	s.mu.Unlock()
	for _, c := range list {
		h, ok := at[c.Prepared]
		if !ok || h.Group != c.Group || h.Key != c.Key || c.Key == "" && c.Prepared == 0 {
			continue
		}
		s.mu.Lock()
		d, err := s.table.Decide(h.QueueOffset, h.Physical, h.Group, Commit)
		if err != nil || d == nil { // settled by another record of the same transaction
			s.mu.Unlock()
			continue
		}
		d.stored = true
		s.mu.Unlock()
		s.cfg.Logger.Warn("a commit was cut short; its op message is written now", "queueOffset", h.QueueOffset, "halfAt", h.Physical)
		s.carryOut(d, func(int32, string) {})
	}
}

// note publishes the low-water marks, once everything they stand on is on disk:
// a mark must not outlive an op message.
func (s *Service) note() {
	if s.marks.waiting {
		if s.cfg.Log.Flushed() < s.marks.end {
			return
		}
		if s.marks.half != s.marks.wroteHalf {
			s.cfg.Offsets.Commit(message.GroupTransCheck, message.TopicHalf, 0, s.marks.half)
			s.marks.wroteHalf = s.marks.half
		}
		if s.marks.op != s.marks.wroteOp {
			s.cfg.Offsets.Commit(message.GroupTransCheck, message.TopicOpHalf, 0, s.marks.op)
			s.marks.wroteOp = s.marks.op
		}
	}
	op := s.op.Max()
	s.mu.Lock()
	s.table.SetOpMark(op)
	s.marks.half, s.marks.op = s.table.Marks()
	dirty := s.dirty
	s.mu.Unlock()
	s.marks.end, s.marks.waiting = s.cfg.Log.MaxPhysical(), true // behind everything the marks stand on
	if dirty {
		if err := s.saveChecks(); err != nil {
			s.cfg.Logger.Error("the check counts of transactions can't be written", "error", err)
		}
	}
}

// checkFile is the form of transactionChecks.json: how often the transaction of
// a half message, named by its queue offset, was checked.
type checkFile struct {
	Checks map[int64]int32 `json:"checks"`
}

func (s *Service) checkPath() string { return filepath.Join(s.cfg.Dir, "transactionChecks.json") }

func (s *Service) loadChecks() (map[int64]int32, error) {
	data, _, err := vfs.ReadConfigFile(s.cfg.FS, s.checkPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var f checkFile
	if err := json.Unmarshal(data, &f); err != nil {
		s.cfg.Logger.Error("the check counts of transactions can't be read: counting begins anew", "file", s.checkPath(), "error", err)
		return nil, nil
	}
	return f.Checks, nil
}

func (s *Service) saveChecks() error {
	s.mu.Lock()
	f := checkFile{Checks: s.table.Checks()}
	dirty := s.dirty
	s.dirty = false
	s.mu.Unlock()
	if !dirty {
		return nil
	}
	data, err := json.Marshal(&f)
	if err == nil {
		err = vfs.ReplaceFile(s.cfg.FS, s.checkPath(), data)
	}
	if err != nil {
		s.mu.Lock()
		s.dirty = true
		s.mu.Unlock()
		return fmt.Errorf("transactions: %w", err)
	}
	return nil
}
