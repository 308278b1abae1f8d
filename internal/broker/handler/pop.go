// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"errors"
	"net"
	"strings"

	"github.com/twostage/twostage/internal/broker/pop"
	"github.com/twostage/twostage/internal/broker/popwait"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/trace"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
)

// Pops is pop consumption; *pop.Service is it.
type Pops interface {
	Ready
	Pop(pop.Request) (pop.Result, error)
	Peek(pop.Request) (pop.Result, error)
	AckAll([]pop.Ack)
	Change(group, topic string, queue int32, h *pop.Handle, offset, invisible int64) (time, forMillis int64, err error)
}

// Pop serves POP_MESSAGE and PEEK_MESSAGE, and what follows a pop: ACK_MESSAGE,
// BATCH_ACK_MESSAGE and CHANGE_MESSAGE_INVISIBLETIME. With SYNC_FLUSH all but the
// peek wait for the disk.
type Pop struct {
	Pops      Pops
	Topics    Topics
	Groups    *GroupMaker
	Queues    PopQueues
	Filters   *Filters
	Waiter    Waiter
	Freed     func(group, topic string, queue int32) // more is left than a pop took
	Stats     PopStats
	Readable  func() bool // the broker's own read permission
	NowMillis func() int64
	Tracer    *trace.Tracer // nil: deliveries and acks are not traced
}

// PopStats counts what is popped and acked.
type PopStats interface {
	PullStats
	Popped(group, topic string, checkpoints int)
	Acked(group, topic string, messages int)
}

// PopQueues finds queues, and for traces what was given out of them.
type PopQueues interface {
	LookupQueue(topic string, id int32) *store.Queue
	Get(q *store.Queue, from int64, maxCount, maxBytes int, f store.Filter) (store.GetResult, error)
}

// tooLate is by how much a pop may come later than its client waits for it, in ms.
const tooLate = 500

// Handle serves one pop.
func (p *Pop) Handle(r *remoting.Request) {
	var h header.PopRequest
	if !decode(r, &h) {
		return
	}
	now := p.NowMillis()
	if h.BornTime != 0 && now-h.BornTime-h.PollTime > tooLate {
		fail(r, wire.PollingTimeout, "the pop was sent %d ms ago and was to wait %d ms: nobody waits for it (bornTime, pollTime)", now-h.BornTime, h.PollTime)
		return
	}
	if h.MaxMsgNums > pop.MaxMessages {
		fail(r, wire.InvalidParameter, "a pop of %d messages: %d are possible (maxMsgNums)", h.MaxMsgNums, pop.MaxMessages)
		return
	}
	if !p.allowed(r, h.ConsumerGroup, h.Topic, h.QueueID) {
		return
	}
	sel, err := p.Filters.Of(h.Topic, h.ExpType, h.Exp)
	if err != nil {
		code := wire.SubscriptionParseFailed
		var refusal *Refusal
		if errors.As(err, &refusal) {
			code = refusal.Code
		}
		fail(r, code, "%s", err)
		return
	}
	pp := popping{p: p, poll: h.PollTime, sel: sel, ticket: r.Ticket(), req: pop.Request{
		Group: h.ConsumerGroup, Topic: h.Topic, Queue: max(h.QueueID, popwait.AnyQueue), Max: int(h.MaxMsgNums),
		Invisible: h.InvisibleTime, FromEnd: h.InitMode == header.PopInitMax, Order: h.Order, Attempt: h.AttemptID, Filter: sel.Store(),
	}}
	pp.run()
}

// rules are those of who may have messages.
func (p *Pop) rules() Notify {
	return Notify{Topics: p.Topics, Groups: p.Groups, Readable: p.Readable}
}

// allowed answers a request for messages that the group may not have.
func (p *Pop) allowed(r *remoting.Request, group, name string, queue int32) bool {
	if n := p.rules(); !n.allowed(r, group, name, queue) {
		return false
	}
	if p.Groups.ReadForbidden([]byte(group), []byte(name)) {
		fail(r, wire.NoPermission, "the consumer group[%s] is forbidden for topic[%s]", group, name)
		return false
	}
	return true
}

// popping is a pop until it is answered.
type popping struct {
	p      *Pop
	req    pop.Request
	sel    *Selection
	poll   int64
	ticket remoting.Ticket
}

