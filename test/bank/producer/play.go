// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"math/rand/v2"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/test/bank/teller"
)

// half is where an acknowledged half message is.
type half struct{ offset, position int64 }

// play runs a transaction from its half message to its last answer.
func (p *producer) play(ctx context.Context, t teller.Transaction) {
	rng := p.dice(t)
	if t.Fault == teller.Died {
		p.doom.Begin(t)
		if _, ok := p.prepare(ctx, t, rng); !ok {
			p.doom.Missed(t)
			return
		}
		p.decide(t.Key, t.Want)
		p.doom.Decided(t)
		return
	}
	h, ok := p.prepare(ctx, t, rng)
	if !ok || p.Client == teller.Abandoned {
		return // whoever asks is told, or not, in asked
	}
	if t.Fault == teller.Unsure {
		p.mu.Lock()
		p.unsure[t.Key] = t.Times
		p.mu.Unlock()
		if c := p.link.pick(ctx, rng); c != nil {
			c.start(p.endRequest(t.Key, h, teller.Unknown, false), nil)
			p.fault(t)
		}
		return
	}
	decided := p.decide(t.Key, t.Want)
	switch t.Fault {
	case teller.EndLost:
		p.fault(t)
	case teller.Late:
		if teller.Sleep(ctx, t.Delay) && p.end(ctx, t, h, decided, rng) >= 0 {
			p.fault(t)
		}
	case teller.Twice:
		p.twice(ctx, t, h, decided, rng)
	case teller.Contradictory:
		if p.end(ctx, t, h, decided, rng) == wire.Success && (t.Delay == 0 || teller.Sleep(ctx, t.Delay)) &&
			p.end(ctx, t, h, decided.Opposite(), rng) >= 0 {
			p.fault(t)
		}
	case teller.WrongEnd:
		p.forge(ctx, t, h, decided.Opposite(), rng)
		p.end(ctx, t, h, decided, rng)
	default:
		if decided == teller.Rollback {
			p.note(t.Key, teller.RolledBack)
		}
		p.end(ctx, t, h, decided, rng)
	}
}

// fault notes that a transaction's fault was made: where it is a request, that
// one was answered.
func (p *producer) fault(t teller.Transaction) { p.note(t.Key, t.Fault) }

func (p *producer) note(key string, f teller.Fault) {
	p.ledger.Note(teller.Event{Kind: teller.Faulted, Key: key, Fault: f})
}

// prepare sends the half message. Where its answer is lost, by plan or by a
// kill, it is sent again or not, as the plan says; never once the transaction is
// decided, because such a half message is a new transaction.
func (p *producer) prepare(ctx context.Context, t teller.Transaction, rng *rand.Rand) (half, bool) {
	c := p.link.pick(ctx, rng)
	if c == nil {
		return half{}, false
	}
	if t.Fault == teller.HalfLost {
		lost := c.start(p.halfRequest(t), func(*wire.Command, int) {})
		p.fault(t)
		if !t.Again {
			wait("half message", lost)
			return half{}, false
		}
		if t.Variant < 2 { // both are on their way at the same time
			var h half
			ok := p.send(t, c, &h)
			// Both are there, or neither will come, before anything is decided.
			wait("half message", lost)
			return h, wait("half message", ok) && h.offset >= 0
		}
		wait("half message", lost)
	}
	for {
		if _, decided := p.ledger.Decision(t.Key); decided {
			return half{}, false
		}
		if c = p.link.pick(ctx, rng); c == nil {
			return half{}, false
		}
		var h half
		if wait("half message", p.send(t, c, &h)) {
			return h, h.offset >= 0
		}
		p.note(t.Key, teller.HalfLost)
		if !t.Again || !teller.Sleep(ctx, redial) {
			return half{}, false
		}
	}
}

// send sends the half message and sets h when the answer comes; its offset is -1
// when the broker refuses.
func (p *producer) send(t teller.Transaction, c *conn, h *half) <-chan bool {
	return c.start(p.halfRequest(t), func(answer *wire.Command, sent int) {
		switch answer.Code {
		case wire.Success, wire.FlushDiskTimeout, wire.FlushSlaveTimeout, wire.SlaveNotAvailable:
		default:
			h.offset = -1
			p.ledger.Note(teller.Event{Kind: teller.Refused, Key: t.Key, Conn: c.id, Code: answer.Code})
			return
		}
		var r header.SendResponse
		err := r.DecodeExt(answer.Ext)
		if err == nil {
			_, h.position, err = message.ParseOffsetID(string(r.MsgID))
		}
		if err != nil {
			die("the answer to the half message of %s: %v", t.Key, err)
		}
		h.offset = r.QueueOffset
		p.ledger.Note(teller.Event{Kind: teller.Stored, Key: t.Key, Conn: c.id, Offset: h.offset, Sent: sent})
	})
}

