// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"context"
	"errors"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

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

// broken is a listener of connections whose writes fail for a reason of this
// machine's own, as when a page of a body can't be read.
type broken struct{ net.Listener }

func (l broken) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return brokenConn{c}, err
}

type brokenConn struct{ net.Conn }

func (brokenConn) Write([]byte) (int, error) { return 0, syscall.EFAULT }

// Half a frame may have gone out then: the peer must see the connection end
// instead of waiting for answers that do not come.
func TestFailedWriteClosesTheConnection(t *testing.T) {
	var faults atomic.Int32
	s := NewServer(ServerConfig{
		OnFault: func(c *Conn) {
			if faults.Add(1); c.Cause() != nil {
				t.Errorf("told after the connection has ended: %v", c.Cause())
			}
		},
		Addr: "127.0.0.1:0",
		Listen: func(addr string) (net.Listener, error) {
			ln, err := net.Listen("tcp", addr)
			return broken{ln}, err
		},
		Routes: func(int32) (Route, bool) {
			return Route{Handler: func(r *Request) { r.Reply(&wire.Response{}) }}, true
		},
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
	if _, err := c.Write(wire.AppendRequest(nil, &wire.Request{Code: 11})); err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 1)); n != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read %d bytes, %v; want the end of the connection", n, err)
	}
	if n := faults.Load(); n != 1 {
		t.Errorf("told of %d faults", n)
	}
	_ = c.Close()
	if err := errors.Join(s.Close(), <-ran); err != nil {
		t.Error(err)
	}
}

// A request that is refused for its size leaves nothing that Close waits for.
func TestCloseAfterRefusedRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewMemNetwork()
		s := NewServer(ServerConfig{Addr: "127.0.0.1:2001", Listen: n.Listen})
		if err := s.Listen(); err != nil {
			t.Fatal(err)
		}
		ran := make(chan error, 1)
		go func() { ran <- s.Run(context.Background()) }()
		client := NewClient(ClientConfig{Dial: n.Dial, Limits: Limits{MaxFrame: 1000}})
		err := client.OneWay(context.Background(), "127.0.0.1:2001", &wire.Request{Code: 10, Body: make([]byte, 2000)})
		if !errors.Is(err, ErrTooLarge) {
			t.Errorf("error %v, want ErrTooLarge", err)
		}
		start := time.Now()
		client.Close()
		if d := time.Since(start); d != 0 {
			t.Errorf("Close waited %v for a request that was refused", d)
		}
		if err := errors.Join(s.Close(), <-ran); err != nil {
			t.Error(err)
		}
	})
}
