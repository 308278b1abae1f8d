// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// MemPipe returns the two ends of an in-memory connection between two addresses.
// Unlike those of net.Pipe they buffer 64 KiB in each direction and have
// CloseWrite, as TCP connections do.
func MemPipe(a, b netip.AddrPort) (net.Conn, net.Conn) {
	ab, ba := newMemStream(), newMemStream()
	addrA, addrB := net.TCPAddrFromAddrPort(a), net.TCPAddrFromAddrPort(b)
	return &memConn{in: ba, out: ab, local: addrA, remote: addrB},
		&memConn{in: ab, out: ba, local: addrB, remote: addrA}
}

type memConn struct {
	in, out       *memStream
	local, remote *net.TCPAddr
}

func (c *memConn) Read(p []byte) (int, error)  { return c.in.read(p) }
func (c *memConn) Write(p []byte) (int, error) { return c.out.write(p) }
func (c *memConn) awaitRoom() error            { return c.out.awaitRoom() }
func (c *memConn) LocalAddr() net.Addr         { return c.local }
func (c *memConn) RemoteAddr() net.Addr        { return c.remote }

// CloseWrite lets the peer read what was written and then io.EOF.
func (c *memConn) CloseWrite() error {
	c.out.change(func(s *memStream) { s.ended = true })
	return nil
}

// Close does so too; what the peer still writes fails with EPIPE.
func (c *memConn) Close() error {
	c.out.change(func(s *memStream) { s.ended, s.noWriter = true, true })
	c.in.change(func(s *memStream) { s.noReader = true })
	return nil
}

func (c *memConn) SetDeadline(t time.Time) error {
	c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

func (c *memConn) SetReadDeadline(t time.Time) error {
	c.in.change(func(s *memStream) { s.reader.set(s, t) })
	return nil
}

func (c *memConn) SetWriteDeadline(t time.Time) error {
	c.out.change(func(s *memStream) { s.writer.set(s, t) })
	return nil
}

// memStream is one direction of a connection.
type memStream struct {
	mu             sync.Mutex
	changed        sync.Cond
	buf            []byte // not read yet
	ended          bool   // no more will be written
	noWriter       bool   // the writing end is closed
	noReader       bool   // the reading end is closed
	reader, writer memDeadline
}

func newMemStream() *memStream {
	s := &memStream{}
	s.changed.L = &s.mu
	return s
}

func (s *memStream) change(fn func(*memStream)) {
	s.mu.Lock()
	fn(s)
	if s.noReader {
		s.buf = nil
		s.reader.stop()
	}
	if s.noWriter {
		s.writer.stop()
	}
	s.mu.Unlock()
	s.changed.Broadcast()
}

func (s *memStream) read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.noReader:
			return 0, net.ErrClosed
		case s.reader.passed():
			return 0, os.ErrDeadlineExceeded
		case len(p) == 0:
			return 0, nil
		case len(s.buf) > 0:
			n := copy(p, s.buf)
			s.buf = append(s.buf[:0], s.buf[n:]...)
			s.changed.Broadcast()
			return n, nil
		case s.ended:
			return 0, io.EOF
		}
		s.changed.Wait()
	}
}

func (s *memStream) write(p []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.noWriter:
			return n, net.ErrClosed
		case s.noReader, s.ended:
			return n, syscall.EPIPE
		case s.writer.passed():
			return n, os.ErrDeadlineExceeded
		case len(p) == 0:
			return n, nil
		case len(s.buf) < memBuffer:
			m := min(len(p), memBuffer-len(s.buf))
			s.buf = append(s.buf, p[:m]...)
			n, p = n+m, p[m:]
			s.changed.Broadcast()
			continue
		}
		s.changed.Wait()
	}
}

// awaitRoom waits until a third of the buffer is free, or nothing can be written
// any more.
func (s *memStream) awaitRoom() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.noWriter && !s.noReader && !s.ended && len(s.buf) > memBuffer-memBuffer/3 {
		if s.writer.passed() {
			return os.ErrDeadlineExceeded
		}
		s.changed.Wait()
	}
	return nil
}

// memDeadline ends the waits of one end of a stream.
type memDeadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *memDeadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

// set is called with the stream's mutex held.
func (d *memDeadline) set(s *memStream, at time.Time) {
	d.stop()
	d.at = at
	if wait := time.Until(at); !at.IsZero() && wait > 0 {
		// change takes the mutex: whoever saw the deadline not passed waits by then
		d.timer = time.AfterFunc(wait, func() { s.change(func(*memStream) {}) })
	}
}

func (d *memDeadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}
