// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package timer

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/store/timerfile"
	"github.com/twostage/twostage/message"
)

const (
	maxBatchRecords = 128
	maxBatchBytes   = 1 << 20

	firstRetry   = 100    // ms
	longestRetry = 10_000 // ms

	longestWait = 100 // ms between two looks at a queue that is behind the log

	preload      = 400    // ms before it begins a slot is read
	preloadUnits = 1000   // of them are read in a ms: crowded slots are read earlier
	longIdle     = 15_000 // ms until an empty wheel, and the length of the log, are looked at again
	lookOut      = 61     // slots that are looked through for the next that has units
	trimEach     = 30_000 // ms
	manySlot     = 4096   // slots that are passed in one round
)

// retry is what is waited for after an error.
type retry struct {
	at    int64 // ms
	tries int
}

// delivery is what the goroutine of Run works with.
type delivery struct {
	batch   store.Batch
	rec     message.Record
	props   []byte
	entries []store.Entry
	taken   []taken // of each record in batch

	puts, gets retry
	missing    string // topic that was last logged as not configured
}

// taken is where a record of a batch comes from.
type taken struct {
	it    item
	topic string // "": rolled
}

// deliverDue delivers one batch of what is due and goes on to the slot of now, and
// returns when to come again. Entries from before the slot began are put in first,
// as a recall may be among them; but for far ones, of which the next is for a slot
// that is reached by delivering.
func (s *Service) deliverDue(d *delivery, far bool) (int64, error) {
	for passed := 0; ; {
		now := s.clock.Now()
		if s.gate != 0 && !s.settle() {
			return now + min(1+(now-s.gate)/4, longestWait), nil
		}
		if s.put < s.target && !far {
			return max(now, d.puts.at), nil // when more is put in
		}
		if done, err := s.fill(&s.cur, s.read, now); err != nil || !done {
			return now, s.damaged(err)
		}
		if len(s.cur.items) > 0 {
			top := s.cur.items[0].due
			if top > now {
				s.overdue.Store(0)
				return min(top, s.prepare(now)), nil
			}
			s.overdue.Store(top)
			s.renew(s.read, now)
			if err := s.deliverBatch(d, now); err != nil || s.broken != nil {
				return now, err
			}
			return now, nil
		}
		if now < (s.read+1)*s.precision {
			s.overdue.Store(0)
			return s.prepare(now), nil
		}
		if passed++; passed > manySlot {
			return now, nil
		}
		s.advance()
	}
}

// advance goes on to the next slot, or to that of now when there are no units in
// between.
func (s *Service) advance() {
	if slot, err := s.wheel.Get(s.read); err == nil {
		s.waiting.Add(-int64(slot.Num))
	}
	s.read++
	if s.read > s.last {
		s.read = max(s.read, s.clock.Now()/s.precision)
	}
	s.held = false
	s.began = s.cfg.Log.MaxPhysical()
	s.gate = s.clock.Now()
	if err := s.write(); err == nil { // else the slot before holds the log's files too
		s.reached.Store(s.read)
	}
	if s.ahead.of(s.read) {
		s.cur, s.ahead = s.ahead, s.cur
		s.ahead.forget()
		return
	}
	s.cur.forget()
}

// settle tells whether all that was in the log when the slot began is in its queue,
// and so may be put in before the slot is delivered.
func (s *Service) settle() bool {
	if !s.cfg.Log.Queued(s.began) {
		return false
	}
	s.catchUp()
	s.mu.Lock()
	s.target = s.arrived
	s.mu.Unlock()
	s.gate = 0
	return true
}

// prepare reads the next slot shortly before it begins, and returns when to come
// again.
func (s *Service) prepare(now int64) int64 {
	end := (s.read + 1) * s.precision
	if s.ahead.of(s.read+1) && !s.ahead.pass.running {
		if len(s.ahead.items) == 0 && !s.ahead.more {
			return s.nextSlot()
		}
		return end
	}
	slot, err := s.wheel.Get(s.read + 1)
	if err != nil {
		return end
	}
	if slot.Last < 0 {
		return s.nextSlot()
	}
	if begin := end - lead(slot); now < begin {
		return begin
	}
	s.renew(s.read+1, now) // now there is time
	if done, err := s.fill(&s.ahead, s.read+1, now); err == nil && !done {
		return now // between the steps there is time for what is due
	}
	return end // an error comes again when the slot has begun
}

// nextSlot is when the next slot that has units is to be read.
func (s *Service) nextSlot() int64 {
	for n := s.read + 1; n < s.read+lookOut; n++ {
		if slot, err := s.wheel.Get(n); err != nil || slot.Last >= 0 {
			return max(n*s.precision-lead(slot), (s.read+1)*s.precision)
		}
	}
	return (s.read + lookOut) * s.precision
}

