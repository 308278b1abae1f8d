// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/twostage/twostage/internal/broker/txn/pending"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/message"
)

// opProperties are those of every op message.
var opProperties = []byte("WAIT\x01true\x02TAGS\x01d")

// An op record's Flag, which Java leaves 0 and does not read, proves its outcome:
//
//	bits 0..1   1 committed, 2 rolled back, 3 discarded; 0: written by RocketMQ
//	bits 2..30  bytes from this record back to the start of the committed record,
//	            or of the parked copy, which the same write put before it; 0: there
//	            is none, or it was in the log before
//
// Its PreparedOffset, which Java leaves 0 and does not read either, is the queue
// offset of the last half message that the outcome is for.
const (
	flagKind     = 3
	flagDistance = 2 // shift
	maxDistance  = 1<<29 - 1
)

func opFlag(o Outcome, distance int) int32 { return int32(kindOf(o)) | int32(distance)<<flagDistance }

// addOutcome adds the records of an outcome to b: that which consumers get, or
// the parked copy, and an op record for each half message. It sets what e says of
// them.
func (s *Service) addOutcome(ends *Ends, e *ending) error {
	b := &ends.batch
	d, start := e.d, b.Size()
	own := false
	switch {
	case e.stored || d.Outcome == Rollback:
	case d.Outcome == Commit:
		came, err := s.addCommitted(b, &d.Half)
		if err != nil {
			return err
		}
		e.came, own = came, true
	case d.Outcome == Discard:
		err := s.addParked(b, &d.Half)
		if errors.Is(err, errDamaged) { // there is nothing to park, and never will be
			s.cfg.Logger.Error("the half message of a discarded transaction can't be read, so there is no copy of it", "queueOffset", d.Half.QueueOffset, "group", d.Half.Group, "topic", d.Half.Topic, "error", err)
			e.why += "; its record can't be read: " + err.Error()
			break
		}
		if err != nil {
			return err
		}
		e.came, own = message.TopicCheckMax, true
	}
	e.size, e.ops = b.Size()-start, b.Len()
	if broken("lost-op") {
		return nil
	}
	for _, off := range d.All {
		distance := b.Size() - start
		if !own || distance > maxDistance { // so many op records that the last ones can't name it
			distance = 0
		}
		rec := &ends.op
		*rec = message.Record{
			Flag:          opFlag(d.Outcome, distance),
			BornTimestamp: s.cfg.NowMillis(), BornHost: s.cfg.Host, StoreHost: s.cfg.Host,
			Body: strconv.AppendInt(rec.Body[:0], off, 10), Properties: opProperties,
			PreparedOffset: d.All[len(d.All)-1],
		}
		if err := b.Add(s.op, rec); err != nil {
			return err
		}
	}
	return nil
}

// withHalf reads a half record and calls fn with it, which does not keep it.
func (s *Service) withHalf(queueOffset, physical int64, fn func(*message.Record) error) error {
	check := func(rec *message.Record) error {
		if string(rec.Topic) != message.TopicHalf || rec.QueueOffset != queueOffset {
			return fmt.Errorf("half message at %d: %w: there is a record of topic %s at queue offset %d", physical, errDamaged, rec.Topic, rec.QueueOffset)
		}
		return fn(rec)
	}
	rec := recordPool.Get().(*message.Record)
	defer recordPool.Put(rec)
	here, err := s.fresh.with(queueOffset, physical, func(b []byte) error {
		if _, err := message.DecodeRecord(b, rec, false); err != nil {
			return err
		}
		return check(rec)
	})
	if here {
		return err
	}
	return s.withRecord(physical, check)
}

// errDamaged: where a record should be there is none, or not all of it. Reading it
// again will not help.
var errDamaged = errors.New("the record is damaged or gone")

// openTries is how often, a second apart, the start tries to read a record that
// the disk does not give: a bad place on a disk must not keep the broker from
// starting, nor a disk that is late make it forget an outcome.
const openTries = 150

// withRecord reads a record and calls fn with it, which does not keep it.
func (s *Service) withRecord(physical int64, fn func(*message.Record) error) error {
	stored, release, err := s.cfg.Log.Record(physical)
	for try := 0; s.opening.Load() && errors.Is(err, store.ErrUnreadable) && try < openTries; try++ {
		time.Sleep(time.Second) // until the store takes it for damaged
		stored, release, err = s.cfg.Log.Record(physical)
	}
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("record at %d: %w: %w", physical, errDamaged, err)
	}
	if err != nil {
		return fmt.Errorf("record at %d: %w", physical, err)
	}
	defer release()
	rec := recordPool.Get().(*message.Record)
	defer recordPool.Put(rec)
	if _, err := message.DecodeRecord(stored, rec, true); err != nil {
		return fmt.Errorf("record at %d: %w: %w", physical, errDamaged, err)
	}
	return fn(rec)
}

var recordPool = sync.Pool{New: func() any { return new(message.Record) }}

// addCommitted adds the message that a half message becomes: the same body,
// properties, born time and host; the real topic and queue; the half record's
// offset, by which a recovery can tell whose outcome it is. A delay begins now: came
// is then the topic where it waits, else its own.
func (s *Service) addCommitted(b *store.Batch, h *pending.Info) (came string, err error) {
	err = s.withHalf(h.QueueOffset, h.Physical, func(half *message.Record) error {
		topic, queue, err := realQueue(half)
		if err != nil {
			return err
		}
		half.SysFlag = half.SysFlag.WithTransaction(message.TransactionCommit)
		half.PreparedOffset = h.Physical
		q, props, ok, err := s.cfg.Delays.Rewrite(topic, queue, half.Properties, nil)
		if err != nil {
			s.cfg.Logger.Error("a committed message is delivered at once: its time of delivery can't be had", "topic", topic, "halfOffset", h.QueueOffset, "error", err)
		}
		if ok {
			half.Properties = props
		} else {
			q = s.cfg.Log.Queue(topic, queue)
		}
		came = q.Topic()
		return b.Add(q, half)
	})
	return came, err
}

// addParked adds the copy of a half message that nobody decided about. Its
// PreparedOffset, which means nothing in that topic to RocketMQ, names the half
// record.
func (s *Service) addParked(b *store.Batch, h *pending.Info) error {
	return s.withHalf(h.QueueOffset, h.Physical, func(half *message.Record) error {
		half.Properties = withChecks(half.Properties, h.Checks)
		half.PreparedOffset = h.Physical
		return b.Add(s.parked, half)
	})
}

// withChecks is a copy of properties that says how often the transaction was
// checked.
func withChecks(props []byte, checks int32) []byte {
	props = message.DeleteProperty(nil, props, message.PropertyTransactionCheckTimes)
	return message.AppendProperty(props, message.PropertyTransactionCheckTimes, strconv.Itoa(int(checks)))
}

// realQueue is the queue that a half message is meant for.
func realQueue(half *message.Record) (topic string, queue int32, err error) {
	t, ok := half.Property(message.PropertyRealTopic)
	id, ok2 := half.Property(message.PropertyRealQueueID)
	n, err := strconv.ParseInt(string(id), 10, 32)
	if !ok || !ok2 || err != nil || n < 0 || len(t) == 0 {
		return "", 0, fmt.Errorf("half message at %d: bad REAL_TOPIC %q or REAL_QID %q", half.PhysicalOffset, t, id)
	}
	return string(t), int32(n), nil
}
