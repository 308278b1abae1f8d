// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package secure

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// ErrPlaintext: the peer speaks plaintext where TLS is enforced.
var ErrPlaintext = errors.New("plaintext on a port that takes TLS only")

// Listener gives connections that speak TLS or plaintext, as Mode allows, told by
// their first byte. Accept waits for neither that nor a handshake: the first Read
// or Write of a connection does, within the deadlines that its owner has set.
type Listener struct {
	net.Listener
	Mode   Mode                        // of Disabled the connections come as they are
	Config func() (*tls.Config, error) // required unless Mode is Disabled

	secured, failed, plaintext atomic.Int64
}

// Stats counts connections since the start.
type Stats struct {
	Secured         int64 // handshakes that were done
	Failed          int64 // handshakes that failed or took too long
	PlaintextClosed int64 // plaintext where TLS is enforced
}

// Stats may be called at any time.
func (l *Listener) Stats() Stats {
	return Stats{Secured: l.secured.Load(), Failed: l.failed.Load(), PlaintextClosed: l.plaintext.Load()}
}

// Accept waits for the next connection.
func (l *Listener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil || l.Mode == Disabled {
		return nc, err
	}
	return &sniffed{Conn: nc, l: l}, nil
}

// sniffed is a connection whose first byte tells what it is.
type sniffed struct {
	net.Conn
	l *Listener

	once sync.Once
	err  error
	as   atomic.Pointer[net.Conn] // Conn again, or TLS over it; nil before that is decided
}

func (s *sniffed) decided() (net.Conn, error) {
	if s.once.Do(s.decide); s.err != nil {
		return nil, s.err
	}
	return *s.as.Load(), nil
}

func (s *sniffed) Read(p []byte) (int, error) {
	nc, err := s.decided()
	if err != nil {
		return 0, err
	}
	return nc.Read(p)
}

func (s *sniffed) Write(p []byte) (int, error) {
	nc, err := s.decided()
	if err != nil {
		return 0, err
	}
	return nc.Write(p)
}

// Close does not wait for what is being decided, and ends TLS where it was begun.
func (s *sniffed) Close() error {
	if nc := s.as.Load(); nc != nil {
		return (*nc).Close()
	}
	return s.Conn.Close()
}

// CloseWrite lets the peer read what was written and then io.EOF.
func (s *sniffed) CloseWrite() error {
	if nc := s.as.Load(); nc != nil {
		if half, ok := (*nc).(interface{ CloseWrite() error }); ok {
			return half.CloseWrite()
		}
	}
	return nil
}

func (s *sniffed) decide() {
	var first [1]byte
	if _, s.err = io.ReadFull(s.Conn, first[:]); s.err != nil {
		return
	}
	nc := net.Conn(&oneByte{Conn: s.Conn, b: first, left: true})
	switch {
	case IsHandshake(first[0]):
		if nc, s.err = s.shakeHands(nc); s.err != nil {
			s.l.failed.Add(1)
			return
		}
		s.l.secured.Add(1)
	case s.l.Mode == Enforcing:
		s.l.plaintext.Add(1)
		s.err = ErrPlaintext
		return
	}
	s.as.Store(&nc)
}

func (s *sniffed) shakeHands(nc net.Conn) (net.Conn, error) {
	config, err := s.l.Config()
	if err != nil {
		return nil, err
	}
	c := tls.Server(nc, config)
	return c, c.Handshake()
}

// oneByte gives a byte that was read before.
type oneByte struct {
	net.Conn
	b    [1]byte
	left bool
}

func (c *oneByte) Read(p []byte) (int, error) {
	if c.left && len(p) > 0 {
		c.left = false
		return copy(p, c.b[:]), nil
	}
	return c.Conn.Read(p)
}

// CloseWrite is that of the connection.
func (c *oneByte) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