// run answers the pop, or holds it for as long as it finds nothing.
func (pp *popping) run() {
	res, ok := pp.try()
	if ok {
		return
	}
	if pp.poll <= 0 {
		pp.nothing(&res, wire.PollingTimeout)
		return
	}
	pp.ticket = pp.ticket.Held()
	w := &popwait.Wait{
		Group: pp.req.Group, Topic: pp.req.Topic, Queue: pp.req.Queue, Deadline: pollUntil(pp.poll), Owner: pp.ticket.Conn(),
		Ready: func() bool { return pp.p.Pops.Ready(pp.req.Group, pp.req.Topic, pp.req.Queue) },
	}
	if !pp.sel.All() {
		w.Filter = pp.sel
	}
	w.Wake = func(arrived bool) {
		defer failed(pp.ticket)
		select {
		case <-pp.ticket.Conn().Closed(): // nobody gets what would be made invisible
			if arrived && pp.p.Freed != nil {
				pp.p.Freed(pp.req.Group, pp.req.Topic, pp.req.Queue) // another may
			}
			return
		default:
		}
		n := pp.p.rules()
		if refusal := n.gone(w); refusal != nil {
			pp.ticket.Reply(refusal)
			return
		}
		res, ok := pp.try()
		switch {
		case ok:
		case !arrived:
			pp.nothing(&res, wire.PollingTimeout)
		default:
			pp.hold(w, &res)
		}
	}
	pp.hold(w, &res)
}

func (pp *popping) hold(w *popwait.Wait, res *pop.Result) {
	switch pp.p.Waiter.Hold(w) {
	case popwait.Full:
		pp.nothing(res, wire.PollingFull)
	case popwait.Due:
		pp.nothing(res, wire.PollingTimeout)
	}
}

// try pops, and answers unless there is nothing.
func (pp *popping) try() (nothing pop.Result, answered bool) {
	began, begun := pp.p.Stats.Elapsed(), pp.p.Tracer.Now()
	res, err := pp.p.Pops.Pop(pp.req)
	if err != nil {
		pp.ticket.Reply(popFailure(err))
		return nothing, true
	}
	if len(res.Records) == 0 {
		pp.p.Stats.Missed(pp.p.Stats.Elapsed() - began)
		res.Release()
		return res, false
	}
	pp.p.Stats.Out(pp.req.Group, pp.req.Topic, len(res.Records), res.Bytes, pp.p.Stats.Elapsed()-began)
	pp.p.Stats.Popped(pp.req.Group, pp.req.Topic, strings.Count(res.StartOffsetInfo, ";")+1)
	pp.p.Tracer.Delivered("pop", pp.req.Group, begun, res.Records)
	rest := res.Rest
	pp.ticket.ReplyBody(&wire.Response{Code: wire.Success, Remark: store.Found.String(), Header: popHeader(&res)}, net.Buffers(res.Records), res.Release)
	if rest > 0 && pp.p.Freed != nil {
		pp.p.Freed(pp.req.Group, pp.req.Topic, pp.req.Queue)
	}
	return nothing, true // res is the connection's now
}

func (pp *popping) nothing(res *pop.Result, code int32) {
	pp.ticket.Reply(&wire.Response{Code: code, Remark: store.NoMessageInQueue.String(), Header: popHeader(res)})
}

func popHeader(res *pop.Result) *header.PopResponse {
	return &header.PopResponse{
		PopTime: res.PopTime, InvisibleTime: res.Invisible, ReviveQID: res.ReviveQID, RestNum: res.Rest,
		StartOffsetInfo: res.StartOffsetInfo, MsgOffsetInfo: res.MsgOffsetInfo, OrderCountInfo: res.OrderCountInfo,
	}
}

// popFailure is the answer for a pop or what follows it that failed.
func popFailure(err error) *wire.Response {
	code, remark := storeFailure(err)
	switch {
	case errors.Is(err, pop.ErrTime), errors.Is(err, pop.ErrAttempt):
		code, remark = wire.InvalidParameter, err.Error()
	case errors.Is(err, pop.ErrFull):
		code, remark = wire.SystemBusy, err.Error()
	case errors.Is(err, pop.ErrNotGiven):
		code, remark = wire.MessageIllegal, err.Error()
	case errors.Is(err, pop.ErrLate):
		code, remark = wire.NoMessage, err.Error()
	case errors.Is(err, store.ErrUnreadable), errors.Is(err, pop.ErrAgain):
		code, remark = wire.SystemError, err.Error()
	}
	return &wire.Response{Code: code, Remark: remark}
}

// Peek serves PEEK_MESSAGE: what a pop would give, filters aside.
func (p *Pop) Peek(r *remoting.Request) {
	var h header.PeekRequest
	if !decode(r, &h) || !p.allowed(r, h.ConsumerGroup, h.Topic, h.QueueID) {
		return
	}
	res, err := p.Pops.Peek(pop.Request{Group: h.ConsumerGroup, Topic: h.Topic, Queue: max(h.QueueID, popwait.AnyQueue), Max: int(h.MaxMsgNums)})
	if err != nil {
		r.Reply(popFailure(err))
		return
	}
	head := &header.PopResponse{RestNum: res.Rest}
	if len(res.Records) == 0 {
		res.Release()
		r.Reply(&wire.Response{Code: wire.PullNotFound, Remark: store.NoMessageInQueue.String(), Header: head})
		return
	}
	r.ReplyBody(&wire.Response{Code: wire.Success, Remark: store.Found.String(), Header: head}, net.Buffers(res.Records), res.Release)
}
