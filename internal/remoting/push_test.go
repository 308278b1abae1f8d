// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/wire"
)

// verdict is a valid function that can be turned and counts its calls.
type verdict struct {
	no    atomic.Bool
	asked atomic.Int32
}

func (v *verdict) valid() bool {
	v.asked.Add(1)
	return !v.no.Load()
}

func pushed(body string) *wire.Request { return &wire.Request{Code: codeOther, Body: []byte(body)} }

// pushes is a connection to push on, within a synctest bubble.
func pushes(t *testing.T, cfg ServerConfig) (*Conn, *peer) {
	t.Helper()
	mem, conns := NewMemNetwork(), make(chan *Conn, 1)
	cfg.OnOpen = func(c *Conn) { conns <- c }
	_, addr := serve(t, mem, cfg)
	p := dial(t, mem, addr)
	return <-conns, p
}

// mustPush pushes body, if valid says so.
func mustPush(t *testing.T, c *Conn, body string, valid func() bool) {
	t.Helper()
	if err := c.PushIf(pushed(body), valid); err != nil {
		t.Fatal(err)
	}
}

// fill makes c write a frame that the pipe holds to the last byte, or by more
// bytes than it holds.
func fill(t *testing.T, c *Conn, more int) {
	t.Helper()
	head := len(wire.AppendRequest(nil, &wire.Request{Code: codeOther, Opaque: 1 << 30, OneWay: true, Body: nil}))
	c.opaque.Store(1 << 30) // so that frames have a known size
	mustPush(t, c, strings.Repeat("x", memBuffer+more-head), nil)
	synctest.Wait()
	if want := max(more, 0); (c.Backlog() > 0) != (want > 0) {
		t.Fatalf("backlog of %d bytes after a frame of %d", c.Backlog(), memBuffer+more)
	}
}

// bodies reads frames until one with the body "end".
func (p *peer) bodies() (got []string) {
	p.t.Helper()
	for {
		cmd := p.read()
		if string(cmd.Body) == "end" {
			return got
		}
		got = append(got, string(cmd.Body))
	}
}

// What is left out leaves the frames before and after it as they are, whatever
// they are: pushes, conditional or not, and answers with bodies by reference.
func TestPushIfAmongOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tickets := make(chan Ticket, 3)
		c, p := pushes(t, ServerConfig{Routes: table(map[int32]Route{
			codeHold: {Handler: func(r *Request) { tickets <- r.Ticket() }},
		})})
		p.send(frame(codeHold, 1, ""), frame(codeHold, 2, ""), frame(codeHold, 3, ""))
		synctest.Wait()
		fill(t, c, 1)
		var yes, no verdict
		no.no.Store(true)
		answer := func(parts ...string) {
			var body net.Buffers
			for _, part := range parts {
				body = append(body, []byte(part))
			}
			(<-tickets).ReplyBody(&wire.Response{}, body, nil)
		}
		mustPush(t, c, "no 1", no.valid) // first in its batch
		answer("answer", " 1")
		mustPush(t, c, "no 2", no.valid)
		mustPush(t, c, "yes 1", yes.valid)
		mustPush(t, c, "plain 1", nil)
		mustPush(t, c, "no 3", no.valid)
		answer("answer", " 2")
		answer("", "answer 3")
		mustPush(t, c, "yes 2", yes.valid)
		mustPush(t, c, "no 4", no.valid)
		mustPush(t, c, "yes 3", yes.valid)
		mustPush(t, c, "end", nil)
		mustPush(t, c, "no 5", no.valid) // last
		synctest.Wait()
		if yes.asked.Load()+no.asked.Load() != 0 {
			t.Error("asked while the bytes before could not be written")
		}
		want := []string{"answer 1", "yes 1", "plain 1", "answer 2", "answer 3", "yes 2", "yes 3"}
		if got := p.bodies()[1:]; !slices.Equal(got, want) {
			t.Errorf("came %q, want %q", got, want)
		}
		synctest.Wait()
		for range 20 { // memory of the batches is used again
			mustPush(t, c, "plain", nil)
			synctest.Wait()
			p.read()
		}
		if y, n := yes.asked.Load(), no.asked.Load(); y != 3 || n != 5 || c.Backlog() != 0 {
			t.Errorf("asked %d and %d times, want 3 and 5; backlog %d", y, n, c.Backlog())
		}
		if n := c.ep.stats().Panics; n != 0 {
			t.Errorf("%d panics", n)
		}
	})
}

// More frames than go out with one write, every third of them invalid. They are
// asked for as the peer reads.
func TestPushIfRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := pushes(t, ServerConfig{})
		fill(t, c, 1)
		start := c.Backlog()
		var yes, no verdict
		no.no.Store(true)
		var want []string
		for i := range 300 {
			body := strings.Repeat(fmt.Sprint(i, " "), i)
			if i%3 == 0 {
				mustPush(t, c, body, no.valid)
				continue
			}
			mustPush(t, c, body, yes.valid)
			want = append(want, body)
		}
		if n := c.Backlog() - start; n < 2*memBuffer {
			t.Fatalf("%d bytes do not fill the pipe twice", n)
		}
		mustPush(t, c, "end", nil)
		p.read()
		synctest.Wait()
		if n := yes.asked.Load() + no.asked.Load(); n == 0 || n > 200 {
			t.Errorf("asked for %d frames when there was room for half of them", n)
		}
		if got := p.bodies(); !slices.Equal(got, want) {
			t.Errorf("%d frames came, want %d", len(got), len(want))
		}
		if y, n := yes.asked.Load(), no.asked.Load(); y != 200 || n != 100 {
			t.Errorf("asked %d and %d times, want 200 and 100", y, n)
		}
	})
}

