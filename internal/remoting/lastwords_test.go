// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"context"
	"net"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/twostage/twostage/internal/wire"
)

// unheard is a listener of connections whose peer has closed for reading:
// every write fails, what was sent before can still be read.
type unheard struct{ net.Listener }

func (l unheard) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return unheardConn{c}, err
}

type unheardConn struct{ net.Conn }

func (unheardConn) Write([]byte) (int, error) { return 0, syscall.EPIPE }

// A client that writes its last requests and closes, without waiting for the
// answers, is served all of them: the official Go client stores its offsets so.
func TestLastRequestsOfAClosingClient(t *testing.T) {
	const requests = 500
	var served atomic.Int64
	closed := make(chan struct{})
	s := NewServer(ServerConfig{
		Addr: "127.0.0.1:0",
		Listen: func(addr string) (net.Listener, error) {
			ln, err := net.Listen("tcp", addr)
			return unheard{ln}, err
		},
		Routes: func(int32) (Route, bool) {
			return Route{Handler: func(r *Request) {
				served.Add(1)
				r.Reply(&wire.Response{Body: make([]byte, 100)})
			}}, true
		},
		OnClose: func(*Conn) { close(closed) },
	})
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ran := make(chan error, 1)
	go func() { ran <- s.Run(context.Background()) }()
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for i := range requests {
		if _, err := c.Write(wire.AppendRequest(nil, &wire.Request{Code: 15, Opaque: int32(i)})); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	<-closed
	if n := served.Load(); n != requests {
		t.Errorf("%d of %d requests were served", n, requests)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ran; err != nil {
		t.Error(err)
	}
}
