// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"
	"fmt"
	"slices"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
)

// Caller sends requests to an address. *remoting.Client is one; wrap it to sign
// or to count.
type Caller interface {
	// Invoke waits for the answer, which owns its memory. An answer with an error
	// code is no error.
	Invoke(ctx context.Context, addr string, req *wire.Request) (*wire.Command, error)
	// OneWay returns when the request is queued.
	OneWay(ctx context.Context, addr string, req *wire.Request) error
}

// decoder is a header that can be read.
type decoder interface {
	DecodeExt(f wire.Fields) error
}

// invoke sends req and gives the answer if its code is Success or one of also.
func invoke(ctx context.Context, c Caller, addr string, req *wire.Request, also ...int32) (*wire.Command, error) {
	answer, err := c.Invoke(ctx, addr, req)
	if err != nil {
		return nil, fmt.Errorf("%s to %s: %w", requestName(req.Code), addr, err)
	}
	if answer.Code != wire.Success && !slices.Contains(also, answer.Code) {
		return nil, &Error{Code: answer.Code, Remark: string(answer.Remark), Request: req.Code, Addr: addr}
	}
	return answer, nil
}

// done is invoke for requests whose answer says nothing but that it is done.
func done(ctx context.Context, c Caller, addr string, req *wire.Request) error {
	_, err := invoke(ctx, c, addr, req)
	return err
}

// oneWay queues req.
func oneWay(ctx context.Context, c Caller, addr string, req *wire.Request) error {
	if err := c.OneWay(ctx, addr, req); err != nil {
		return fmt.Errorf("%s to %s: %w", requestName(req.Code), addr, err)
	}
	return nil
}

// fetch is invoke for requests that are answered with a body.
func fetch[B any, P interface {
	*B
	body.Body
}](ctx context.Context, c Caller, addr string, req *wire.Request) (*B, error) {
	answer, err := invoke(ctx, c, addr, req)
	if err != nil {
		return nil, err
	}
	b := P(new(B))
	if err := readBody(addr, req, answer, b); err != nil {
		return nil, err
	}
	return b, nil
}

func readHeader(addr string, req *wire.Request, answer *wire.Command, h decoder) error {
	if err := h.DecodeExt(answer.Ext); err != nil {
		return unreadable(addr, req, err)
	}
	return nil
}

func readBody(addr string, req *wire.Request, answer *wire.Command, b body.Body) error {
	if err := body.Unmarshal(answer.Body, b); err != nil {
		return unreadable(addr, req, err)
	}
	return nil
}

func unreadable(addr string, req *wire.Request, err error) error {
	return fmt.Errorf("%s to %s: cannot read the answer: %w", requestName(req.Code), addr, err)
}

// Ping asks addr for something that no server implements. Any answer will do: it
// says that a server of this protocol is there.
func Ping(ctx context.Context, c Caller, addr string) error {
	req := &wire.Request{Code: wire.ReqGetClientConfig}
	if _, err := c.Invoke(ctx, addr, req); err != nil {
		return fmt.Errorf("ping %s: %w", addr, err)
	}
	return nil
}
