// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
)

// Popped is a broker's answer to a pop.
type Popped struct {
	// Code is wire.Success, or, without messages, PollingTimeout, PollingFull or
	// PullNotFound.
	Code    int32
	Header  header.PopResponse // zero where Code is not Success
	Records []byte             // one after the other; see message.RangeRecords
}

// Pop pops messages; 5.x. The broker may hold the request for h.PollTime ms: ctx must
// allow for more.
func Pop(ctx context.Context, c Caller, addr string, h *header.PopRequest) (*Popped, error) {
	req := &wire.Request{Code: wire.ReqPopMessage, Header: h}
	answer, err := invoke(ctx, c, addr, req, wire.PollingTimeout, wire.PollingFull, wire.PullNotFound)
	if err != nil {
		return nil, err
	}
	p := &Popped{Code: answer.Code}
	if p.Code != wire.Success {
		return p, nil
	}
	p.Records = answer.Body
	return p, readHeader(addr, req, answer, &p.Header)
}

// Ack ends a popped message; MessageIllegal, or Code(wire.NoMessage), when the broker
// has no such message or handle. 5.x.
func Ack(ctx context.Context, c Caller, addr string, h *header.AckRequest) error {
	return done(ctx, c, addr, &wire.Request{Code: wire.ReqAckMessage, Header: h})
}

// AckBatch ends popped messages of one broker; 5.1 and later. A broker passes over
// those that it does not have.
func AckBatch(ctx context.Context, c Caller, addr string, b *body.BatchAckRequest) error {
	return done(ctx, c, addr, &wire.Request{Code: wire.ReqBatchAckMessage, Body: body.Marshal(b)})
}

// ChangeInvisible says when a popped message is visible again, and gives what its
// new handle is made of; errors as of Ack. 5.x.
func ChangeInvisible(ctx context.Context, c Caller, addr string, h *header.ChangeInvisibleRequest) (resp header.ChangeInvisibleResponse, err error) {
	req := &wire.Request{Code: wire.ReqChangeMessageInvisibleTime, Header: h}
	answer, err := invoke(ctx, c, addr, req)
	if err != nil {
		return resp, err
	}
	err = readHeader(addr, req, answer, &resp)
	return resp, err
}

// Assignment asks a broker for a client's share of a topic's queues; 5.x. False: it
// says nothing, and the client keeps what it has.
func Assignment(ctx context.Context, c Caller, addr string, b *body.QueryAssignmentRequestBody) ([]body.MessageQueueAssignment, bool, error) {
	resp, err := fetch[body.QueryAssignmentResponseBody](ctx, c, addr, &wire.Request{Code: wire.ReqQueryAssignment, Body: body.Marshal(b)})
	if err != nil || resp.MessageQueueAssignments == nil {
		return nil, false, err
	}
	return *resp.MessageQueueAssignments, true, nil
}
