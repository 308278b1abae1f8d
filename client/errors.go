// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/message"
)

// Errors. Match them with errors.Is; they come wrapped with the cause. Whether it
// may help to do the same again, [Retriable] says.
var (
	// ErrNameServer: no name server answers, and what it was to be asked for is not known.
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
	// ErrBusy: a server has more to do than it takes on, or does not read what is sent
	// to it. An AnswerError matches it.
	ErrBusy = errors.New("client: the server is busy")
	// ErrDenied: the topic, or the user, has no permission. An AnswerError matches it,
	// but for the access control of RocketMQ 4 (plain_acl.yml), whose answer is that of
	// any failure: SYSTEM_ERROR.
	ErrDenied = errors.New("client: no permission")
	// ErrNotFound: what was asked for is not there: a topic, a group, a message. An
	// AnswerError matches it.
	ErrNotFound = errors.New("client: not found")
	// ErrNotSupported: a server does not know the request, as brokers before 5.0 know
	// no pops. An AnswerError matches it.
	ErrNotSupported = errors.New("client: not supported by the server")
	// ErrNotAssigned: a pull consumer does not have that queue, or not any more.
	ErrNotAssigned = errors.New("client: the queue is not assigned to the consumer")
	// ErrClosed: the client is closed.
	ErrClosed = errors.New("client: closed")

	// errPasses is matched by an AnswerError that says nothing against the request itself.
	errPasses = errors.New("client: refused for now")
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

// Is matches ErrBusy, ErrDenied, ErrNotFound and ErrNotSupported by the code.
func (e *AnswerError) Is(target error) bool {
	switch target {
	case ErrBusy:
		return e.Code == wire.SystemBusy
	case ErrDenied:
		return e.Code == wire.NoPermission
	case errPasses:
		return passes(e.Code)
	case ErrNotSupported:
		return e.Code == wire.RequestCodeNotSupported
	case ErrNotFound:
		return e.Code == wire.TopicNotExist || e.Code == wire.SubscriptionGroupNotExist || e.Code == wire.QueryNotFound
	}
	return false
}

// Retriable says whether what failed with err may succeed when it is done again, as
// after a timeout, on a broken connection, or when a server is busy. A send that is
// done again may store its message twice.
func Retriable(err error) bool {
	switch {
	case err == nil, errors.Is(err, ErrClosed), errors.Is(err, context.Canceled), errors.Is(err, remoting.ErrTooLarge):
		return false
	case errors.Is(err, ErrNameServer), errors.Is(err, ErrNotWritable), errors.Is(err, ErrNotReadable), errors.Is(err, ErrNoReply),
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, remoting.ErrClosed), errors.Is(err, ErrBusy), errors.Is(err, errPasses):
		return true
	}
	var network net.Error // a connection that could not be made
	return errors.As(err, &network)
}

// public turns an error of a request into what callers can tell apart.
func public(err error) error {
	var answer *rpc.Error
	switch {
	case errors.As(err, &answer):
		return &AnswerError{Code: answer.Code, Remark: answer.Remark, Addr: answer.Addr, err: err}
	case errors.Is(err, remoting.ErrClosed):
		return fmt.Errorf("client: %w", err)
	case errors.Is(err, remoting.ErrTooLarge):
		return fmt.Errorf("%w: %w", message.ErrTooLarge, err)
	case errors.Is(err, remoting.ErrBacklog):
		return fmt.Errorf("%w: %w", ErrBusy, err)
	}
	return err
}

// passes are the answers that say nothing against the request itself.
func passes(code int32) bool {
	return code == wire.SystemError || code == wire.SystemBusy || code == wire.ServiceNotAvailable
}

// elsewhere reports whether another broker, or the same one later, may take a
// message that this answer refused.
func elsewhere(err error) bool {
	if code, answered := rpc.CodeOf(err); answered {
		return passes(code) || code == wire.NoPermission || code == wire.TopicNotExist
	}
	return !errors.Is(err, remoting.ErrTooLarge) // else there was no answer at all
}
