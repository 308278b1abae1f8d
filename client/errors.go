// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"errors"
	"fmt"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
)

// Errors. Match them with errors.Is; they come wrapped with the cause.
var (
	// ErrNameServer: no name server answers.
	ErrNameServer = errors.New("client: no name server answers")
	// ErrNoRoute: the topic does not exist, and will not come into being by
	// sending to it.
	ErrNoRoute = errors.New("client: no such topic")
	// ErrNotWritable: the topic has no queue that can be written to now.
	ErrNotWritable = errors.New("client: no queue of the topic can be written to")
	// ErrNotReadable: the topic has no such queue that can be read now.
	ErrNotReadable = errors.New("client: no such queue of the topic can be read")
	// ErrNoReply: a request was sent, and no reply came in time.
	ErrNoReply = errors.New("client: no reply")
	// ErrNoRequest: a message does not ask for a reply.
	ErrNoRequest = errors.New("client: not a request")
	// ErrClosed: the client is closed.
	ErrClosed = errors.New("client: closed")
)

// AnswerError is a refusal: the answer of a broker or name server.
type AnswerError struct {
	Code   int32  // RocketMQ's response code
	Remark string // what the server says about it
	Addr   string // of the server, host:port
	err    error
}

// Error names the request, the server, the code and the remark.
func (e *AnswerError) Error() string { return e.err.Error() }

// Unwrap gives the cause.
func (e *AnswerError) Unwrap() error { return e.err }

// public turns an error of a request into what callers can tell apart.
func public(err error) error {
	var answer *rpc.Error
	switch {
	case errors.As(err, &answer):
		return &AnswerError{Code: answer.Code, Remark: answer.Remark, Addr: answer.Addr, err: err}
	case errors.Is(err, remoting.ErrClosed):
		return fmt.Errorf("client: %w", err)
	}
	return err
}

// elsewhere reports whether another broker, or the same one later, may take a
// message that this answer refused.
func elsewhere(err error) bool {
	code, answered := rpc.CodeOf(err)
	if !answered {
		return true // no answer at all
	}
	switch code {
	case wire.SystemError, wire.SystemBusy, wire.ServiceNotAvailable, wire.NoPermission, wire.TopicNotExist:
		return true
	}
	return false
}
