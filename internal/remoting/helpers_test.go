// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/twostage/twostage/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	codeEcho  = 901
	codeHold  = 902
	codeSlow  = 903
	codeOther = 904
)

// echo answers with the body of the request.
func echo(r *Request) { r.Reply(&wire.Response{Body: r.Body}) }

// table makes a Routes function of a map.
func table(routes map[int32]Route) func(int32) (Route, bool) {
	return func(code int32) (Route, bool) {
		r, ok := routes[code]
		return r, ok
	}
}

// serve runs a server until the test ends; its address is 127.0.0.1 and a free
// port. mem nil: TCP.
func serve(t testing.TB, mem *MemNetwork, cfg ServerConfig) (*Server, string) {
	t.Helper()
	if mem != nil && cfg.Listen == nil {
		cfg.Listen = mem.Listen
	}
	cfg.Addr = "127.0.0.1:0"
	s := NewServer(cfg)
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(context.Background()) }()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return s, s.Addr().String()
}

// peer is a client that speaks frames by hand.
type peer struct {
	t testing.TB
	net.Conn
	dec wire.Decoder
}

func dial(t testing.TB, mem *MemNetwork, addr string) *peer {
	t.Helper()
	var nc net.Conn
	var err error
	if mem != nil {
		nc, err = mem.Dial(context.Background(), addr)
	} else {
		nc, err = net.Dial("tcp", addr)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetReadDeadline(time.Now().Add(20 * time.Second)) // a hang fails instead of hanging
	return &peer{t: t, Conn: nc}
}

func frame(code, opaque int32, body string) []byte {
	return wire.AppendRequest(nil, &wire.Request{Code: code, Opaque: opaque, Body: []byte(body)})
}

func (p *peer) send(frames ...[]byte) {
	p.t.Helper()
	if _, err := p.Write(bytes.Join(frames, nil)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) tryRead() (*wire.Command, error) {
	var head [4]byte
	if _, err := io.ReadFull(p, head[:]); err != nil {
		return nil, err
	}
	buf := make([]byte, binary.BigEndian.Uint32(head[:]))
	if _, err := io.ReadFull(p, buf); err != nil {
		return nil, err
	}
	var cmd wire.Command
	if err := p.dec.Decode(buf, &cmd); err != nil {
		return nil, err
	}
	return cmd.Clone(), nil
}

func (p *peer) read() *wire.Command {
	p.t.Helper()
	cmd, err := p.tryRead()
	if err != nil {
		p.t.Fatal(err)
	}
	return cmd
}

// wantClosed reads until the server closes the connection and gives what came.
func (p *peer) wantClosed() {
	p.t.Helper()
	for {
		cmd, err := p.tryRead()
		if err == nil {
			continue
		}
		if ne, ok := err.(net.Error); ok && ne.Timeout() {
			p.t.Fatalf("the connection was not closed, last answer %+v", cmd)
		}
		return
	}
}

// logs gathers log lines.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logs) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// lines gives the lines that contain all of the words.
func (l *logs) lines(words ...string) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.buf.String()) {
		all := true
		for _, w := range words {
			all = all && strings.Contains(line, w)
		}
		if all {
			found = append(found, line)
		}
	}
	return found
}

// countWrites wraps what a listener accepts and counts writes.
type countWrites struct {
	net.Listener
	writes atomic.Int64
}

func (l *countWrites) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &countingConn{Conn: nc, l: l}, nil
}

type countingConn struct {
	net.Conn
	l *countWrites
}

func (c *countingConn) Write(p []byte) (int, error) {
	c.l.writes.Add(1)
	return c.Conn.Write(p)
}

// released counts calls of a release function.
type released struct{ n atomic.Int32 }

func (r *released) call() { r.n.Add(1) }

func (r *released) want(t *testing.T, when string) {
	t.Helper()
	if n := r.n.Load(); n != 1 {
		t.Errorf("%s: release was called %d times, want 1", when, n)
	}
}

// listenOn makes a Listen function of a listener.
func listenOn(l net.Listener) func(string) (net.Listener, error) {
	return func(string) (net.Listener, error) { return l, nil }
}
