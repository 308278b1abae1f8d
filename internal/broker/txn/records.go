// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"fmt"
	"strconv"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/message"
)

// opProperties are those of every op message.
var opProperties = []byte("WAIT\x01true\x02TAGS\x01d")

// appendOutcome appends the records of an outcome with one write, and returns
// where they end in the log.
func (s *Service) appendOutcome(d *Decision) (end int64, err error) {
	b := store.Batch{Atomic: true}
	visible := "" // where consumers see the first record
	switch {
	case d.stored:
	case d.Outcome == Commit:
		visible, err = s.addCommitted(&b, d.Half)
	case d.Outcome == Discard:
		visible, err = message.TopicCheckMax, s.addDiscarded(&b, d.Half, d.x.checks)
	}
	if err != nil {
		return 0, err
	}
	for _, h := range d.All {
		rec := message.Record{
			BornTimestamp: s.cfg.NowMillis(), BornHost: s.cfg.Host, StoreHost: s.cfg.Host,
			Body: strconv.AppendInt(nil, h.QueueOffset, 10), Properties: opProperties,
		}
		if err := b.Add(s.op, &rec); err != nil {
			return 0, err
		}
	}
	if err := s.cfg.Log.Append(&b); err != nil {
		return 0, err
	}
	if visible != "" && s.cfg.Visible != nil {
		s.cfg.Visible(visible, 1, int(b.Result(0).Size))
	}
	last := b.Result(b.Len() - 1)
	return last.PhysicalOffset + int64(last.Size), nil
}

// withHalf reads a half record and calls fn with it.
func (s *Service) withHalf(h Half, fn func(*message.Record) error) error {
	stored, release, err := s.cfg.Log.Record(h.Physical)
	if err != nil {
		return fmt.Errorf("half message at %d: %w", h.Physical, err)
	}
	defer release()
	var rec message.Record
	if _, err := message.DecodeRecord(stored, &rec, true); err != nil {
		return fmt.Errorf("half message at %d: %w", h.Physical, err)
	}
	if string(rec.Topic) != message.TopicHalf || rec.QueueOffset != h.QueueOffset {
		return fmt.Errorf("half message at %d: there is a record of topic %s at queue offset %d", h.Physical, rec.Topic, rec.QueueOffset)
	}
	return fn(&rec)
}

// addCommitted adds the message that a half message becomes: the same body,
// properties, born time and host; the real topic and queue; the half record's
// offset, by which a recovery can tell whose outcome it is. A delay begins now:
// visible is "" then, else the topic.
func (s *Service) addCommitted(b *store.Batch, h Half) (visible string, err error) {
	err = s.withHalf(h, func(half *message.Record) error {
		topic, queue, err := realQueue(half)
		if err != nil {
			return err
		}
		rec := *half
		rec.SysFlag = rec.SysFlag.WithTransaction(message.TransactionCommit)
		rec.PreparedOffset = h.Physical
		if q, props, ok := s.cfg.Delays.Rewrite(topic, queue, half.Properties, nil); ok {
			rec.Properties = props
			return b.Add(q, &rec)
		}
		visible = topic
		return b.Add(s.cfg.Log.Queue(topic, queue), &rec)
	})
	return visible, err
}

// addDiscarded adds the copy of a half message that nobody decided about.
func (s *Service) addDiscarded(b *store.Batch, h Half, checks int32) error {
	return s.withHalf(h, func(half *message.Record) error {
		rec := *half
		rec.Properties = withChecks(half.Properties, checks)
		return b.Add(s.parked, &rec)
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
