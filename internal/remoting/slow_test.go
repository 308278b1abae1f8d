// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/wire"
)

// A peer that sends and never reads costs a bounded backlog, is no longer read,
// and is closed; another connection is served all the while.
func TestPeerThatNeverReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logs
		mem := NewMemNetwork()
		conns := make(chan *Conn, 2)
		s, addr := serve(t, mem, ServerConfig{
			Logger: log.logger(), OnOpen: func(c *Conn) { conns <- c },
			Routes: table(map[int32]Route{codeEcho: {Handler: echo}}),
		})
		p := dial(t, mem, addr)
		c := <-conns
		start := time.Now()
		sent := make(chan int)
		go func() { // until the server reads no more and then closes
			n := 0
			for f := frame(codeEcho, 1, strings.Repeat("x", 10<<10)); ; n++ {
				if _, err := p.Write(f); err != nil {
					sent <- n
					return
				}
			}
		}()
		synctest.Wait()
		if n := c.Backlog(); n == 0 || n > earlyFlush+64<<10 {
			t.Errorf("backlog of %d bytes", n)
		}
		other := dial(t, mem, addr)
		other.send(frame(codeEcho, 2, "other"))
		if got := other.read(); string(got.Body) != "other" {
			t.Errorf("another connection: %+v", got)
		}
		if n := <-sent; n > 100 {
			t.Errorf("the server took %d requests of 10 KiB", n)
		}
		wantStallEnd(t, time.Since(start))
		synctest.Wait()
		if !errors.Is(c.Cause(), ErrStalled) || len(log.lines("closing connection", "took no byte for 15s")) != 1 {
			t.Errorf("cause %v; log:\n%s", c.Cause(), log.buf.String())
		}
		if n := s.Stats().SlowClosed; n != 1 {
			t.Errorf("SlowClosed = %d", n)
		}
	})
}

// wantStallEnd holds how long after the last byte a connection was closed.
func wantStallEnd(t *testing.T, d time.Duration) {
	t.Helper()
	if d < 15*time.Second || d > 22500*time.Millisecond {
		t.Errorf("closed %v after the peer took its last byte, want 15 to 22.5 s", d)
	}
}

// A peer that reads for a while and then no more is closed in time from there,
// at whatever moment it stops.
func TestPeerThatStopsReading(t *testing.T) {
	for name, reply := range map[string]Handler{
		"copied": echo,
		"body by reference": func(r *Request) {
			r.Ticket().ReplyBody(&wire.Response{}, net.Buffers{[]byte(strings.Repeat("x", 600<<10))}, nil)
		},
	} {
		for _, after := range []time.Duration{0, time.Second, 8 * time.Second, 14 * time.Second} {
			t.Run(fmt.Sprint(name, " after ", after), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					mem := NewMemNetwork()
					conns := make(chan *Conn, 1)
					_, addr := serve(t, mem, ServerConfig{
						OnOpen: func(c *Conn) { conns <- c }, Routes: table(map[int32]Route{codeEcho: {Handler: reply}}),
					})
					p := dial(t, mem, addr)
					p.SetReadDeadline(time.Time{})
					c := <-conns
					p.send(frame(codeEcho, 1, strings.Repeat("x", 600<<10)))
					synctest.Wait()
					for range 3 {
						time.Sleep(after)
						if _, err := io.ReadFull(p, make([]byte, 32<<10)); err != nil {
							t.Fatal(err)
						}
						synctest.Wait()
					}
					last := time.Now()
					<-c.Closed()
					wantStallEnd(t, time.Since(last))
					synctest.Wait()
					if !errors.Is(c.Cause(), ErrStalled) {
						t.Errorf("cause %v", c.Cause())
					}
				})
			})
		}
	}
}

// The time that a handler takes is not the peer's.
func TestSlowHandlerIsNoStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := NewMemNetwork()
		_, addr := serve(t, mem, ServerConfig{Routes: table(map[int32]Route{
			codeEcho: {Handler: echo},
			codeSlow: {Handler: func(r *Request) { time.Sleep(time.Minute); echo(r) }},
		})})
		p := dial(t, mem, addr)
		p.SetReadDeadline(time.Time{})
		p.send(frame(codeEcho, 1, "quick")) // sets a write deadline
		p.read()
		p.send(frame(codeSlow, 2, "slow"))
		if got, err := p.tryRead(); err != nil || string(got.Body) != "slow" {
			t.Errorf("answer %+v, %v", got, err)
		}
	})
}

// A peer that reads slowly, but reads, is not closed.
func TestPeerThatReadsSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := NewMemNetwork()
		_, addr := serve(t, mem, ServerConfig{Routes: table(map[int32]Route{codeEcho: {Handler: echo}})})
		p := dial(t, mem, addr)
		p.SetReadDeadline(time.Time{})
		body := strings.Repeat("x", 600<<10) // ten times what the pipe holds
		go p.send(frame(codeEcho, 1, body), frame(codeEcho, 2, "next"))
		slow := &peer{t: t, Conn: &slowConn{Conn: p.Conn, delay: 12 * time.Second}}
		if got := slow.read(); string(got.Body) != body {
			t.Error("the body came changed")
		}
		if got := slow.read(); string(got.Body) != "next" {
			t.Errorf("answer %+v", got)
		}
	})
}

// slowConn waits before each read of at most 64 KiB.
type slowConn struct {
	net.Conn
	delay time.Duration
}

