// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"io/fs"
	"math"

	"github.com/twostage/twostage/internal/store/checkpoint"
	"github.com/twostage/twostage/internal/store/commitlog"
	"github.com/twostage/twostage/internal/store/consumequeue"
	"github.com/twostage/twostage/internal/store/index"
	"github.com/twostage/twostage/internal/store/segment"
	"github.com/twostage/twostage/message"
)

// recover opens all parts and brings them into agreement: see the package
// comment. On error the caller releases what is open.
func (s *Store) recover() error {
	cfg := &s.cfg
	if err := s.resumeRebuild(); err != nil {
		return err
	}
	aborted, err := checkpoint.Aborted(cfg.FS, cfg.Dir)
	if err != nil {
		return err
	}
	if s.check, err = checkpoint.Open(cfg.FS, cfg.Dir); err != nil {
		return err
	}
	if err := s.deleted.load(cfg.FS, cfg.Dir); err != nil {
		return err
	}
	if s.log, err = commitlog.Open(commitlog.Options{FS: cfg.FS, Dir: cfg.CommitLog, DamageDir: cfg.Dir + "/damaged",
		FileSize: cfg.CommitLogFileSize, MaxOpen: cfg.MaxOpenLogs, Newest: s.newest(), Logger: cfg.Logger}); err != nil {
		return err
	}
	noQueues, err := emptyDir(cfg, cfg.Dir+"/consumequeue")
	if err != nil {
		return err
	}
	if s.cqs, err = consumequeue.Open(consumequeue.Options{FS: cfg.FS, Dir: cfg.Dir + "/consumequeue",
		FileSize: cfg.ConsumeQueueFileSize, MaxOpen: cfg.MaxOpenQueues, SyncAll: cfg.SyncAllFrom, Clean: !aborted, LogMin: s.log.Min(), Logger: cfg.Logger}); err != nil {
		return err
	}
	trusted := int64(math.MaxInt64)
	if aborted {
		trusted = s.check.Times().Index
	}
	if s.index, err = index.Open(index.Options{FS: cfg.FS, Dir: cfg.Dir + "/index", Slots: cfg.IndexSlots, Entries: cfg.IndexEntries,
		Clock: s.clock, Trusted: trusted, Logger: cfg.Logger}); err != nil {
		return err
	}
	if t := s.check.Times(); s.index.Complete() < t.Index {
		t.Index = s.index.Complete()
		if err := s.check.Reset(t); err != nil {
			return err
		}
	}
	s.cqs.Range(func(topic string, id int32, cq *consumequeue.Queue) bool {
		s.addQueueLocked(topic, id, cq)
		return true
	})
	// From here on something may change that a clean stop has left.
	if err := checkpoint.SetAbort(cfg.FS, cfg.Dir); err != nil {
		return err
	}
	if err := s.finishDeletes(); err != nil {
		return err
	}
	s.recovery = Recovery{Clean: !aborted, FromScratch: noQueues && len(s.log.Starts()) > 0}
	return s.replay()
}

// followers is how many queues Open looks at at once.
const followers = 8

const (
	// tooNew is how far in the future, in ms, no store timestamp can be: ten years.
	tooNew = 10 * 366 * 24 * 3600 * 1000
	// unsetClock is a time, ms since 1970, before which a clock is not set:
	// machines without a battery start in 1970 or 2000.
	unsetClock = 1_767_225_600_000
)

// newest is the greatest store timestamp that a record can have.
func (s *Store) newest() int64 {
	t := s.check.Times()
	known := max(s.cfg.NowMillis(), t.Physic, t.Logics, unsetClock)
	return min(known, index.MaxTime-tooNew) + tooNew
}

