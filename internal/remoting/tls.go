// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twostage/twostage/internal/secure"
)

var (
	// ErrHandshake: a TLS handshake failed, took too long, or there were too many; or
	// the peer ended the connection with an alert.
	ErrHandshake = errors.New("remoting: TLS handshake failed")
	// ErrPlaintext: the peer speaks plaintext where TLS is enforced.
	ErrPlaintext = errors.New("remoting: plaintext where TLS is enforced")

	errTLSDisabled = fmt.Errorf("%w: this looks like TLS, which is disabled here: see tls.server.mode", ErrBadFrame)
)

// tlsCounts are those of Stats.
type tlsCounts struct{ secured, failed, busy, refused, plaintext atomic.Int64 }

func (s ServerTLS) withDefaults() ServerTLS {
	if s.HandshakeTimeout <= 0 {
		s.HandshakeTimeout = 10 * time.Second
	}
	if s.MaxHandshakes <= 0 {
		s.MaxHandshakes = 256
	}
	return s
}

// undecided says whether nothing may be written before the peer has begun.
func (s *ServerTLS) undecided() bool { return s.Mode != secure.Disabled }

// begin looks at the first bytes of a server's connection. When they begin TLS, it
// shakes hands, and what is read from then on comes out of TLS. It runs on the
// reader goroutine; until it is done no writer starts, see newConn.
func (c *Conn) begin(first []byte, now time.Time) (secured bool, err error) {
	mode, counts := c.ep.secure.Mode, &c.ep.tls
	switch looksTLS := secure.IsHandshake(first[0]); {
	case looksTLS && mode == secure.Disabled:
		return false, errTLSDisabled
	case looksTLS:
		if err := c.shakeHands(first, now); err != nil {
			return false, err
		}
		counts.secured.Add(1)
	case mode == secure.Enforcing:
		counts.plaintext.Add(1)
		return false, fmt.Errorf("%w: switch TLS on in the client, or set tls.server.mode=permissive", ErrPlaintext)
	}
	c.rd.begun = true
	if c.ep.secure.undecided() {
		c.flush(now) // what was pushed meanwhile
	}
	return c.tls != nil, nil
}

// shakeHands is the handshake of a server, which began with the bytes given.
func (c *Conn) shakeHands(first []byte, now time.Time) error {
	s, counts := &c.ep.secure, &c.ep.tls
	config, err := s.Config()
	if err != nil {
		counts.failed.Add(1)
		return fmt.Errorf("%w: %w", ErrHandshake, err)
	}
	stream := newTLSStream(c, first)
	turn := &turn{of: &c.ep.turns, c: c, until: now.Add(s.HandshakeTimeout)}
	defer turn.end()
	stream.raw.turn = turn
	stream.conn = tls.Server(stream.raw, config)
	c.nc.SetReadDeadline(now.Add(s.HandshakeTimeout)) // fails only on a closed connection, as the read will
	c.rd.deadline = time.Time{}
	if c.stopping.Load() {
		return errStopping
	}
	if err = turn.take(); err == nil {
		err = stream.conn.Handshake()
	}
	if err != nil {
		switch {
		case c.stopping.Load():
			return errStopping
		case c.isClosed():
			return errClosedHere
		case errors.Is(err, errNoTurn):
			counts.busy.Add(1)
			return fmt.Errorf("%w: %w", ErrHandshake, err)
		case errors.Is(err, os.ErrDeadlineExceeded):
			err = fmt.Errorf("not done within %v", s.HandshakeTimeout)
		}
		counts.failed.Add(1)
		return fmt.Errorf("%w: %w", ErrHandshake, err)
	}
	stream.raw.turn = nil
	c.tls = stream
	return nil
}

// secure shakes hands with a server, if the client is to.
func (cl *Client) secure(ctx context.Context, c *Conn, addr string) error {
	if cl.cfg.TLS == nil {
		return nil
	}
	config, err := cl.cfg.TLS(addr)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrHandshake, err)
	}
	stream := newTLSStream(c, nil)
	stream.conn = tls.Client(stream.raw, config)
	if err := stream.conn.HandshakeContext(ctx); err != nil {
		cl.ep.tls.failed.Add(1)
		return fmt.Errorf("%w: %w", ErrHandshake, err)
	}
	cl.ep.tls.secured.Add(1)
	c.tls = stream
	return nil
}

// read reads what the peer said, out of TLS where it speaks that.
func (c *Conn) read(p []byte) (int, error) {
	if c.tls != nil {
		return c.tls.read(p)
	}
	return c.nc.Read(p)
}

// tlsStream is what a secured connection reads from and writes to instead of its
// socket. One goroutine reads; who owns writing writes.
type tlsStream struct {
	conn *tls.Conn
	raw  *recordConn
}

func newTLSStream(c *Conn, first []byte) *tlsStream {
	return &tlsStream{raw: &recordConn{
		Conn: c.nc, patience: newPatience(c),
		buf: append(make([]byte, 0, minReadBuffer), first...)[:minReadBuffer], w: len(first),
	}}
}

// read reads all records that have arrived, so that what is in them is one batch;
// it waits for the first only.
func (s *tlsStream) read(p []byte) (n int, err error) {
	n, err = s.conn.Read(p)
	for err == nil && n < len(p) && s.raw.whole() {
		s.raw.dry = true
		var more int
		more, err = s.conn.Read(p[n:])
		s.raw.dry = false
		n += more
		if errors.Is(err, os.ErrDeadlineExceeded) { // a record without data, as a new ticket
			return n, nil
		}
	}
	if err != nil && isAlert(err) { // in TLS 1.3 a server refuses a client's certificate after the handshake
		err = fmt.Errorf("%w: %w", ErrHandshake, err)
	}
	return n, err
}

func isAlert(err error) bool {
	var alert *net.OpError
	return errors.As(err, &alert) && alert.Op == "remote error"
}

// recordSize is how many bytes of data go into a full record.
const recordSize = 16 << 10

var recordBuffers = sync.Pool{New: func() any { return new([recordSize]byte) }}

// write writes memory of ours.
func (s *tlsStream) write(p []byte) error {
	_, err := s.conn.Write(p)
	return err
}

// writeAll writes the slices in full records. It copies them first: they may be
// memory of a mapped file whose disk fails, which a write of such memory tells
// (EFAULT), but its encryption does not survive.
func (s *tlsStream) writeAll(all [][]byte) error {
	buf := recordBuffers.Get().(*[recordSize]byte)
	defer recordBuffers.Put(buf)
	n := 0
	for _, rest := range all {
		for len(rest) > 0 {
			m, err := copyMapped(buf[n:], rest)
			if err != nil {
				return err
			}
			n, rest = n+m, rest[m:]
			if n == len(buf) {
				if err := s.write(buf[:n]); err != nil {
					return err
				}
				n = 0
			}
		}
	}
	if n == 0 {
		return nil
	}
	return s.write(buf[:n])
}

// CloseWrite tells the peer that nothing more comes, in TLS and below it.
func (s *tlsStream) CloseWrite() error {
	if err := s.conn.CloseWrite(); err != nil {
		return err
	}
	return s.raw.CloseWrite()
}

// copyMapped is copy, with EFAULT where src can't be read.
func copyMapped(dst, src []byte) (n int, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		switch e := recover().(type) {
		case nil:
		case interface{ Addr() uintptr }:
			n, err = 0, fmt.Errorf("memory at %#x can't be read: %w", e.Addr(), syscall.EFAULT)
		default:
			panic(e)
		}
	}()
	return copy(dst, src), nil
}