func (c *slowConn) Read(p []byte) (int, error) {
	if len(p) > 64<<10 {
		p = p[:64<<10]
	}
	if len(p) > 100 {
		time.Sleep(c.delay)
	}
	return c.Conn.Read(p)
}

func TestPushBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := NewMemNetwork()
		conns := make(chan *Conn, 1)
		_, addr := serve(t, mem, ServerConfig{
			OnOpen: func(c *Conn) { conns <- c },
			Limits: Limits{MaxBacklog: 100 << 10},
		})
		p := dial(t, mem, addr)
		c := <-conns
		body := make([]byte, 10<<10)
		pushed := 0
		var err error
		for ; err == nil && pushed < 1000; pushed++ {
			err = c.Push(&wire.Request{Code: codeOther, Body: body})
		}
		pushed--
		if !errors.Is(err, ErrBacklog) || pushed > 30 {
			t.Fatalf("%d pushes, then %v", pushed, err)
		}
		for range pushed {
			if got := p.read(); !got.IsOneWay() || got.Code != codeOther || len(got.Body) != len(body) {
				t.Fatalf("pushed request: %+v", got)
			}
		}
		synctest.Wait()
		if err := c.Push(&wire.Request{Code: codeOther}); err != nil {
			t.Errorf("push after the peer has read: %v", err)
		}
		c.Close()
		if err := c.Push(&wire.Request{Code: codeOther}); !errors.Is(err, ErrClosed) {
			t.Errorf("push on a closed connection: %v", err)
		}
	})
}

// Deferred answers above the soft bound stop the reading; the peer drains them
// and is served again. Above the hard bound they close the connection.
func TestDeferredBacklog(t *testing.T) {
	setup := func(t *testing.T) (*logs, *peer, *Conn, chan Ticket) {
		log, mem, tickets, conns := new(logs), NewMemNetwork(), make(chan Ticket, 100), make(chan *Conn, 1)
		_, addr := serve(t, mem, ServerConfig{
			Logger: log.logger(), OnOpen: func(c *Conn) { conns <- c },
			Limits: Limits{MaxBacklog: 200 << 10, HardBacklog: 400 << 10},
			Routes: table(map[int32]Route{
				codeHold: {Handler: func(r *Request) { tickets <- r.Ticket() }},
				codeEcho: {Handler: echo},
			}),
		})
		p := dial(t, mem, addr)
		for i := range int32(50) {
			p.send(frame(codeHold, i, ""))
		}
		synctest.Wait()
		return log, p, <-conns, tickets
	}
	answer := func(tickets chan Ticket, n int, rel *released) {
		for range n {
			(<-tickets).ReplyBody(&wire.Response{}, net.Buffers{make([]byte, 10<<10)}, rel.call)
		}
	}
	t.Run("soft", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, p, c, tickets := setup(t)
			var rel released
			answer(tickets, 30, &rel)
			p.send(frame(codeHold, 100, "")) // seen, and then the reader stops
			p.send(frame(codeHold, 101, ""))
			synctest.Wait()
			if n := len(tickets); n > 21 {
				t.Errorf("%d tickets: the server read on over the bound", n)
			}
			for range 30 {
				p.read()
			}
			p.send(frame(codeEcho, 102, "served"))
			if got := p.read(); string(got.Body) != "served" {
				t.Errorf("after draining: %+v", got)
			}
			synctest.Wait()
			if n := rel.n.Load(); n != 30 || len(tickets) != 22 || c.Backlog() != 0 {
				t.Errorf("%d releases, %d tickets, backlog %d", n, len(tickets), c.Backlog())
			}
		})
	})
	t.Run("hard", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			log, _, c, tickets := setup(t)
			var rel released
			answer(tickets, 50, &rel)
			synctest.Wait()
			if !errors.Is(c.Cause(), ErrBacklog) || len(log.lines("closing connection", "bound is 409600")) != 1 {
				t.Errorf("cause %v; log:\n%s", c.Cause(), log.buf.String())
			}
			if n := rel.n.Load(); n != 50 || c.Backlog() != 0 {
				t.Errorf("%d releases, backlog %d; want 50 and 0", n, c.Backlog())
			}
		})
	})
}

func TestInvokeWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := NewMemNetwork()
		conns := make(chan *Conn, 1)
		_, addr := serve(t, mem, ServerConfig{
			OnOpen: func(c *Conn) { conns <- c }, Limits: Limits{MaxBacklog: 100 << 10},
		})
		p := dial(t, mem, addr)
		c := <-conns
		n := 0
		for tries := 0; tries < 2; synctest.Wait() { // the pipe takes some after the first refusal
			if c.Push(&wire.Request{Code: codeOther, Body: make([]byte, 10<<10)}) == nil {
				n, tries = n+1, 0
			} else {
				tries++
			}
		}
		ctx, cancel := contextFor(t, 3*time.Second)
		defer cancel()
		if _, err := c.Invoke(ctx, &wire.Request{Code: codeOther}); !errors.Is(err, ErrBacklog) || !errors.Is(err, ctx.Err()) {
			t.Errorf("Invoke over the backlog: %v", err)
		}
		done := make(chan error)
		go func() {
			_, err := c.Invoke(t.Context(), &wire.Request{Code: codeOther})
			done <- err
		}()
		for range n {
			p.read()
		}
		req := p.read()
		p.send(wire.AppendResponse(nil, wire.JSON, req.Opaque, &wire.Response{}))
		if err := <-done; err != nil {
			t.Errorf("Invoke after the peer has read: %v", err)
		}
	})
}
