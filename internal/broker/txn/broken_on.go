// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

//go:build brokentxn

package txn

import (
	"os"
	"sync/atomic"

	"github.com/twostage/twostage/internal/broker/txn/pending"
	"github.com/twostage/twostage/internal/broker/txn/state"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/message"
)

// broken tells whether a rule is to be broken on purpose, so that the bank test
// (test/bank) can show that it would notice. Only a binary that was built with the
// tag brokentxn asks; BROKENTXN names the fault:
//
//	double-commit          the same commit again stores the message again
//	commit-after-rollback  a commit after a rollback is carried out
//	early-answer           one outcome in ten is answered and forgotten
//	check-after-outcome    after one outcome in ten a check is sent
//	lose-half              a start forgets what is undecided
//	split-chain            a half message that is sent again is a transaction of its own
//	lost-op                no op message is written
//	phantom                a start commits what is undecided
func broken(fault string) bool {
	if breaks != fault {
		return false
	}
	if fault == "early-answer" || fault == "check-after-outcome" {
		return turn.Add(1)%10 == 0
	}
	return true
}

var (
	breaks = os.Getenv("BROKENTXN")
	turn   atomic.Int64
)

func (s *Service) brokenAgain(h *stored, f *fate, e *End) bool {
	double := broken("double-commit") && f.kind == state.Committed
	after := broken("commit-after-rollback") && f.kind == state.RolledBack
	if e.Outcome != Commit || !double && !after {
		return false
	}
	var b store.Batch
	if _, err := s.addCommitted(&b, &pending.Info{QueueOffset: h.queueOffset, Physical: h.physical}); err != nil {
		return false
	}
	return s.cfg.Log.Append(&b) == nil
}

func (s *Service) brokenSettled(e *ending) {
	h := e.d.Half
	if p, ok := s.cfg.Producers(h.Group); ok && broken("check-after-outcome") {
		_ = s.withHalf(h.QueueOffset, h.Physical, func(half *message.Record) error {
			req, err := s.checkRequest(&h, half, h.Checks+1)
			if err != nil {
				return err
			}
			return p.PushIf(req, func() bool { return true })
		})
	}
}

func (s *Service) brokenStart() {
	if !broken("phantom") {
		return
	}
	var open []pending.Info
	s.table.Range(0, func(i pending.Info) bool { open = append(open, i); return true })
	for _, i := range open {
		_ = s.finish(i, Commit, false, "committed although nobody said so")
	}
}

func (s *Service) brokenGather(e *ending) bool {
	if e.done == nil || !broken("early-answer") {
		return false
	}
	s.mu.Lock()
	s.table.Settle(e.d, false, s.mono())
	waiters := s.takeWaiters(e.d) // who asked for the same meanwhile is answered too
	s.mu.Unlock()
	e.answer(waiters, wire.Success, "")
	return true
}
