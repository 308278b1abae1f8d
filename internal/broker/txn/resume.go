// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"errors"
	"fmt"
	"math"
	"slices"
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
	all, err := s.discardedWith(&old, math.MaxInt64)
	if err != nil {
		return 0, err
	}
	h, err := s.putBack(&old)
	if err != nil {
		return 0, err
	}
	s.order.RLock() // no mark between the half message and the words
	s.mu.Lock()
	s.table.Add(h)
	s.mu.Unlock()
	for _, off := range all {
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
	parked := false
	err = s.withRecord(physical, func(rec *message.Record) error {
		off = rec.QueueOffset
		switch string(rec.Topic) {
		case message.TopicHalf:
			return nil
		case message.TopicCheckMax:
			parked = true
			key, group, prepared = text(rec, message.PropertyUniqueKey), text(rec, message.PropertyProducerGroup), rec.PreparedOffset
			return nil
		}
		return fmt.Errorf("%w: the record at commit log offset %d is of topic %s", ErrNoHalf, physical, rec.Topic)
	})
	if err != nil {
		return h, asNoHalf(err)
	}
	if !parked {
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
// one transaction with old, old among them: the op records behind the parked copy
// that its own names. Those that name no copy, as from a start that has completed a
// torn discard, or none at all, from a Java broker, are found by their key.
func (s *Service) discardedWith(old *stored, before int64) ([]int64, error) {
	list := []int64{old.queueOffset}
	add := func(off int64) {
		if off >= 0 && off < before && !slices.Contains(list, off) {
			list = append(list, off)
		}
	}
	w, err := s.states.Get(old.queueOffset)
	if err != nil {
		return nil, err
	}
	copied := int64(0)
	if w.Kind == state.Discarded {
		var size int64
		if copied, size, err = s.copyOf(w.Op); err != nil {
			return nil, err
		}
		for at := copied + size; size > 0; at += size {
			var off int64
			if off, size, err = s.opBeside(at, copied); err != nil {
				return nil, err
			}
			add(off)
		}
	}
	if old.key == "" {
		return list, nil
	}
	var failed error
	err = s.byKey(message.TopicHalf, old.key, func(rec *message.Record) {
		if text(rec, message.PropertyProducerGroup) != old.group {
			return
		}
		w, err := s.states.Get(rec.QueueOffset)
		if err != nil || w.Kind != state.Discarded {
			failed = errors.Join(failed, err)
			return
		}
		other, _, err := s.copyOf(w.Op)
		if failed = errors.Join(failed, err); err == nil && (other == 0 || copied == 0) {
			add(rec.QueueOffset)
		}
	})
	return list, errors.Join(err, failed)
}

// copyOf is where the parked copy stands that an op record names, and its size; 0,
// 0 when it names none, or is gone.
func (s *Service) copyOf(op int64) (at, size int64, err error) {
	err = s.withRecord(op, func(rec *message.Record) error {
		if d := int64(rec.Flag >> flagDistance); d > 0 && rec.Flag&flagKind == int32(state.Discarded) {
			at = op - d
		}
		return nil
	})
	if err == nil && at > 0 {
		err = s.withRecord(at, func(rec *message.Record) error { size = int64(rec.Size); return nil })
	}
	if errors.Is(err, errDamaged) {
		return 0, 0, nil
	}
	return at, size, err
}

// opBeside is the half message of the op record at a log offset, if that one names
// the parked copy at another; -1, 0: it doesn't, or is none.
func (s *Service) opBeside(at, copied int64) (half, size int64, err error) {
	half = -1
	err = s.withRecord(at, func(rec *message.Record) error {
		if string(rec.Topic) == message.TopicOpHalf && rec.Flag&flagKind == int32(state.Discarded) && at-int64(rec.Flag>>flagDistance) == copied {
			if n, err := strconv.ParseInt(string(rec.Body), 10, 64); err == nil {
				half, size = n, int64(rec.Size)
			}
		}
		return nil
	})
	if errors.Is(err, errDamaged) {
		return -1, 0, nil
	}
	return half, size, err
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
