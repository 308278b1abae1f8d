// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twostage/twostage/internal/wire"
)

const clientDrain = time.Second // Close waits that long for queued one-way requests

// Client holds one connection per address, dialled on first use and again on the
// next use after it was closed. Safe for concurrent use.
type Client struct {
	cfg ClientConfig
	ep  *endpoint

	ctx    context.Context // ends dials
	cancel context.CancelFunc
	dials  sync.WaitGroup
	closed chan struct{}

	mu      sync.Mutex
	closing bool
	links   map[string]*link
	err     error

	last atomic.Pointer[link] // that was asked for last; nil when the client closes
}

// link is the connection to one address, or the dial that will give it.
type link struct {
	addr  string
	ready chan struct{} // closed when conn or err is set
	conn  *Conn
	err   error
}

// NewClient returns a client without connections.
func NewClient(cfg ClientConfig) *Client {
	if cfg.Dial == nil {
		cfg.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", addr)
		}
	}
	if cfg.ConnectTimeout <= 0 {
		cfg.ConnectTimeout = 3 * time.Second
	}
	cl := &Client{cfg: cfg, ep: newEndpoint(cfg.Limits, cfg.Logger), links: make(map[string]*link), closed: make(chan struct{})}
	cl.ctx, cl.cancel = context.WithCancel(context.Background())
	cl.ep.routes, cl.ep.unknown = cfg.Routes, cfg.Unknown
	cl.ep.onOpen, cl.ep.onBatch = cfg.OnOpen, cfg.EndOfBatch
	cl.ep.lang, cl.ep.version = cfg.Language, cfg.Version
	cl.ep.onClose, cl.ep.sign = cfg.OnClose, cfg.Sign
	return cl
}

// Stats counts since NewClient.
func (cl *Client) Stats() Stats { return cl.ep.stats() }

// Conn gives the connection to addr, and dials if there is none. Callers that
// come while a dial is under way wait for the same one, each no longer than its
// ctx. The dial itself has ConnectTimeout.
func (cl *Client) Conn(ctx context.Context, addr string) (*Conn, error) {
	l, err := cl.link(addr)
	if err != nil {
		return nil, err
	}
	select {
	case <-l.ready:
		return l.conn, l.err
	case <-ctx.Done():
		return nil, fmt.Errorf("remoting: connect to %s: %w", addr, ctx.Err())
	}
}

// link gives the link to addr, and begins to dial if there is none.
func (cl *Client) link(addr string) (*link, error) {
	if l := cl.last.Load(); l != nil && l.addr == addr && !l.dropped() {
		return l, nil
	}
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if cl.closing {
		return nil, fmt.Errorf("%w: client, asked for %s", ErrClosed, addr)
	}
	l := cl.links[addr]
	if l == nil || l.dropped() {
		l = &link{addr: addr, ready: make(chan struct{})}
		cl.links[addr] = l
		cl.dials.Add(1)
		go cl.dial(addr, l)
	}
	cl.last.Store(l)
	return l, nil
}

// dropped says whether the link's connection came and went.
func (l *link) dropped() bool {
	select {
	case <-l.ready:
		return l.err != nil || l.conn.isClosed()
	default:
		return false
	}
}

func (cl *Client) dial(addr string, l *link) {
	defer cl.dials.Done()
	defer close(l.ready)
	ctx, cancel := context.WithTimeout(cl.ctx, cl.cfg.ConnectTimeout)
	defer cancel()
	nc, err := cl.cfg.Dial(ctx, addr)
	if err != nil {
		l.err = fmt.Errorf("remoting: connect to %s: %w", addr, err)
		cl.forget(addr, l)
		return
	}
	conn := cl.ep.newConn(nc)
	conn.rd.begun = true
	if err := cl.secure(ctx, conn, addr); err != nil {
		nc.Close() // its error is of no use: the connection is given up
		l.err = fmt.Errorf("remoting: connect to %s: %w", addr, err)
		cl.forget(addr, l)
		return
	}
	l.conn = conn
	l.conn.onGone = func() { cl.forget(addr, l) }
	cl.ep.start(l.conn)
}

func (cl *Client) forget(addr string, l *link) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if cl.links[addr] == l {
		delete(cl.links, addr)
	}
}

// Invoke sends a request to addr and waits for the answer, as Conn.Invoke does.
// A request that found its connection closed before it was queued goes out on a
// new one; one that may have been sent is never sent twice.
func (cl *Client) Invoke(ctx context.Context, addr string, req *wire.Request) (*wire.Command, error) {
	for again := true; ; again = false {
		c, err := cl.Conn(ctx, addr)
		if err != nil {
			return nil, err
		}
		cmd, sent, err := c.invoke(ctx, req)
		if err != nil && again && !sent && errors.Is(err, ErrClosed) {
			continue
		}
		return cmd, err
	}
}

// Exchange sends a request to addr as Conn.Exchange does, and again as Invoke does.
// The deadline is also that of a dial.
func (cl *Client) Exchange(ctx context.Context, addr string, req *wire.Request, deadline time.Time, read func(*wire.Command) error) error {
	for again := true; ; again = false {
		c, err := cl.connUntil(ctx, addr, deadline)
		if err != nil {
			return err
		}
		sent, err := c.exchange(ctx, req, deadline, read)
		if err != nil && again && !sent && errors.Is(err, ErrClosed) {
			continue
		}
		return err
	}
}

// CallWhenRoom sends a request to addr as Conn.CallWhenRoom does, and again as Invoke
// does. The deadline is also that of a dial.
func (cl *Client) CallWhenRoom(ctx context.Context, addr string, req *wire.Request, deadline time.Time, done func(*wire.Command, error)) error {
	for again := true; ; again = false {
		c, err := cl.connUntil(ctx, addr, deadline)
		if err != nil {
			return err
		}
		if err = c.CallWhenRoom(ctx, req, deadline, done); err != nil && again && errors.Is(err, ErrClosed) {
			continue
		}
		return err
	}
}

// connUntil is Conn with a deadline, which may be zero.
func (cl *Client) connUntil(ctx context.Context, addr string, deadline time.Time) (*Conn, error) {
	l, err := cl.link(addr)
	if err != nil {
		return nil, err
	}
	select {
	case <-l.ready:
		return l.conn, l.err
	default:
	}
	if !deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline)
		defer cancel()
	}
	return cl.Conn(ctx, addr)
}

// OneWay sends a request without an answer to addr, as Conn.Push does, unless ctx has
// ended.
func (cl *Client) OneWay(ctx context.Context, addr string, req *wire.Request) error {
	for again := true; ; again = false {
		c, err := cl.Conn(ctx, addr)
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return c.callError(req.Code, err)
		}
		if err = c.Push(req); err != nil && again && errors.Is(err, ErrClosed) {
			continue
		}
		return err
	}
}

// Close writes what is queued, for at most a second, closes all connections and
// waits for their goroutines. Pending Invokes fail with ErrClosed. It must not
// be called by a handler.
func (cl *Client) Close() error {
	cl.mu.Lock()
	if cl.closing {
		cl.mu.Unlock()
		<-cl.closed
		return cl.err
	}
	cl.closing = true
	cl.last.Store(nil)
	cl.mu.Unlock()
	cl.cancel()
	cl.dials.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), clientDrain)
	defer cancel()
	cl.err = cl.ep.shutdown(ctx)
	close(cl.closed)
	return cl.err
}
