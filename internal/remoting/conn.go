// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twostage/twostage/internal/wire"
)

// Errors of a connection. Match them with errors.Is: they come wrapped with the
// peer's address and the cause.
var (
	// ErrClosed: the connection, server or client is closed.
	ErrClosed = errors.New("remoting: closed")
	// ErrBacklog: too many bytes wait for a peer that does not read them.
	ErrBacklog = errors.New("remoting: the peer does not read fast enough")
	// ErrStalled: the peer took no byte for WriteTimeout.
	ErrStalled = errors.New("remoting: the peer took no byte")
	// ErrStuck: as much was in flight as is allowed, and none of it was answered
	// or written for IdleTimeout.
	ErrStuck = errors.New("remoting: stuck")
	// ErrIdle: no traffic, or a frame was begun and not finished, for IdleTimeout.
	ErrIdle = errors.New("remoting: idle")
	// ErrSilent: the peer of a client sent nothing while requests waited for answers.
	ErrSilent = errors.New("remoting: the peer is silent")
	// ErrBadFrame: the peer sent something that is no frame.
	ErrBadFrame = errors.New("remoting: bad frame")
	// ErrTooLarge: the request is larger than MaxFrame.
	ErrTooLarge = errors.New("remoting: frame too large")

	errClosedHere = errors.New("closed on this side")
	errStopping   = errors.New("shutting down")
)

// Conn is one connection, on the side of a server or of a client. Its methods
// are safe for concurrent use.
type Conn struct {
	ep            *endpoint
	nc            net.Conn
	id            uint64
	remote, local netip.AddrPort
	state         atomic.Pointer[any]
	stopping      atomic.Bool
	closed        chan struct{} // closed by fail
	isShut        atomic.Bool   // closed is closed
	wake          chan struct{} // capacity 1: what the reader waits for may have come
	writeFn       func()        // drainOut, bound once
	onGone        func()        // the client's bookkeeping, after OnClose
	opaque        atomic.Int32
	inflight      atomic.Int32 // changed under mu, as the next two
	inflightBytes atomic.Int64
	woken         atomic.Int32 // that waited for an answer, have it, and have not run yet
	wokeAt        atomic.Int64 // since when there are such, in nanoseconds since made
	made          time.Time
	pending       atomic.Int64  // bytes appended and not yet written
	heard         atomic.Uint32 // signs of life of the peer: see reader and newPatience

	patience patience   // belongs to who owns writing
	rd       reader     // belongs to the reader goroutine
	tls      *tlsStream // nil: plaintext; set before anything is written, see begin

	mu          sync.Mutex // innermost: nothing is locked, called back or waited for under it
	dead        bool
	deaf        bool // the peer takes nothing more, but what it sent is still read
	cause       error
	out         *batch // gathers; nil when empty
	inBatch     bool   // the reader handles frames and will flush
	writing     bool   // some goroutine owns the socket's write side
	readerWaits bool
	space       chan struct{} // closed when the backlog has gone down; nil when nobody waits
	lastWrite   time.Time
	slots       []slot
	freeSlot    int32
	slotSeq     uint32
	calls       calls
	timer       *time.Timer // of the deadlines of calls, see arm
	due         time.Time   // when it fires; zero: it is not set
	missed      missed      // of a client
}

func (ep *endpoint) newConn(nc net.Conn) *Conn {
	if tcp, ok := nc.(*net.TCPConn); ok {
		tcp.SetNoDelay(true) // best effort: without it answers are late, not wrong
	}
	c := &Conn{
		ep: ep, nc: nc, id: ep.nextID.Add(1),
		remote: addrPort(nc.RemoteAddr()), local: addrPort(nc.LocalAddr()),
		closed:   make(chan struct{}),
		wake:     make(chan struct{}, 1),
		freeSlot: -1,
		made:     time.Now(),
	}
	c.writeFn = c.drainOut
	c.inBatch = ep.secure.undecided() // until begin
	c.patience = newPatience(c)
	return c
}

func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		ap := t.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	if a == nil {
		return netip.AddrPort{}
	}
	ap, _ := netip.ParseAddrPort(a.String()) // zero when the network has no such addresses
	return ap
}

// RemoteAddr is the peer's address.
func (c *Conn) RemoteAddr() netip.AddrPort { return c.remote }

// LocalAddr is the address of this side.
func (c *Conn) LocalAddr() netip.AddrPort { return c.local }

// ID is unique among the connections of one server or client and not reused.
func (c *Conn) ID() uint64 { return c.id }

// State gives what SetState set last, nil at first.
func (c *Conn) State() any {
	if p := c.state.Load(); p != nil {
		return *p
	}
	return nil
}

