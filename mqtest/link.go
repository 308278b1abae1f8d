// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package mqtest

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/twostage/twostage/internal/wire"
)

const (
	linkBuffer = 64 << 10 // what a link reads at once, in bytes
	onTheWay   = 1 << 10  // reads that may be held back: then no more is read
)

// link carries bytes between a client's connection and the broker's end of it.
type link struct {
	p    *port
	tcp  *net.TCPConn
	mem  net.Conn // its other end is the broker's
	once sync.Once
	done chan struct{}
}

// run carries until both directions have ended.
func (l *link) run() {
	var in sync.WaitGroup
	way := make(chan sent, onTheWay)
	in.Go(func() { l.read(way) })
	in.Go(func() { l.requests(way) })
	l.answers()
	in.Wait()
	l.end()
	l.p.mu.Lock()
	delete(l.p.links, l)
	l.p.mu.Unlock()
}

// end ends both directions now; the client sees a reset unless it has seen the end.
func (l *link) end() {
	l.once.Do(func() {
		close(l.done)
		_ = l.tcp.SetLinger(0)
		_ = l.tcp.Close()
		_ = l.mem.Close()
	})
}

// sent is what one read gave.
type sent struct {
	bytes []byte
	err   error
	came  time.Time
}

// read reads what the client sends, until there is no more.
func (l *link) read(way chan<- sent) {
	buf := make([]byte, linkBuffer)
	for {
		n, err := l.tcp.Read(buf)
		select {
		case way <- sent{bytes.Clone(buf[:n]), err, time.Now()}:
		case <-l.done:
			return
		}
		if err != nil {
			return
		}
	}
}

// requests carries what the client sends.
func (l *link) requests(way <-chan sent) {
	lost := false
	for {
		var s sent
		select {
		case s = <-way:
		case <-l.done:
			return
		}
		if !l.p.faults.pass(FromClients, s.came, l.done) {
			return
		}
		if len(s.bytes) > 0 && !lost {
			_, failed := l.mem.Write(s.bytes)
			lost = failed != nil // the broker has closed its end, and answers says so
		}
		switch {
		case errors.Is(s.err, io.EOF):
			_ = l.mem.(interface{ CloseWrite() error }).CloseWrite()
			return
		case s.err != nil:
			l.end()
			return
		}
	}
}

// answers carries what the broker sends, check-backs as often as they are to come.
func (l *link) answers() {
	r := bufio.NewReaderSize(l.mem, linkBuffer)
	w := bufio.NewWriterSize(l.tcp, linkBuffer)
	var frame []byte
	for {
		size, err := r.Peek(4)
		if err != nil {
			break
		}
		n := int(binary.BigEndian.Uint32(size))
		if n > wire.MaxFrame { // no broker sends that
			break
		}
		if n += 4; cap(frame) < n {
			frame = make([]byte, n)
		}
		frame = frame[:n]
		if _, err := io.ReadFull(r, frame); err != nil {
			break
		}
		for range l.p.checks.times(frame[4:]) {
			if len(frame) > w.Available() && !l.flush(w) {
				break
			}
			_, _ = w.Write(frame) // what fails here fails in flush too
		}
		if r.Buffered() == 0 && !l.flush(w) {
			break
		}
	}
	_ = l.flush(w)
	_ = l.tcp.CloseWrite()
}

// flush writes what is gathered, once it may go.
func (l *link) flush(w *bufio.Writer) bool {
	if !l.p.faults.pass(ToClients, time.Time{}, l.done) {
		return false
	}
	if err := w.Flush(); err != nil {
		l.end()
		return false
	}
	return true
}
