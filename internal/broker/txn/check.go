// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"context"

	"github.com/twostage/twostage/internal/broker/txn/pending"
	"github.com/twostage/twostage/internal/broker/txn/state"
	"github.com/twostage/twostage/internal/broker/txn/story"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

const (
	checkRound  = 256 // transactions that one round deals with before others get their turn
	maxAttempts = 3   // connections tried for one check
)

// check deals with what is due: it asks a producer of the group, or discards what
// was asked about often enough or is too old.
func (s *Service) check(ctx context.Context) {
	for range checkRound {
		if ctx.Err() != nil {
			return
		}
		s.mu.Lock()
		a, ok := s.table.Next(s.mono())
		var d *pending.Decision
		if ok && a.Kind == pending.Expire { // under the same lock: a Recheck in between would be lost
			d, _ = s.table.Decide(a.QueueOffset, a.Physical, a.Group, Discard)
		}
		s.mu.Unlock()
		switch {
		case !ok:
			return
		case a.Kind == pending.Expire:
			s.discard(d, a.Why)
		default:
			s.ask(a)
		}
	}
	s.poke() // there may be more
}

// ask sends the check to a live connection of the group.
func (s *Service) ask(a pending.Action) {
	p, ok := s.cfg.Producers(a.Group)
	if !ok {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.table.NobodyThere(a)
		if _, ok := s.cfg.Producers(a.Group); ok { // it came online meanwhile
			s.table.Online(a.Group, s.mono())
		}
		return
	}
	var req *wire.Request
	err := s.withHalf(a.QueueOffset, a.Physical, func(half *message.Record) error {
		var err error
		req, err = s.checkRequest(&a.Info, half, a.Checks+1)
		return err
	})
	if err != nil {
		s.cfg.Logger.Error("a half message can't be read, so nobody can be asked about it", "queueOffset", a.QueueOffset, "error", err)
		s.mu.Lock()
		s.table.Unreadable(a, s.mono())
		s.mu.Unlock()
		return
	}
	for try := 1; ok; try++ {
		if err = p.PushIf(req, func() bool { return s.undecided(a.QueueOffset) }); err == nil {
			s.asked(a, p)
			return
		}
		if try == maxAttempts {
			break
		}
		p, ok = s.cfg.Producers(a.Group)
	}
	s.mu.Lock()
	s.table.NotTaken(a, s.mono())
	s.mu.Unlock()
	s.cfg.Logger.Warn("no connection of a producer group took a check, so its checks wait", "group", a.Group, "error", err)
}

// undecided tells whether a check that was queued for a connection may still be
// sent.
func (s *Service) undecided(queueOffset int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, ok := s.table.Get(queueOffset)
	return ok && i.State != pending.Deciding
}

// asked notes a check that a connection took.
func (s *Service) asked(a pending.Action, p Producer) {
	s.counts.checks.Add(1)
	now := s.cfg.NowMillis()
	s.mu.Lock()
	checks := s.table.Handed(a, s.monoUp())
	if i, ok := s.table.Get(a.QueueOffset); ok && i.State != pending.Deciding {
		s.states.Set(a.QueueOffset, state.Word{Kind: state.Undecided, Checks: checks, CheckedAt: now})
	}
	s.mu.Unlock()
	s.tell(story.Event{Half: a.QueueOffset, Kind: story.Checked, Count: checks, Who: p.RemoteAddr().String()})
}

// checkRequest is CHECK_TRANSACTION_STATE for a half message: its record, with
// the topic and queue it is meant for, and how many checks this one makes.
func (s *Service) checkRequest(h *pending.Info, half *message.Record, checks int32) (*wire.Request, error) {
	topic, queue, err := realQueue(half)
	if err != nil {
		return nil, err
	}
	key := text(half, message.PropertyUniqueKey)
	rec := *half
	rec.Topic, rec.QueueID = []byte(topic), queue
	// As in the copy that RocketMQ stores before it asks.
	props := message.DeleteProperty(nil, withChecks(half.Properties, checks), message.PropertyWait)
	rec.Properties = message.AppendProperty(props, message.PropertyWait, "false")
	return &wire.Request{
		Code: wire.ReqCheckTransactionState, OneWay: true,
		Header: &header.CheckTransactionRequest{
			TranStateTableOffset: h.QueueOffset, CommitLogOffset: h.Physical, MsgID: key, TransactionID: key,
			OffsetMsgID: string(message.AppendOffsetID(nil, rec.StoreHost, h.Physical)),
		},
		Body: message.AppendRecord(nil, &rec),
	}, nil
}
