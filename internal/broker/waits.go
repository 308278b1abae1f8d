// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"strings"

	"github.com/twostage/twostage/internal/broker/delay"
	"github.com/twostage/twostage/internal/broker/inflow"
	"github.com/twostage/twostage/internal/broker/timer"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/message"
)

// waits says where a message waits that is not to be delivered at once: with a
// delay level, which wins, or until a time.
type waits struct {
	levels *delay.Service
	timers *timer.Service // nil: timerWheelEnable=false
}

func (b *Broker) waits() waits { return waits{b.delays, b.timers} }

// Rewrite is handler.Delays.
func (w waits) Rewrite(topic string, queue int32, props, scratch []byte) (q *store.Queue, out []byte, ok bool, err error) {
	if q, out, ok = w.levels.Rewrite(topic, queue, props, scratch); ok {
		return q, out, true, nil
	}
	if w.timers != nil {
		return w.timers.Rewrite(topic, queue, props, scratch)
	}
	if timer.Timed(props) {
		return nil, scratch, false, timer.ErrNotEnabled
	}
	return nil, scratch, false, nil
}

// taken is waits for messages that were taken before: a delay that has become too
// long can still be had.
type taken struct{ waits }

// Rewrite is txn.Delays.
func (w taken) Rewrite(topic string, queue int32, props, scratch []byte) (q *store.Queue, out []byte, ok bool, err error) {
	if q, out, ok = w.levels.Rewrite(topic, queue, props, scratch); ok {
		return q, out, true, nil
	}
	if w.timers != nil {
		return w.timers.RewriteTaken(topic, queue, props, scratch)
	}
	if timer.Timed(props) {
		return nil, scratch, false, timer.ErrNotEnabled
	}
	return nil, scratch, false, nil
}

// openTimers opens the wheel. What waits in it when timerWheelEnable is false
// waits until it is true, as in RocketMQ.
func (b *Broker) openTimers() error {
	c := b.cfg.Timers
	if !c.Enable {
		if q := b.store.LookupQueue(message.TopicTimer, 0); q != nil && q.Max() > q.Min() {
			b.log.Warn("messages with a time of delivery wait until timerWheelEnable is true; some may have been delivered", "messages", q.Max()-q.Min())
		}
		return nil
	}
	window := c.RollWindow
	if kept := b.cfg.Retention.Reserved / 3 * 2; kept > 0 {
		window = min(window, kept) // what waits longer would be deleted with its log file
	}
	var err error
	b.timers, err = timer.Open(timer.Config{
		Log: b.store, FS: b.o.FS, Dir: b.cfg.Store.Dir, MaxDelay: c.MaxDelay, Precision: c.Precision, RollWindow: window,
		FileSize: c.FileSize, FlushInterval: c.FlushInterval, NowMillis: b.o.NowMillis, Logger: b.log,
		TopicExists: func(name string) bool { // the broker's own pop records have a topic without a configuration
			_, ok := b.topics.Get(name)
			return ok || strings.HasPrefix(name, message.RevivePrefix)
		},
		Delivered: b.countedAs(inflow.Delay),
	})
	if err != nil {
		return err
	}
	b.group.Defer("timers", b.timers.Close)
	return nil
}
