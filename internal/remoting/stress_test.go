// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/twostage/twostage/internal/wire"
)

// Large bodies go out with writev, in pieces as the peer takes them.
func TestLargeBodiesOverTCP(t *testing.T) {
	var rel atomic.Int32
	_, addr := serve(t, nil, ServerConfig{Routes: table(map[int32]Route{codeEcho: {Handler: func(r *Request) {
		piece := bytes.Repeat([]byte{byte(r.Opaque)}, 100<<10)
		r.ReplyBody(&wire.Response{}, net.Buffers{piece, piece, piece, piece}, func() { rel.Add(1) })
	}}})})
	p := dial(t, nil, addr)
	const n = 60 // 24 MB
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for i := range int32(n) {
			p.send(frame(codeEcho, i, ""))
		}
	}()
	for i := range int32(n) {
		got := p.read()
		if got.Opaque != i || len(got.Body) != 400<<10 || bytes.Count(got.Body, []byte{byte(i)}) != len(got.Body) {
			t.Fatalf("answer %d: opaque %d, %d bytes", i, got.Opaque, len(got.Body))
		}
	}
	<-sent
}

// Everything at once, with connections that break: each answer fits its request,
// each body is released once.
func TestStress(t *testing.T) {
	var taken, given atomic.Int64
	release := func() { given.Add(1) }
	var later sync.WaitGroup
	body := func(r *Request) net.Buffers {
		taken.Add(1)
		return net.Buffers{[]byte("re: "), bytes.Clone(r.Body)}
	}
	s := NewServer(ServerConfig{Addr: "127.0.0.1:0", Routes: table(map[int32]Route{
		codeEcho: {Handler: func(r *Request) { r.Reply(&wire.Response{Body: append([]byte("re: "), r.Body...)}) }},
		codeHold: {Handler: func(r *Request) {
			ticket, b := r.Ticket(), body(r)
			later.Go(func() { ticket.ReplyBody(&wire.Response{}, b, release) })
		}},
		codeSlow: {Lane: NewLane("slow", 2, 10000), Handler: func(r *Request) {
			if err := r.Conn.Push(&wire.Request{Code: codeOther, Body: r.Body}); err != nil && rand.IntN(50) == 0 {
				r.Conn.Close()
			}
			r.ReplyBody(&wire.Response{}, body(r), release)
		}},
		codeOther: {Handler: func(r *Request) {
			if rand.IntN(40) == 0 {
				r.Conn.Close()
			}
			r.ReplyBody(&wire.Response{}, body(r), release)
		}},
	})})
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	run := make(chan error)
	go func() { run <- s.Run(context.Background()) }()
	var pushed atomic.Int64
	cl := NewClient(ClientConfig{Routes: table(map[int32]Route{codeOther: {Handler: func(*Request) { pushed.Add(1) }}})})
	codes := []int32{codeEcho, codeHold, codeSlow, codeOther}
	var wg sync.WaitGroup
	var answered atomic.Int64
	for w := range 20 {
		wg.Go(func() {
			for i := range 100 {
				text := strings.Repeat(fmt.Sprint(w, "-", i, " "), rand.IntN(500))
				got, err := cl.Invoke(t.Context(), s.Addr().String(), &wire.Request{
					Code: codes[rand.IntN(len(codes))], Encoding: wire.Encoding(i % 2), Body: []byte(text),
				})
				if err != nil {
					continue // the connection broke
				}
				answered.Add(1)
				if string(got.Body) != "re: "+text {
					t.Errorf("answer %.40q to %.40q", got.Body, text)
				}
			}
		})
	}
	wg.Wait()
	later.Wait()
	if err := s.Close(); err != nil {
		t.Errorf("server: %v", err)
	}
	if err := <-run; err != nil {
		t.Errorf("Run: %v", err)
	}
	if err := cl.Close(); err != nil {
		t.Errorf("client: %v", err)
	}
	if taken.Load() != given.Load() {
		t.Errorf("%d bodies taken, %d released", taken.Load(), given.Load())
	}
	if answered.Load() == 0 || pushed.Load() == 0 {
		t.Errorf("%d answers, %d pushes", answered.Load(), pushed.Load())
	}
	t.Logf("%d of 2000 answered, %d pushes", answered.Load(), pushed.Load())
}
