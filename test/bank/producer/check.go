// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/test/bank/teller"
)

// asked takes a check-back, on the reader's goroutine, and has it answered on
// another one.
func (p *producer) asked(c *conn, cmd *wire.Command) {
	var req header.CheckTransactionRequest
	if err := req.DecodeExt(cmd.Ext); err != nil {
		die("a check-back: %v", err)
	}
	var rec message.Record
	if _, err := message.DecodeRecord(cmd.Body, &rec, true); err != nil {
		die("the half message in a check-back: %v", err)
	}
	key := teller.KeyOf(rec.Body)
	n := p.Number(key)
	if n < 0 || string(rec.Topic) != p.Topic {
		die("asked about %q of topic %s, which is not this producer's", key, rec.Topic)
	}
	p.ledger.Note(teller.Event{Kind: teller.Checked, Key: key, Conn: c.id, Offset: req.TranStateTableOffset})
	h := half{req.TranStateTableOffset, req.CommitLogOffset}
	p.checks.Go(func() { p.answer(c, p.Transaction(n), h) })
}

// answer tells the broker what the ledger says. What it says nothing about is
// rolled back, and the ledger says so before the broker hears of it.
func (p *producer) answer(c *conn, t teller.Transaction, h half) {
	if p.Client == teller.Abandoned {
		if t.Number%2 == 0 { // the others are not answered at all
			c.start(p.endRequest(t.Key, h, teller.Unknown, true), nil)
		}
		return
	}
	p.doom.Asked(t)
	want := teller.Rollback
	p.mu.Lock()
	left, unsure := p.unsure[t.Key]
	if unsure {
		want = t.Want
		p.unsure[t.Key] = max(left-1, 0)
	}
	p.mu.Unlock()
	if unsure && left > 0 {
		c.start(p.endRequest(t.Key, h, teller.Unknown, true), nil)
		return
	}
	decided := p.decide(t.Key, want)
	if unsure {
		p.mu.Lock()
		delete(p.unsure, t.Key)
		p.mu.Unlock()
	}
	var code int32
	first := p.startEnd(c, t.Key, h, decided, true, &code)
	again := false
	if t.Fault == teller.Twice || t.Fault == teller.EndLost && t.Variant == 0 { // at once, not after the first answer
		var code int32
		again = wait("answer to a check", p.startEnd(c, t.Key, h, decided, true, &code))
	}
	if !wait("answer to a check", first) {
		return
	}
	if again {
		p.note(t.Key, teller.Twice)
	}
	if code == wire.Success && (t.Fault == teller.Contradictory || t.Fault == teller.EndLost && t.Variant == 1) {
		var code int32
		if wait("answer to a check", p.startEnd(c, t.Key, h, decided.Opposite(), true, &code)) {
			p.note(t.Key, teller.Contradictory)
		}
	}
}
