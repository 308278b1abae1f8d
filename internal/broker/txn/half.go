// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"strconv"
	"strings"
	"time"

	"github.com/twostage/twostage/internal/broker/txn/pending"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/message"
)

// Pending is a half message on its way into the log.
type Pending struct {
	topic, group, key string
	immunity          time.Duration
}

// Prepare turns a record into a half message: it goes to the half queue, and
// properties keep its real topic and queue. The record's new properties are in
// scratch, whose content is overwritten. p becomes what Stored wants to know.
func (s *Service) Prepare(rec *message.Record, scratch []byte, p *Pending) *store.Queue {
	timeout := time.Duration(s.timeout.Load())
	*p = Pending{immunity: timeout}
	var group, key []byte
	scratch = scratch[:0]
	message.RangeProperties(rec.Properties, func(name, value []byte) bool {
		switch string(name) {
		case message.PropertyRealTopic, message.PropertyRealQueueID, message.PropertyTransactionCheckTimes, message.PropertyPreparedQueueOffset:
			// What only the broker knows of a half message. A message that was received
			// and is sent again may still have it.
			return true
		case message.PropertyProducerGroup:
			group = value
		case message.PropertyUniqueKey:
			key = value
		case message.PropertyCheckImmunityInSeconds:
			p.immunity = immunity(value, timeout)
		}
		scratch = appendRaw(scratch, name, value)
		return true
	})
	var all strings.Builder // one allocation for the three
	all.Grow(len(rec.Topic) + len(group) + len(key))
	_, _ = all.Write(rec.Topic)
	_, _ = all.Write(group)
	_, _ = all.Write(key)
	text := all.String()
	p.topic, text = text[:len(rec.Topic)], text[len(rec.Topic):]
	p.group, p.key = text[:len(group)], text[len(group):]
	scratch = message.AppendProperty(scratch, message.PropertyRealTopic, p.topic)
	scratch = appendRaw(scratch, realQueueID, nil)
	scratch = strconv.AppendInt(scratch, int64(rec.QueueID), 10)
	rec.Properties = scratch
	rec.SysFlag = rec.SysFlag.WithTransaction(message.TransactionNone)
	return s.half
}

// PropertyRoom is how many bytes the properties of a half message leave for what
// the broker adds when it checks, parks or resumes it: the count of checks, the half
// message that it stands for, and WAIT.
const PropertyRoom = 128

var realQueueID = []byte(message.PropertyRealQueueID)

// appendRaw is message.AppendProperty of bytes.
func appendRaw(dst, name, value []byte) []byte {
	if n := len(dst); n > 0 && dst[n-1] != 2 {
		dst = append(dst, 2)
	}
	dst = append(append(dst, name...), 1)
	return append(dst, value...)
}

// immunity reads CHECK_IMMUNITY_TIME_IN_SECONDS; what is no time, or not above
// zero, is the default.
func immunity(value []byte, def time.Duration) time.Duration {
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil || n <= 0 || n > int64(100*365*24*time.Hour/time.Second) {
		return def
	}
	return time.Duration(n) * time.Second
}

// Stored puts a half message under watch, whose record is rec. It must run before
// the producer is answered.
func (s *Service) Stored(at store.Appended, rec []byte, p *Pending) {
	s.fresh.put(at.QueueOffset, at.PhysicalOffset, rec)
	if broken("split-chain") {
		p.key = ""
	}
	s.mu.Lock()
	now := s.monoUp()
	due := now + p.immunity.Milliseconds()
	s.table.Add(pending.Half{QueueOffset: at.QueueOffset, Physical: at.PhysicalOffset, Group: p.group, Topic: p.topic, Key: p.key, Stored: now, Due: due})
	next, _ := s.table.Wake()
	s.mu.Unlock()
	if next >= due {
		s.poke()
	}
}
