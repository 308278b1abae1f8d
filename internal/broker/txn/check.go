// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"context"
	"net/netip"

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
	pick := func() (Producer, bool) { return s.cfg.Producers(a.Group) }
	if s.cfg.Deciders != nil {
		pick = func() (Producer, bool) { return s.cfg.Deciders(a.Group, a.Topic) }
		if p, ok = pick(); !ok {
			s.cfg.Logger.Warn("none of the producers of a group may send to the topic of a half message, so nobody is asked about it", "group", a.Group, "topic", a.Topic, "queueOffset", a.QueueOffset)
			s.mu.Lock()
			s.table.Unreadable(a, s.mono()) // by them, for a while
			s.mu.Unlock()
			return
		}
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
		who := p.RemoteAddr()
		if err = p.PushIf(req, func() bool { return s.sending(a, who) }); err == nil {
			s.asked(a)
			return
		}
		if try == maxAttempts {
			break
		}
		p, ok = pick()
	}
	s.mu.Lock()
	s.table.NotTaken(a, s.mono())
	s.mu.Unlock()
	s.cfg.Logger.Warn("no connection of a producer group took a check, so its checks wait", "group", a.Group, "error", err)
}

// sending tells whether a check that was queued for a connection may still be
// sent; then the story says that it was.
func (s *Service) sending(a pending.Action, who netip.AddrPort) bool {
	s.mu.Lock()
	i, ok := s.table.Get(a.QueueOffset)
	s.mu.Unlock()
	if !ok || i.State == pending.Deciding {
		return false
	}
	s.counts.checks.Add(1)
	s.tell(story.Event{Half: a.QueueOffset, Kind: story.Checked, Count: a.Checks + 1, Who: who.String()})
	return true
}

// asked notes a check that a connection took.
func (s *Service) asked(a pending.Action) {
	now := s.cfg.NowMillis()
	s.mu.Lock()
	defer s.mu.Unlock()
	if checks := s.table.Handed(a, s.monoUp()); checks > 0 {
		s.states.Set(a.QueueOffset, state.Word{Kind: state.Undecided, Checks: checks, CheckedAt: now})
	}
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
