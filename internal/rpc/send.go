// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"
	"fmt"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
)

// Sent is a broker's answer to a send.
type Sent struct {
	// Code is wire.Success, or FlushDiskTimeout, FlushSlaveTimeout or
	// SlaveNotAvailable: the message is stored, but not as safely as it should be.
	Code   int32
	Header header.SendResponse
}

// Send sends one message by SEND_MESSAGE_V2.
func Send(ctx context.Context, c Caller, addr string, h *header.SendRequest, msg []byte) (*Sent, error) {
	return send(ctx, c, addr, &wire.Request{Code: wire.ReqSendMessageV2, Header: h, Body: msg})
}

// SendBatch sends messages in batch encoding (message.EncodeBatch) by
// SEND_BATCH_MESSAGE. Whatever h.Batch is, the request says that it is a batch.
func SendBatch(ctx context.Context, c Caller, addr string, h *header.SendRequest, batch []byte) (*Sent, error) {
	head := *h
	head.Batch = true
	return send(ctx, c, addr, &wire.Request{Code: wire.ReqSendBatchMessage, Header: &head, Body: batch})
}

// SendOneWay sends one message without an answer: nil says that it was queued.
func SendOneWay(ctx context.Context, c Caller, addr string, h *header.SendRequest, msg []byte) error {
	return oneWay(ctx, c, addr, &wire.Request{Code: wire.ReqSendMessageV2, Header: h, Body: msg})
}

func send(ctx context.Context, c Caller, addr string, req *wire.Request) (*Sent, error) {
	answer, err := c.Invoke(ctx, addr, req)
	if err != nil {
		return nil, fmt.Errorf("%s to %s: %w", requestName(req.Code), addr, err)
	}
	sent := new(Sent)
	if err := sent.Read(answer, req, addr); err != nil {
		return nil, err
	}
	return sent, nil
}

// Read takes the answer of addr to a request that is a send. The slices of s.Header
// alias it.
func (s *Sent) Read(answer *wire.Command, req *wire.Request, addr string) error {
	switch s.Code = answer.Code; s.Code {
	case wire.Success, wire.FlushDiskTimeout, wire.FlushSlaveTimeout, wire.SlaveNotAvailable:
		if err := s.Header.DecodeExt(answer.Ext); err != nil { // not readHeader, with which s would escape
			return unreadable(addr, req, err)
		}
		return nil
	}
	return &Error{Code: answer.Code, Remark: string(answer.Remark), Request: req.Code, Addr: addr}
}

// Recall takes a timed message back before it is delivered, by the handle that the
// answer to its send gave; it returns the message's unique key. 5.x.
func Recall(ctx context.Context, c Caller, addr string, h *header.RecallRequest) (*header.RecallResponse, error) {
	req := &wire.Request{Code: wire.ReqRecallMessage, Header: h}
	answer, err := invoke(ctx, c, addr, req)
	if err != nil {
		return nil, err
	}
	r := new(header.RecallResponse)
	if err := readHeader(addr, req, answer, r); err != nil {
		return nil, err
	}
	return r, nil
}

// EndTransaction commits or rolls back a half message and waits for the answer.
// Brokers do not answer CommitOrRollback 0 (unknown): give ctx a deadline, or use
// EndTransactionOneWay.
func EndTransaction(ctx context.Context, c Caller, addr string, h *header.EndTransactionRequest) error {
	return done(ctx, c, addr, &wire.Request{Code: wire.ReqEndTransaction, Header: h})
}

// EndTransactionOneWay is EndTransaction without an answer, as clients send it:
// when it gets lost, the broker asks by CHECK_TRANSACTION_STATE.
func EndTransactionOneWay(ctx context.Context, c Caller, addr string, h *header.EndTransactionRequest) error {
	return oneWay(ctx, c, addr, &wire.Request{Code: wire.ReqEndTransaction, Header: h})
}
