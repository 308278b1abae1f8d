// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pop

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
)

// early is by how much a checkpoint reaches the revive queue before its time, so
// that it is there before the acks.
const early = 1000

// batch gathers revive records.
type batch struct {
	s *Service
	b store.Batch
}

// add puts a record for a revive queue into the batch, which waits until deliver
// where records can; 0: at once. An ack that the timers refuse, of a time that the
// clock has gone back from, is stored at once as well; of a checkpoint that is ErrTime.
func (b *batch) add(queue int32, tag, unique string, deliver int64, text []byte, more ...string) error {
	props := message.AppendProperty(nil, message.PropertyTags, tag)
	props = message.AppendProperty(props, message.PropertyUniqueKey, unique)
	for i := 0; i+1 < len(more); i += 2 {
		if more[i+1] != "" {
			props = message.AppendProperty(props, more[i], more[i+1])
		}
	}
	s := b.s
	q := s.cfg.Log.Queue(s.revive, queue)
	now := s.cfg.NowMillis()
	if deliver > now && s.cfg.Delays != nil {
		timed := message.AppendProperty(props[:len(props):len(props)], message.PropertyTimerDeliver, strconv.FormatInt(deliver, 10))
		wait, out, ok, err := s.cfg.Delays.Rewrite(s.revive, queue, timed, nil)
		if err != nil && tag == tagCheckpoint {
			return fmt.Errorf("%w: %w", ErrTime, err)
		}
		if err == nil && ok {
			q, props = wait, out
		}
	}
	return b.b.Add(q, &message.Record{BornTimestamp: now, BornHost: s.cfg.Host, StoreHost: s.cfg.Host, Properties: props, Body: text})
}

func unique(tag string, parts ...any) string {
	var out strings.Builder
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			out.WriteString(p)
		case int64:
			out.WriteString(strconv.FormatInt(p, 10))
		case int32:
			out.WriteString(strconv.Itoa(int(p)))
		}
		out.WriteByte('@')
	}
	out.WriteString(tag)
	return out.String()
}

// checkpoint adds the record of a checkpoint. next is the offset that the group
// goes on from in the queue, negative when the checkpoint says nothing of it.
func (b *batch) checkpoint(c *checkpoint, next int64) error {
	p := c.point(b.s.cfg.Broker, c.done)
	goOn := ""
	if next >= 0 {
		goOn = strconv.FormatInt(next, 10)
	}
	return b.add(c.revive, tagCheckpoint, unique(tagCheckpoint, c.topic, c.queue, c.start, c.group, c.time, b.s.cfg.Broker),
		c.time+c.invisible-early, body.Marshal(&p), propertyNext, goOn)
}

// order adds the record of a pop in order: a checkpoint of no messages, of which
// nothing is revived, with the offsets of those that were given.
func (b *batch) order(k queueKey, revive int32, attempt string, time, invisible int64, offsets []int64) error {
	p := body.PopCheckPoint{BrokerName: b.s.cfg.Broker, Group: k.group, Topic: k.topic, QueueID: k.queue, StartOffset: offsets[0], PopTime: time, InvisibleTime: invisible}
	for _, o := range offsets {
		p.QueueOffsetDiff = append(p.QueueOffsetDiff, int32(o-offsets[0]))
	}
	return b.add(revive, tagCheckpoint, unique(tagCheckpoint, k.topic, k.queue, offsets[0], k.group, time, b.s.cfg.Broker), 0, body.Marshal(&p), propertyAttempt, attempt)
}

// visible adds the record of a change in order: as that of a pop of the one message,
// with when it is visible.
func (b *batch) visible(k queueKey, revive int32, time, offset, until int64) error {
	p := body.PopCheckPoint{BrokerName: b.s.cfg.Broker, Group: k.group, Topic: k.topic, QueueID: k.queue, StartOffset: offset, PopTime: time,
		InvisibleTime: max(until-time, 0), QueueOffsetDiff: []int32{0}}
	return b.add(revive, tagCheckpoint, unique(tagCheckpoint, k.topic, k.queue, offset, k.group, time, b.s.cfg.Broker), 0, body.Marshal(&p),
		propertyVisible, strconv.FormatInt(until, 10))
}

// ack adds the record of acks, of one message or several.
func (b *batch) ack(k key, revive int32, deliver int64, offsets ...int64) error {
	return b.moved(k, revive, deliver, "", offsets...)
}

// moved is ack for a message that has moved to another checkpoint.
func (b *batch) moved(k key, revive int32, deliver int64, to string, offsets ...int64) error {
	a := body.AckMsg{AckOffset: offsets[0], BrokerName: b.s.cfg.Broker, Group: k.group, PopTime: k.time, QueueID: k.queue, StartOffset: k.start, Topic: k.topic}
	tag := tagAck
	if len(offsets) > 1 {
		tag, a.AckOffset, a.AckOffsetList = tagBatchAck, -1, offsets
	}
	// Java gives a batch the key of a single ack at offset -1.
	return b.add(revive, tag, unique(tagAck, k.topic, k.queue, a.AckOffset, k.group, k.time, b.s.cfg.Broker), deliver, body.Marshal(&a), propertyMoved, to)
}

// store appends the batch. With stored it is on the way to the disk; the caller
// holds gate.
func (b *batch) store() (end int64, err error) {
	b.b.Atomic = true
	if err := b.s.cfg.Log.Append(&b.b); err != nil {
		return 0, err
	}
	last := b.b.Result(b.b.Len() - 1)
	return last.PhysicalOffset + int64(last.Size), nil
}

// durable waits for the disk where the broker is set up to.
func (s *Service) durable(end int64) error {
	if !s.cfg.Sync || end == 0 {
		return nil
	}
	return s.cfg.Log.Flush(end)
}
