// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"fmt"
	"strconv"

	"github.com/twostage/twostage/internal/broker/txn/pending"
	"github.com/twostage/twostage/internal/broker/txn/state"
	"github.com/twostage/twostage/internal/broker/txn/story"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/message"
)

// Resume takes a discarded transaction up again, which is named by the log offset
// of its parked copy or of a half message: a new half message stands for it, with
// all its checks before it, the first of them at once. The old offsets stay valid
// in decisions. done gets the queue offset of the new half message when it is
// durable, or ErrNoHalf, ErrDecided or why it could not be stored.
func (s *Service) Resume(physical int64, who string, done func(queueOffset int64, err error)) {
	s.resuming.Lock()
	defer s.resuming.Unlock()
	done(s.resume(physical, who))
}

func (s *Service) resume(physical int64, who string) (int64, error) {
	old, err := s.parkedHalf(physical)
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	_, pends := s.table.Get(old.queueOffset)
	s.mu.Unlock()
	if pends {
		return 0, fmt.Errorf("%w: it is undecided, there is nothing to resume", ErrDecided)
	}
	f, err := s.fateOf(&old)
	switch {
	case err != nil:
		return 0, err
	case f.kind == state.Resumed:
		return 0, fmt.Errorf("%w: it was resumed before, as the half message at queue offset %d", ErrDecided, f.next)
	case f.kind != state.Discarded:
		return 0, fmt.Errorf("%w: %s", ErrDecided, f.refusal())
	}
	h, err := s.putBack(&old)
	if err != nil {
		return 0, err
	}
	s.order.RLock() // no mark between the half message and the words
	s.mu.Lock()
	s.table.Add(h)
	s.mu.Unlock()
	for _, off := range s.discardedWith(&old, h.QueueOffset) {
		s.states.Set(off, state.Word{Kind: state.Resumed, Next: h.QueueOffset})
	}
	s.order.RUnlock()
	s.poke()
	s.cfg.Logger.Info("a discarded transaction was resumed", "topic", h.Topic, "group", h.Group, "queueOffset", old.queueOffset, "as", h.QueueOffset, "who", who)
	s.tell(story.Event{Half: old.queueOffset, Kind: story.Resumed, Who: who, Note: "as the half message at queue offset " + strconv.FormatInt(h.QueueOffset, 10)})
	s.tell(story.Event{Half: h.QueueOffset, Kind: story.Resumed, Who: who, Note: "stands for the half message at queue offset " + strconv.FormatInt(old.queueOffset, 10)})
	return h.QueueOffset, nil
}

// parkedHalf finds the half message of a record that is it, or its parked copy.
func (s *Service) parkedHalf(physical int64) (h stored, err error) {
	var off, prepared int64
	var key, group string
	err = s.withRecord(physical, func(rec *message.Record) error {
		off = rec.QueueOffset
		switch string(rec.Topic) {
		case message.TopicHalf:
			return nil
		case message.TopicCheckMax:
			key, group, prepared = text(rec, message.PropertyUniqueKey), text(rec, message.PropertyProducerGroup), rec.PreparedOffset
			return nil
		}
		return fmt.Errorf("%w: the record at commit log offset %d is of topic %s", ErrNoHalf, physical, rec.Topic)
	})
	if err != nil {
		return h, asNoHalf(err)
	}
	if key == "" && group == "" {
		return s.halfAt(off)
	}
	// The copy names it, unless RocketMQ made it; then it is the youngest before it.
	at := int64(-1)
	_ = s.withRecord(prepared, func(rec *message.Record) error {
		if string(rec.Topic) == message.TopicHalf && text(rec, message.PropertyProducerGroup) == group && text(rec, message.PropertyUniqueKey) == key {
			at = rec.QueueOffset
		}
		return nil
	})
	if at >= 0 {
		return s.halfAt(at)
	}
	err = s.byKey(message.TopicHalf, key, func(rec *message.Record) {
		if text(rec, message.PropertyProducerGroup) == group && rec.PhysicalOffset < physical {
			at = rec.QueueOffset
		}
	})
	if err != nil {
		return h, err
	}
	if at < 0 {
		return h, fmt.Errorf("%w: the one whose copy is at commit log offset %d is no longer in the log", ErrNoHalf, physical)
	}
	return s.halfAt(at)
}

// discardedWith are the half messages before a queue offset that were discarded as
// one transaction with old.
func (s *Service) discardedWith(old *stored, before int64) []int64 {
	list := []int64{old.queueOffset}
	if old.key == "" {
		return list
	}
	_ = s.byKey(message.TopicHalf, old.key, func(rec *message.Record) { // what is not found is refused as discarded later
		if off := rec.QueueOffset; off != old.queueOffset && off < before && text(rec, message.PropertyProducerGroup) == old.group {
			if w, err := s.states.Get(off); err == nil && w.Kind == state.Discarded {
				list = append(list, off)
			}
		}
	})
	return list
}

// putBack stores the new half message, durably whatever the policy: the word of
// the old one is going to name its offset.
func (s *Service) putBack(old *stored) (h pending.Half, err error) {
	b := store.Batch{Atomic: true}
	err = s.withHalf(old.queueOffset, old.physical, func(half *message.Record) error {
		props := message.DeleteProperty(nil, withChecks(half.Properties, 0), message.PropertyPreparedQueueOffset)
		half.Properties = message.AppendProperty(props, message.PropertyPreparedQueueOffset, strconv.FormatInt(old.queueOffset, 10))
		return b.Add(s.half, half)
	})
	if err == nil {
		err = s.cfg.Log.Append(&b)
	}
	if err != nil {
		return h, err
	}
	at := b.Result(0)
	if err := s.cfg.Log.Flush(at.PhysicalOffset + int64(at.Size)); err != nil {
		return h, err
	}
	now := s.mono()
	return pending.Half{QueueOffset: at.QueueOffset, Physical: at.PhysicalOffset, Group: old.group, Topic: old.topic, Key: old.key, Stored: now, Due: now}, nil
}