// SetState attaches a value of the owner's to the connection.
func (c *Conn) SetState(v any) { c.state.Store(&v) }

// Closed is closed as soon as the connection is unusable.
func (c *Conn) Closed() <-chan struct{} { return c.closed }

// Cause says why the connection was closed, nil while it is open. io.EOF: the
// peer closed it. A server's connection whose peer takes nothing more has its
// cause already while what the peer sent is still read.
func (c *Conn) Cause() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause
}

// Backlog is how many bytes wait to be written to the peer.
func (c *Conn) Backlog() int { return int(c.pending.Load()) }

// Close closes the connection at once and drops what waits to be written. It
// does not wait for handlers or for OnClose, so handlers may call it.
func (c *Conn) Close() { c.fail(errClosedHere) }

// fail makes the connection unusable; the first cause counts.
func (c *Conn) fail(cause error) { c.failWith(cause, slog.LevelDebug) }

// failLogged is for causes that the owner should know.
func (c *Conn) failLogged(cause error) { c.failWith(cause, slog.LevelWarn) }

func (c *Conn) failWith(cause error, level slog.Level) {
	c.mu.Lock()
	if c.dead {
		c.mu.Unlock()
		return
	}
	c.dead = true
	if c.cause == nil {
		c.cause = cause
	}
	out, space := c.out, c.space
	c.out, c.space = nil, nil
	c.loseInvokes()
	if out != nil {
		c.pending.Add(-out.size)
	}
	c.mu.Unlock()
	c.ep.log.LogAttrs(context.Background(), level, "closing connection",
		slog.Any("peer", c.remote), slog.Uint64("id", c.id), slog.Any("reason", cause))
	close(c.closed)
	c.isShut.Store(true)
	c.nc.Close() // its error is of no use: the connection is given up
	if space != nil {
		close(space)
	}
	if out != nil {
		c.ep.recycle(out)
	}
}

// deafen drops what waits to be written, and everything that would be later. A
// client that closes right after its last requests expects no answers, but that
// the requests are served: they may still lie in the socket.
func (c *Conn) deafen(cause error) {
	c.mu.Lock()
	if c.dead || c.deaf {
		c.mu.Unlock()
		return
	}
	c.deaf, c.cause = true, cause
	out, space := c.out, c.space
	c.out, c.space = nil, nil
	c.loseInvokes()
	if out != nil {
		c.pending.Add(-out.size)
	}
	c.mu.Unlock()
	c.ep.log.Debug("the peer takes nothing more; reading what it sent", "peer", c.remote, "id", c.id, "reason", cause)
	if space != nil {
		close(space)
	}
	if out != nil {
		c.ep.recycle(out)
	}
}

func (c *Conn) closedError() error {
	if cause := c.Cause(); cause != nil && cause != errClosedHere {
		return fmt.Errorf("%w: connection to %s: %w", ErrClosed, c.remote, cause)
	}
	return fmt.Errorf("%w: connection to %s", ErrClosed, c.remote)
}

// send queues r; k, which may be nil, waits for its answer, valid, which may be nil,
// is PushIf's. With ErrBacklog for who waits comes a channel that is closed when
// there may be room.
func (c *Conn) send(r *wire.Request, k *call, valid func() bool) (space <-chan struct{}, err error) {
	if r.Version == 0 && c.ep.version != 0 {
		r.Language, r.Version = c.ep.lang, c.ep.version
	}
	c.mu.Lock()
	if c.dead || c.deaf {
		c.mu.Unlock()
		return nil, c.closedError()
	}
	if n := c.pending.Load(); n > int64(c.ep.limits.MaxBacklog) {
		if k != nil && k.waits {
			if c.space == nil {
				c.space = make(chan struct{})
			}
			space = c.space
		}
		c.mu.Unlock()
		return space, fmt.Errorf("%w: %s, %d bytes wait", ErrBacklog, c.remote, n)
	}
	if err := c.appendRequest(r, valid); err != nil {
		c.mu.Unlock()
		return nil, err
	}
	if k != nil {
		c.expect(k)
	}
	kick := c.claimWriter()
	c.mu.Unlock()
	if kick {
		go c.writeFn()
	}
	return nil, nil
}

// outgoing makes r a request as it goes out, answered, with a number of its own and
// what it is signed with.
func (c *Conn) outgoing(req, r *wire.Request) {
	*r = *req
	r.OneWay = false
	r.Opaque = c.nextOpaque()
	if c.ep.sign != nil {
		r.Fields = c.ep.sign(req)
	}
}

// nextOpaque is never negative and repeats after 2^31 requests.
func (c *Conn) nextOpaque() int32 { return c.opaque.Add(1) & 0x7fffffff }
