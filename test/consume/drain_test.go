// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package consume

import (
	"context"
	"fmt"
	"time"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/test/rig"
)

// drain waits until everything is consumed, and nothing comes again.
func (w *world) drain() error {
	since, pops := time.Now(), 0
	settled := 2 * time.Second // a message that was given back without an answer waits a level long
	for _, g := range w.cfg.groups {
		if g.pop {
			settled = 6 * time.Second // and one that lapses its invisible time, and until it is revived
		}
	}
	patience := rig.Patience + lockExpiry*time.Millisecond // of one whose unlocking was lost
	if w.cfg.drain > 0 {
		patience = w.cfg.drain
	}
	limit := time.NewTimer(patience)
	defer limit.Stop()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		n, err := w.behind()
		if err != nil {
			last = err
		}
		if err != nil || n != pops {
			since, pops = time.Now(), n
		}
		if time.Since(since) > settled {
			return nil
		}
		select {
		case <-tick.C:
		case <-limit.C:
			return fmt.Errorf("not everything is consumed after %v, %d pops; last: %v", patience, pops, last)
		}
	}
}

// behind says what is not consumed yet, and counts the pops so far.
func (w *world) behind() (pops int, err error) {
	ctx, cancel := context.WithTimeout(w.ctx, callTimeout)
	defer cancel()
	back := make(map[string]int64)
	consumed := make(map[string]bool)
	events := w.history.since(0)
	for i := range events {
		switch e := &events[i]; e.kind {
		case backDone:
			back[e.group]++
		case popped:
			pops++
		case done:
			consumed[e.group+" "+e.id] = true
		}
	}
	for _, g := range w.cfg.groups {
		if g.pop {
			if err := w.unpopped(ctx, g, events, consumed); err != nil {
				return pops, err
			}
			continue
		}
		again, err := w.end(ctx, queue{g.retryTopics()[0], 0})
		if err != nil {
			return pops, err
		}
		dead, err := w.end(ctx, queue{message.DLQTopic(g.name), 0})
		if err != nil {
			return pops, err
		}
		if again+dead < back[g.name] {
			return pops, fmt.Errorf("group %s: %d messages were given back, %d are there again", g.name, back[g.name], again+dead)
		}
	}
	for _, at := range w.places() {
		end, err := w.end(ctx, at.q)
		if err != nil {
			return pops, err
		}
		if end == 0 {
			continue
		}
		offset, err := rpc.QueryOffset(ctx, w.admin, w.addr(), at.group, at.q.topic, at.q.id)
		if err != nil {
			return pops, err
		}
		if offset != end {
			return pops, fmt.Errorf("group %s: %s: offset %d of %d", at.group, at.q, offset, end)
		}
	}
	return pops, nil
}

// unpopped says which message a group that pops neither consumed nor has among
// its dead letters.
func (w *world) unpopped(ctx context.Context, g group, events []event, consumed map[string]bool) error {
	dead := make(map[string]bool)
	_, err := rig.Drain(ctx, w.admin, w.addr(), message.DLQTopic(g.name), 0, 0, func(r *message.Record) error {
		dead[string(r.Body)] = true
		return nil
	})
	if code, answered := rpc.CodeOf(err); err != nil && (!answered || rpc.Code(code) != rpc.TopicNotExist) {
		return err
	}
	for i := range events {
		e := &events[i]
		if e.kind != sendDone {
			continue
		}
		if asked := &events[e.of]; asked.q.topic == g.topic && !consumed[g.name+" "+asked.id] && !dead[asked.id] {
			return fmt.Errorf("group %s: %s of %s is not consumed", g.name, asked.id, asked.q)
		}
	}
	return nil
}

// end is the number of records of a queue; 0 without the queue.
func (w *world) end(ctx context.Context, q queue) (int64, error) {
	n, err := rpc.MaxOffset(ctx, w.admin, w.addr(), q.topic, q.id)
	if code, ok := rpc.CodeOf(err); ok && (rpc.Code(code) == rpc.TopicNotExist || rpc.Code(code) == rpc.SystemError) {
		return 0, nil
	}
	return n, err
}

// collect reads everything for the judge.
func (w *world) collect() (*run, error) {
	r := &run{events: w.history.since(0), groups: w.cfg.groups, queues: make(map[queue][]record), final: make(map[string]map[queue]int64)}
	ctx := rig.Context(w.t)
	read := func(topic string, n int32) error {
		for id := range n {
			q := queue{topic, id}
			_, err := rig.Drain(ctx, w.admin, w.addr(), topic, id, 0, func(rec *message.Record) error {
				if int(rec.QueueOffset) != len(r.queues[q]) {
					return fmt.Errorf("offset %d, want %d", rec.QueueOffset, len(r.queues[q]))
				}
				r.queues[q] = append(r.queues[q], record{string(rec.Body), rec.ReconsumeTimes})
				return nil
			})
			if code, answered := rpc.CodeOf(err); answered && rpc.Code(code) == rpc.TopicNotExist {
				return nil
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	read1 := make(map[string]bool)
	for _, g := range w.cfg.groups {
		for _, topic := range append(g.retryTopics(), g.topic, message.DLQTopic(g.name)) {
			n := int32(1)
			if topic == g.topic {
				n = queues
			}
			if read1[topic] {
				continue
			}
			read1[topic] = true
			if err := read(topic, n); err != nil {
				return nil, err
			}
		}
		r.final[g.name] = make(map[queue]int64)
	}
	for _, at := range w.places() {
		offset, err := rpc.QueryOffset(ctx, w.admin, w.addr(), at.group, at.q.topic, at.q.id)
		if err == nil {
			r.final[at.group][at.q] = offset
		}
	}
	return r, nil
}
