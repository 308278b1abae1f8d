// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"errors"
	"fmt"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
)

// decoder is a typed request header.
type decoder interface {
	DecodeExt(wire.Fields) error
}

// decode reads the header of a request, or answers that it can't be read.
func decode(r *remoting.Request, h decoder) bool {
	if err := h.DecodeExt(r.Ext); err != nil {
		fail(r, wire.SystemError, err.Error())
		return false
	}
	return true
}

// decodeBody reads the JSON body of a request, or answers that it can't be read.
func decodeBody(r *remoting.Request, b body.Body) bool {
	if err := body.Unmarshal(r.Body, b); err != nil {
		fail(r, wire.SystemError, err.Error())
		return false
	}
	return true
}

// fail answers with a code and a remark.
func fail(r *remoting.Request, code int32, format string, args ...any) {
	if len(args) > 0 {
		format = fmt.Sprintf(format, args...)
	}
	r.Reply(&wire.Response{Code: code, Remark: format})
}

// succeed answers with success and, unless nil, a header.
func succeed(r *remoting.Request, h wire.Header) {
	r.Reply(&wire.Response{Code: wire.Success, Header: h})
}

// succeedBody answers with success and a JSON body.
func succeedBody(r *remoting.Request, b body.Body) {
	r.Reply(&wire.Response{Code: wire.Success, Body: body.Marshal(b)})
}

// storeFailure is the answer for a record that could not be stored.
func storeFailure(err error) (code int32, remark string) {
	switch {
	case errors.Is(err, store.ErrBusy):
		return wire.SystemBusy, err.Error()
	case errors.Is(err, store.ErrTooLarge):
		return wire.MessageIllegal, err.Error()
	case errors.Is(err, store.ErrDeleted):
		return wire.TopicNotExist, err.Error() + "; send again to have it made, or create it"
	}
	return wire.ServiceNotAvailable, "the broker can't store messages now: " + err.Error()
}
