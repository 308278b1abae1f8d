// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
)

// The requests of the transaction inspector are Twostage's own: a broker of
// Apache RocketMQ answers NotSupported. A broker that is not asked over the
// loopback answers NoPermission, one that does not know the transaction
// QueryNotFound.

// Transactions gives a page of a broker's transactions.
func Transactions(ctx context.Context, c Caller, addr string, h *header.TxListRequest) (*body.TransactionList, error) {
	return fetch[body.TransactionList](ctx, c, addr, &wire.Request{Code: wire.ReqTxList, Header: h})
}

// Transaction gives all that a broker knows of a transaction.
func Transaction(ctx context.Context, c Caller, addr string, h *header.TxRequest) (*body.TransactionStory, error) {
	return fetch[body.TransactionStory](ctx, c, addr, &wire.Request{Code: wire.ReqTxShow, Header: h})
}

// DecideTransaction commits a transaction or rolls it back, and gives its half
// queue offset; IllegalOperation when it has another outcome.
func DecideTransaction(ctx context.Context, c Caller, addr string, h *header.TxDecideRequest) (queueOffset int64, err error) {
	return txOffset(ctx, c, addr, &wire.Request{Code: wire.ReqTxDecide, Header: h})
}

// RecheckTransaction has a transaction checked at once, and gives its half queue
// offset.
func RecheckTransaction(ctx context.Context, c Caller, addr string, h *header.TxRequest) (queueOffset int64, err error) {
	return txOffset(ctx, c, addr, &wire.Request{Code: wire.ReqTxRecheck, Header: h})
}

// ResumeTransaction has a parked transaction taken up again, and gives the half
// queue offset of its new half message.
func ResumeTransaction(ctx context.Context, c Caller, addr string, h *header.TxRequest) (queueOffset int64, err error) {
	return txOffset(ctx, c, addr, &wire.Request{Code: wire.ReqTxResume, Header: h})
}

// ResumeCheck is ResumeTransaction as Apache RocketMQ has it, by the offset
// message id of the parked copy or of the half message.
func ResumeCheck(ctx context.Context, c Caller, addr, offsetID string) error {
	return done(ctx, c, addr, &wire.Request{Code: wire.ReqResumeCheckHalfMessage, Header: &header.ResumeCheckRequest{MsgID: offsetID}})
}

func txOffset(ctx context.Context, c Caller, addr string, req *wire.Request) (int64, error) {
	answer, err := invoke(ctx, c, addr, req)
	if err != nil {
		return 0, err
	}
	var resp header.TxResponse
	err = readHeader(addr, req, answer, &resp)
	return resp.QueueOffset, err
}
