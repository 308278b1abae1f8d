// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"errors"
	"time"

	"github.com/twostage/twostage/internal/broker/txn"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/trace"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// Decisions is what END_TRANSACTION needs of the transactions.
type Decisions interface {
	// Gather begins to carry out a producer's decision. done is called once, when
	// the outcome is durable or refused, maybe before Gather returns.
	Gather(b *txn.Ends, e txn.End, done func(code int32, remark string))
	// Carry carries out what was gathered.
	Carry(*txn.Ends)
	// Unknown notes that a producer does not know yet.
	Unknown(e txn.End)
}

// Transaction serves END_TRANSACTION. Decisions that arrived in one read of a
// connection are stored together; EndOfBatch must run after them.
type Transaction struct {
	Decisions Decisions
	Log       HalfLog       // for traces, and for MayDecide
	Tracer    *trace.Tracer // nil: decisions are not traced
	// MayDecide says whether the sender of a request may decide about messages to a
	// topic, and answers the request if not. nil lets everybody.
	MayDecide func(r *remoting.Request, topic []byte) bool
}

// HalfLog reads half messages.
type HalfLog interface {
	Record(physicalOffset int64) (rec []byte, release func(), err error)
}

// EndOfBatch stores the decisions that the last read brought in.
func (t *Transaction) EndOfBatch(rc *remoting.Conn) {
	if c, ok := rc.State().(*Conn); ok {
		t.Decisions.Carry(&c.ends)
	}
}

// End serves one decision. A producer that does not know yet gets no answer, as
// from RocketMQ: the broker will ask it.
func (t *Transaction) End(r *remoting.Request) {
	var h header.EndTransactionRequest
	if !decode(r, &h) {
		return
	}
	e := txn.End{
		Group: h.ProducerGroup, QueueOffset: h.TranStateTableOffset, Physical: h.CommitLogOffset,
		FromCheck: h.FromTransactionCheck, Who: r.Conn.RemoteAddr(),
	}
	if t.MayDecide != nil && !t.mayDecide(r, h.CommitLogOffset) {
		return
	}
	switch message.SysFlag(h.CommitOrRollback) {
	case message.TransactionCommit:
		e.Outcome = txn.Commit
	case message.TransactionRollback:
		e.Outcome = txn.Rollback
	case message.TransactionNone:
		t.Decisions.Unknown(e)
		r.Ticket().Discard()
		return
	default:
		fail(r, wire.SystemError, "commitOrRollback %d is none of 8 (commit), 12 (rollback) and 0 (unknown)", h.CommitOrRollback)
		return
	}
	ticket := r.Ticket()
	begun := t.Tracer.Now()
	t.Decisions.Gather(&connOf(r).ends, e, func(code int32, remark string) {
		ticket.Reply(&wire.Response{Code: code, Remark: remark})
		if t.Tracer != nil {
			t.decided(e, begun, code, remark)
		}
	})
}

// mayDecide asks for the topic that the half message is meant for. A place that holds
// no half message is let through: the transactions refuse it.
func (t *Transaction) mayDecide(r *remoting.Request, physical int64) bool {
	stored, release, err := t.Log.Record(physical)
	if err != nil {
		return true
	}
	defer release()
	var rec message.Record
	if _, err := message.DecodeRecord(stored, &rec, false); err != nil || string(rec.Topic) != message.TopicHalf {
		return true
	}
	topic, _ := message.Property(rec.Properties, message.PropertyRealTopic)
	return t.MayDecide(r, topic)
}

// decided reads the half message, which tells whether it is followed.
func (t *Transaction) decided(e txn.End, begun time.Time, code int32, remark string) {
	rec, release, err := t.Log.Record(e.Physical)
	if err != nil {
		return // there is no such half message: the answer says so
	}
	defer release()
	var failed error
	if code != wire.Success {
		failed = errors.New(remark)
	}
	t.Tracer.Decided(e.Outcome == txn.Commit, e.Group, begun, rec, failed)
}
