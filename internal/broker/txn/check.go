// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package txn

import (
	"context"
	"time"

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
	s.probe()
	for range checkRound {
		if ctx.Err() != nil {
			return
		}
		s.mu.Lock()
		due, ok := s.table.TakeDue(s.mono())
		wait := ok && !due.Expired && !s.mayAsk(due.Half.Group)
		if wait {
			s.table.NoProducer(due)
		}
		s.mu.Unlock()
		switch {
		case !ok:
			return
		case wait:
		case due.Expired:
			s.discard(due)
		default:
			s.ask(due)
		}
	}
	s.poke() // there may be more
}

// ask sends the check to a live connection of the group.
func (s *Service) ask(due Due) {
	group := due.Half.Group
	p, ok := s.cfg.Producers(group)
	if !ok {
		s.mu.Lock()
		defer s.mu.Unlock()
		if _, ok := s.cfg.Producers(group); ok { // it came online meanwhile
			s.table.Retry(due, s.mono())
			return
		}
		delete(s.slow, group)
		s.table.NoProducer(due)
		return
	}
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
	for try := 1; ok; try++ {
		if err = p.Push(req); err == nil {
			s.asked(due)
			return
		}
		if try == maxAttempts {
			break
		}
		p, ok = s.cfg.Producers(group)
	}
	s.slowDown(due, err)
}

// asked notes a check that a connection took; the others of its group are free
// to follow.
func (s *Service) asked(due Due) {
	s.counts.checks.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.mono()
	s.table.Checked(due, now)
	s.dirty = true
	if s.slow[due.Half.Group] != nil {
		delete(s.slow, due.Half.Group)
		s.table.Online(due.Half.Group, now)
	}
}

const (
	maxAttempts = 3      // connections tried for one check
	busyRetry   = 500    // milliseconds until a group that took no check is tried again,
	busyLongest = 10_000 // twice as long each time, at most this
)

// slowGroup is a producer group of which no connection took a check, as when none
// reads. Its transactions wait, unread, while one of them tries from time to time.
type slowGroup struct {
	until   int64 // monotonic milliseconds: when one may try
	pause   int64 // milliseconds, until then
	probing bool  // one may try
}

// mayAsk reports whether a check of the group may be tried; s.mu is held.
func (s *Service) mayAsk(group string) bool {
	g := s.slow[group]
	if g == nil {
		return true
	}
	probing := g.probing
	g.probing = false
	return probing
}

// slowDown has the group of a check that no connection took wait.
func (s *Service) slowDown(due Due, err error) {
	s.mu.Lock()
	g := s.slow[due.Half.Group]
	if g == nil {
		g = &slowGroup{pause: busyRetry / 2}
		s.slow[due.Half.Group] = g
	}
	g.pause = min(2*g.pause, busyLongest)
	g.until, g.probing = s.mono()+g.pause, false
	s.table.NoProducer(due)
	pause := time.Duration(g.pause) * time.Millisecond
	s.mu.Unlock()
	s.cfg.Logger.Warn("no connection of a producer group took a check, so its checks wait", "group", due.Half.Group, "again", pause, "error", err)
}

// probe has one transaction of each slow group try whose pause is over.
func (s *Service) probe() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.mono()
	for name, g := range s.slow {
		if g.until > now {
			continue
		}
		g.until, g.probing = now+g.pause, true // again, should that one be decided first
		if !s.table.Probe(name, now) {
			delete(s.slow, name)
		}
	}
}

// nextWork is when check has something to do; s.mu is held.
func (s *Service) nextWork() (at int64, ok bool) {
	at, ok = s.table.NextDue()
	for _, g := range s.slow {
		if !ok || g.until < at {
			at, ok = g.until, true
		}
	}
	return at, ok
}

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
	s.carryOut(d, func(code int32, remark string) {
		if code != wire.Success {
			s.cfg.Logger.Error("a transaction whose last check got no answer could not be discarded", "topic", h.Topic, "group", h.Group,
				"key", h.Key, "queueOffset", h.QueueOffset, "why", remark)
			return
		}
		s.cfg.Logger.Error("a transaction was discarded: its last check got no answer", "topic", h.Topic, "group", h.Group,
			"key", h.Key, "queueOffset", h.QueueOffset, "checks", due.Checks, "to", message.TopicCheckMax)
	})
}
