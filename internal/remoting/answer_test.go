// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/wire"
)

func contextFor(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), d)
}

func TestReplyBody(t *testing.T) {
	var rel released
	lane := NewLane("lane", 1, 1)
	body := func(r *Request) {
		bufs := net.Buffers{[]byte("one "), nil, []byte("two ")}
		r.ReplyBody(&wire.Response{Body: []byte("zero ")}, append(bufs, r.Body), rel.call)
		var again released
		r.ReplyBody(&wire.Response{}, bufs, again.call)
		again.want(t, "second answer")
	}
	_, addr := serve(t, nil, ServerConfig{Routes: table(map[int32]Route{
		codeEcho: {Handler: echo},
		codeHold: {Handler: func(r *Request) {
			r.Ticket().ReplyBody(&wire.Response{}, net.Buffers{[]byte("ticket")}, rel.call)
		}},
		codeSlow:  {Lane: lane, Handler: body},
		codeOther: {Handler: func(r *Request) { r.ReplyBody(&wire.Response{Remark: "no body"}, nil, rel.call) }},
	})})
	p := dial(t, nil, addr)
	p.send(frame(codeEcho, 1, "a"), frame(codeHold, 2, ""), frame(codeEcho, 3, "b"), frame(codeOther, 4, ""), frame(codeEcho, 5, "c"))
	for i, want := range []string{"a", "ticket", "b", "", "c"} {
		if got := p.read(); got.Opaque != int32(i+1) || string(got.Body) != want {
			t.Errorf("answer %d: %d %q, want %q", i, got.Opaque, got.Body, want)
		}
	}
	p.send(frame(codeSlow, 6, "three"))
	if got := p.read(); string(got.Body) != "zero one two three" {
		t.Errorf("body %q", got.Body)
	}
	p.send(frame(codeSlow, 7, "")) // the lane's worker has released by its answer
	p.read()
	for rel.n.Load() < 4 { // the writer gives back after the write that was just read
		p.send(frame(codeEcho, 8, ""))
		p.read()
	}
	if n := rel.n.Load(); n != 4 {
		t.Errorf("%d releases, want 4", n)
	}
}

func TestAnswerAfterTheConnectionIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := NewMemNetwork()
		tickets := make(chan Ticket, 2)
		_, addr := serve(t, mem, ServerConfig{Routes: table(map[int32]Route{
			codeHold: {Handler: func(r *Request) { tickets <- r.Ticket() }},
		})})
		p := dial(t, mem, addr)
		p.send(frame(codeHold, 1, ""), frame(codeHold, 2, ""))
		a, b := <-tickets, <-tickets
		p.Close()
		<-a.Conn().Closed()
		var rel, twice, zero released
		a.ReplyBody(&wire.Response{}, net.Buffers{[]byte("x")}, rel.call)
		a.ReplyBody(&wire.Response{}, net.Buffers{[]byte("x")}, twice.call)
		b.Reply(&wire.Response{})
		Ticket{}.ReplyBody(&wire.Response{}, nil, zero.call)
		Ticket{}.Discard()
		rel.want(t, "closed connection")
		twice.want(t, "closed connection, second answer")
		zero.want(t, "zero ticket")
		if n := a.Conn().inflight.Load(); n != 0 {
			t.Errorf("%d in flight", n)
		}
	})
}

// The peer goes away while bodies are queued and half written.
func TestReleaseWhenTheWriteFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := NewMemNetwork()
		tickets := make(chan Ticket, 3)
		_, addr := serve(t, mem, ServerConfig{Routes: table(map[int32]Route{
			codeHold: {Handler: func(r *Request) { tickets <- r.Ticket() }},
		})})
		p := dial(t, mem, addr)
		p.send(frame(codeHold, 1, ""), frame(codeHold, 2, ""), frame(codeHold, 3, ""))
		var rel [3]released
		for i := range rel {
			(<-tickets).ReplyBody(&wire.Response{}, net.Buffers{make([]byte, 100<<10)}, rel[i].call)
			synctest.Wait() // the first is being written, the others wait
		}
		for i := range rel {
			if rel[i].n.Load() != 0 {
				t.Errorf("answer %d was released before it was written", i)
			}
		}
		p.Close()
		synctest.Wait()
		for i := range rel {
			rel[i].want(t, "failed write")
		}
	})
}

