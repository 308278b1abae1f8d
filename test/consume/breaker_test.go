// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package consume

import (
	"context"
	"strconv"
	"sync/atomic"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
)

// breaker is a broker that breaks a rule, as the clients see it.
type breaker struct {
	rpc.Caller
	who   string
	group group
	ctx   context.Context // of the request
	addr  string
	code  int32
	every int64
	n     *atomic.Int64 // requests of the code
	fault func(breaker, *wire.Request) (*wire.Command, error)
}

func (b breaker) Invoke(ctx context.Context, addr string, req *wire.Request) (*wire.Command, error) {
	if req.Code == wire.ReqGetConsumerListByGroup && b.code == wire.ReqLockBatchMQ {
		return b.alone()
	}
	if req.Code != b.code || b.n.Add(1)%b.every != 0 {
		return b.Caller.Invoke(ctx, addr, req)
	}
	b.ctx, b.addr = ctx, addr
	return b.fault(b, req)
}

func (b breaker) pass(req *wire.Request) (*wire.Command, error) {
	return b.Caller.Invoke(b.ctx, b.addr, req)
}

// drop answers without doing anything.
func (b breaker) drop(*wire.Request) (*wire.Command, error) {
	return &wire.Command{Code: wire.Success, Ext: fields("msgId", "none", "queueId", "0", "queueOffset", "0")}, nil
}

func fields(list ...string) (f wire.Fields) {
	for i := 0; i < len(list); i += 2 {
		f = append(f, wire.Field{Key: []byte(list[i]), Value: []byte(list[i+1])})
	}
	return f
}

// twice does it twice.
func (b breaker) twice(req *wire.Request) (*wire.Command, error) {
	if answer, err := b.pass(req); err != nil || answer.Code != wire.Success {
		return answer, err
	}
	return b.pass(req)
}

// firstLost leaves out the first message where a pull found some.
func (b breaker) firstLost(req *wire.Request) (*wire.Command, error) {
	answer, err := b.pass(req)
	if err != nil || answer.Code != wire.Success {
		return answer, err
	}
	h := *req.Header.(*header.PullRequest)
	h.QueueOffset++
	return b.pass(&wire.Request{Code: req.Code, Header: &h})
}

// ahead stores an offset that is too high.
func (b breaker) ahead(req *wire.Request) (*wire.Command, error) {
	h := *req.Header.(*header.UpdateConsumerOffsetRequest)
	h.CommitOffset += 3
	return b.pass(&wire.Request{Code: req.Code, Header: &h})
}

// behind answers with an offset that is too low.
func (b breaker) behind(req *wire.Request) (*wire.Command, error) {
	answer, err := b.pass(req)
	if err != nil || answer.Code != wire.Success {
		return answer, err
	}
	var h header.OffsetResponse
	if err := h.DecodeExt(answer.Ext); err != nil {
		return nil, err
	}
	answer.Ext = fields("offset", strconv.FormatInt(max(0, h.Offset-1), 10))
	return answer, nil
}

// beyond answers with an offset that is too high.
func (b breaker) beyond(req *wire.Request) (*wire.Command, error) {
	answer, err := b.pass(req)
	if err != nil || answer.Code != wire.Success {
		return answer, err
	}
	var h header.OffsetResponse
	if err := h.DecodeExt(answer.Ext); err != nil {
		return nil, err
	}
	answer.Ext = fields("offset", strconv.FormatInt(h.Offset+1, 10))
	return answer, nil
}

// noTries makes a dead letter of a message that fails for the first time.
func (b breaker) noTries(req *wire.Request) (*wire.Command, error) {
	h := *req.Header.(*header.SendBackRequest)
	h.MaxReconsumeTimes = 0
	return b.pass(&wire.Request{Code: req.Code, Header: &h})
}

// byLevel gives a message back for as long as a level says, whatever the group's
// policy does.
func (b breaker) byLevel(req *wire.Request) (*wire.Command, error) {
	h := *req.Header.(*header.SendBackRequest)
	h.DelayLevel = 1
	return b.pass(&wire.Request{Code: req.Code, Header: &h})
}

// alone tells each client that it is the only one of its group: it takes every
// queue that the broker locks for it.
func (b breaker) alone() (*wire.Command, error) {
	return &wire.Command{Code: wire.Success, Body: body.Marshal(&body.GetConsumerListByGroupResponseBody{ConsumerIDList: []string{b.who}})}, nil
}

// lockAll grants every lock.
func (b breaker) lockAll(req *wire.Request) (*wire.Command, error) {
	answer, err := b.pass(req)
	if err != nil || answer.Code != wire.Success {
		return answer, err
	}
	var asked body.LockBatchRequestBody
	if err := body.Unmarshal(req.Body, &asked); err != nil {
		return nil, err
	}
	answer.Body = body.Marshal(&body.LockBatchResponseBody{LockOKMQSet: asked.MqSet})
	return answer, nil
}

// brief makes what is popped visible long before the answer says.
func (b breaker) brief(req *wire.Request) (*wire.Command, error) {
	h := *req.Header.(*header.PopRequest)
	said := h.InvisibleTime
	h.InvisibleTime = 100
	return b.claim(said, &wire.Request{Code: req.Code, Header: &h})
}

// briefly makes what is hidden visible long before the answer says.
func (b breaker) briefly(req *wire.Request) (*wire.Command, error) {
	h := *req.Header.(*header.ChangeInvisibleRequest)
	said := h.InvisibleTime
	h.InvisibleTime = 100
	return b.claim(said, &wire.Request{Code: req.Code, Header: &h})
}

// claim answers with an invisible time that is not true.
func (b breaker) claim(invisible int64, req *wire.Request) (*wire.Command, error) {
	answer, err := b.pass(req)
	if err != nil || answer.Code != wire.Success {
		return answer, err
	}
	for i := range answer.Ext {
		if string(answer.Ext[i].Key) == "invisibleTime" {
			answer.Ext[i].Value = strconv.AppendInt(nil, invisible, 10)
		}
	}
	return answer, nil
}

// swallow pops, acknowledges what it got, and answers that there is nothing.
func (b breaker) swallow(req *wire.Request) (*wire.Command, error) {
	m := &member{g: b.group, call: b.Caller, w: &world{}}
	m.w.address.Store(b.addr)
	h := req.Header.(*header.PopRequest)
	pieces, err := m.pop(b.ctx, h.InvisibleTime, h.MaxMsgNums)
	for i := range pieces {
		if err == nil {
			err = m.acknowledge(b.ctx, &pieces[i])
		}
	}
	return &wire.Command{Code: wire.PollingTimeout}, err
}

// unordered pops as if order did not matter.
func (b breaker) unordered(req *wire.Request) (*wire.Command, error) {
	h := *req.Header.(*header.PopRequest)
	h.Order = false
	return b.pass(&wire.Request{Code: req.Code, Header: &h})
}