// deliverBatch delivers what is due in the slot, up to the limits of a batch.
func (s *Service) deliverBatch(d *delivery, now int64) error {
	d.batch.Reset()
	d.taken = d.taken[:0]
	var err error
	for len(s.cur.items) > 0 && s.cur.items[0].due <= now && d.batch.Len() < maxBatchRecords && d.batch.Size() < maxBatchBytes {
		it := s.cur.pop()
		if err = s.take(d, it, now); err != nil {
			s.cur.push(it, s.keep)
			break
		}
		s.dirty = true
	}
	if d.batch.Len() == 0 {
		return s.damaged(err)
	}
	n, appendErr := d.batch.Len(), s.cfg.Log.Append(&d.batch)
	if appendErr != nil {
		n = d.batch.Written()
		for _, t := range d.taken[n:] {
			s.cur.push(t.it, s.keep)
		}
	}
	for i, t := range d.taken[:n] {
		if t.topic == "" {
			s.rolled.Add(1)
			continue
		}
		s.delivered.Add(1)
		if s.cfg.Delivered != nil {
			s.cfg.Delivered(t.topic, 1, int(d.batch.Result(i).Size))
		}
	}
	if appendErr != nil {
		return appendErr // store.ErrDeleted too: the next try gets a new queue
	}
	return s.damaged(err)
}

// take puts the record of a unit into the batch, or drops it, or puts it into a
// later slot. An error says that it may work later.
func (s *Service) take(d *delivery, it item, now int64) error {
	u, err := s.log.Read(it.pos)
	if err != nil {
		return err
	}
	if s.done.take(u.Offset) {
		return nil
	}
	stored, release, err := s.fetch(u.Offset)
	if err != nil {
		return err
	}
	if stored == nil {
		s.skip("a timer message is lost: its record can't be read", "logOffset", u.Offset)
		return nil
	}
	defer release()
	rec := &d.rec
	if err := waiting(rec, stored); err != nil {
		s.skip("a timer message cannot be delivered", "logOffset", u.Offset, "error", err)
		return nil
	}
	if u.Kind&timerfile.KindDelete == 0 && s.recalls.has(rec) {
		s.recalled.Add(1)
		return nil
	}
	if u.Kind&timerfile.KindRoll != 0 {
		return s.roll(d, it, rec, now)
	}
	if it.pos < s.old { // what is known of it is its slot, by another process's time
		if due := s.due(rec); due > now {
			return s.again(d, it, due, &u, rec, now)
		}
	}
	return s.deliver(d, it, rec, u.Put)
}

// deliver puts into the batch what is delivered of rec: the same message for the
// topic and queue that it was sent to, with two properties more.
//
// Source: TimerMessageStore.convert of Apache RocketMQ 5.3.3, which leaves
// REAL_TOPIC and REAL_QID in the stored properties.
func (s *Service) deliver(d *delivery, it item, rec *message.Record, put int64) error {
	name, _ := rec.Property(message.PropertyRealTopic)
	id, _ := rec.Property(message.PropertyRealQueueID)
	queue, err := strconv.ParseInt(string(id), 10, 32)
	target := string(name)
	if err != nil || queue < 0 || !possible(target) {
		s.skip("a timer message cannot be delivered: it names no possible topic and queue (REAL_TOPIC, REAL_QID)",
			"logOffset", rec.PhysicalOffset, "topic", target, "queue", string(id))
		return nil
	}
	d.props = appendWithout(d.props[:0], rec.Properties, message.PropertyTimerEnqueue, message.PropertyTimerDequeue)
	d.props = strconv.AppendInt(appendProperty(d.props, 0, message.PropertyTimerEnqueue), put, 10)
	d.props = strconv.AppendInt(appendProperty(d.props, 0, message.PropertyTimerDequeue), s.clock.Wall(), 10)
	rec.Properties, rec.PreparedOffset = d.props, rec.PhysicalOffset
	if err := d.batch.Add(s.cfg.Log.Queue(target, int32(queue)), rec); err != nil {
		s.skip("a timer message cannot be delivered", "logOffset", rec.PhysicalOffset, "topic", target, "error", err)
		return nil
	}
	d.taken = append(d.taken, taken{it, target})
	if s.cfg.TopicExists != nil && target != d.missing && !s.cfg.TopicExists(target) {
		d.missing = target
		s.cfg.Logger.Warn("timer messages are delivered to a topic that does not exist (deleted since): they can be read once it is created again",
			"topic", target, "logOffset", rec.PhysicalOffset)
	}
	return nil
}

// fetch returns a record, nil when it is gone or damaged. An error says that it
// may work later: the store says itself when what it can't read counts as damaged.
func (s *Service) fetch(offset int64) (stored []byte, release func(), err error) {
	stored, release, err = s.cfg.Log.Record(offset)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil, nil
	}
	return stored, release, err
}

// Why a record is never delivered.
var errOther = errors.New("another record stands there")

// waiting decodes a record of the wheel's topic; rec is filled with parts of
// stored.
func waiting(rec *message.Record, stored []byte) error {
	if _, err := message.DecodeRecord(stored, rec, true); err != nil {
		return err
	}
	if string(rec.Topic) != message.TopicTimer || rec.QueueID != 0 {
		return fmt.Errorf("%w: of queue %d of topic %q", errOther, rec.QueueID, rec.Topic)
	}
	return nil
}

// possible tells whether a message can be delivered to a topic of that name.
func possible(topic string) bool {
	switch topic {
	case message.TopicTimer, message.TopicSchedule, message.TopicHalf:
		return false
	}
	return message.CheckStoredTopic(topic) == nil
}
