// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sqltx

import (
	"bytes"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// hole stands before a database's server. Of one connection, that of the first
// COMMIT after armed was set, it swallows what follows, and leaves both sides open.
type hole struct {
	net.Listener
	server  string
	armed   atomic.Bool
	commits bool // the COMMIT itself gets through

	all   sync.WaitGroup
	mu    sync.Mutex
	conns []net.Conn
}

func newHole(t *testing.T, server string, commits bool) *hole {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &hole{Listener: l, server: server, commits: commits}
	accepting := make(chan struct{})
	go func() {
		defer close(accepting)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s, err := net.Dial("tcp", server)
			if err != nil {
				_ = c.Close()
				continue
			}
			h.join(c, s)
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-accepting
		h.cut()
		h.all.Wait()
	})
	return h
}

// join passes on what c and s say.
func (h *hole) join(c, s net.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conns = append(h.conns, c, s)
	swallows := new(atomic.Bool)
	pass := func(to, from net.Conn, look bool) {
		b := make([]byte, 32<<10)
		for {
			n, err := from.Read(b)
			if err != nil {
				break
			}
			through := !swallows.Load()
			if look && bytes.Contains(bytes.ToLower(b[:n]), []byte("commit")) && h.armed.CompareAndSwap(true, false) {
				swallows.Store(true)
				through = h.commits
			}
			if !through {
				continue
			}
			if _, err := to.Write(b[:n]); err != nil {
				break
			}
		}
		if !swallows.Load() {
			_ = to.Close()
		}
	}
	h.all.Go(func() { pass(s, c, true) })
	h.all.Go(func() { pass(c, s, false) })
}

// cut closes all connections that there are.
func (h *hole) cut() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.conns {
		_ = c.Close()
	}
}
