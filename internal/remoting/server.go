// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/twostage/twostage/internal/secure"
)

const refusedLogEvery = 10 * time.Second

// Server accepts connections and serves the requests that come on them.
type Server struct {
	cfg ServerConfig
	ep  *endpoint

	mu        sync.Mutex
	ln        net.Listener
	running   chan struct{} // closed when Run accepts no more; nil before Run
	closing   chan struct{}
	finishing bool // some Close is at work
	closed    chan struct{}
	closeErr  error // read after closed
}

// NewServer returns a server that does nothing until Listen or Run.
func NewServer(cfg ServerConfig) *Server {
	if cfg.Listen == nil {
		cfg.Listen = func(addr string) (net.Listener, error) { return net.Listen("tcp", addr) }
	}
	if cfg.DrainTimeout <= 0 {
		cfg.DrainTimeout = 5 * time.Second
	}
	ep := newEndpoint(cfg.Limits, cfg.Logger)
	ep.server = true
	ep.routes, ep.unknown = cfg.Routes, cfg.Unknown
	ep.timings = newLatencies(cfg.Slow, ep.serves, ep.log)
	ep.onOpen, ep.onClose, ep.onBatch = cfg.OnOpen, cfg.OnClose, cfg.EndOfBatch
	ep.onFault = cfg.OnFault
	ep.secure = cfg.TLS.withDefaults()
	ep.turns = newTurns(ep.secure.MaxHandshakes)
	if cfg.MaxConnsPerAddr > 0 {
		ep.byAddr = make(map[netip.Addr]int)
	}
	return &Server{cfg: cfg, ep: ep, closing: make(chan struct{}), closed: make(chan struct{})}
}

// Listen opens the listener; again, it does nothing. Connections are accepted
// once Run is called.
func (s *Server) Listen() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isClosing() {
		return fmt.Errorf("%w: server for %s", ErrClosed, s.cfg.Addr)
	}
	if s.ln != nil {
		return nil
	}
	if s.cfg.TLS.Mode != secure.Disabled && s.cfg.TLS.Config == nil {
		return fmt.Errorf("remoting: listen on %s: TLS is %s, but there is no configuration of it", s.cfg.Addr, s.cfg.TLS.Mode)
	}
	ln, err := s.cfg.Listen(s.cfg.Addr)
	if err != nil {
		return fmt.Errorf("remoting: listen on %s: %w", s.cfg.Addr, err)
	}
	s.ln = ln
	return nil
}

// Addr is the listener's address, nil before Listen.
func (s *Server) Addr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ln == nil {
		return nil
	}
	return s.ln.Addr()
}

// Stats counts since NewServer.
func (s *Server) Stats() Stats { return s.ep.stats() }

// SlowRequests is how many requests took longer than ServerConfig.Slow.
func (s *Server) SlowRequests() int64 { return s.ep.timings.slows.Load() }

// EachConn calls fn for every connection that is open now.
func (s *Server) EachConn(fn func(*Conn)) { s.ep.each(fn) }

// Run listens if Listen was not called, and serves until ctx is done, Close is
// called, or accepting fails for good. It closes the server and gives Close's
// error; that Close came first is none.
func (s *Server) Run(ctx context.Context) error {
	if err := s.Listen(); err != nil {
		if s.isClosing() {
			return s.Close()
		}
		return err
	}
	s.mu.Lock()
	if s.running != nil {
		s.mu.Unlock()
		return fmt.Errorf("%w: Run was called before", ErrClosed)
	}
	if s.isClosing() {
		s.mu.Unlock()
		return s.Close()
	}
	running := make(chan struct{})
	s.running = running
	ln := s.ln
	s.mu.Unlock()

	unwatch := context.AfterFunc(ctx, s.beginClose)
	err := s.accept(ln)
	close(running)
	unwatch()
	return errors.Join(err, s.Close())
}

func (s *Server) accept(ln net.Listener) error {
	var lastRefused time.Time
	var wait time.Duration
	for {
		nc, err := ln.Accept()
		if s.isClosing() {
			if err == nil {
				nc.Close()
			}
			return nil
		}
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return fmt.Errorf("remoting: accept on %s: %w", ln.Addr(), err)
			}
			wait = min(max(2*wait, 5*time.Millisecond), time.Second)
			s.ep.log.Error("cannot accept a connection, trying again", "addr", ln.Addr(), "wait", wait, "err", err)
			select {
			case <-time.After(wait):
			case <-s.closing:
			}
			continue
		}
		wait = 0
		c := s.ep.newConn(nc)
		if why := s.tooMany(c); why != "" {
			total := s.ep.refused.Add(1)
			if now := time.Now(); lastRefused.IsZero() || now.Sub(lastRefused) >= refusedLogEvery {
				lastRefused = now
				s.ep.log.Warn("connection refused: "+why, "peer", nc.RemoteAddr(), "open", s.ep.open(), "refused", total)
			}
			nc.Close() // last, so that who sees it finds it counted
			continue
		}
		s.ep.start(c)
	}
}

// tooMany says why a connection is one too many, "" when it is not.
func (s *Server) tooMany(c *Conn) string {
	if n := s.cfg.MaxConns; n > 0 && s.ep.open() >= n {
		return "as many are open as are allowed (maxConnections)"
	}
	if n := s.cfg.MaxConnsPerAddr; n > 0 && s.ep.openFrom(c.remote.Addr()) >= n {
		return "as many of its address are open as are allowed (maxConnectionsPerAddress)"
	}
	return ""
}

func (s *Server) isClosing() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}

// beginClose stops accepting.
func (s *Server) beginClose() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isClosing() {
		return
	}
	close(s.closing)
	close(s.ep.turns.ended)
	if s.ln != nil {
		s.ln.Close() // nothing is left to be done about an error
	}
}

// Close stops accepting and reading, lets requests in flight be answered for at
// most DrainTimeout, writes the answers, closes the connections and waits for
// OnClose and all goroutines. Requests that still run in a lane after that time
// are an error. Who parks tickets should answer them first: each costs the full
// time. It must not be called by a handler.
func (s *Server) Close() error {
	s.beginClose()
	s.mu.Lock()
	running, wait := s.running, s.finishing
	s.finishing = true
	s.mu.Unlock()
	if wait {
		<-s.closed
		return s.closeErr
	}
	if running != nil {
		<-running
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.DrainTimeout)
	defer cancel()
	s.closeErr = s.ep.shutdown(ctx)
	close(s.closed)
	return s.closeErr
}
