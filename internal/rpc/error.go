// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"errors"
	"fmt"

	"github.com/twostage/twostage/internal/wire"
)

// Code is a response code. As an error it is what an *[Error] with that code
// matches by errors.Is.
type Code int32

// The codes that callers tell apart. Any other is Code(wire.XXX).
const (
	SystemError               = Code(wire.SystemError)
	SystemBusy                = Code(wire.SystemBusy)
	NotSupported              = Code(wire.RequestCodeNotSupported)
	MessageIllegal            = Code(wire.MessageIllegal)
	ServiceNotAvailable       = Code(wire.ServiceNotAvailable)
	NoPermission              = Code(wire.NoPermission)
	TopicNotExist             = Code(wire.TopicNotExist)
	QueryNotFound             = Code(wire.QueryNotFound)
	SubscriptionNotLatest     = Code(wire.SubscriptionNotLatest)
	SubscriptionGroupNotExist = Code(wire.SubscriptionGroupNotExist)
	ConsumerNotOnline         = Code(wire.ConsumerNotOnline)
	IllegalOperation          = Code(wire.IllegalOperation)
)

// Error gives the code with RocketMQ's name.
func (c Code) Error() string {
	if name := wire.ResponseName(int32(c)); name != "" {
		return fmt.Sprintf("code %d (%s)", int32(c), name)
	}
	return fmt.Sprintf("code %d", int32(c))
}

// Error is an answer with an error code.
type Error struct {
	Code    int32  // of the answer
	Remark  string // what the peer says about it; may be empty
	Request int32  // code of the request
	Addr    string // the peer's, as it was called
}

// Error names the request, the peer, the code and the remark.
func (e *Error) Error() string {
	text := fmt.Sprintf("%s to %s: %s", requestName(e.Request), e.Addr, e.code())
	if e.Remark != "" {
		text += ": " + e.Remark
	}
	return text
}

// code is the code with its name: 209 to 211 are others of requests about accounts than of
// those that poll.
func (e *Error) code() string {
	failed := map[int32]int32{wire.ReqUpdateAndCreateACLConfig: 209, wire.ReqDeleteACLConfig: 210, wire.ReqUpdateGlobalWhiteAddrsConfig: 211}
	if code, ok := failed[e.Request]; ok && code == e.Code {
		return fmt.Sprintf("code %d (%s_FAILED)", e.Code, requestName(e.Request))
	}
	return Code(e.Code).Error()
}

// Is matches the [Code] of the answer.
func (e *Error) Is(target error) bool {
	c, ok := target.(Code)
	return ok && int32(c) == e.Code
}

// CodeOf gives the response code in err's chain; false when the peer gave none,
// because no answer came or it could not be read.
func CodeOf(err error) (int32, bool) {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code, true
	}
	return 0, false
}

func requestName(code int32) string {
	if name := wire.CodeName(code); name != "" {
		return name
	}
	return fmt.Sprintf("request %d", code)
}