func (p *producer) halfRequest(t teller.Transaction) *wire.Request {
	props := message.AppendProperty(nil, message.PropertyUniqueKey, t.Key)
	props = message.AppendProperty(props, message.PropertyWait, "true")
	props = message.AppendProperty(props, message.PropertyTransactionPrepared, "true")
	props = message.AppendProperty(props, message.PropertyProducerGroup, p.Group)
	return &wire.Request{Code: wire.ReqSendMessageV2, Body: t.Body, Header: &header.SendRequest{
		ProducerGroup: []byte(p.Group), Topic: []byte(p.Topic), DefaultTopic: []byte(message.TopicAutoCreate),
		DefaultTopicQueueNums: teller.Queues, QueueID: t.Queue, SysFlag: int32(message.TransactionPrepared),
		BornTimestamp: 1_800_000_000_000, Properties: props,
	}}
}

func (p *producer) endRequest(key string, h half, o teller.Outcome, check bool) *wire.Request {
	flag := message.TransactionNone
	switch o {
	case teller.Commit:
		flag = message.TransactionCommit
	case teller.Rollback:
		flag = message.TransactionRollback
	}
	return &wire.Request{Code: wire.ReqEndTransaction, Header: &header.EndTransactionRequest{
		ProducerGroup: p.Group, TranStateTableOffset: h.offset, CommitLogOffset: h.position, CommitOrRollback: int32(flag),
		FromTransactionCheck: check, MsgID: key, TransactionID: key,
	}}
}

// startEnd tells an outcome; code is set when the answer comes.
func (p *producer) startEnd(c *conn, key string, h half, o teller.Outcome, check bool, code *int32) <-chan bool {
	return c.start(p.endRequest(key, h, o, check), func(answer *wire.Command, sent int) {
		*code = answer.Code
		p.ledger.Note(teller.Event{
			Kind: teller.Answered, Key: key, Conn: c.id, Offset: h.offset, Sent: sent, Outcome: o, Code: answer.Code,
		})
	})
}

// end tells an outcome and gives the code of the answer, -1 when none came. By
// plan it is told again when none came.
func (p *producer) end(ctx context.Context, t teller.Transaction, h half, o teller.Outcome, rng *rand.Rand) int32 {
	for {
		c := p.link.pick(ctx, rng)
		if c == nil {
			return -1
		}
		var code int32
		if wait("end", p.startEnd(c, t.Key, h, o, false, &code)) {
			return code
		}
		p.note(t.Key, teller.EndLost)
		if !t.Again || !teller.Sleep(ctx, redial) {
			return -1
		}
	}
}

// twice tells the outcome several times.
func (p *producer) twice(ctx context.Context, t teller.Transaction, h half, o teller.Outcome, rng *rand.Rand) {
	if t.Delay > 0 {
		first := p.end(ctx, t, h, o, rng)
		for pause := t.Delay; t.Times > 0; t.Times, pause = t.Times-1, t.Delay/4 {
			if !teller.Sleep(ctx, pause) {
				return
			}
			if p.end(ctx, t, h, o, rng) >= 0 && first >= 0 {
				p.fault(t)
			}
		}
		return
	}
	codes := make([]int32, 1+t.Times)
	var done []<-chan bool
	for i := range codes {
		if c := p.link.pick(ctx, rng); c != nil {
			done = append(done, p.startEnd(c, t.Key, h, o, false, &codes[i]))
		}
	}
	answered := 0
	for _, d := range done {
		if wait("end", d) {
			answered++
		}
	}
	if answered > 1 {
		p.fault(t)
	}
}

// forge sends an outcome that names the half message wrongly.
func (p *producer) forge(ctx context.Context, t teller.Transaction, h half, o teller.Outcome, rng *rand.Rand) {
	c := p.link.pick(ctx, rng)
	if c == nil {
		return
	}
	wrong := h
	group := p.Group
	switch t.Variant {
	case 0:
		group += "_other"
	case 1:
		wrong.offset++
	case 2:
		wrong.position += 4
	case 3:
		wrong.offset, wrong.position = h.position+1, h.offset
	}
	req := p.endRequest(t.Key, wrong, o, rng.IntN(2) == 0)
	req.Header.(*header.EndTransactionRequest).ProducerGroup = group
	wait("wrong end", c.start(req, func(answer *wire.Command, sent int) {
		p.fault(t)
		p.ledger.Note(teller.Event{
			Kind: teller.Forged, Key: t.Key, Conn: c.id, Offset: h.offset, Sent: sent, Outcome: o, Code: answer.Code,
		})
	}))
}