// A request that becomes invalid while the peer does not read never comes,
// wherever the writer is held up: within the frame before it, or before the
// request itself because the socket is full.
func TestPushIfWhilePeerDoesNotRead(t *testing.T) {
	for _, more := range []int{-1, 0, 1, 100 << 10} {
		for _, invalid := range []bool{true, false} {
			t.Run(fmt.Sprint(more, " ", invalid), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c, p := pushes(t, ServerConfig{})
					fill(t, c, more)
					var v verdict
					mustPush(t, c, "check", v.valid)
					synctest.Wait()
					if v.asked.Load() != 0 {
						t.Fatal("asked while the socket took nothing")
					}
					time.Sleep(10 * time.Second) // over a write deadline
					v.no.Store(invalid)
					mustPush(t, c, "end", nil)
					want := []string{"check"}
					if invalid {
						want = nil
					}
					if got := p.bodies()[1:]; !slices.Equal(got, want) {
						t.Errorf("came %q, want %q", got, want)
					}
					if n := v.asked.Load(); n != 1 {
						t.Errorf("asked %d times", n)
					}
				})
			})
		}
	}
}

// A peer that takes nothing is closed in time also when the only thing that
// waits for it is conditional, and nobody is asked any more.
func TestPushIfStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := pushes(t, ServerConfig{})
		start := time.Now()
		fill(t, c, 0)
		var v verdict
		mustPush(t, c, "check", v.valid)
		<-c.Closed()
		wantStallEnd(t, time.Since(start))
		synctest.Wait()
		if !errors.Is(c.Cause(), ErrStalled) || v.asked.Load() != 0 || c.Backlog() != 0 {
			t.Errorf("cause %v, asked %d times, backlog %d", c.Cause(), v.asked.Load(), c.Backlog())
		}
	})
}

// Requests that turned invalid do not make room before their turn, so a peer
// that does not read can't make the connection grow.
func TestPushIfBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := pushes(t, ServerConfig{Limits: Limits{MaxBacklog: 100 << 10}})
		fill(t, c, 0)
		var v verdict
		body := strings.Repeat("x", 1000)
		n := 0
		var err error
		for ; err == nil && n < 1000; n++ {
			v.no.Store(n%2 == 0)
			err = c.PushIf(pushed(body), v.valid)
		}
		if backlog := c.Backlog(); !errors.Is(err, ErrBacklog) || backlog > 102<<10 {
			t.Fatalf("%d requests, then %v; backlog %d", n, err, backlog)
		}
		v.no.Store(true)
		p.read()
		synctest.Wait()
		if got := v.asked.Load(); int(got) != n-1 || c.Backlog() != 0 {
			t.Errorf("asked %d times for %d requests, backlog %d", got, n-1, c.Backlog())
		}
		v.no.Store(false)
		mustPush(t, c, "next", v.valid)
		mustPush(t, c, "end", nil)
		if got := p.bodies(); !slices.Equal(got, []string{"next"}) {
			t.Errorf("came %q", got)
		}
	})
}

// An Invoke that waits for room gets it from requests that are left out.
func TestPushIfMakesRoomForInvoke(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := pushes(t, ServerConfig{Limits: Limits{MaxBacklog: 50 << 10}})
		fill(t, c, 0)
		var v verdict
		v.no.Store(true)
		for c.Backlog() <= 50<<10 {
			mustPush(t, c, strings.Repeat("x", 1000), v.valid)
		}
		done := make(chan error)
		go func() {
			_, err := c.Invoke(t.Context(), pushed("invoke"))
			done <- err
		}()
		p.read()
		req := p.read()
		p.send(wire.AppendResponse(nil, wire.JSON, req.Opaque, &wire.Response{}))
		if err := <-done; err != nil || string(req.Body) != "invoke" {
			t.Errorf("Invoke: %v; the peer got %q", err, req.Body)
		}
	})
}

// What is left out is no traffic: no write, and the idle time runs on.
func TestPushIfWithoutAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem, conns := NewMemNetwork(), make(chan *Conn, 1)
		ln, err := mem.Listen("127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		counted := &countWrites{Listener: ln}
		_, addr := serve(t, nil, ServerConfig{Listen: listenOn(counted), OnOpen: func(c *Conn) { conns <- c }})
		p := dial(t, mem, addr)
		p.SetReadDeadline(time.Time{})
		c, start := <-conns, time.Now()
		var v verdict
		v.no.Store(true)
		for range 3 {
			time.Sleep(30 * time.Second)
			mustPush(t, c, "check", v.valid)
			mustPush(t, c, "check", v.valid)
		}
		p.wantClosed()
		if d := time.Since(start); d != 120*time.Second || !errors.Is(c.Cause(), ErrIdle) {
			t.Errorf("closed after %v, %v", d, c.Cause())
		}
		if n, w := v.asked.Load(), counted.writes.Load(); n != 6 || w != 0 {
			t.Errorf("asked %d times, %d writes", n, w)
		}
	})
}
