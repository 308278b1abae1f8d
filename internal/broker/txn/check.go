// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"context"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// checkRound bounds how many transactions one round deals with before the due
// time is looked at anew.
const checkRound = 256

// check deals with what is due: it asks a producer of the group, or discards
// what was asked about often enough.
func (s *Service) check(ctx context.Context) {
	for range checkRound {
		if ctx.Err() != nil {
			return
		}
		s.mu.Lock()
		due, ok := s.table.TakeDue(s.mono())
		s.mu.Unlock()
		if !ok {
			return
		}
		if due.Expired {
			s.discard(due)
			continue
		}
		s.ask(due)
	}
	s.poke() // there may be more
}

// ask sends the check to a live connection of the group.
func (s *Service) ask(due Due) {
	var req *wire.Request
	err := s.withHalf(due.Half, func(half *message.Record) error {
		var err error
		req, err = s.checkRequest(due.Half, half, due.Checks+1)
		return err
	})
	if err != nil {
		s.cfg.Logger.Error("a half message can't be read, so nobody can be asked about it", "queueOffset", due.Half.QueueOffset, "error", err)
		s.mu.Lock()
		s.table.Retry(due, s.mono()+s.cfg.Interval.Milliseconds())
		s.mu.Unlock()
		return
	}
	for range maxAttempts {
		p, ok := s.cfg.Producers(due.Half.Group)
		if !ok {
			break
		}
		if err := p.Push(req); err != nil {
			s.cfg.Logger.Warn("a check could not be sent", "group", due.Half.Group, "client", p.RemoteAddr(), "error", err)
			continue
		}
		s.counts.checks.Add(1)
		s.mu.Lock()
		s.table.Checked(due, s.mono())
		s.dirty = true
		s.mu.Unlock()
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.cfg.Producers(due.Half.Group); ok {
		// One came online meanwhile, or each was too slow to take it.
		s.table.Retry(due, s.mono()+busyRetry)
		return
	}
	s.table.NoProducer(due)
}

const (
	maxAttempts = 3   // connections tried for one check
	busyRetry   = 500 // milliseconds until a check that no connection took is tried again
)

// checkRequest is CHECK_TRANSACTION_STATE for a half message: its record, with
// the topic and queue it is meant for, and how many checks this one makes.
func (s *Service) checkRequest(h Half, half *message.Record, checks int32) (*wire.Request, error) {
	topic, queue, err := realQueue(half)
	if err != nil {
		return nil, err
	}
	rec := *half
	rec.Topic, rec.QueueID = []byte(topic), queue
	// As in the copy that RocketMQ stores before it asks.
	props := message.DeleteProperty(nil, withChecks(half.Properties, checks), message.PropertyWait)
	rec.Properties = message.AppendProperty(props, message.PropertyWait, "false")
	return &wire.Request{
		Code: wire.ReqCheckTransactionState, OneWay: true,
		Header: &header.CheckTransactionRequest{
			TranStateTableOffset: h.QueueOffset, CommitLogOffset: h.Physical, MsgID: h.Key, TransactionID: h.Key,
			OffsetMsgID: string(message.AppendOffsetID(nil, rec.StoreHost, h.Physical)),
		},
		Body: message.AppendRecord(nil, &rec),
	}, nil
}

// discard parks a transaction that nobody decided about.
func (s *Service) discard(due Due) {
	h := due.Half
	s.mu.Lock()
	d, err := s.table.Decide(h.QueueOffset, h.Physical, h.Group, Discard)
	s.mu.Unlock()
	if err != nil || d == nil {
		return // decided meanwhile
	}
	if err := s.cfg.Topic(message.TopicCheckMax); err != nil {
		s.cfg.Logger.Error("the topic of discarded transactions can't be made, so nobody can consume it", "topic", message.TopicCheckMax, "error", err)
	}
	s.cfg.Logger.Error("a transaction was discarded: its last check got no answer", "topic", h.Topic, "group", h.Group,
		"key", h.Key, "queueOffset", h.QueueOffset, "checks", due.Checks, "to", message.TopicCheckMax)
	s.carryOut(d, func(int32, string) {})
}
