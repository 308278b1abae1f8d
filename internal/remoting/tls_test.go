// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/secure"
	"github.com/twostage/twostage/internal/wire"
)

// selfSigned is a TLS configuration whose certificate nobody can verify.
func selfSigned(t testing.TB, mode secure.Mode) ServerTLS {
	t.Helper()
	s, err := secure.NewServer(secure.ServerOptions{SelfSigned: true})
	if err != nil {
		t.Fatal(err)
	}
	return ServerTLS{Mode: mode, Config: s.Config}
}

// dialTLS is dial, with a handshake that verifies nothing.
func dialTLS(t testing.TB, mem *MemNetwork, addr string) *peer {
	t.Helper()
	p := dial(t, mem, addr)
	c := tls.Client(p.Conn, &tls.Config{InsecureSkipVerify: true})
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	p.Conn = c
	return p
}

func TestOnePortServesTLSAndPlaintext(t *testing.T) {
	s, addr := serve(t, nil, ServerConfig{
		TLS: selfSigned(t, secure.Permissive), Routes: table(map[int32]Route{codeEcho: {Handler: echo}}),
	})
	for _, p := range []*peer{dial(t, nil, addr), dialTLS(t, nil, addr)} {
		for _, body := range []string{"small", strings.Repeat("x", 3<<20), "", "last"} {
			p.send(frame(codeEcho, 7, body))
			if got := p.read(); got.Opaque != 7 || string(got.Body) != body {
				t.Errorf("answer of %d bytes, opaque %d", len(got.Body), got.Opaque)
			}
		}
	}
	if st := s.Stats(); st.TLSConns != 1 || st.TLSFailed != 0 || st.PlaintextClosed != 0 {
		t.Errorf("%+v", st)
	}
}

func TestPlaintextWhereTLSIsEnforced(t *testing.T) {
	var log logs
	gone := make(chan *Conn, 1)
	s, addr := serve(t, nil, ServerConfig{
		TLS: selfSigned(t, secure.Enforcing), Logger: log.logger(), OnClose: func(c *Conn) { gone <- c },
		Routes: table(map[int32]Route{codeEcho: {Handler: func(*Request) { t.Error("served") }}}),
	})
	p := dial(t, nil, addr)
	p.send(frame(codeEcho, 1, ""))
	p.wantClosed()
	if p.Close(); !errors.Is((<-gone).Cause(), ErrPlaintext) {
		t.Error("another cause")
	}
	if n := s.Stats().PlaintextClosed; n != 1 {
		t.Errorf("PlaintextClosed = %d", n)
	}
	if len(log.lines("plaintext where TLS is enforced", "tls.server.mode")) != 1 {
		t.Errorf("log:\n%s", log.buf.String())
	}
}

func TestTLSWhereItIsDisabled(t *testing.T) {
	s, addr := serve(t, nil, ServerConfig{})
	nc := dial(t, nil, addr)
	if err := tls.Client(nc, &tls.Config{InsecureSkipVerify: true}).Handshake(); err == nil {
		t.Error("a handshake")
	}
	if st := s.Stats(); st.TLSRefused != 1 || st.BadFrames != 0 {
		t.Errorf("%+v", st)
	}
}

// One byte tells: what a connection that goes then is counted as does not depend on
// what else came.
func TestFirstByteOfTLSWhereItIsDisabled(t *testing.T) {
	s, addr := serve(t, nil, ServerConfig{})
	p := dial(t, nil, addr)
	p.send([]byte{0x16})
	p.wantClosed()
	if st := s.Stats(); st.TLSRefused != 1 || st.BadFrames != 0 {
		t.Errorf("%+v", st)
	}
}

