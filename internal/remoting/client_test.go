// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/wire"
)

func newClient(t testing.TB, cfg ClientConfig) *Client {
	cl := NewClient(cfg)
	t.Cleanup(func() {
		if err := cl.Close(); err != nil {
			t.Errorf("client Close: %v", err)
		}
	})
	return cl
}

func TestClientInvoke(t *testing.T) {
	var languages sync.Map
	_, addr := serve(t, nil, ServerConfig{Routes: table(map[int32]Route{codeEcho: {Handler: func(r *Request) {
		languages.Store(r.Language, r.Version)
		echo(r)
	}}})})
	cl := newClient(t, ClientConfig{Language: wire.LanguageRust, Version: 300})
	var wg sync.WaitGroup
	var answers sync.Map
	for i := range 200 {
		wg.Go(func() {
			enc := wire.Encoding(i % 2)
			body := fmt.Sprint("body ", i)
			got, err := cl.Invoke(t.Context(), addr, &wire.Request{Code: codeEcho, Encoding: enc, Body: []byte(body)})
			if err != nil || got.Encoding != enc {
				t.Errorf("Invoke %d: %+v, %v", i, got, err)
				return
			}
			answers.Store(body, got)
		})
	}
	wg.Wait()
	n := 0
	for body, got := range answers.Range { // answers own their memory: later ones did not overwrite them
		if n++; string(got.(*wire.Command).Body) != body {
			t.Errorf("answer %q to %q", got.(*wire.Command).Body, body)
		}
	}
	if st := cl.Stats(); n != 200 || st.Conns != 1 {
		t.Errorf("%d answers over %d connections", n, st.Conns)
	}
	if v, ok := languages.Load(wire.LanguageRust); !ok || v != int32(300) {
		t.Errorf("the requests did not announce language and version: %v", v)
	}
}

func TestRequestsInBothDirections(t *testing.T) {
	pushed := make(chan string, 1)
	_, addr := serve(t, nil, ServerConfig{Routes: table(map[int32]Route{
		codeEcho: {Handler: echo},
		// asks the client that asks, and pushes to it, before it answers
		codeSlow: {Lane: NewLane("ask", 4, 4), Handler: func(r *Request) {
			got, err := r.Conn.Invoke(t.Context(), &wire.Request{Code: codeOther, Body: r.Body})
			if err != nil {
				t.Errorf("Invoke to the client: %v", err)
				return
			}
			if got.Encoding != wire.JSON {
				t.Errorf("the server's request went out as %v", got.Encoding)
			}
			if err := r.Conn.Push(&wire.Request{Code: codeHold, Body: got.Body}); err != nil {
				t.Errorf("Push: %v", err)
			}
			r.Reply(&wire.Response{Body: got.Body})
		}},
	})})
	cl := newClient(t, ClientConfig{Routes: table(map[int32]Route{
		codeOther: {Lane: NewLane("client", 1, 10), Handler: func(r *Request) {
			back, err := r.Conn.Invoke(t.Context(), &wire.Request{Code: codeEcho, Body: append(r.Body, " and back"...)})
			if err != nil {
				t.Errorf("Invoke from the client's handler: %v", err)
				return
			}
			r.Reply(&wire.Response{Body: back.Body})
		}},
		codeHold: {Handler: func(r *Request) { pushed <- string(r.Body) }},
	})})
	got, err := cl.Invoke(t.Context(), addr, &wire.Request{Code: codeSlow, Encoding: wire.Binary, Body: []byte("there")})
	if err != nil || string(got.Body) != "there and back" {
		t.Errorf("answer %+v, %v", got, err)
	}
	if s := <-pushed; s != "there and back" {
		t.Errorf("pushed %q", s)
	}
}

func TestInvokeTimeoutAndLateAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := NewMemNetwork()
		tickets := make(chan Ticket, 1)
		_, addr := serve(t, mem, ServerConfig{Routes: table(map[int32]Route{
			codeEcho: {Handler: echo},
			codeHold: {Handler: func(r *Request) { tickets <- r.Ticket() }},
		})})
		cl := newClient(t, ClientConfig{Dial: mem.Dial})
		ctx, cancel := contextFor(t, 3*time.Second)
		defer cancel()
		start := time.Now()
		_, err := cl.Invoke(ctx, addr, &wire.Request{Code: codeHold})
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "request 902") || !strings.Contains(err.Error(), addr) {
			t.Errorf("Invoke: %v", err)
		}
		if d := time.Since(start); d != 3*time.Second {
			t.Errorf("timed out after %v", d)
		}
		(<-tickets).Reply(&wire.Response{Remark: "late"})
		got, err := cl.Invoke(t.Context(), addr, &wire.Request{Code: codeEcho, Body: []byte("next")})
		if err != nil || string(got.Body) != "next" {
			t.Errorf("the next Invoke: %+v, %v", got, err)
		}
		if n := cl.Stats().LateAnswers; n != 1 {
			t.Errorf("LateAnswers = %d", n)
		}
	})
}

func TestClientDialsOnceAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := NewMemNetwork()
		var dials atomic.Int32
		fail := errors.New("no route")
		var failing atomic.Bool
		failing.Store(true)
		conns := make(chan *Conn, 10)
		s, addr := serve(t, mem, ServerConfig{
			OnOpen: func(c *Conn) { conns <- c }, Routes: table(map[int32]Route{codeEcho: {Handler: echo}}),
		})
		cl := newClient(t, ClientConfig{Dial: func(ctx context.Context, addr string) (net.Conn, error) {
			dials.Add(1)
			time.Sleep(time.Second)
			if failing.Load() {
				return nil, fail
			}
			return mem.Dial(ctx, addr)
		}})
		ask := func() error {
			_, err := cl.Invoke(t.Context(), addr, &wire.Request{Code: codeEcho})
			return err
		}
		many := func(want error) {
			t.Helper()
			var wg sync.WaitGroup
			for range 10 {
				wg.Go(func() {
					if err := ask(); !errors.Is(err, want) {
						t.Errorf("Invoke: %v, want %v", err, want)
					}
				})
			}
			wg.Wait()
		}
		many(fail)
		ctx, cancel := contextFor(t, 100*time.Millisecond)
		defer cancel()
		if _, err := cl.Conn(ctx, addr); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Conn with a short context: %v", err)
		}
		time.Sleep(time.Second)
		failing.Store(false)
		many(nil)
		if n := dials.Load(); n != 3 {
			t.Errorf("%d dials, want 3", n)
		}
		(<-conns).Close() // the server drops it
		synctest.Wait()
		if n := cl.Stats().Conns; n != 0 {
			t.Errorf("%d connections after the server dropped one", n)
		}
		many(nil)
		if n := dials.Load(); n != 4 {
			t.Errorf("%d dials after a reconnect, want 4", n)
		}
		(<-conns).Close()
		if err := cl.OneWay(t.Context(), addr, &wire.Request{Code: codeEcho}); err != nil {
			t.Errorf("OneWay at the moment of the close: %v", err)
		}
		if n := s.Stats().BadFrames; n != 0 {
			t.Errorf("BadFrames = %d", n)
		}
	})
}

func TestInvokeFailsWhenTheConnectionCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := NewMemNetwork()
		var served atomic.Int32
		_, addr := serve(t, mem, ServerConfig{Routes: table(map[int32]Route{
			codeHold: {Handler: func(r *Request) { served.Add(1); r.Conn.Close() }},
		})})
		cl := newClient(t, ClientConfig{Dial: mem.Dial})
		if _, err := cl.Invoke(t.Context(), addr, &wire.Request{Code: codeHold}); !errors.Is(err, ErrClosed) {
			t.Errorf("Invoke: %v", err)
		}
		if n := served.Load(); n != 1 {
			t.Errorf("the request was sent %d times", n)
		}
	})
}

