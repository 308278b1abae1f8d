// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package mqtest

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/twostage/twostage/internal/remoting"
)

// acceptAgain is the wait after a connection could not be accepted.
const acceptAgain = 5 * time.Millisecond

// port is the TCP address of a broker, which it keeps while the broker is stopped,
// so that nobody else gets it. It gives the broker the ends of links.
type port struct {
	ln     *net.TCPListener
	faults faults
	checks *checkBacks
	work   sync.WaitGroup // accepts, and every link

	mu     sync.Mutex
	in     *listener // of the broker that runs; nil: connections are reset
	dead   bool      // so are they while a broker is being killed
	closed bool
	links  map[*link]struct{}
}

func newPort(checks *checkBacks) (*port, error) {
	ln, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		return nil, fmt.Errorf("a port for a broker: %w", err)
	}
	p := &port{ln: ln, checks: checks, links: map[*link]struct{}{}}
	p.work.Go(p.accept)
	return p, nil
}

func (p *port) accept() {
	for {
		tcp, err := p.ln.AcceptTCP()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // too many open files, say
			time.Sleep(acceptAgain)
		default:
			p.admit(tcp)
		}
	}
}

// admit makes a link of a connection and gives the broker its end, or resets the
// connection when no broker runs.
func (p *port) admit(tcp *net.TCPConn) {
	p.mu.Lock()
	in := p.in
	if in == nil || p.dead || p.closed {
		p.mu.Unlock()
		_ = tcp.SetLinger(0) // the peer sees a reset
		_ = tcp.Close()
		return
	}
	near, far := remoting.MemPipe(addrPort(tcp.RemoteAddr()), addrPort(tcp.LocalAddr()))
	l := newLink(p, tcp, near)
	p.links[l] = struct{}{}
	p.work.Go(l.run)
	p.mu.Unlock()
	select {
	case in.conns <- far:
	case <-in.closed:
		l.end()
	}
}

func addrPort(a net.Addr) netip.AddrPort {
	tcp, _ := a.(*net.TCPAddr) // a TCP connection has no other
	ap := tcp.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// listen is the broker's way to its port, by whatever address it asks for.
func (p *port) listen(string) (net.Listener, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, net.ErrClosed
	}
	p.in = &listener{p: p, conns: make(chan net.Conn), closed: make(chan struct{})}
	return p.in, nil
}

// reset ends all connections.
func (p *port) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.end()
	}
}

// kill ends all connections and takes no more, until revive.
func (p *port) kill() {
	p.mu.Lock()
	p.dead = true
	p.mu.Unlock()
	p.reset()
}

func (p *port) revive() {
	p.mu.Lock()
	p.dead = false
	p.mu.Unlock()
	p.faults.heal()
}

func (p *port) killed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dead
}

// close gives the port back and waits for all links.
func (p *port) close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	err := p.ln.Close()
	p.reset()
	p.work.Wait()
	return err
}

// listener is what a broker listens on.
type listener struct {
	p      *port
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Addr() net.Addr { return l.p.ln.Addr() }

// Close takes no more connections; those that there are stay.
func (l *listener) Close() error {
	l.once.Do(func() {
		l.p.mu.Lock()
		if l.p.in == l {
			l.p.in = nil
		}
		l.p.mu.Unlock()
		close(l.closed)
	})
	return nil
}
