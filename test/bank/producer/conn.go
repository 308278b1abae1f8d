// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/test/bank/teller"
)

// patience is how long an answer may take while its connection is up.
const patience = 60 * time.Second

// conn is a connection to the broker. What comes on it is noted in the ledger by
// its one reader, so the ledger has the order of arrival.
type conn struct {
	id     int
	nc     net.Conn
	ledger *teller.Ledger
	asked  func(*conn, *wire.Command)
	dead   chan struct{} // closed when nothing comes any more

	mu    sync.Mutex
	out   []byte
	last  int32
	calls map[int32]call
	gone  bool
}

// call waits for an answer.
type call struct {
	sent int // line of the ledger before the request was written
	note func(answer *wire.Command, sent int)
	done chan bool // gets whether an answer came
}

func newConn(id int, nc net.Conn, l *teller.Ledger, asked func(*conn, *wire.Command)) *conn {
	return &conn{id: id, nc: nc, ledger: l, asked: asked, dead: make(chan struct{}), calls: make(map[int32]call)}
}

// start writes a request. note is called by the reader when the answer comes,
// before anything that came behind it is looked at; the channel says then
// whether one came, or that the connection broke.
func (c *conn) start(req *wire.Request, note func(answer *wire.Command, sent int)) <-chan bool {
	done := make(chan bool, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		done <- false
		return done
	}
	c.last++
	req.Opaque, req.Language, req.Version = c.last, wire.LanguageJava, wire.Version
	if note != nil {
		c.calls[c.last] = call{c.ledger.Line(), note, done}
	}
	c.out = wire.AppendRequest(c.out[:0], req)
	if _, err := c.nc.Write(c.out); err != nil {
		_ = c.nc.Close() // the reader cleans up
	}
	return done
}

// wait gives what a call's channel says.
func wait(what string, done <-chan bool) bool {
	limit := time.NewTimer(patience)
	defer limit.Stop()
	select {
	case ok := <-done:
		return ok
	case <-limit.C:
		die("%s: no answer for %v on a connection that is up", what, patience)
		return false
	}
}

// read handles what comes until the connection ends.
func (c *conn) read() {
	in := bufio.NewReaderSize(c.nc, 64<<10)
	var frame []byte
	var dec wire.Decoder
	for {
		var size [4]byte
		if _, err := io.ReadFull(in, size[:]); err != nil {
			break
		}
		n := binary.BigEndian.Uint32(size[:])
		if n > wire.MaxFrame {
			die("a frame of %d bytes", n)
		}
		if cap(frame) < int(n) {
			frame = make([]byte, n)
		}
		frame = frame[:n]
		if _, err := io.ReadFull(in, frame); err != nil {
			break
		}
		var cmd wire.Command
		if err := dec.Decode(frame, &cmd); err != nil {
			die("%v", err)
		}
		if err := c.handle(&cmd); err != nil {
			die("%v", err)
		}
	}
	_ = c.nc.Close()
	c.mu.Lock()
	c.gone = true
	for _, call := range c.calls {
		call.done <- false
	}
	clear(c.calls)
	c.mu.Unlock()
	close(c.dead)
}

func (c *conn) handle(cmd *wire.Command) error {
	if !cmd.IsResponse() {
		if cmd.Code == wire.ReqCheckTransactionState {
			c.asked(c, cmd)
		}
		return nil
	}
	c.mu.Lock()
	call, ok := c.calls[cmd.Opaque]
	delete(c.calls, cmd.Opaque)
	c.mu.Unlock()
	if !ok {
		return fmt.Errorf("an answer to nothing that was asked: code %d opaque %d %s", cmd.Code, cmd.Opaque, cmd.Remark)
	}
	call.note(cmd, call.sent)
	call.done <- true
	return nil
}