// Requests that came in records of their own, as clients send them, are one batch
// with one write, as they are without TLS.
func TestRecordsOfOneReadAreOneBatch(t *testing.T) {
	var batches atomic.Int32
	synctest.Test(t, func(t *testing.T) {
		mem := NewMemNetwork()
		_, addr := serve(t, mem, ServerConfig{
			TLS: selfSigned(t, secure.Permissive), EndOfBatch: func(*Conn) { batches.Add(1) },
			Routes: table(map[int32]Route{codeEcho: {Handler: echo}}),
		})
		raw := dial(t, mem, addr)
		held := &holding{Conn: raw.Conn}
		c := tls.Client(held, &tls.Config{InsecureSkipVerify: true})
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		p := &peer{t: t, Conn: c}
		p.send(frame(codeEcho, 0, "first")) // its answer brings the session tickets too
		p.read()
		batches.Store(0)
		held.hold = true
		const n = 20 // of a size that fills less than a read
		for i := range int32(n) {
			p.send(frame(codeEcho, i, "body"))
		}
		if _, err := raw.Write(held.buf.Bytes()); err != nil {
			t.Fatal(err)
		}
		for i := range int32(n) {
			if got := p.read(); got.Opaque != i {
				t.Errorf("answer %d is to %d", i, got.Opaque)
			}
		}
		if b := batches.Load(); b != 1 {
			t.Errorf("%d batches for %d requests that arrived together", b, n)
		}
	})
}

// holding keeps what is written while hold is set.
type holding struct {
	net.Conn
	hold bool
	buf  bytes.Buffer
}

func (h *holding) Write(p []byte) (int, error) {
	if h.hold {
		return h.buf.Write(p)
	}
	return h.Conn.Write(p)
}

// Bytes that trickle in one by one are put together.
func TestTrickledRecords(t *testing.T) {
	_, addr := serve(t, nil, ServerConfig{
		TLS: selfSigned(t, secure.Enforcing), Routes: table(map[int32]Route{codeEcho: {Handler: echo}}),
	})
	raw := dial(t, nil, addr)
	c := tls.Client(trickle{raw.Conn}, &tls.Config{InsecureSkipVerify: true})
	p := &peer{t: t, Conn: c}
	p.send(frame(codeEcho, 3, "slowly"))
	if got := p.read(); string(got.Body) != "slowly" {
		t.Errorf("answer %+v", got)
	}
}

type trickle struct{ net.Conn }

func (c trickle) Write(p []byte) (int, error) {
	for i := range p {
		if _, err := c.Conn.Write(p[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(p), nil
}

// A server that closes gives what is under way its answer, ends TLS as TLS does,
// and does not wait for handshakes.
func TestCloseDrainsTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := NewMemNetwork()
		tickets := make(chan Ticket, 1)
		s, addr := serve(t, mem, ServerConfig{
			TLS:    selfSigned(t, secure.Permissive),
			Routes: table(map[int32]Route{codeHold: {Handler: func(r *Request) { tickets <- r.Ticket() }}}),
		})
		p, begun, silent := dialTLS(t, mem, addr), dial(t, mem, addr), dial(t, mem, addr)
		begun.send([]byte{0x16, 3, 1})
		p.send(frame(codeHold, 1, ""))
		synctest.Wait()
		start := time.Now()
		closed := make(chan error)
		go func() { closed <- s.Close() }()
		begun.wantClosed()
		silent.wantClosed()
		time.Sleep(2 * time.Second)
		(<-tickets).Reply(&wire.Response{Remark: "held"})
		if got := p.read(); got.Opaque != 1 {
			t.Errorf("answer %+v", got)
		}
		if _, err := p.tryRead(); err != io.EOF { // io.ErrUnexpectedEOF without the alert
			t.Errorf("after the last answer: %v", err)
		}
		if err := <-closed; err != nil {
			t.Error(err)
		}
		if d := time.Since(start); d != 2*time.Second+lingerOnClose {
			t.Errorf("Close took %v", d)
		}
	})
}

func TestClientOverTLS(t *testing.T) {
	_, addr := serve(t, nil, ServerConfig{
		TLS: selfSigned(t, secure.Enforcing),
		Routes: table(map[int32]Route{codeEcho: {Handler: func(r *Request) {
			answer, err := r.Conn, r.Conn.Push(pushed("a push"))
			if err != nil {
				t.Error(err, answer.ID())
			}
			echo(r)
		}}}),
	})
	got := make(chan string, 1)
	cl := NewClient(ClientConfig{
		TLS:    func(string) (*tls.Config, error) { return &tls.Config{InsecureSkipVerify: true}, nil },
		Routes: table(map[int32]Route{codeOther: {Handler: func(r *Request) { got <- string(r.Body) }}}),
	})
	defer cl.Close()
	body := []byte(strings.Repeat("y", 1<<20))
	cmd, err := cl.Invoke(t.Context(), addr, &wire.Request{Code: codeEcho, Body: body})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(cmd.Body, body) || <-got != "a push" {
		t.Errorf("answer of %d bytes", len(cmd.Body))
	}
	if n := cl.Stats().TLSConns; n != 1 {
		t.Errorf("TLSConns = %d", n)
	}
}

