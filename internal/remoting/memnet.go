// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
)

const (
	memBuffer    = 64 << 10
	memAccepts   = 128
	memFirstPort = 40000
)

// MemNetwork is a network within the process, for tests: listeners by address,
// connections as buffered pipes with deadlines. Everything that waits in it waits
// on channels and condition variables, so it works inside a synctest bubble; a
// MemNetwork made there must be used only there. Safe for concurrent use.
type MemNetwork struct {
	mu        sync.Mutex
	listeners map[netip.AddrPort]*memListener
	nextPort  uint16
}

// NewMemNetwork returns a network without listeners.
func NewMemNetwork() *MemNetwork {
	return &MemNetwork{listeners: make(map[netip.AddrPort]*memListener), nextPort: memFirstPort}
}

// Listen listens on addr, an IP address and port as text; port 0 picks one.
func (m *MemNetwork) Listen(addr string) (net.Listener, error) {
	ap, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, fmt.Errorf("remoting: in-memory listen: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if ap.Port() == 0 {
		ap = netip.AddrPortFrom(ap.Addr(), m.port())
	}
	if m.listeners[ap] != nil {
		return nil, &net.OpError{Op: "listen", Net: "mem", Addr: net.TCPAddrFromAddrPort(ap), Err: syscall.EADDRINUSE}
	}
	l := &memListener{net: m, addr: ap, queue: make(chan net.Conn, memAccepts), closed: make(chan struct{})}
	m.listeners[ap] = l
	return l, nil
}

// Dial connects to a listener. The connection's own address is 127.0.0.1 with a
// port of its own. It waits while the listener's queue is full.
func (m *MemNetwork) Dial(ctx context.Context, addr string) (net.Conn, error) {
	ap, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, fmt.Errorf("remoting: in-memory dial: %w", err)
	}
	m.mu.Lock()
	l := m.listeners[ap]
	from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), m.port())
	m.mu.Unlock()
	refused := &net.OpError{Op: "dial", Net: "mem", Addr: net.TCPAddrFromAddrPort(ap), Err: syscall.ECONNREFUSED}
	if l == nil {
		return nil, refused
	}
	near, far := MemPipe(from, ap)
	select {
	case <-l.closed:
		return nil, refused
	default:
	}
	select {
	case l.queue <- far:
		return near, nil
	case <-l.closed:
		return nil, refused
	case <-ctx.Done():
		return nil, &net.OpError{Op: "dial", Net: "mem", Addr: net.TCPAddrFromAddrPort(ap), Err: ctx.Err()}
	}
}

// port gives a port that no listener has. m.mu is held.
func (m *MemNetwork) port() uint16 {
	m.nextPort++
	if m.nextPort < memFirstPort {
		m.nextPort = memFirstPort
	}
	return m.nextPort
}

type memListener struct {
	net   *MemNetwork
	addr  netip.AddrPort
	queue chan net.Conn

	once   sync.Once
	closed chan struct{}
}

func (l *memListener) Accept() (net.Conn, error) {
	select {
	case <-l.closed:
		return nil, l.closedError()
	default:
	}
	select {
	case nc := <-l.queue:
		return nc, nil
	case <-l.closed:
		return nil, l.closedError()
	}
}

func (l *memListener) closedError() error {
	return &net.OpError{Op: "accept", Net: "mem", Addr: l.Addr(), Err: net.ErrClosed}
}

func (l *memListener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.addr) }

// Close closes the listener and what it has not accepted.
func (l *memListener) Close() error {
	l.once.Do(func() {
		l.net.mu.Lock()
		delete(l.net.listeners, l.addr)
		l.net.mu.Unlock()
		close(l.closed)
		for {
			select {
			case nc := <-l.queue:
				nc.Close()
			default:
				return
			}
		}
	})
	return nil
}
