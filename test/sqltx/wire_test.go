// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sqltx

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/sqltx"
)

// heard is told of frames that a process writes.
type heard interface {
	sending(after bool) // a message, or half message
	ending(after bool)  // its end, not as an answer to a check-back
}

// dialer connects by TCP. Half messages tell the time of a wall clock that is off
// by shift.
func dialer(shift time.Duration, h heard) func(ctx context.Context, addr string) (net.Conn, error) {
	return func(ctx context.Context, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err != nil {
			return nil, err
		}
		return &heardConn{Conn: conn, shift: shift, heard: h}, nil
	}
}

// heardConn looks at the frames of each Write, which holds whole ones.
type heardConn struct {
	net.Conn
	shift time.Duration
	heard heard
}

func (c *heardConn) Write(b []byte) (int, error) {
	send, end, err := frames(b)
	if err != nil {
		return 0, err
	}
	if send {
		if c.shift != 0 {
			if b, err = shiftBegan(bytes.Clone(b), c.shift); err != nil {
				return 0, err
			}
		}
		c.heard.sending(false)
	}
	if end {
		c.heard.ending(false)
	}
	n, err := c.Conn.Write(b)
	if err == nil && send {
		c.heard.sending(true)
	}
	if err == nil && end {
		c.heard.ending(true)
	}
	return n, err
}

// frames tells what is among the frames of b.
func frames(b []byte) (send, end bool, err error) {
	for len(b) > 0 {
		if len(b) < 4 || len(b)-4 < int(binary.BigEndian.Uint32(b)) {
			return false, false, fmt.Errorf("a write of %d bytes that are no whole frames", len(b))
		}
		n := int(binary.BigEndian.Uint32(b))
		var c wire.Command
		if err := new(wire.Decoder).Decode(b[4:4+n], &c); err != nil {
			return false, false, err
		}
		if !c.IsResponse() {
			switch c.Code {
			case wire.ReqSendMessage, wire.ReqSendMessageV2:
				send = true
			case wire.ReqEndTransaction:
				answer, _ := c.Ext.Get("fromTransactionCheck")
				end = end || string(answer) != "true"
			}
		}
		b = b[4+n:]
	}
	return send, end, nil
}

// shiftBegan moves the time behind the name of its property, and a separator that
// may be written as an escape. It keeps its length.
func shiftBegan(b []byte, shift time.Duration) ([]byte, error) {
	const digits = 13 // of ms since 1970
	from := bytes.Index(b, []byte(sqltx.PropertyBegan))
	if from < 0 {
		return nil, fmt.Errorf("a half message without %s", sqltx.PropertyBegan)
	}
	from += len(sqltx.PropertyBegan)
	from += bytes.IndexAny(b[from:], "0123456789")
	end := from
	for end < len(b) && b[end] >= '0' && b[end] <= '9' {
		end++
	}
	v, err := strconv.ParseInt(string(b[max(from, end-digits):end]), 10, 64)
	if err != nil || end-from < digits {
		return nil, fmt.Errorf("%s has no time in ms: %q", sqltx.PropertyBegan, b[from:end])
	}
	copy(b[end-digits:end], strconv.FormatInt(v+shift.Milliseconds(), 10))
	return b, nil
}
