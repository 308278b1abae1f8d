// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/wire"
)

func TestAnswersInTheRequestsEncoding(t *testing.T) {
	_, addr := serve(t, nil, ServerConfig{Routes: table(map[int32]Route{codeEcho: {Handler: echo}})})
	p := dial(t, nil, addr)
	for _, enc := range []wire.Encoding{wire.JSON, wire.Binary} {
		p.send(wire.AppendRequest(nil, &wire.Request{Code: codeEcho, Opaque: 77, Encoding: enc, Body: []byte("b")}))
		got := p.read()
		if got.Encoding != enc || got.Opaque != 77 || !got.IsResponse() || got.Code != wire.Success || string(got.Body) != "b" {
			t.Errorf("%v: answer %+v", enc, got)
		}
	}
}

func TestPipelinedRequestsAreAnsweredInOrderWithOneWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := NewMemNetwork()
		ln, err := mem.Listen("127.0.0.1:9000")
		if err != nil {
			t.Fatal(err)
		}
		counted := &countWrites{Listener: ln}
		batches := 0
		var held []Ticket
		_, addr := serve(t, nil, ServerConfig{
			Listen: listenOn(counted),
			Routes: table(map[int32]Route{
				codeEcho: {Handler: echo},
				codeHold: {Handler: func(r *Request) { held = append(held, r.Ticket()) }},
			}),
			EndOfBatch: func(*Conn) {
				batches++
				for _, ticket := range held {
					ticket.Reply(&wire.Response{Remark: "end of batch"})
				}
				held = held[:0]
			},
		})
		p := dial(t, mem, addr)
		const n = 20 // fits the first read of 4 KiB
		var all [][]byte
		for i := range int32(n) {
			all = append(all, frame(codeEcho, i, fmt.Sprint(i)))
		}
		all = append(all, frame(codeHold, n, ""), frame(codeHold, n+1, ""))
		half := frame(codeEcho, n+2, "last")
		all = append(all, half[:10])
		p.send(all...)
		for i := range int32(n) {
			if got := p.read(); got.Opaque != i || string(got.Body) != fmt.Sprint(i) {
				t.Fatalf("answer %d: %+v", i, got)
			}
		}
		for i := range int32(2) {
			if got := p.read(); got.Opaque != n+i || string(got.Remark) != "end of batch" {
				t.Fatalf("held answer %d: %+v", i, got)
			}
		}
		synctest.Wait()
		if w := counted.writes.Load(); w != 1 || batches != 1 {
			t.Errorf("%d writes, %d batches; want 1 and 1", w, batches)
		}
		p.send(half[10:])
		if got := p.read(); string(got.Body) != "last" {
			t.Errorf("split request: %+v", got)
		}
		if w := counted.writes.Load(); w != 2 || batches != 2 {
			t.Errorf("%d writes, %d batches after one more request; want 2 and 2", w, batches)
		}
	})
}

func TestOneWayGetsNoAnswer(t *testing.T) {
	seen := make(chan string, 3)
	var rel released
	_, addr := serve(t, nil, ServerConfig{Routes: table(map[int32]Route{
		codeEcho: {Handler: echo},
		codeHold: {Handler: func(r *Request) {
			seen <- string(r.Body)
			r.Reply(&wire.Response{Remark: "never sent"})
		}},
		codeSlow: {Lane: NewLane("slow", 1, 1), Handler: func(r *Request) {
			r.Ticket().ReplyBody(&wire.Response{}, [][]byte{[]byte("never")}, rel.call)
			seen <- string(r.Body)
		}},
	})})
	p := dial(t, nil, addr)
	for _, code := range []int32{codeHold, codeSlow} {
		p.send(wire.AppendRequest(nil, &wire.Request{Code: code, OneWay: true, Body: []byte("one way")}))
		if got := <-seen; got != "one way" {
			t.Errorf("code %d: body %q", code, got)
		}
	}
	p.send(frame(codeEcho, 5, ""))
	if got := p.read(); got.Opaque != 5 {
		t.Errorf("a one-way request was answered: %+v", got)
	}
	rel.want(t, "one-way")
}