// What waits for room on a connection that ends was not sent, and goes out on the
// next one.
func TestCallWhenRoomTakesANewConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := NewMemNetwork()
		_, addr := serve(t, mem, ServerConfig{Routes: table(map[int32]Route{codeEcho: {Handler: echo}})})
		deaf, peer := net.Pipe()
		defer peer.Close()
		var dials atomic.Int32
		cl := newClient(t, ClientConfig{Limits: Limits{MaxBacklog: 1000}, Dial: func(ctx context.Context, addr string) (net.Conn, error) {
			if dials.Add(1) == 1 {
				return deaf, nil
			}
			return mem.Dial(ctx, addr)
		}})
		var lost, e ends
		first, err := cl.Conn(t.Context(), addr)
		for err == nil {
			err = first.Call(pushed(strings.Repeat("x", 500)), time.Hour, lost.done)
		}
		if !errors.Is(err, ErrBacklog) {
			t.Fatal(err)
		}
		call := func() error {
			return cl.CallWhenRoom(t.Context(), addr, &wire.Request{Code: codeEcho, Body: []byte("sent")}, time.Now().Add(time.Second), e.done)
		}
		went := make(chan error)
		go func() { went <- call() }()
		synctest.Wait()
		first.Close()
		if err := <-went; err != nil || dials.Load() != 2 {
			t.Errorf("%v, after %d dials", err, dials.Load())
		}
		e.want(t, "sent")
		if err := cl.Close(); err != nil {
			t.Error(err)
		}
		if err := call(); !errors.Is(err, ErrClosed) {
			t.Errorf("a closed client: %v", err)
		}
		e.want(t, "sent")
	})
}

func TestClientIdleClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := NewMemNetwork()
		tickets := make(chan Ticket, 1)
		_, addr := serve(t, mem, ServerConfig{
			Limits: Limits{IdleTimeout: time.Hour},
			Routes: table(map[int32]Route{codeHold: {Handler: func(r *Request) { tickets <- r.Ticket() }}}),
		})
		cl := newClient(t, ClientConfig{Dial: mem.Dial})
		done := make(chan error)
		go func() { // a wait for an answer is no idleness
			_, err := cl.Invoke(t.Context(), addr, &wire.Request{Code: codeHold})
			done <- err
		}()
		time.Sleep(200 * time.Second)
		(<-tickets).Reply(&wire.Response{})
		if err := <-done; err != nil {
			t.Errorf("Invoke of 200 s: %v", err)
		}
		time.Sleep(119 * time.Second)
		if n := cl.Stats().Conns; n != 1 {
			t.Errorf("%d connections after 119 s", n)
		}
		time.Sleep(2 * time.Second)
		if st := cl.Stats(); st.Conns != 0 || st.IdleClosed != 1 {
			t.Errorf("after 121 s: %+v", st)
		}
	})
}

func TestClientCloseFlushesOneWay(t *testing.T) {
	seen := make(chan string, 1)
	_, addr := serve(t, nil, ServerConfig{Routes: table(map[int32]Route{
		codeHold: {Handler: func(r *Request) { seen <- string(r.Body) }},
	})})
	cl := newClient(t, ClientConfig{})
	if err := cl.OneWay(t.Context(), addr, &wire.Request{Code: codeHold, Body: []byte("last words")}); err != nil {
		t.Fatal(err)
	}
	if err := cl.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if got := <-seen; got != "last words" {
		t.Errorf("body %q", got)
	}
	if _, err := cl.Invoke(t.Context(), addr, &wire.Request{Code: codeHold}); !errors.Is(err, ErrClosed) {
		t.Errorf("Invoke after Close: %v", err)
	}
}

func TestRequestLargerThanAFrame(t *testing.T) {
	_, addr := serve(t, nil, ServerConfig{Routes: table(map[int32]Route{codeEcho: {Handler: echo}})})
	cl := newClient(t, ClientConfig{Limits: Limits{MaxFrame: 1000}})
	if _, err := cl.Invoke(t.Context(), addr, &wire.Request{Code: codeEcho, Body: make([]byte, 1000)}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("Invoke: %v", err)
	}
	if _, err := cl.Invoke(t.Context(), addr, &wire.Request{Code: codeEcho, Body: make([]byte, 500)}); err != nil {
		t.Errorf("a smaller Invoke after it: %v", err)
	}
}