func TestAnswerLargerThanAFrame(t *testing.T) {
	var rel released
	_, addr := serve(t, nil, ServerConfig{Limits: Limits{MaxFrame: 1000}, Routes: table(map[int32]Route{
		codeEcho: {Handler: func(r *Request) { r.Reply(&wire.Response{Body: make([]byte, 1000)}) }},
		codeHold: {Handler: func(r *Request) { r.ReplyBody(&wire.Response{}, net.Buffers{make([]byte, 1000)}, rel.call) }},
	})})
	p := dial(t, nil, addr)
	for _, code := range []int32{codeEcho, codeHold} {
		p.send(frame(code, code, ""))
		if got := p.read(); got.Code != wire.SystemError || got.Opaque != code || !strings.Contains(string(got.Remark), "a frame may have 1000") {
			t.Errorf("answer %+v", got)
		}
	}
	rel.want(t, "too large")
}

func TestCloseDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBlockers()
		mem := NewMemNetwork()
		tickets := make(chan Ticket, 1)
		s, addr := serve(t, mem, ServerConfig{Routes: table(map[int32]Route{
			codeHold: {Handler: func(r *Request) { tickets <- r.Ticket() }},
			codeSlow: {Handler: b.serve, Lane: NewLane("slow", 1, 1)},
		})})
		p := dial(t, mem, addr)
		idle := dial(t, mem, addr)
		p.send(frame(codeHold, 1, ""), frame(codeSlow, 2, ""), frame(codeSlow, 3, ""))
		synctest.Wait()
		closed := make(chan error)
		start := time.Now()
		go func() { closed <- s.Close() }()
		synctest.Wait()
		if _, err := mem.Dial(t.Context(), addr); err == nil {
			t.Error("a closing server accepts")
		}
		if _, err := idle.tryRead(); err != io.EOF {
			t.Errorf("an idle connection of a closing server: %v", err)
		}
		time.Sleep(2 * time.Second)
		p.send(frame(codeHold, 4, "not read any more"))
		(<-tickets).Reply(&wire.Response{Remark: "held"})
		close(b.goOn)
		got := map[int32]bool{}
		for range 3 {
			got[p.read().Opaque] = true
		}
		if !got[1] || !got[2] || !got[3] {
			t.Errorf("answers %v", got)
		}
		if _, err := p.tryRead(); err != io.EOF {
			t.Errorf("after the last answer: %v", err)
		}
		if err := <-closed; err != nil {
			t.Errorf("Close: %v", err)
		}
		if d := time.Since(start); d != 2*time.Second+lingerOnClose {
			t.Errorf("Close took %v", d)
		}
	})
}

func TestCloseGivesUpAtItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBlockers()
		mem := NewMemNetwork()
		s := NewServer(ServerConfig{
			Addr: "127.0.0.1:1", Listen: mem.Listen, DrainTimeout: time.Second,
			Routes: table(map[int32]Route{
				codeHold: {Handler: func(r *Request) { r.Ticket() }},
				codeSlow: {Handler: b.serve, Lane: NewLane("slow", 1, 1)},
			}),
		})
		if err := s.Listen(); err != nil {
			t.Fatal(err)
		}
		run := make(chan error)
		go func() { run <- s.Run(t.Context()) }()
		p := dial(t, mem, "127.0.0.1:1")
		p.send(frame(codeHold, 1, ""), frame(codeSlow, 2, ""))
		synctest.Wait()
		start := time.Now()
		err := s.Close()
		if err == nil || !strings.Contains(err.Error(), "1 requests still run in lanes") {
			t.Errorf("Close: %v", err)
		}
		if d := time.Since(start); d != time.Second {
			t.Errorf("Close took %v", d)
		}
		if again := <-run; again == nil || again.Error() != err.Error() {
			t.Errorf("Run: %v", again)
		}
		close(b.goOn)
	})
}
