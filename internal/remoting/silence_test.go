// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/wire"
)

// A connection whose peer has gone without a word is given up, and what comes next
// goes out on a new one.
func TestClientGivesUpASilentPeer(t *testing.T) {
	for name, ask := range map[string]func(cl *Client, addr string, timeout time.Duration) error{
		"Invoke": func(cl *Client, addr string, timeout time.Duration) error {
			ctx, cancel := context.WithTimeout(context.Background(), timeout)
			defer cancel()
			_, err := cl.Invoke(ctx, addr, &wire.Request{Code: codeEcho})
			return err
		},
		"Exchange": func(cl *Client, addr string, timeout time.Duration) error {
			return cl.Exchange(context.Background(), addr, &wire.Request{Code: codeEcho}, time.Now().Add(timeout), func(*wire.Command) error { return nil })
		},
		"CallWhenRoom": func(cl *Client, addr string, timeout time.Duration) error {
			ended := make(chan error)
			err := cl.CallWhenRoom(context.Background(), addr, &wire.Request{Code: codeEcho}, time.Now().Add(timeout), func(_ *wire.Command, err error) { ended <- err })
			if err != nil {
				return err
			}
			return <-ended
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			mem := NewMemNetwork()
			_, addr := serve(t, mem, ServerConfig{Routes: table(map[int32]Route{codeEcho: {Handler: echo}})})
			var dials atomic.Int32
			var far net.Conn
			dial := func(ctx context.Context, addr string) (net.Conn, error) {
				if dials.Add(1) > 1 {
					return mem.Dial(ctx, addr)
				}
				var near net.Conn
				near, far = MemPipe(netip.AddrPort{}, netip.AddrPort{})
				return near, nil
			}
			cl := newClient(t, ClientConfig{Dial: dial})
			for i, want := range []error{context.DeadlineExceeded, context.DeadlineExceeded, nil} {
				if err := ask(cl, addr, 3*time.Second); !errors.Is(err, want) {
					t.Errorf("%s %d: %v", name, i, err)
				}
			}
			if n := dials.Load(); n != 2 {
				t.Errorf("%s: %d dials", name, n)
			}
			far.Close()
		})
	}
}

// A peer that is slow, or is given little time, is not silent.
func TestClientKeepsASlowPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := NewMemNetwork()
		s, addr := serve(t, mem, ServerConfig{Routes: table(map[int32]Route{
			codeEcho: {Handler: echo},
			codeHold: {Handler: func(r *Request) { r.Ticket() }},
		})})
		cl := newClient(t, ClientConfig{Dial: mem.Dial})
		ask := func(code int32, timeout time.Duration) error {
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			_, err := cl.Invoke(ctx, addr, &wire.Request{Code: code})
			return err
		}
		conn, err := cl.Conn(t.Context(), addr)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			for range 29 { // of 2.9 s
				if err := ask(codeHold, 100*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
			}
			if err := ask(codeEcho, time.Second); err != nil {
				t.Error(err)
			}
		}
		if conn.isClosed() || s.Stats().Conns != 1 {
			t.Errorf("closed: %v", conn.Cause())
		}
	})
}

// One that takes a large request slowly is not silent; one that takes nothing is, however
// much waits for it.
func TestClientKeepsAPeerThatTakesBytes(t *testing.T) {
	for name, slow := range map[string]bool{"slow": true, "gone": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := MemPipe(netip.AddrPort{}, netip.AddrPort{})
				cl := newClient(t, ClientConfig{Dial: func(context.Context, string) (net.Conn, error) { return near, nil }})
				conn, err := cl.Conn(t.Context(), "127.0.0.1:1")
				if err != nil {
					t.Fatal(err)
				}
				reading := make(chan struct{})
				go func() {
					defer close(reading)
					for buf := make([]byte, 16<<10); slow; time.Sleep(time.Second / 2) {
						if _, err := far.Read(buf); err != nil {
							return
						}
					}
				}()
				for range 3 {
					ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
					if _, err := conn.Invoke(ctx, &wire.Request{Code: codeEcho, Body: make([]byte, 256<<10)}); err == nil {
						t.Error("answered")
					}
					cancel()
				}
				if conn.isClosed() == slow || !slow && !errors.Is(conn.Cause(), ErrSilent) {
					t.Errorf("closed: %v, %v", conn.isClosed(), conn.Cause())
				}
				conn.Close()
				far.Close()
				<-reading
			})
		})
	}
}

// Nor is one whose answers lie there while the connection is not read.
func TestClientKeepsAPeerItDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := MemPipe(netip.AddrPort{}, netip.AddrPort{})
		asked := make(chan Ticket, 1)
		cl := newClient(t, ClientConfig{
			Dial:   func(context.Context, string) (net.Conn, error) { return near, nil },
			Limits: Limits{MaxInflight: 1},
			Routes: table(map[int32]Route{codeHold: {Handler: func(r *Request) { asked <- r.Ticket() }}}),
		})
		conn, err := cl.Conn(t.Context(), "127.0.0.1:1")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := far.Write(frame(codeHold, 1, "")); err != nil {
			t.Fatal(err)
		}
		ticket := <-asked
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			if _, err := conn.Invoke(ctx, &wire.Request{Code: codeEcho}); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			cancel()
		}
		if conn.isClosed() {
			t.Errorf("closed: %v", conn.Cause())
		}
		ticket.Reply(&wire.Response{})
		far.Close()
	})
}
