// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package timer

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/twostage/twostage/internal/store/timerfile"
	"github.com/twostage/twostage/message"
)

// recalls are the messages that are taken back: by topic, unique key and the
// second of TIMER_OUT_MS, which is that of the handle, whatever slot either of them
// is in. A recall counts from when it was put in until its message can't come any
// more. Their units are chained, so that Open finds them.
type recalls struct {
	due  map[key]int64 // when the recall is due itself, by the wheel's time
	last int64         // position of the last unit + 1, 0: none
	n    atomic.Int64  // of due, for who asks
}

// maxRecalls is how many messages may be taken back at a time.
const maxRecalls = 1 << 20

// lateStore is how many ms a message may be stored after TIMER_OUT_MS was reckoned.
const lateStore = 30_000

// key is of fixed size, whatever its parts have.
type key [16]byte

func keyOf(out int64, parts ...[]byte) (k key) {
	b := make([]byte, 0, 200)
	for _, p := range parts {
		b = append(b, p...)
	}
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(b, uint64(out/1000)))
	copy(k[:], sum[:])
	return k
}

// add takes in a recall. One for a message of another topic than its own counts for
// nothing: who may send to a topic may take back what is sent to it, and no more.
func (r *recalls) add(rec *message.Record, due int64) {
	text, ok := rec.Property(message.PropertyTimerDeleteKey)
	topic, _ := rec.Property(message.PropertyRealTopic)
	if !ok || len(text) <= len(topic) || text[len(topic)] != '+' || !bytes.HasPrefix(text, topic) {
		return
	}
	if r.due == nil {
		r.due = make(map[key]int64)
	}
	k := keyOf(number(rec, message.PropertyTimerOut), text)
	r.due[k] = max(r.due[k], due)
	r.n.Store(int64(len(r.due)))
}

func (r *recalls) reset() {
	clear(r.due)
	r.last = 0
	r.n.Store(0)
}

// has tells whether a message is taken back.
func (r *recalls) has(rec *message.Record) bool {
	if len(r.due) == 0 {
		return false
	}
	topic, _ := rec.Property(message.PropertyRealTopic)
	unique, ok := rec.Property(message.PropertyUniqueKey)
	if !ok {
		return false
	}
	_, ok = r.due[keyOf(number(rec, message.PropertyTimerOut), topic, []byte{'+'}, unique)]
	return ok
}

// expire forgets recalls that were due before that time.
func (r *recalls) expire(before int64) {
	for k, due := range r.due {
		if due < before {
			delete(r.due, k)
		}
	}
	r.n.Store(int64(len(r.due)))
}

// recallWait is by how many ms a message may be due after its recall: they have
// different places in a slot, may have been put in, and rolled, by clocks that were
// set meanwhile, and the message may have been stored late.
func (s *Service) recallWait() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.precision + 2*(s.utmost-s.least) + lateStore
}

// recallable tells whether no message with TIMER_OUT_MS out can be in a slot that
// has begun, in this run or, by a clock that has been set back, in an earlier one.
func (s *Service) recallable(out int64) bool {
	most := s.cfg.MaxDelay.Milliseconds()
	if out < s.latest && out >= s.latest-most {
		return false
	}
	s.mu.Lock()
	earliest := s.absolute.Earliest(out, most)
	s.mu.Unlock()
	return earliest/s.precision > s.clock.Now()/s.precision
}

// refuseRecall says why a recall can't be taken.
func (s *Service) refuseRecall(out int64) error {
	switch {
	case !s.recallable(out):
		return fmt.Errorf("%w: what is to be recalled has been delivered, or is about to be", ErrRefused)
	case s.recalls.n.Load() >= maxRecalls:
		return fmt.Errorf("%w: %d messages are being recalled, and no more can be until some of their times have come", ErrRefused, int64(maxRecalls))
	}
	return nil
}

// loadRecalls finds the recalls that count at a checkpoint. Those of RocketMQ get
// another unit, which is chained.
func (s *Service) loadRecalls(c *timerfile.Checkpoint) error {
	s.recalls.last = c.LastRecall
	over := c.Read - s.recallWait()
	if c.Own {
		for at := c.LastRecall; at > s.log.Begin(); {
			u, err := s.log.Read(at - 1)
			if err == nil && u.Kind&timerfile.KindDelete == 0 {
				err = fmt.Errorf("timerlog at %d: no recall: %w", at-1, timerfile.ErrDamaged)
			}
			if err != nil {
				return err
			}
			if u.Time() >= over {
				if err := s.withRecall(&u, func(rec *message.Record) error {
					s.recalls.add(rec, max(u.Time()+1, s.due(rec)))
					return nil
				}); err != nil {
					return err
				}
			}
			at = u.Recall
		}
		return nil
	}
	var found []timerfile.Unit
	if _, err := s.log.Scan(s.log.Begin(), func(pos int64, u *timerfile.Unit) error {
		if u.Kind&timerfile.KindDelete != 0 && u.Time() >= over {
			found = append(found, *u)
		}
		return nil
	}); err != nil {
		return err
	}
	for _, u := range found {
		if err := s.withRecall(&u, func(rec *message.Record) error {
			err := s.place(u.Time()+1, &u, rec)
			if errors.Is(err, errFar) { // it counts, but has no unit that the next Open finds
				s.recalls.add(rec, max(u.Time()+1, s.due(rec)))
				return nil
			}
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// withRecall calls fn with the record of a unit, if it can be read.
func (s *Service) withRecall(u *timerfile.Unit, fn func(rec *message.Record) error) error {
	stored, release, err := s.fetch(u.Offset)
	if err != nil || stored == nil {
		return err
	}
	defer release()
	if waiting(&s.work.rec, stored) != nil {
		return nil
	}
	return fn(&s.work.rec)
}
