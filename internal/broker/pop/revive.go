// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pop

import (
	"cmp"
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/message"
)

const permAll = 6 // of a retry topic: read and write

// reviveOne stores the messages of a checkpoint again that nobody has acked. An
// error says that the store takes nothing now; what else keeps a message from being
// stored keeps only that one, which is tried again later.
func (s *Service) reviveOne(c *checkpoint, now int64) error {
	s.gate.RLock()
	defer s.gate.RUnlock()
	r := reviving{s: s, c: c}
	again := now + reviveLater
	defer func() {
		s.mu.Lock()
		s.open.finish(c, r.gone, again)
		s.dirty = true
		s.mu.Unlock()
	}()
	r.collect()
	if r.b.Len() == 0 {
		return nil
	}
	err := s.cfg.Log.Append(&r.b)
	for i := range r.b.Written() {
		one := &r.stored[i]
		r.gone |= one.bit
		s.stats.revived.Add(1)
		if one.dead {
			s.stats.dead.Add(1)
			if s.cfg.GivenUp != nil {
				s.cfg.GivenUp(c.group, TopicOf(c.topic, c.group))
			}
		}
		if s.cfg.Revived != nil {
			s.cfg.Revived(one.topic, 1, int(r.b.Result(i).Size))
		}
	}
	if err != nil {
		again = now + reviveAgain
	}
	return err
}

// reviving is the revival of one checkpoint.
type reviving struct {
	s      *Service
	c      *checkpoint
	b      store.Batch
	stored []revived // of each record in b
	gone   uint32    // messages that are dealt with
}

// revived is a message that is stored again.
type revived struct {
	topic string
	bit   uint32
	dead  bool // among the dead letters
}

// collect makes the records.
func (r *reviving) collect() {
	s, c := r.s, r.c
	name := TopicOf(c.topic, c.group)
	g, ok := s.cfg.Groups.Get(c.group)
	if _, exists := s.cfg.Topics.Get(name); !ok || !exists {
		s.cfg.Logger.Warn("popped messages that nobody acked are not given again: their topic or group was deleted", "topic", c.topic, "group", c.group, "queue", c.queue, "offset", c.start)
		r.gone = c.all()
		return
	}
	target := c.topic
	if kindOf(target) == Normal {
		target = RetryTopic(c.group, c.topic, s.retryKind())
	}
	q := s.cfg.Log.LookupQueue(c.topic, c.queue)
	for i, d := range c.diffs {
		if c.done&(1<<i) != 0 {
			continue
		}
		err := store.ErrNotFound
		if q != nil {
			err = r.message(q, c.start+int64(d), i, target, g.RetryMaxTimes)
		}
		switch {
		case err == nil:
		case errors.Is(err, store.ErrNotFound) || errors.Is(err, errDamaged):
			r.gone |= 1 << i
			s.cfg.Logger.Warn("a popped message that nobody acked is gone and can't be given again", "topic", c.topic, "group", c.group, "queue", c.queue, "offset", c.start+int64(d), "error", err)
		default:
			s.complain("a popped message that nobody acked can't be given again yet", "topic", c.topic, "group", c.group, "queue", c.queue, "offset", c.start+int64(d), "error", err)
		}
	}
}

var errDamaged = errors.New("the stored message can't be read")

// message adds the record of one message: a retry, or a dead letter when it was
// given as often as the group wants. What the message would get besides, when it was
// popped first and where it comes from, is left out where it does not fit.
func (r *reviving) message(q *store.Queue, offset int64, i int, target string, most int32) (err error) {
	s, c := r.s, r.c
	defer func() { // what is read here was made by clients
		if p := recover(); p != nil {
			err = fmt.Errorf("bug: panic: %v\n%s", p, debug.Stack())
		}
	}()
	stored, release, _, err := s.read(q, offset)
	if err != nil {
		return err
	}
	defer release()
	var rec message.Record
	if _, err := message.DecodeRecord(stored, &rec, true); err != nil {
		return errors.Join(errDamaged, err)
	}
	if rec.PhysicalOffset > c.at { // the topic was deleted and made again
		return store.ErrNotFound
	}
	props := append([]byte(nil), rec.Properties...)
	plain := props
	if _, ok := rec.Property(message.PropertyFirstPopTime); !ok || rec.ReconsumeTimes == 0 {
		props = message.DeleteProperty(nil, props, message.PropertyFirstPopTime)
		props = message.AppendProperty(props, message.PropertyFirstPopTime, strconv.FormatInt(c.time, 10))
	}
	dead := rec.ReconsumeTimes >= most
	if dead {
		target = message.DLQTopic(c.group)
		parsed := message.ParseProperties(props)
		parsed[message.PropertyDLQOriginTopic] = TopicOf(c.topic, c.group)
		// The id that its sender gave it, as of one that a consumer sends back.
		id := cmp.Or(parsed[message.PropertyUniqueKey], parsed[message.PropertyOriginMessageID])
		if id == "" {
			id = string(message.AppendOffsetID(nil, rec.StoreHost, rec.PhysicalOffset))
		}
		parsed[message.PropertyDLQOriginMessageID] = id
		props = parsed.Append(nil)
	}
	if _, err := s.cfg.Topics.Ensure(target, 1, permAll, 0); err != nil {
		return err
	}
	if _, known := s.cfg.Offsets.Query(c.group, target, 0); !known && kindOf(target) != Normal {
		s.cfg.Offsets.Commit(c.group, target, 0, 0)
	}
	again := message.Record{
		Flag: rec.Flag, SysFlag: rec.SysFlag.WithTransaction(message.TransactionNone), BornTimestamp: rec.BornTimestamp,
		BornHost: s.cfg.Host, StoreHost: s.cfg.Host, ReconsumeTimes: rec.ReconsumeTimes + 1, PreparedOffset: c.at + int64(i),
		Body: rec.Body, Properties: props,
	}
	to := s.cfg.Log.Queue(target, 0)
	if err = r.b.Add(to, &again); errors.Is(err, message.ErrProperties) {
		again.Properties = plain
		err = r.b.Add(to, &again)
	}
	if err == nil {
		r.stored = append(r.stored, revived{target, 1 << i, dead})
	}
	return err
}