// replay reads the log from where the views may lag and completes them.
func (s *Store) replay() error {
	queuesFrom, err := s.queuesFrom()
	if err != nil {
		return err
	}
	keep, err := s.nextOffsets()
	if err != nil {
		return err
	}
	if !s.recovery.Clean {
		// What the queues hold beyond may be torn. The log has all of it.
		if err := s.cqs.TruncatePhysical(queuesFrom, true); err != nil {
			return err
		}
	}
	indexFrom, err := s.indexFrom(queuesFrom)
	if err != nil {
		return err
	}
	r, err := s.readLog(min(queuesFrom, indexFrom), func(rec *message.Record) error {
		if rec.PhysicalOffset >= queuesFrom {
			if err := s.requeue(rec); err != nil {
				return err
			}
		}
		if s.cfg.OnReplay != nil {
			s.replaying.Store(!s.recovery.Clean)
			s.cfg.OnReplay(rec)
		}
		if _, indexed := views(rec.SysFlag); indexed && rec.PhysicalOffset >= indexFrom {
			return s.putIndex(rec.Topic, rec.Properties, rec.PhysicalOffset, rec.StoreTimestamp)
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.recovery.Start, s.recovery.End, s.recovery.Records = r.Start, r.End, r.Records
	s.recovery.Damage, s.recovery.Cut = r.Damage, r.Cut
	if s.cfg.OnDamage != nil {
		for _, d := range r.Damage {
			s.cfg.OnDamage(d)
		}
	}
	if err := s.cqs.TruncatePhysical(r.End, false); err != nil {
		return err
	}
	if err := s.index.TruncatePhysical(r.End); err != nil {
		return err
	}
	if err := s.deleted.lower(r.End); err != nil {
		return err
	}
	if err := s.followLog(followers); err != nil { // a deletion may have been interrupted
		return err
	}
	if err := s.keepOffsets(keep); err != nil {
		return err
	}
	for _, ids := range s.queues.topics {
		for _, q := range ids {
			q.next = q.cq.Max()
		}
	}
	s.cfg.Logger.Info("store recovered", "dir", s.cfg.Dir, "clean", s.recovery.Clean, "from", r.Start, "end", r.End,
		"records", r.Records, "damaged", len(r.Damage), "cut", r.Cut)
	return s.lowerCheckpoint()
}

// lowerCheckpoint takes back what the checkpoint claims beyond the last record:
// new records may get lower timestamps than that.
func (s *Store) lowerCheckpoint() error {
	t, last := s.check.Times(), s.log.LastTimestamp()
	low := checkpoint.Times{Physic: min(t.Physic, last), Logics: min(t.Logics, last), Index: min(t.Index, last)}
	if low == t {
		return nil
	}
	return s.check.Reset(low)
}

// queuesFrom is the log offset from which on queues may lack records.
func (s *Store) queuesFrom() (int64, error) {
	starts := s.log.Starts()
	switch {
	case len(starts) == 0:
		return 0, nil
	case s.recovery.FromScratch:
		return starts[0], nil
	case s.recovery.Clean:
		return s.lastQueued(starts)
	}
	before := s.check.Times().RecoverBefore()
	for i := len(starts) - 1; i > 0; i-- {
		ts, ok, err := s.log.FirstTimestamp(starts[i])
		if err != nil {
			return 0, err
		}
		if ok && ts <= before {
			return starts[i], nil
		}
	}
	return starts[0], nil
}

// indexMargin is how many ms before what the checkpoint claims for the index
// records are sure to be there: entries hold seconds only.
const indexMargin = 3000

// indexFrom is the log offset from which on the index may lack records. The
// last record that it has is not enough to know: those behind may have no keys.
func (s *Store) indexFrom(queuesFrom int64) (int64, error) {
	starts, known := s.log.Starts(), s.check.Times().Index
	if s.recovery.Clean && len(starts) > 0 {
		// The index is complete, unless somebody has taken it away: then the
		// checkpoint has been lowered.
		ts, ok, err := s.log.TimestampAt(queuesFrom)
		if err != nil {
			return 0, err
		}
		if ok && ts <= known {
			return s.recordAtOrBefore(max(queuesFrom, s.index.ResumeFrom()))
		}
	}
	from := s.log.Min()
	for i := len(starts) - 1; i > 0; i-- {
		ts, ok, err := s.log.FirstTimestamp(starts[i])
		if err != nil {
			return 0, err
		}
		if ok && ts < known-indexMargin {
			from = starts[i]
			break
		}
	}
	return s.recordAtOrBefore(max(from, s.index.ResumeFrom()))
}

// lastQueued is the offset of the last record that a queue knows, if it is
// really there; else the start of the third last log file, as in RocketMQ.
func (s *Store) lastQueued(starts []int64) (int64, error) {
	var last *Queue
	end := int64(-1)
	for _, ids := range s.queues.topics {
		for _, q := range ids {
			if e := q.cq.MaxPhysical(); e > end {
				end, last = e, q
			}
		}
	}
	from := starts[max(0, len(starts)-3)]
	if last == nil {
		return from, nil
	}
	var buf [1]consumequeue.Entry
	entries, err := last.cq.Read(buf[:0], last.cq.Max()-1, 1)
	if errors.Is(err, consumequeue.ErrBelowMin) {
		return from, nil // the log has it no more, and nothing newer that is queued
	}
	if err != nil {
		return 0, err
	}
	if len(entries) == 1 && entries[0].Offset+int64(entries[0].Size) == end {
		ok, err := s.log.ValidRecord(entries[0].Offset)
		if err != nil || ok {
			return entries[0].Offset, err
		}
	}
	s.cfg.Logger.Warn("store: the last queue entry points at no record, reading the last log files",
		"topic", last.topic, "queue", last.id, "end", end)
	if end >= starts[0] {
		from = min(from, segment.Start(end, s.cfg.CommitLogFileSize))
	}
	return from, nil
}

// recordAtOrBefore returns offset if a record stands there, or the start of its
// file (of the last file when it is beyond).
func (s *Store) recordAtOrBefore(offset int64) (int64, error) {
	starts := s.log.Starts()
	if len(starts) == 0 {
		return 0, nil
	}
	ok, err := s.log.ValidRecord(offset)
	if err != nil || ok {
		return offset, err
	}
	return min(segment.Start(offset, s.cfg.CommitLogFileSize), starts[len(starts)-1]), nil
}

// requeue puts a record of the log into its queue unless it is there.
func (s *Store) requeue(rec *message.Record) error {
	queued, _ := views(rec.SysFlag)
	if !queued || s.deleted.covers(rec.Topic, rec.PhysicalOffset) {
		return nil
	}
	q := s.queues.topics[string(rec.Topic)][rec.QueueID]
	if q == nil {
		topic := string(rec.Topic)
		if !possible(topic, rec.QueueID) || rec.QueueOffset < 0 {
			s.cfg.Logger.Error("store: a record names an impossible queue, not queued", "physicalOffset", rec.PhysicalOffset,
				"topic", topic, "queue", rec.QueueID, "queueOffset", rec.QueueOffset)
			return nil
		}
		q = s.addQueueLocked(topic, rec.QueueID, s.cqs.Queue(topic, rec.QueueID))
	}
	tags, delay := s.tagsCode(rec)
	if delay != noDelay {
		tags = rec.StoreTimestamp + delay
	}
	err := s.checkGap(q, rec)
	if err == nil {
		err = q.cq.Append(rec.QueueOffset, consumequeue.Entry{Offset: rec.PhysicalOffset, Size: rec.Size, Tags: tags})
	}
	if errors.Is(err, consumequeue.ErrGap) {
		s.cfg.Logger.Error("store: a record cannot have its queue offset", "physicalOffset", rec.PhysicalOffset,
			"topic", q.topic, "queue", rec.QueueID, "queueOffset", rec.QueueOffset, "queueEnd", q.cq.Max())
		return fmt.Errorf("%w: %w", commitlog.ErrImplausible, err)
	}
	return err
}

// checkGap gives consumequeue.ErrGap when more entries are missing before rec
// than there is room for their records in the log: no CRC covers the offset. Of
// a queue that holds nothing it asks less: its past, and the log's, may have been
// taken away.
func (s *Store) checkGap(q *Queue, rec *message.Record) error {
	gap, room := rec.QueueOffset-q.cq.Max(), rec.PhysicalOffset-q.cq.MaxPhysical()
	if gap > 0 {
		gap -= s.unused(q, q.cq.Max(), rec.QueueOffset)
	}
	if q.cq.MaxPhysical() < 0 {
		gap, room = gap-foreignGap, rec.PhysicalOffset
	}
	if gap > 0 && room >= 0 && gap > room/message.MinRecordSize {
		return fmt.Errorf("store: queue offset %d: %w", rec.QueueOffset, consumequeue.ErrGap)
	}
	return nil
}

// foreignGap is with how many entries that the log never had a queue may begin.
const foreignGap = 1 << 24

// possible tells whether a topic can be the name of a directory and id a queue.
func possible(topic string, id int32) bool {
	if id < 0 || topic == "" || topic[0] == '.' || len(topic) > 255 {
		return false
	}
	for i := range len(topic) {
		if c := topic[i]; c == '/' || c == 0 {
			return false
		}
	}
	return true
}

func emptyDir(cfg *Config, dir string) (bool, error) {
	names, err := cfg.FS.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	return len(names) == 0, nil
}
