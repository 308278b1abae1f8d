// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/wire"
)

// peer is the client's end of one connection. It collects what the server sends.
type peer struct {
	conn net.Conn

	mu      sync.Mutex
	arrived []*wire.Command // not taken yet
	err     error
	changed chan struct{} // closed at each arrival
	done    chan struct{}
}

func dial(t *testing.T, addr string) *peer {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{conn: conn, changed: make(chan struct{}), done: make(chan struct{})}
	go p.read()
	t.Cleanup(func() {
		_ = conn.Close()
		<-p.done
	})
	return p
}

func (p *peer) read() {
	defer close(p.done)
	var d wire.Decoder
	for {
		c, err := readCommand(p.conn, &d)
		p.mu.Lock()
		if p.err = err; err == nil {
			p.arrived = append(p.arrived, c)
		}
		close(p.changed)
		p.changed = make(chan struct{})
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func readCommand(r io.Reader, d *wire.Decoder) (*wire.Command, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > wire.MaxFrame {
		return nil, fmt.Errorf("a frame of %d bytes", n)
	}
	frame := make([]byte, n)
	if _, err := io.ReadFull(r, frame); err != nil {
		return nil, err
	}
	var c wire.Command
	if err := d.Decode(frame, &c); err != nil {
		return nil, err
	}
	return c.Clone(), nil
}

func (p *peer) send(t *testing.T, frame []byte) {
	t.Helper()
	if _, err := p.conn.Write(frame); err != nil {
		t.Fatal(err)
	}
}

// take waits for a command that fits and removes it.
func (p *peer) take(within time.Duration, fits func(*wire.Command) bool) (*wire.Command, error) {
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	for {
		p.mu.Lock()
		i := slices.IndexFunc(p.arrived, fits)
		if i >= 0 {
			c := p.arrived[i]
			p.arrived = slices.Delete(p.arrived, i, i+1)
			p.mu.Unlock()
			return c, nil
		}
		err, changed := p.err, p.changed
		p.mu.Unlock()
		if err != nil {
			return nil, fmt.Errorf("the connection ended: %w", err)
		}
		select {
		case <-changed:
		case <-deadline.C:
			return nil, fmt.Errorf("nothing came within %v", within)
		}
	}
}

// rest gives what nobody took.
func (p *peer) rest() []*wire.Command {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.arrived)
}

func answerTo(opaque int32) func(*wire.Command) bool {
	return func(c *wire.Command) bool { return c.IsResponse() && c.Opaque == opaque }
}

func pushOf(code int32) func(*wire.Command) bool {
	return func(c *wire.Command) bool { return !c.IsResponse() && c.Code == code }
}

// opaques of our own requests, far from the recorded ones.
const ownOpaque = 1 << 30

// call sends a request of our own and gives its answer.
func (p *peer) call(t *testing.T, r *wire.Request) *wire.Command {
	t.Helper()
	r.Opaque = ownOpaque
	p.send(t, wire.AppendRequest(nil, r))
	c, err := p.take(patience, answerTo(ownOpaque))
	if err != nil {
		t.Fatalf("own request %s: %v", wire.CodeName(r.Code), err)
	}
	return c
}

// must is call for what has to succeed.
func (p *peer) must(t *testing.T, r *wire.Request) *wire.Command {
	t.Helper()
	c := p.call(t, r)
	if c.Code != wire.Success {
		t.Fatalf("own request %s %v: %d %s", wire.CodeName(r.Code), r.Fields, c.Code, c.Remark)
	}
	return c
}

// fields makes extension fields of key, value, key, value.
func fields(pairs ...string) wire.Fields {
	var f wire.Fields
	for i := 0; i < len(pairs); i += 2 {
		f = append(f, wire.Field{Key: []byte(pairs[i]), Value: []byte(pairs[i+1])})
	}
	return f
}
