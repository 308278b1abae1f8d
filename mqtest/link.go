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
	onTheWay   = 64 << 20 // bytes that may be held back: then no more is read
	readCost   = 64       // bytes that a read counts for besides what it gave
)

// link carries bytes between a client's connection and the broker's end of it.
type link struct {
	p    *port
	tcp  *net.TCPConn
	mem  net.Conn // its other end is the broker's
	once sync.Once
	done chan struct{}

	mu      sync.Mutex
	changed sync.Cond // of what follows
	way     []sent    // what the client has sent and is held back
	held    int       // its bytes
	ended   bool      // done is closed
}

func newLink(p *port, tcp *net.TCPConn, mem net.Conn) *link {
	l := &link{p: p, tcp: tcp, mem: mem, done: make(chan struct{})}
	l.changed.L = &l.mu
	return l
}

// run carries until both directions have ended.
func (l *link) run() {
	var in sync.WaitGroup
	in.Go(l.read)
	in.Go(l.requests)
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
		l.mu.Lock()
		l.ended = true
		l.changed.Broadcast()
		l.mu.Unlock()
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

// put has what was read be passed on in its turn, and waits while too much is.
func (l *link) put(s sent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.held > onTheWay && !l.ended {
		l.changed.Wait()
	}
	l.way = append(l.way, s)
	l.held += len(s.bytes) + readCost
	l.changed.Broadcast()
}

// next waits for what is to be passed on; false: the link has ended.
func (l *link) next() (s sent, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.way) == 0 && !l.ended {
		l.changed.Wait()
	}
	if l.ended {
		return sent{}, false
	}
	s, l.way[0] = l.way[0], sent{}
	l.way = l.way[1:]
	l.held -= len(s.bytes) + readCost
	l.changed.Broadcast()
	return s, true
}

// read reads what the client sends, until there is no more.
func (l *link) read() {
	buf := make([]byte, linkBuffer)
	for {
		n, err := l.tcp.Read(buf)
		l.put(sent{bytes.Clone(buf[:n]), err, time.Now()})
		if err != nil {
			return
		}
	}
}

// requests carries what the client sends.
func (l *link) requests() {
	lost := false
	for {
		s, ok := l.next()
		if !ok {
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