func TestUnknownCodeIsAnswered(t *testing.T) {
	_, addr := serve(t, nil, ServerConfig{})
	p := dial(t, nil, addr)
	p.send(frame(wire.ReqSendMessage, 1, ""))
	got := p.read()
	if got.Code != wire.RequestCodeNotSupported || string(got.Remark) != "request code 10 (SEND_MESSAGE) is not supported" {
		t.Errorf("answer %d %q", got.Code, got.Remark)
	}
}

// badHeader stands for a bug in an encoder.
type badHeader struct{}

func (badHeader) EncodeExt(*wire.ExtWriter) { panic("encoder bug") }

func TestPanicIsAnsweredAndLogged(t *testing.T) {
	var log logs
	s, addr := serve(t, nil, ServerConfig{Logger: log.logger(), Routes: table(map[int32]Route{
		codeEcho:  {Handler: echo},
		codeHold:  {Handler: func(r *Request) { r.Ticket(); panic("inline bug") }},
		codeSlow:  {Lane: NewLane("slow", 1, 1), Handler: func(r *Request) { panic("lane bug") }},
		codeOther: {Handler: func(r *Request) { r.Reply(&wire.Response{Header: badHeader{}}) }},
	})})
	p := dial(t, nil, addr)
	for code, what := range map[int32]string{codeHold: "inline bug", codeSlow: "lane bug", codeOther: "encoder bug"} {
		p.send(frame(code, code, ""))
		got := p.read()
		if got.Code != wire.SystemError || got.Opaque != code || !strings.Contains(string(got.Remark), what) {
			t.Errorf("answer %d %q, want SYSTEM_ERROR about %q", got.Code, got.Remark, what)
		}
		if n := len(log.lines("handler panicked", what, "remoting.")); n != 1 {
			t.Errorf("%q was logged with its stack %d times", what, n)
		}
	}
	p.send(frame(codeEcho, 9, "alive"))
	if got := p.read(); string(got.Body) != "alive" {
		t.Errorf("after panics: %+v", got)
	}
	if n := s.Stats().Panics; n != 3 {
		t.Errorf("Stats.Panics = %d", n)
	}
}

func TestHookPanicClosesThatConnection(t *testing.T) {
	var log logs
	_, addr := serve(t, nil, ServerConfig{
		Logger:     log.logger(),
		Routes:     table(map[int32]Route{codeEcho: {Handler: echo}}),
		EndOfBatch: func(*Conn) { panic("batch bug") },
	})
	p := dial(t, nil, addr)
	p.send(frame(codeEcho, 1, "answered"))
	if got := p.read(); string(got.Body) != "answered" {
		t.Errorf("answer %+v", got)
	}
	p.wantClosed()
	if n := len(log.lines("EndOfBatch", "batch bug")); n != 1 {
		t.Errorf("logged %d times", n)
	}
}

func TestHooksAndState(t *testing.T) {
	var mu sync.Mutex
	var events []string
	note := func(s string) { mu.Lock(); events = append(events, s); mu.Unlock() }
	closed := make(chan struct{})
	_, addr := serve(t, nil, ServerConfig{
		OnOpen:  func(c *Conn) { c.SetState("mine"); note("open") },
		OnClose: func(c *Conn) { note(fmt.Sprint("close ", c.State(), " ", c.Cause())); close(closed) },
		Routes: table(map[int32]Route{codeEcho: {Handler: func(r *Request) {
			if r.Conn.RemoteAddr().Port() == 0 || r.Conn.LocalAddr().Port() == 0 || r.Conn.ID() == 0 {
				t.Error("the connection has no addresses or id")
			}
			note(fmt.Sprint("request ", r.Conn.State()))
			echo(r)
		}}}),
	})
	p := dial(t, nil, addr)
	p.send(frame(codeEcho, 1, ""))
	p.read()
	p.Close()
	<-closed
	mu.Lock()
	defer mu.Unlock()
	if got := strings.Join(events, ", "); got != "open, request mine, close mine EOF" {
		t.Errorf("events: %s", got)
	}
}

func TestMaxConns(t *testing.T) {
	var log logs
	s, addr := serve(t, nil, ServerConfig{
		MaxConns: 2, Logger: log.logger(), Routes: table(map[int32]Route{codeEcho: {Handler: echo}}),
	})
	var open []*peer
	for i := range int32(2) {
		p := dial(t, nil, addr)
		p.send(frame(codeEcho, i, ""))
		p.read()
		open = append(open, p)
	}
	dial(t, nil, addr).wantClosed()
	dial(t, nil, addr).wantClosed()
	for _, p := range open {
		p.send(frame(codeEcho, 7, ""))
		p.read()
	}
	if n := s.Stats().Refused; n != 2 {
		t.Errorf("Refused = %d", n)
	}
	if n := len(log.lines("connection refused", "open=2")); n != 1 {
		t.Errorf("logged %d times, want once per %v", n, refusedLogEvery)
	}
}