func TestClientTrustsNobodyByItself(t *testing.T) {
	gone := make(chan *Conn, 1)
	s, addr := serve(t, nil, ServerConfig{TLS: selfSigned(t, secure.Permissive), OnClose: func(c *Conn) { gone <- c }})
	conf, err := secure.NewClient(secure.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cl := NewClient(ClientConfig{TLS: conf.Config})
	defer cl.Close()
	_, err = cl.Invoke(t.Context(), addr, &wire.Request{Code: codeEcho})
	if !errors.Is(err, ErrHandshake) || !strings.Contains(err.Error(), addr) {
		t.Errorf("error %v", err)
	}
	if n := cl.Stats().TLSFailed; n != 1 {
		t.Errorf("TLSFailed = %d", n)
	}
	if c := <-gone; s.Stats().TLSFailed != 1 || !errors.Is(c.Cause(), ErrHandshake) {
		t.Errorf("the server counted %d, cause %v", s.Stats().TLSFailed, c.Cause())
	}
}

// An idle connection over TLS costs what docs/tls.md says of it: some 18 KiB more
// than a plain one.
func TestIdleTLSConnections(t *testing.T) {
	const conns = 200
	mem := NewMemNetwork()
	_, addr := serve(t, mem, ServerConfig{TLS: selfSigned(t, secure.Permissive), Routes: table(map[int32]Route{codeEcho: {Handler: echo}})})
	dialTLS(t, mem, addr) // makes the certificate
	each := func(secured bool) int64 {
		before := heap()
		kept := make([]*peer, conns)
		for i := range kept {
			kept[i] = dial(t, mem, addr)
			p := &peer{t: t, Conn: kept[i].Conn}
			if secured {
				p.Conn = tls.Client(p.Conn, &tls.Config{InsecureSkipVerify: true}) // which is let go, so that only the server's end counts
			}
			p.send(frame(codeEcho, 1, "x"))
			p.read()
		}
		defer runtime.KeepAlive(kept)
		return (heap() - before) / conns
	}
	plain, secured := each(false), each(true)
	t.Logf("an idle connection costs %d bytes, %d over TLS", plain, secured)
	if more := secured - plain; more < 12<<10 || more > 24<<10 {
		t.Errorf("an idle connection over TLS costs %d bytes more than a plain one", more)
	}
}

// FuzzHandshake sends what begins like TLS: the server must neither panic nor hang.
func FuzzHandshake(f *testing.F) {
	f.Add(clientHello()[1:])
	f.Add([]byte{3, 1, 0, 0, 0x16, 3, 1, 0xff, 0xff, 1})
	f.Add([]byte{3, 3, 0, 4, 1, 0, 0, 0, 0x17, 3, 3, 0, 1, 0})
	mem := NewMemNetwork()
	s, addr := serve(f, mem, ServerConfig{TLS: selfSigned(f, secure.Enforcing), Routes: table(map[int32]Route{codeEcho: {Handler: echo}})})
	f.Fuzz(func(t *testing.T, data []byte) {
		p := dial(t, mem, addr)
		if _, err := p.Write(append([]byte{0x16}, data...)); err == nil {
			_ = p.Conn.(*memConn).CloseWrite() // what is missing does not come
		}
		if _, err := io.Copy(io.Discard, p); err != nil {
			t.Fatalf("the connection was not closed: %v", err)
		}
		if n := s.Stats().Panics; n > 0 {
			t.Fatal("a panic")
		}
	})
}

// readless is a connection that gives nothing to read.
type readless struct{ net.Conn }

func (readless) Read([]byte) (int, error) { return 0, io.EOF }
