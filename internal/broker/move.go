// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/twostage/twostage/internal/broker/pop"
	"github.com/twostage/twostage/internal/broker/popwait"
	"github.com/twostage/twostage/internal/broker/topic"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
)

const (
	moveInterval  = time.Second
	moveInvisible = 60_000 // ms: for how long a message that is being moved is out of sight
)

// popper pops and acks; *pop.Service is one.
type popper interface {
	Pop(req pop.Request) (pop.Result, error)
	Ack(group, topic string, queue int32, h *pop.Handle, offsets ...int64) error
	Ready(group, topic string, queue int32) bool
}

// mover brings what pops have left in the pop retry topics of a group that was set
// to PULL to %RETRY%group, the one retry topic that clients who pull know. It pops
// each message, stores it there and acks it, so that a kill in between brings it
// again, as one before any other ack does. Members that read a pop retry topic
// themselves, as RocketMQ's Java clients of 5.x do, are left to it.
type mover struct {
	b      *Broker
	pop    popper
	failed map[string]bool // retry topics whose last move failed, and was logged
}

// runMover moves until ctx ends.
func (b *Broker) runMover(p popper) func(ctx context.Context) error {
	m := &mover{b: b, pop: p, failed: map[string]bool{}}
	return func(ctx context.Context) error {
		return every(ctx, moveInterval, func() { m.round(ctx) })
	}
}

// round looks at every topic and group that was set to PULL.
func (m *mover) round(ctx context.Context) {
	for topic, groups := range m.b.assign.Modes().MessageRequestModeMap {
		for group, c := range groups {
			if c.Mode != body.RequestPull {
				continue
			}
			for _, retry := range message.PopRetryTopics(group, topic) {
				err := m.moveAll(ctx, group, topic, retry)
				if err != nil && !m.failed[retry] {
					m.b.log.Error("what a group that pulls now has left to pop can't be moved to its retry topic yet", "group", group, "from", retry, "error", err)
				}
				if m.failed[retry] = err != nil; err == nil {
					delete(m.failed, retry)
				}
			}
		}
	}
}

// moveAll moves what is visible of one pop retry topic. What it reads was made by
// clients: a panic is an error.
func (m *mover) moveAll(ctx context.Context, group, topic, retry string) (err error) {
	moved := 0
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("bug: panic: %v\n%s", p, debug.Stack())
		}
		if moved > 0 {
			m.b.log.Info("a group that pulls now gets what it had left to pop", "group", group, "from", retry, "messages", moved)
		}
	}()
	for ctx.Err() == nil && m.wanted(group, topic, retry) {
		n, err := m.move(group, topic, retry)
		if moved += n; err != nil || n == 0 {
			return err
		}
	}
	return nil
}

// wanted tells whether there is something to move, and nobody else who reads it.
func (m *mover) wanted(group, topic, retry string) bool {
	if _, there := m.b.topics.Get(retry); !there || !m.pop.Ready(group, retry, popwait.AnyQueue) {
		return false
	}
	if _, there := m.b.groups.Get(group); !there {
		return false
	}
	if sub, _, _ := m.b.session.Subscription(group, retry); sub != nil {
		return false
	}
	c, set := m.b.assign.Mode(topic, group)
	return set && c.Mode == body.RequestPull
}

// move moves one pop's worth of messages and tells how many. One that can't be
// stored stays in the pop retry topic, where it is visible again in a while.
func (m *mover) move(group, topic, retry string) (int, error) {
	res, err := m.pop.Pop(pop.Request{Group: group, Topic: retry, Queue: popwait.AnyQueue, Max: pop.MaxMessages, Invisible: moveInvisible})
	if err != nil {
		return 0, err
	}
	defer res.Release()
	var batch store.Batch
	var failed error
	moved := make([]pop.Part, 0, len(res.Parts))
	records := res.Records
	for _, part := range res.Parts {
		offsets := part.Offsets
		part.Offsets = nil
		for i, offset := range offsets {
			if err := m.add(&batch, group, topic, records[i]); err != nil {
				failed = errors.Join(failed, fmt.Errorf("message %d of queue %d of %s: %w", offset, part.Queue, part.Topic, err))
				continue
			}
			part.Offsets = append(part.Offsets, offset)
		}
		records = records[len(offsets):]
		moved = append(moved, part)
	}
	if batch.Len() == 0 {
		return 0, failed
	}
	if err := m.b.store.Append(&batch); err != nil {
		return 0, errors.Join(failed, err)
	}
	m.b.stats.In(message.RetryTopic(group), batch.Len(), batch.Size())
	for _, part := range moved {
		h := pop.Handle{Start: part.Start, PopTime: res.PopTime, Invisible: res.Invisible, Revive: res.ReviveQID, Broker: m.b.cfg.Identity.Name, Queue: part.Queue}
		failed = errors.Join(failed, m.pop.Ack(group, part.Topic, part.Queue, &h, part.Offsets...))
	}
	return batch.Len(), failed
}

// add puts a message into the batch, as one of the group's retry topic. The name of
// the topic that it comes from is left out where it does not fit.
func (m *mover) add(batch *store.Batch, group, from string, stored []byte) error {
	var rec message.Record
	if _, err := message.DecodeRecord(stored, &rec, true); err != nil {
		return err
	}
	queues := int32(1)
	if g, ok := m.b.groups.Get(group); ok {
		queues = max(g.RetryQueueNums, 1)
	}
	target, err := m.b.topics.Ensure(message.RetryTopic(group), queues, topic.PermRead|topic.PermWrite, 0)
	if err != nil {
		return err
	}
	props := message.ParseProperties(rec.Properties)
	delete(props, message.PropertyPopCheckpoint)
	props[message.PropertyRetryTopic] = from
	again := message.Record{
		Flag: rec.Flag, SysFlag: rec.SysFlag, BornTimestamp: rec.BornTimestamp, BornHost: rec.BornHost, StoreHost: m.b.advertised,
		ReconsumeTimes: rec.ReconsumeTimes, Body: rec.Body, Properties: props.Append(nil),
	}
	q := m.b.store.Queue(target.TopicName, int32(rec.QueueOffset%int64(max(target.WriteQueueNums, 1))))
	err = batch.Add(q, &again)
	if errors.Is(err, message.ErrProperties) {
		delete(props, message.PropertyRetryTopic)
		again.Properties = props.Append(nil)
		err = batch.Add(q, &again)
	}
	return err
}