func TestServerLifecycle(t *testing.T) {
	s := NewServer(ServerConfig{Addr: "127.0.0.1:0"})
	if s.Addr() != nil {
		t.Error("Addr before Listen")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if err := s.Run(ctx); err != nil {
		t.Errorf("Run ended by its context: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if err := s.Run(context.Background()); err != nil {
		t.Errorf("Run after Close: %v", err)
	}
	other := NewServer(ServerConfig{Addr: "127.0.0.1:none"})
	if err := other.Run(context.Background()); err == nil || !strings.Contains(err.Error(), "127.0.0.1:none") {
		t.Errorf("Run on a bad address: %v", err)
	}
	if err := other.Close(); err != nil {
		t.Errorf("Close without a listener: %v", err)
	}
}

func TestNothingIsServedAfterTheHandlerCloses(t *testing.T) {
	var served, closed atomic.Int32
	_, addr := serve(t, nil, ServerConfig{
		OnClose: func(*Conn) { closed.Add(1) },
		Routes: table(map[int32]Route{codeHold: {Handler: func(r *Request) {
			served.Add(1)
			r.Conn.Close()
		}}}),
	})
	p := dial(t, nil, addr)
	p.send(frame(codeHold, 1, ""), frame(codeHold, 2, ""))
	p.wantClosed()
	for closed.Load() == 0 {
		runtime.Gosched()
	}
	if n := served.Load(); n != 1 {
		t.Errorf("%d requests were served", n)
	}
}

func TestMaxConnsPerAddr(t *testing.T) {
	var log logs
	opened, gone := make(chan *Conn, 4), make(chan *Conn, 4)
	s, addr := serve(t, nil, ServerConfig{
		MaxConnsPerAddr: 2, Logger: log.logger(), OnOpen: func(c *Conn) { opened <- c }, OnClose: func(c *Conn) { gone <- c },
		Routes: table(map[int32]Route{codeEcho: {Handler: echo}}),
	})
	first := dial(t, nil, addr)
	<-opened
	dial(t, nil, addr)
	<-opened
	dial(t, nil, addr).wantClosed()
	if n := s.Stats().Refused; n != 1 || len(log.lines("connection refused", "maxConnectionsPerAddress")) != 1 {
		t.Errorf("Refused = %d; log:\n%s", n, log.buf.String())
	}
	other := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	c, err := other.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	(<-opened).SetState("from another address")
	first.Close()
	<-gone
	for s.ep.openFrom(netip.MustParseAddr("127.0.0.1")) != 1 { // free a moment after OnClose
		runtime.Gosched()
	}
	again := dial(t, nil, addr)
	again.send(frame(codeEcho, 1, "again"))
	if got := again.read(); string(got.Body) != "again" {
		t.Errorf("answer %+v", got)
	}
}

// An IPv6 address counts with its network, of which its owner has as many as it likes.
func TestMaxConnsPerAddrOfIPv6(t *testing.T) {
	s := NewServer(ServerConfig{MaxConnsPerAddr: 1})
	from := func(addr string) *Conn {
		server, client := MemPipe(netip.MustParseAddrPort("[2001:db8::1]:1"), netip.AddrPortFrom(netip.MustParseAddr(addr), 2))
		t.Cleanup(func() { client.Close() })
		return s.ep.newConn(server)
	}
	first := from("2001:db8::a:1")
	s.ep.start(first)
	if why := s.tooMany(from("2001:db8::b:2")); !strings.Contains(why, "maxConnectionsPerAddress") {
		t.Errorf("the same network: %q", why)
	}
	for _, addr := range []string{"2001:db8:0:1::1", "10.0.0.1"} {
		if why := s.tooMany(from(addr)); why != "" {
			t.Errorf("%s: %s", addr, why)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if len(s.ep.byAddr) != 0 {
		t.Errorf("counted when all are gone: %v", s.ep.byAddr)
	}
}
