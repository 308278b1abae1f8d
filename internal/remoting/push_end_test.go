// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
)

func TestPushIfTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := pushes(t, ServerConfig{Limits: Limits{MaxFrame: 1000}})
		var v verdict
		large := pushed(strings.Repeat("x", 1001))
		if err := c.PushIf(large, v.valid); !errors.Is(err, ErrTooLarge) || c.Backlog() != 0 {
			t.Errorf("alone: %v, backlog %d", err, c.Backlog())
		}
		fillSmall(t, c)
		mustPush(t, c, "before", v.valid)
		backlog := c.Backlog()
		if err := c.PushIf(large, v.valid); !errors.Is(err, ErrTooLarge) || c.Backlog() != backlog {
			t.Errorf("between others: %v, backlog %d, was %d", err, c.Backlog(), backlog)
		}
		mustPush(t, c, "after", v.valid)
		mustPush(t, c, "end", nil)
		got := slices.DeleteFunc(p.bodies(), func(s string) bool { return s == small })
		if !slices.Equal(got, []string{"before", "after"}) || v.asked.Load() != 2 {
			t.Errorf("came %q, asked %d times", got, v.asked.Load())
		}
	})
}

var small = strings.Repeat("s", 500)

// fillSmall pushes small frames until the pipe takes no more.
func fillSmall(t *testing.T, c *Conn) {
	t.Helper()
	for c.Backlog() == 0 {
		mustPush(t, c, small, nil)
		synctest.Wait()
	}
}

// On a closed connection nobody is asked, whether the request was queued, its
// turn had come, or it comes too late.
func TestPushIfClosed(t *testing.T) {
	for _, more := range []int{0, 1} {
		synctest.Test(t, func(t *testing.T) {
			c, _ := pushes(t, ServerConfig{})
			fill(t, c, more)
			var v verdict
			mustPush(t, c, "its turn", v.valid)
			synctest.Wait()
			mustPush(t, c, "queued", v.valid)
			c.Close()
			if err := c.PushIf(pushed("late"), v.valid); !errors.Is(err, ErrClosed) {
				t.Errorf("on a closed connection: %v", err)
			}
			synctest.Wait()
			if v.asked.Load() != 0 || c.Backlog() != 0 {
				t.Errorf("asked %d times, backlog %d", v.asked.Load(), c.Backlog())
			}
		})
	}
}

// The first valid closes the connection: the next one is not asked.
func TestPushIfClosedByValid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := pushes(t, ServerConfig{})
		fill(t, c, 1)
		var v verdict
		mustPush(t, c, "closes", func() bool { c.Close(); return true })
		mustPush(t, c, "next", v.valid)
		p.read()
		if got, err := p.tryRead(); err == nil {
			t.Errorf("came %q after the close", got.Body)
		}
		synctest.Wait()
		if v.asked.Load() != 0 || c.Backlog() != 0 {
			t.Errorf("asked %d times, backlog %d", v.asked.Load(), c.Backlog())
		}
	})
}

// A peer that takes nothing more is not asked for either.
func TestPushIfToADeafPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem, conns := NewMemNetwork(), make(chan *Conn, 1)
		_, addr := serve(t, nil, ServerConfig{
			OnOpen: func(c *Conn) { conns <- c },
			Listen: func(addr string) (net.Listener, error) {
				ln, err := mem.Listen(addr)
				return unheard{ln}, err
			},
		})
		dial(t, mem, addr)
		c := <-conns
		mustPush(t, c, "plain", nil)
		synctest.Wait()
		var v verdict
		if err := c.PushIf(pushed("check"), v.valid); !errors.Is(err, ErrClosed) || !errors.Is(err, syscall.EPIPE) {
			t.Errorf("error %v, want ErrClosed and the cause", err)
		}
		synctest.Wait()
		if v.asked.Load() != 0 || c.Backlog() != 0 {
			t.Errorf("asked %d times, backlog %d", v.asked.Load(), c.Backlog())
		}
	})
}

