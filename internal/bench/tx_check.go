// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"time"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/message"
)

// asked answers a check of any worker's transaction.
//
// That a transaction's outcome was answered is known from its not being in
// flight and not open. Checks on the connection that its answer came by are in
// order with it. On another one, a check that was on its way when the outcome
// arrived at the broker, as when that took as long as the deadline, can be read
// after the answer: then one check too many is counted.
func (w *txWorker) asked(c *txCheck, _ time.Time) error {
	owner, place, seq := w.owner(c)
	if owner == nil {
		w.counts.ForeignCheck++
		w.link.answer(c, message.TransactionRollback, firstOpaque, true)
		return nil
	}
	w.counts.Checks++
	if owner.slots[place].current.Load() == seq { // its local transaction still runs
		w.link.answer(c, message.TransactionNone, firstOpaque, true)
		return nil
	}
	outcome, open := owner.nextAnswer(c.key.number)
	switch {
	case !open:
		outcome = w.tooMany(c)
		w.link.answer(c, outcome, firstOpaque, true)
	case outcome == message.TransactionNone:
		w.link.answer(c, outcome, firstOpaque, true)
	case w.run.load.OneWay:
		w.link.answer(c, outcome, firstOpaque, true)
		if owner.close(c.key.number) {
			w.count(outcome)
		}
	default:
		opaque := w.opaque()
		w.answers[opaque] = checkAnswer{c.key.number, outcome}
		w.link.answer(c, outcome, opaque, false)
	}
	return nil
}

// owner is the worker whose transaction a check is for, nil when it is not this
// run's.
func (w *txWorker) owner(c *txCheck) (owner *txWorker, slot int, seq uint32) {
	place, slot, seq := splitTxNumber(c.key.number)
	if !c.ours || c.key.run != w.run.id || place >= len(w.run.workers) || slot >= len(w.slots) || seq == 0 {
		return nil, 0, 0
	}
	return w.run.workers[place], slot, seq
}

// tooMany counts a check of a decided transaction, and gives its outcome.
func (w *txWorker) tooMany(c *txCheck) message.SysFlag {
	outcome := w.run.outcome(c.key.number, 0)
	if outcome != message.TransactionNone {
		w.counts.UnexpectedCheck++
		return outcome
	}
	w.counts.DuplicatedCheck++
	for check := int32(1); check < 1000; check++ {
		if outcome = w.run.outcome(c.key.number, check); outcome != message.TransactionNone {
			break
		}
	}
	return outcome
}

// opaque is one that no answer to a check waits with.
func (w *txWorker) opaque() int32 {
	for {
		opaque := firstOpaque + 2*int32(len(w.slots)) + w.next
		w.next = (w.next + 1) & (1<<24 - 1)
		if _, used := w.answers[opaque]; !used {
			return opaque
		}
	}
}

// decidedByCheck goes on when an outcome told after a check was answered.
func (w *txWorker) decidedByCheck(cmd *wire.Command) {
	a, ok := w.answers[cmd.Opaque]
	if !ok {
		return
	}
	delete(w.answers, cmd.Opaque)
	place, _, _ := splitTxNumber(a.number)
	first := w.run.workers[place].close(a.number)
	switch {
	case cmd.Code != wire.Success:
		w.refuse(cmd)
	case first:
		w.count(a.outcome)
	}
}

// nextAnswer is what a check of an open transaction is answered. Once that is an
// outcome, it stays. It may be called from any worker's goroutine.
func (w *txWorker) nextAnswer(number uint64) (outcome message.SysFlag, open bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.open[number]
	if t == nil {
		return message.TransactionNone, false
	}
	if t.outcome == message.TransactionNone {
		t.checks++
		t.outcome = w.run.outcome(number, t.checks)
	}
	return t.outcome, true
}

// close takes an open transaction out; false when it was out. It may be called
// from any worker's goroutine.
func (w *txWorker) close(number uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ok := w.open[number]
	delete(w.open, number)
	return ok
}
