// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package delay

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/message"
)

const (
	maxBatchRecords = 128
	maxBatchBytes   = 1 << 20

	firstRetry   = 100    // ms
	longestRetry = 10_000 // ms
	never        = int64(math.MaxInt64)
)

// retry is what a level waits for after an error.
type retry struct {
	at    int64 // ms since the start
	tries int
}

// delivery is what the delivering goroutine works with.
type delivery struct {
	batch   store.Batch
	entries []store.Entry
	offsets []int64  // in the level's queue, of each record in batch
	topics  []string // of each record in batch
	missing string   // topic that was last logged as not configured
}

// Run delivers until ctx ends or the service is closed, and returns nil. It is
// called once. Errors of the store are logged and tried again: nothing is
// delivered meanwhile, and nothing is lost.
func (s *Service) Run(ctx context.Context) error {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return nil
	}
	s.running.Add(1)
	s.mu.Unlock()
	defer s.running.Done()

	timer := time.NewTimer(0)
	defer timer.Stop()
	note := time.NewTicker(s.cfg.FlushInterval)
	defer note.Stop()
	var d delivery
	s.catchUp()
	for {
		next := s.round(&d)
		var due <-chan time.Time
		if next != never {
			timer.Reset(max(s.clock.Until(next), 0))
			due = timer.C
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.closing:
			return nil
		case <-s.wake:
		case <-due:
		case <-note.C:
			s.catchUp()
			if err := s.Persist(); err != nil {
				s.cfg.Logger.Error("how far delayed delivery is could not be noted", "error", err)
			}
		}
	}
}

// round delivers a batch of each level that has something due, and returns when
// the next round is, in ms since the start.
func (s *Service) round(d *delivery) int64 {
	next := never
	for _, lv := range s.levels {
		next = min(next, s.deliverDue(d, lv))
	}
	return next
}

// deliverDue delivers one batch of what is due in a level, and returns when to
// come again.
func (s *Service) deliverDue(d *delivery, lv *level) int64 {
	now := s.clock.Now()
	if now < lv.retry.at {
		return lv.retry.at
	}
	s.deliver.Lock()
	defer s.deliver.Unlock()
	s.mu.Lock()
	from, to := lv.next, lv.arrived
	lv.idle = from >= to
	s.mu.Unlock()
	if from >= to {
		return never
	}
	d.batch.Reset()
	d.offsets, d.topics = d.offsets[:0], d.topics[:0]
	pass, at, err := s.collect(d, lv, from, to, now)
	if err == nil || pass > from {
		if appendErr := s.append(d, lv, &pass); appendErr != nil {
			err = appendErr
		}
	}
	if pass > from {
		lv.retry = retry{}
		s.mu.Lock()
		lv.next = pass
		lv.ahead.Passed(pass)
		s.mu.Unlock()
	}
	if err != nil {
		return s.failed(lv, now, err)
	}
	return at
}

// due is when the entry at offset is to be delivered, in ms since the start. mu is
// held.
//
// Of an entry from an earlier run it is only known what the wall clock said when
// it was stored. It is due delay after the start at the latest: it was stored
// before, and the level may have had a longer delay then.
func (lv *level) due(offset, deliverTime int64) int64 {
	at := max(deliverTime, 0) - lv.ahead.At(offset)
	if offset < lv.old && (at > lv.delay || deliverTime < 0) {
		return lv.delay
	}
	return at
}

// collect puts the records of entries from..to-1 that are due into the batch, up
// to its limits. pass is behind the last one that is in it or skipped, at when
// to go on there.
func (s *Service) collect(d *delivery, lv *level, from, to, now int64) (pass, at int64, err error) {
	if low := lv.q.Min(); from < low {
		s.skip(lv, from, low-from, "delayed messages are gone before they were delivered", "until", low)
		from = low
	}
	n := int(min(to-from, maxBatchRecords))
	if d.entries, err = s.cfg.Log.Entries(d.entries[:0], lv.q, from, max(n, 0)); err != nil {
		return from, now, fmt.Errorf("queue %d of %s at %d: %w", lv.q.ID(), message.TopicSchedule, from, err)
	}
	if len(d.entries) == 0 { // less than the view had: nothing can be said about it
		return from, now, fmt.Errorf("queue %d of %s has no entry %d of %d", lv.q.ID(), message.TopicSchedule, from, to)
	}
	for i, e := range d.entries {
		offset := from + int64(i)
		if e.Size == 0 {
			s.skip(lv, offset, 1, "a delayed message is lost: its queue entry is damaged")
			continue
		}
		s.mu.Lock()
		due := lv.due(offset, e.TagsCode)
		s.mu.Unlock()
		if due > now {
			return offset, due, nil
		}
		if d.batch.Size() > maxBatchBytes {
			return offset, now, nil
		}
		if err := s.take(d, lv, offset, e); err != nil {
			return offset, now, err
		}
	}
	return from + int64(len(d.entries)), now, nil
}

