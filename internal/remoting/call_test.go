// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/wire"
)

// ends is how calls ended, in the order they did.
type ends struct {
	mu   sync.Mutex
	list []string
	errs []error
}

func (e *ends) done(cmd *wire.Command, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	text := "error"
	if err == nil {
		text = string(cmd.Body)
	}
	e.list, e.errs = append(e.list, text), append(e.errs, err)
}

func (e *ends) want(t *testing.T, want string) {
	t.Helper()
	synctest.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	if got := strings.Join(e.list, " "); got != want {
		t.Errorf("calls ended as %q, want %q", got, want)
	}
}

// call calls the peer and gives the opaque number that it sees.
func (e *ends) call(t *testing.T, c *Conn, p *peer, timeout time.Duration) int32 {
	t.Helper()
	if err := c.Call(pushed("?"), timeout, e.done); err != nil {
		t.Fatal(err)
	}
	cmd := p.read()
	if cmd.IsOneWay() || cmd.IsResponse() || cmd.Code != codeOther || string(cmd.Body) != "?" {
		t.Fatalf("the peer got %+v", cmd)
	}
	return cmd.Opaque
}

func answerTo(opaque int32, body string) []byte {
	return wire.AppendResponse(nil, wire.JSON, opaque, &wire.Response{Body: []byte(body)})
}

func TestCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := pushes(t, ServerConfig{})
		var e ends
		first, second := e.call(t, c, p, time.Second), e.call(t, c, p, time.Second)
		p.send(answerTo(second, "second"))
		e.want(t, "second")
		p.send(answerTo(first, "first"))
		e.want(t, "second first")

		// Too late: the call has ended, and ends once.
		began := time.Now()
		late := e.call(t, c, p, 3*time.Second)
		time.Sleep(3*time.Second - 1)
		e.want(t, "second first")
		time.Sleep(1 * time.Nanosecond)
		e.want(t, "second first error")
		if err := e.errs[2]; !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "request 904") || time.Since(began) != 3*time.Second {
			t.Errorf("timed out after %v: %v", time.Since(began), err)
		}
		p.send(answerTo(late, "late"))
		e.want(t, "second first error")
		if n := c.ep.stats().LateAnswers; n != 1 {
			t.Errorf("LateAnswers = %d", n)
		}

		// An answer that can't be dealt with costs that answer.
		if err := c.Call(pushed("?"), time.Second, func(*wire.Command, error) { panic("no") }); err != nil {
			t.Fatal(err)
		}
		p.send(answerTo(p.read().Opaque, ""))
		last := e.call(t, c, p, time.Second)
		p.send(answerTo(last, "on"))
		e.want(t, "second first error on")
		if n := c.ep.stats().Panics; n != 1 {
			t.Errorf("Panics = %d", n)
		}
	})
}

// What waits when the connection ends is told so; after that nothing is sent.
func TestCallOnAConnectionThatEnds(t *testing.T) {
	for name, end := range map[string]func(*Conn, *peer){
		"here": func(c *Conn, _ *peer) { c.Close() }, "there": func(_ *Conn, p *peer) { _ = p.Close() },
	} {
		synctest.Test(t, func(t *testing.T) {
			c, p := pushes(t, ServerConfig{})
			var e ends
			for range 3 {
				e.call(t, c, p, time.Hour)
			}
			end(c, p)
			e.want(t, "error error error")
			for _, err := range e.errs {
				if !errors.Is(err, ErrClosed) {
					t.Errorf("closed %s: %v", name, err)
				}
			}
			if err := c.Call(pushed("?"), time.Hour, e.done); !errors.Is(err, ErrClosed) {
				t.Errorf("closed %s: another call: %v", name, err)
			}
			e.want(t, "error error error")
		})
	}
}

// A peer that does not read gets no more calls than pushes.
func TestCallOfAPeerThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := pushes(t, ServerConfig{Limits: Limits{MaxBacklog: 100 << 10}})
		var e ends
		body := strings.Repeat("x", 10<<10)
		sent := 0
		err := error(nil)
		for ; err == nil && sent < 100; sent++ {
			err = c.Call(pushed(body), time.Hour, e.done)
		}
		if !errors.Is(err, ErrBacklog) || sent == 100 {
			t.Fatalf("call %d: %v", sent, err)
		}
		e.want(t, "")
		var begin time.Time
		for err = nil; err == nil; sent++ {
			begin = time.Now()
			err = c.CallWhenRoom(t.Context(), pushed(body), begin.Add(time.Second), e.done)
		}
		sent-- // as above, the last one was not
		if !errors.Is(err, ErrBacklog) || !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != time.Second {
			t.Errorf("waiting for room: after %v: %v", time.Since(begin), err)
		}
		c.Close()
		e.want(t, strings.TrimSpace(strings.Repeat("error ", sent-1)))
	})
}

// Whatever comes first, answer, time or end, each call ends once, before Close has
// returned.
func TestCallEndsOnce(t *testing.T) {
	const calls = 200
	counts := make([]int, calls) // without a lock: Close is the only order there is
	conns := make(chan *Conn, 1)
	s, addr := serve(t, nil, ServerConfig{OnOpen: func(c *Conn) { conns <- c }})
	cl := newClient(t, ClientConfig{Routes: table(map[int32]Route{codeOther: {Handler: echo}})})
	if _, err := cl.Conn(t.Context(), addr); err != nil {
		t.Fatal(err)
	}
	c := <-conns
	sent := 0
	var closing sync.WaitGroup
	for i := range calls {
		timeout := time.Duration(i%4) * 200 * time.Microsecond
		if err := c.Call(pushed("?"), timeout, func(*wire.Command, error) { counts[i]++ }); err != nil {
			break
		}
		sent++
		if i == calls/2 {
			closing.Go(c.Close)
		}
	}
	closing.Wait()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for i, n := range counts {
		if want := map[bool]int{true: 1}[i < sent]; n != want {
			t.Errorf("call %d of %d ended %d times", i, sent, n)
		}
	}
}
