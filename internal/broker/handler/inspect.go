// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"errors"
	"fmt"
	"time"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// Inspect serves the transaction inspector: TX_LIST, TX_SHOW, TX_DECIDE,
// TX_RECHECK, TX_RESUME and RESUME_CHECK_HALF_MESSAGE. Who may send them is for
// the guard before it to say.
type Inspect struct {
	Transactions Inspector
	Broker       string // name of this broker
}

// List serves TX_LIST.
func (i *Inspect) List(r *remoting.Request) {
	var h header.TxListRequest
	if !decode(r, &h) || !i.meant(r, h.BrokerName) {
		return
	}
	f := body.TransactionFilter{
		Topic: h.Topic, Group: h.Group, State: body.TransactionState(h.State), MinAge: millis(h.MinAge), MaxAge: millis(h.MaxAge),
		From: h.From, Limit: int(h.Limit),
	}
	err := f.Check()
	if err != nil {
		refuse(r, err)
		return
	}
	list, next, err := i.Transactions.List(f)
	if err != nil {
		refuse(r, err)
		return
	}
	succeedStandard(r, &body.TransactionList{Broker: i.Broker, Transactions: list, Next: next})
}

// millis is a span as long as there are; what is longer than any is the longest.
func millis(n int64) time.Duration {
	const most = int64(1<<63-1) / int64(time.Millisecond)
	return time.Duration(max(min(n, most), -most)) * time.Millisecond
}

// Show serves TX_SHOW.
func (i *Inspect) Show(r *remoting.Request) {
	offset, ok := i.named(r)
	if !ok {
		return
	}
	s, err := i.Transactions.Show(offset)
	if err != nil {
		refuse(r, err)
		return
	}
	answer := *s
	answer.Broker = i.Broker
	succeedStandard(r, &answer)
}

// Decide serves TX_DECIDE.
func (i *Inspect) Decide(r *remoting.Request) {
	var h header.TxDecideRequest
	if !decode(r, &h) || !i.meant(r, h.BrokerName) {
		return
	}
	if h.Outcome != header.TxCommit && h.Outcome != header.TxRollback {
		fail(r, wire.InvalidParameter, "outcome %.40q is neither %s nor %s", h.Outcome, header.TxCommit, header.TxRollback)
		return
	}
	offset, err := FindTransaction(i.Transactions, h.ID)
	if err != nil {
		refuse(r, err)
		return
	}
	ticket := r.Ticket()
	i.Transactions.Decide(offset, h.Outcome == header.TxCommit, peer(r), func(err error) { answer(ticket, offset, err) })
}

// Recheck serves TX_RECHECK.
func (i *Inspect) Recheck(r *remoting.Request) {
	offset, ok := i.named(r)
	if !ok {
		return
	}
	if err := i.Transactions.Recheck(offset, peer(r)); err != nil {
		refuse(r, err)
		return
	}
	succeed(r, &header.TxResponse{QueueOffset: offset})
}

// Resume serves TX_RESUME.
func (i *Inspect) Resume(r *remoting.Request) {
	var h header.TxRequest
	if !decode(r, &h) || !i.meant(r, h.BrokerName) {
		return
	}
	physical, err := FindParked(i.Transactions, h.ID)
	if err != nil {
		refuse(r, err)
		return
	}
	ticket := r.Ticket()
	i.Transactions.Resume(physical, peer(r), func(offset int64, err error) { answer(ticket, offset, err) })
}

// ResumeCheck serves RESUME_CHECK_HALF_MESSAGE. As in RocketMQ the message is
// named by the offset id of the parked copy or of the half message, and one that
// is not there is code 1.
func (i *Inspect) ResumeCheck(r *remoting.Request) {
	var h header.ResumeCheckRequest
	if !decode(r, &h) {
		return
	}
	_, physical, err := message.ParseOffsetID(h.MsgID)
	if err != nil {
		fail(r, wire.SystemError, "msgId is no offset message id: %s", err)
		return
	}
	if found, err := i.Transactions.Find(h.MsgID); err != nil || len(found) == 0 { // of another broker, too
		fail(r, wire.SystemError, "%s", errors.Join(err, fmt.Errorf("%w: %s is neither a half message nor a parked copy of this broker", body.ErrNoHalf, h.MsgID)))
		return
	}
	ticket := r.Ticket()
	i.Transactions.Resume(physical, peer(r), func(_ int64, err error) {
		code := inspectCode(err)
		if code == wire.QueryNotFound {
			code = wire.SystemError
		}
		ticket.Reply(&wire.Response{Code: code, Remark: remark(err)})
	})
}

// named reads a header that names a transaction, and finds it; false when it has
// answered.
func (i *Inspect) named(r *remoting.Request) (queueOffset int64, ok bool) {
	var h header.TxRequest
	if !decode(r, &h) || !i.meant(r, h.BrokerName) {
		return 0, false
	}
	offset, err := FindTransaction(i.Transactions, h.ID)
	if err != nil {
		refuse(r, err)
		return 0, false
	}
	return offset, true
}

// meant answers requests for a broker of another name.
func (i *Inspect) meant(r *remoting.Request, name string) bool {
	if name != "" && name != i.Broker {
		fail(r, wire.InvalidParameter, "the request is for broker %.200s, but this is %s", name, i.Broker)
		return false
	}
	return true
}

// peer is who asks, for the story.
func peer(r *remoting.Request) string { return r.Conn.RemoteAddr().String() }

// refuse answers with the code of an error.
func refuse(r *remoting.Request, err error) { fail(r, inspectCode(err), "%s", err) }

// answer answers with the offset that a transaction has, or with an error.
func answer(t remoting.Ticket, queueOffset int64, err error) {
	if err != nil {
		t.Reply(&wire.Response{Code: inspectCode(err), Remark: err.Error()})
		return
	}
	t.Reply(&wire.Response{Code: wire.Success, Header: &header.TxResponse{QueueOffset: queueOffset}})
}

// succeedStandard answers with success and a body in standard JSON.
func succeedStandard(r *remoting.Request, b body.Body) {
	r.Reply(&wire.Response{Code: wire.Success, Body: body.MarshalStandard(b)})
}

func remark(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// inspectCode is the response code for an error of an Inspector, Success for
// none.
func inspectCode(err error) int32 {
	switch {
	case err == nil:
		return wire.Success
	case errors.Is(err, body.ErrNoHalf):
		return wire.QueryNotFound
	case errors.Is(err, body.ErrDecided):
		return wire.IllegalOperation
	case errors.Is(err, body.ErrFilter), errors.Is(err, ErrTransactionID):
		return wire.InvalidParameter
	}
	return wire.SystemError
}