// take puts the record of one entry into the batch, or skips it. An error says
// that it may work later.
func (s *Service) take(d *delivery, lv *level, offset int64, e store.Entry) error {
	stored, release, err := s.cfg.Log.Record(e.PhysicalOffset)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err // the store says itself when what it can't read counts as damaged
	}
	var rec message.Record
	var target string
	if err == nil {
		defer release()
		target, err = due(&rec, stored, lv)
	}
	if err == nil {
		q := s.cfg.Log.Queue(target, rec.QueueID)
		err = d.batch.Add(q, &rec)
	}
	if err != nil {
		s.skip(lv, offset, 1, "a delayed message cannot be delivered", "logOffset", e.PhysicalOffset, "error", err)
		return nil
	}
	d.offsets, d.topics = append(d.offsets, offset), append(d.topics, target)
	if s.cfg.TopicExists != nil && target != d.missing && !s.cfg.TopicExists(target) {
		d.missing = target
		s.cfg.Logger.Warn("delayed messages are delivered to a topic that does not exist (deleted since): they can be read once it is created again",
			"topic", target, "level", lv.number, "offset", offset)
	}
	return nil
}

// append stores the batch. After an error pass is set back to what was stored.
func (s *Service) append(d *delivery, lv *level, pass *int64) error {
	if d.batch.Len() == 0 {
		return nil
	}
	err := s.cfg.Log.Append(&d.batch)
	n := d.batch.Len()
	if err != nil {
		n = d.batch.Written()
		*pass = d.offsets[n]
	}
	s.delivered.Add(int64(n))
	if s.cfg.Delivered != nil {
		for i := range n {
			s.cfg.Delivered(d.topics[i], 1, int(d.batch.Result(i).Size))
		}
	}
	return err // store.ErrDeleted too: the next try gets a new queue
}

// failed sets when the level tries again.
func (s *Service) failed(lv *level, now int64, err error) int64 {
	wait := min(int64(firstRetry)<<min(lv.retry.tries, 10), longestRetry)
	lv.retry = retry{at: now + wait, tries: lv.retry.tries + 1}
	if lv.retry.tries == 1 || wait == longestRetry {
		s.cfg.Logger.Error("delayed delivery waits", "level", lv.number, "tries", lv.retry.tries, "again", time.Duration(wait)*time.Millisecond, "error", err)
	}
	return lv.retry.at
}

// skip reports n entries from offset on that are not delivered, once.
func (s *Service) skip(lv *level, offset, n int64, what string, args ...any) {
	if offset < lv.reported {
		return
	}
	lv.reported = offset + n
	s.skipped.Add(n)
	s.cfg.Logger.Error(what, append(args, "level", lv.number, "offset", offset)...)
}

// Why a record is never delivered.
var (
	errTarget = errors.New("it names no possible topic and queue (REAL_TOPIC, REAL_QID)")
	errHalf   = errors.New("it is meant for the broker's own topic")
	errOther  = errors.New("its queue entry leads to another record")
)

// due makes what is delivered out of the stored record of a level: the same
// message with the same properties, hosts and times, for the topic and queue
// that it was sent to. rec is filled with parts of stored.
//
// Source: ScheduleMessageService.messageTimeup of Apache RocketMQ 4.9.8, which
// leaves the properties in the record as they were.
func due(rec *message.Record, stored []byte, lv *level) (target string, err error) {
	if _, err := message.DecodeRecord(stored, rec, true); err != nil {
		return "", err
	}
	if string(rec.Topic) != message.TopicSchedule || int(rec.QueueID) != lv.number-1 {
		return "", fmt.Errorf("%w: of queue %d of topic %q", errOther, rec.QueueID, rec.Topic)
	}
	name, _ := rec.Property(message.PropertyRealTopic)
	id, _ := rec.Property(message.PropertyRealQueueID)
	queue, ok := queueID(id)
	target = string(name)
	if !ok || message.CheckStoredTopic(target) != nil {
		return "", fmt.Errorf("%w: %q, %q", errTarget, name, id)
	}
	if target == message.TopicHalf || target == message.TopicSchedule {
		return "", fmt.Errorf("%w %s", errHalf, target)
	}
	rec.Topic, rec.QueueID, rec.PreparedOffset = name, queue, 0
	return target, nil
}

func queueID(b []byte) (int32, bool) {
	n := atoi(b)
	return int32(n), n > 0 && n < math.MaxInt32 || string(b) == "0"
}
