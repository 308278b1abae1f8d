// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twostage/twostage/internal/config"
	"github.com/twostage/twostage/internal/remoting"
)

// refusalLogEvery is how often a refused connection is logged.
const refusalLogEvery = 10 * time.Second

// bounded closes connections beyond the limits of a port as soon as it has accepted
// them.
type bounded struct {
	net.Listener
	limits  config.Limits
	log     *slog.Logger
	refused atomic.Int64
	logged  time.Time // by Accept, when it last was

	mu   sync.Mutex
	open int
	from map[netip.Addr]int // open ones of an address, as remoting.Network gives it
}

func newBounded(ln net.Listener, limits config.Limits, log *slog.Logger) *bounded {
	return &bounded{Listener: ln, limits: limits, log: log, from: map[netip.Addr]int{}}
}

// Accept waits for a connection within the limits. It is for one goroutine.
func (b *bounded) Accept() (net.Conn, error) {
	for {
		nc, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		addr := addressOf(nc.RemoteAddr())
		why := b.take(addr)
		if why == "" {
			return &boundedConn{Conn: nc, leave: sync.OnceFunc(func() { b.leave(addr) })}, nil
		}
		total := b.refused.Add(1)
		if now := time.Now(); now.Sub(b.logged) >= refusalLogEvery {
			b.logged = now
			b.log.Warn("HTTP connection refused: as many are open as are allowed ("+why+")", "peer", nc.RemoteAddr(), "refused", total)
		}
		nc.Close() // last, so that who sees it finds it counted
	}
}

// take counts a connection, or names the limit that it would exceed.
func (b *bounded) take(addr netip.Addr) (why string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := b.limits.Connections; n > 0 && b.open >= n {
		return "maxConnections"
	}
	if n := b.limits.PerAddress; n > 0 && b.from[addr] >= n {
		return "maxConnectionsPerAddress"
	}
	b.open++
	b.from[addr]++
	return ""
}

func (b *bounded) leave(addr netip.Addr) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open--
	if b.from[addr]--; b.from[addr] == 0 {
		delete(b.from, addr)
	}
}

// conns is how many are open.
func (b *bounded) conns() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.open
}

func addressOf(a net.Addr) netip.Addr {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return remoting.Network(tcp.AddrPort().Addr())
	}
	return netip.Addr{}
}

// boundedConn leaves its listener's count when it is closed.
type boundedConn struct {
	net.Conn
	leave func()
}

func (c *boundedConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}

// CloseWrite lets the peer read what was written and then io.EOF.
func (c *boundedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