// A panic in valid costs its frame, and nothing else.
func TestPushIfPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logs
		mem, conns := NewMemNetwork(), make(chan *Conn, 1)
		s, addr := serve(t, mem, ServerConfig{Logger: log.logger(), OnOpen: func(c *Conn) { conns <- c }})
		p := dial(t, mem, addr)
		c := <-conns
		mustPush(t, c, "bad", func() bool { panic("boom") })
		mustPush(t, c, "end", nil)
		if got := p.bodies(); len(got) != 0 {
			t.Errorf("came %q", got)
		}
		if s.Stats().Panics != 1 || len(log.lines("hook panicked", "boom")) != 1 {
			t.Errorf("%d panics; log:\n%s", s.Stats().Panics, log.buf.String())
		}
	})
}

// Many goroutines push and decide at once, over TCP, with the caller's lock held
// in PushIf and taken by valid. What came is what valid allowed, in the order of
// each goroutine, and nothing was allowed after its decision.
func TestPushIfRace(t *testing.T) {
	conns := make(chan *Conn, 1)
	_, addr := serve(t, nil, ServerConfig{OnOpen: func(c *Conn) { conns <- c }})
	p := dial(t, nil, addr)
	c := <-conns
	const workers, each = 8, 400
	var mu sync.Mutex
	var decided, asked, allowed [workers][each]bool
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(w)))
			for i := range each {
				mu.Lock()
				err := c.PushIf(pushed(fmt.Sprint(w, " ", i, " ", strings.Repeat("x", r.IntN(3000)))), func() bool {
					mu.Lock()
					defer mu.Unlock()
					if asked[w][i] {
						t.Errorf("%d of %d: asked twice", i, w)
					}
					asked[w][i], allowed[w][i] = true, !decided[w][i]
					return allowed[w][i]
				})
				mu.Unlock()
				if err != nil {
					t.Errorf("%d of %d: %v", i, w, err)
				}
				mu.Lock()
				decided[w][i-r.IntN(min(i+1, 20))] = true
				mu.Unlock()
				if i%50 == 0 {
					if err := c.Push(pushed("plain")); err != nil {
						t.Errorf("plain: %v", err)
					}
				}
			}
		})
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		wg.Wait()
		if err := c.Push(pushed("end")); err != nil {
			t.Error(err)
			c.Close()
		}
	}()
	var came [workers][each]bool
	last := [workers]int{}
	plain := 0
	for _, body := range p.bodies() {
		var w, i int
		if body == "plain" {
			plain++
			continue
		}
		if _, err := fmt.Sscan(body, &w, &i); err != nil || w >= workers || i >= each {
			t.Fatalf("a frame with %.40q came", body)
		}
		if came[w][i] || i < last[w] {
			t.Errorf("%d of %d came twice or after %d", i, w, last[w])
		}
		came[w][i], last[w] = true, i
	}
	<-ended
	mu.Lock()
	defer mu.Unlock()
	n := 0
	for w := range workers {
		for i := range each {
			if came[w][i] != allowed[w][i] || !asked[w][i] {
				t.Errorf("%d of %d: came %v, allowed %v, asked %v", i, w, came[w][i], allowed[w][i], asked[w][i])
			}
			if came[w][i] {
				n++
			}
		}
	}
	if plain != workers*each/50 {
		t.Errorf("%d plain ones came", plain)
	}
	t.Logf("%d of %d came", n, workers*each)
}

// Connections that close under the pushes: nobody is asked after OnClose.
func TestPushIfCloseRace(t *testing.T) {
	var mu sync.Mutex
	gone := map[*Conn]bool{}
	conns := make(chan *Conn, 1)
	_, addr := serve(t, nil, ServerConfig{
		OnOpen:  func(c *Conn) { conns <- c },
		OnClose: func(c *Conn) { mu.Lock(); gone[c] = true; mu.Unlock() },
	})
	for round := range 50 {
		p := dial(t, nil, addr)
		c := <-conns
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for c.PushIf(pushed(small), func() bool {
					mu.Lock()
					defer mu.Unlock()
					if gone[c] {
						t.Error("asked after OnClose")
					}
					return round%2 == 0
				}) == nil || c.Cause() == nil { // ErrBacklog is no end
				}
			})
		}
		for range round {
			c.Push(pushed("plain")) // makes the moment of the close vary; may come too late
		}
		if round%3 == 0 {
			p.Close()
		} else {
			c.Close()
		}
		wg.Wait()
	}
}
