// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"strconv"

	"github.com/twostage/twostage/internal/promtext"
	"github.com/twostage/twostage/message"
)

var (
	familyStorage     = promtext.Family{Name: "rocketmq_storage_size", Help: "Bytes that are used, by whatever, of the file system of the store directory.", Kind: promtext.Gauge, Unit: "bytes"}
	familyLog         = promtext.Family{Name: "twostage_storage_log_bytes", Help: "Bytes of the commit log.", Kind: promtext.Gauge}
	familyUnflushed   = promtext.Family{Name: "rocketmq_storage_flush_behind_bytes", Help: "Bytes of the commit log that are not known to be on disk.", Kind: promtext.Gauge}
	familyUndispatch  = promtext.Family{Name: "rocketmq_storage_dispatch_behind_bytes", Help: "Bytes of the commit log that are not in their queues yet.", Kind: promtext.Gauge}
	familyReserve     = promtext.Family{Name: "rocketmq_storage_message_reserve_time", Help: "Milliseconds since the oldest message was stored that is kept.", Kind: promtext.Gauge, Unit: "milliseconds"}
	familyTimerLag    = promtext.Family{Name: "rocketmq_timer_enqueue_lag", Help: "Messages with a time of delivery that are not in the timer wheel yet.", Kind: promtext.Gauge}
	familyTimerBehind = promtext.Family{Name: "rocketmq_timer_enqueue_latency", Help: "Milliseconds since the first of them was stored.", Kind: promtext.Gauge, Unit: "milliseconds"}
	familyTimerOut    = promtext.Family{Name: "rocketmq_timer_dequeue_total", Help: "Messages delivered at their time since the start.", Kind: promtext.Counter}
	familyLevels      = promtext.Family{Name: "twostage_delay_level_messages", Help: "Messages that wait with a delay level.", Kind: promtext.Gauge}
	familyPopOpen     = promtext.Family{Name: "rocketmq_pop_checkpoint_buffer_size", Help: "Pops whose messages are not all acked or given again.", Kind: promtext.Gauge}
	familyPopRetry    = promtext.Family{Name: "rocketmq_pop_revive_retry_messages_total", Help: "Popped messages that nobody acked in time and that were stored again since the start.", Kind: promtext.Counter}
	familyPopped      = promtext.Family{Name: "twostage_pop_messages_total", Help: "Messages popped and acked since the start, and acks that came too late.", Kind: promtext.Counter}
)

// storage is how the store and what waits in it are.
func (s *scrape) storage() {
	b := s.b
	st := b.store.Stats()
	labels := append([]byte(nil), s.with("storage_type", "local", "storage_medium", "disk")...)
	one := func(f promtext.Family, v int64) {
		s.w.Begin(f)
		s.w.Int(labels, v)
	}
	if u, err := b.o.FS.Usage(b.cfg.Store.Dir); err == nil { // what can't be told is left out
		one(familyStorage, u.Used)
	}
	one(familyLog, st.End-st.Min)
	one(familyUnflushed, st.Unflushed)
	one(familyUndispatch, max(st.End-st.Dispatched, 0))
	if st.FirstTime > 0 {
		one(familyReserve, s.ago(st.FirstTime))
	}
	if t := b.timers; t != nil {
		behind, at := t.Behind(), int64(0)
		if q := b.store.LookupQueue(message.TopicTimer, 0); q != nil && behind > 0 {
			at, _ = b.store.StoreTimeAt(q, t.Position()) // what can't be read has no time
		}
		one(familyTimerLag, behind)
		one(familyTimerBehind, s.ago(at))
		one(familyTimerOut, t.Delivered())
	}
	s.w.Begin(familyLevels)
	for _, l := range b.delays.States() {
		s.w.Int(s.with("level", strconv.Itoa(l.Level)), max(l.Max-l.Next, 0))
	}
	p := b.pops.Stats()
	s.w.Begin(familyPopOpen)
	s.w.Int(s.node, int64(p.Open))
	s.w.Begin(familyPopRetry)
	s.w.Int(s.node, p.Revived)
	s.w.Begin(familyPopped)
	s.w.Int(s.with("what", "popped"), p.Popped)
	s.w.Int(s.with("what", "acked"), p.Acked)
	s.w.Int(s.with("what", "late_ack"), p.LateAcks)
}
