// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pop

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/message"
)

const (
	settleEvery = 200 * time.Millisecond
	reviveAgain = 1000 // ms after an error
	permAll     = 6
)

// Run revives, moves offsets on and notes, until ctx ends or the service is
// closed, and returns nil. It is called once. Errors of the store are logged and
// tried again.
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
	settle := time.NewTicker(settleEvery)
	defer settle.Stop()
	note := time.NewTicker(s.cfg.NoteInterval)
	defer note.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.closing:
			return nil
		case <-timer.C:
		case <-s.wake:
		case <-settle.C:
			s.settleOffsets()
			s.settleRevive()
		case <-note.C:
			if err := s.noteIfNew(); err != nil {
				s.cfg.Logger.Error("what is popped could not be noted", "error", err)
			}
		}
		if next, ok := s.due(); ok {
			timer.Reset(time.Duration(min(max(next-s.cfg.NowMillis(), 0), 1000)) * time.Millisecond)
		}
	}
}

// due revives what is due and tells of queues that are free again, and when that
// is next to be done.
func (s *Service) due() (next int64, ok bool) {
	for {
		now := s.cfg.NowMillis()
		s.mu.Lock()
		c := s.open.take(now)
		s.mu.Unlock()
		if c == nil {
			break
		}
		s.reviveOne(c, now)
	}
	now := s.cfg.NowMillis()
	var woken []queueKey
	s.mu.Lock()
	next, ok = s.open.next()
	for k, at := range s.waking {
		switch {
		case at <= now:
			woken = append(woken, k)
			delete(s.waking, k)
		case !ok || at < next:
			next, ok = at, true
		}
	}
	s.mu.Unlock()
	if s.cfg.Wake != nil {
		for _, k := range woken {
			s.cfg.Wake(k.group, k.topic, k.queue)
		}
	}
	return next, ok
}

// reviveOne stores the messages of a checkpoint again that nobody has acked, all
// in one write.
func (s *Service) reviveOne(c *checkpoint, now int64) {
	s.gate.RLock()
	defer s.gate.RUnlock()
	r := reviving{s: s, c: c}
	err := r.collect()
	if err == nil && r.b.Len() > 0 {
		r.b.Atomic = true
		err = s.cfg.Log.Append(&r.b)
	}
	mask := r.gone
	if err == nil {
		mask = c.all()
		for i, topic := range r.topics {
			if s.cfg.Revived != nil {
				s.cfg.Revived(topic, 1, int(r.b.Result(i).Size))
			}
		}
		s.stats.revived.Add(int64(len(r.topics)))
		s.stats.dead.Add(r.dead)
	} else {
		s.cfg.Logger.Error("popped messages that nobody acked can't be stored again yet", "topic", c.topic, "group", c.group, "queue", c.queue, "offset", c.start, "error", err)
	}
	s.mu.Lock()
	s.open.finish(c, mask, now+reviveAgain)
	s.dirty = true
	s.mu.Unlock()
}

// reviving is the revival of one checkpoint.
type reviving struct {
	s      *Service
	c      *checkpoint
	b      store.Batch
	topics []string // of each record in b
	gone   uint32   // messages that can't be revived
	dead   int64    // records for the dead letters
}

// collect makes the records. An error says that it may work later.
func (r *reviving) collect() error {
	s, c := r.s, r.c
	name := normalTopic(c.topic, c.group)
	g, ok := s.cfg.Groups.Get(c.group)
	if _, exists := s.cfg.Topics.Get(name); !ok || !exists {
		s.cfg.Logger.Warn("popped messages that nobody acked are not given again: their topic or group was deleted", "topic", c.topic, "group", c.group, "queue", c.queue, "offset", c.start)
		r.gone = c.all()
		return nil
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
			err = r.message(q, c.start+int64(d), int64(i), target, g.RetryMaxTimes)
		}
		if errors.Is(err, store.ErrNotFound) || errors.Is(err, errDamaged) {
			r.gone |= 1 << i
			s.cfg.Logger.Warn("a popped message that nobody acked is gone and can't be given again", "topic", c.topic, "group", c.group, "queue", c.queue, "offset", c.start+int64(d), "error", err)
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

var errDamaged = errors.New("the stored message can't be read")

// message adds the record of one message: a retry, or a dead letter when it was
// given as often as the group wants.
func (r *reviving) message(q *store.Queue, offset, i int64, target string, most int32) error {
	s, c := r.s, r.c
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
	if _, ok := rec.Property(message.PropertyFirstPopTime); !ok || rec.ReconsumeTimes == 0 {
		props = message.DeleteProperty(nil, props, message.PropertyFirstPopTime)
		props = message.AppendProperty(props, message.PropertyFirstPopTime, strconv.FormatInt(c.time, 10))
	}
	if rec.ReconsumeTimes >= most {
		target = message.DLQTopic(c.group)
		parsed := message.ParseProperties(props)
		parsed[message.PropertyDLQOriginTopic] = normalTopic(c.topic, c.group)
		if id := parsed[message.PropertyOriginMessageID]; id != "" {
			parsed[message.PropertyDLQOriginMessageID] = id
		} else {
			parsed[message.PropertyDLQOriginMessageID] = string(message.AppendOffsetID(nil, rec.StoreHost, rec.PhysicalOffset))
		}
		props = parsed.Append(nil)
		r.dead++
	}
	if _, err := s.cfg.Topics.Ensure(target, 1, permAll, 0); err != nil {
		return err
	}
	if _, known := s.cfg.Offsets.Query(c.group, target, 0); !known && kindOf(target) != Normal {
		s.cfg.Offsets.Commit(c.group, target, 0, 0)
	}
	again := message.Record{
		Flag: rec.Flag, SysFlag: rec.SysFlag.WithTransaction(message.TransactionNone), BornTimestamp: rec.BornTimestamp,
		BornHost: s.cfg.Host, StoreHost: s.cfg.Host, ReconsumeTimes: rec.ReconsumeTimes + 1, PreparedOffset: c.at + i,
		Body: rec.Body, Properties: props,
	}
	if err := r.b.Add(s.cfg.Log.Queue(target, 0), &again); err != nil {
		return err
	}
	r.topics = append(r.topics, target)
	return nil
}
