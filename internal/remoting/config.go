// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package remoting

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"time"

	"github.com/twostage/twostage/internal/secure"
	"github.com/twostage/twostage/internal/wire"
)

// Sizes that shape a connection's memory.
const (
	minReadBuffer  = 4 << 10   // what an idle connection holds
	maxReadBuffer  = 256 << 10 // grown to while reads fill the buffer; larger only for a larger frame
	earlyFlush     = 256 << 10 // answers gathered in a batch are written early above this
	shrinkAfter    = time.Second
	lingerOnClose  = 250 * time.Millisecond
	maxHandOverRun = 4 // writes the reader does itself before a writer goroutine takes over
)

// Handler serves one request. An inline handler runs on the reader goroutine of
// its connection and must not block; a handler with a lane runs on a goroutine
// of that lane. A panic is recovered, logged and answered with SYSTEM_ERROR.
type Handler func(*Request)

// Route says what serves a request code. Lane nil means inline.
type Route struct {
	Handler Handler
	Lane    *Lane
	// Together, which takes the place of Handler and needs a Lane, serves requests
	// that came one behind the other in one read of a connection, at least one, on
	// one goroutine of the lane. The lane has them in the order of the connection's
	// other requests for lanes. A panic is answered to those that have no answer.
	Together func([]*Request)
	// Admit, when set, is asked first, on the connection's reader goroutine, and must
	// not block: when it says false it has answered, and nothing else sees the request.
	Admit func(*Request) bool
}

// Limits bounds what one connection may cost. Zero fields take the default.
type Limits struct {
	// IdleTimeout closes a connection without traffic in either direction, and
	// one that began a frame and did not finish it in that time. Default 120 s.
	IdleTimeout time.Duration
	// WriteTimeout closes a connection whose peer takes no byte for that long
	// (noticed at the latest half as much later). Default 15 s.
	WriteTimeout time.Duration
	// MaxFrame is the largest frame in bytes, without the four length bytes, in
	// both directions. Default wire.MaxFrame (16 MiB).
	MaxFrame int
	// MaxInflight bounds the requests of one connection that are in a lane or
	// wait for their Ticket; at the bound the connection is not read, and closed
	// when nothing changes for IdleTimeout. A held pull is one of them. Default 16384.
	MaxInflight int
	// MaxInflightBytes bounds the memory of the requests of one connection that
	// are in a lane or wait for their Ticket (but for LightTicket), in bytes; above it
	// the connection is not read. Default 64 MiB.
	MaxInflightBytes int
	// MaxBacklog is how many bytes may wait for a slow peer before pushes get
	// ErrBacklog, Invoke waits, and a server stops reading. Default 8 MiB.
	MaxBacklog int
	// HardBacklog is how many bytes may wait for a slow peer before the
	// connection is closed. Default eight times MaxBacklog.
	HardBacklog int
	// MaxReadMemory bounds what all connections together hold in read buffers
	// beyond 256 KiB each, in bytes: frames still arriving. The connection that
	// would exceed it is closed. Default 512 MiB.
	MaxReadMemory int64
}

func (l Limits) withDefaults() Limits {
	def := func(p *int, v int) {
		if *p <= 0 {
			*p = v
		}
	}
	if l.IdleTimeout <= 0 {
		l.IdleTimeout = 120 * time.Second
	}
	if l.WriteTimeout <= 0 {
		l.WriteTimeout = 15 * time.Second
	}
	def(&l.MaxFrame, wire.MaxFrame)
	def(&l.MaxInflight, 16384)
	def(&l.MaxInflightBytes, 64<<20)
	def(&l.MaxBacklog, 8<<20)
	def(&l.HardBacklog, 8*l.MaxBacklog)
	if l.MaxReadMemory <= 0 {
		l.MaxReadMemory = 512 << 20
	}
	return l
}

// ServerConfig configures a Server. Only Addr is required.
type ServerConfig struct {
	// Addr is the host:port to listen on; port 0 picks one.
	Addr string
	// Listen opens the listener. Default: TCP.
	Listen func(addr string) (net.Listener, error)
	// Routes finds the route of a request code; false means Unknown. It is
	// called for each request, from many goroutines.
	Routes func(code int32) (Route, bool)
	// Unknown serves requests without a route, inline. Default: an answer 3
	// (REQUEST_CODE_NOT_SUPPORTED) that names the request.
	Unknown Handler
	// OnOpen runs before the first byte is read, OnClose after the last inline
	// handler returned and the socket is closed; both on the reader goroutine.
	OnOpen, OnClose func(*Conn)
	// EndOfBatch runs on the reader goroutine after the last complete frame that
	// has arrived was handled, before the answers are written; also before the
	// reader pauses because too much is in flight.
	EndOfBatch func(*Conn)
	// OnFault, when set, is called when a body could not be written because its
	// memory could not be read (EFAULT: a page of a mapped file that the disk does
	// not give), with the connection that is closed for that, before it is. It runs
	// on the writing goroutine and must not block.
	OnFault func(*Conn)
	// MaxConns bounds open connections; one more is closed at once. Zero: no bound.
	MaxConns int
	// MaxConnsPerAddr bounds the open connections of one address, or of the Network of
	// an IPv6 one; one more is closed at once. Zero: no bound.
	MaxConnsPerAddr int
	// TLS says what the port speaks. Zero: plaintext only.
	TLS ServerTLS
	// DrainTimeout bounds how long Close waits for requests in flight. Default 5 s.
	DrainTimeout time.Duration
	// Slow is how long a request may take, from when it was read until its answer was
	// written; a longer one is logged, one a second, unless it waited for a message
	// (Ticket.Held). Zero: none is.
	Slow time.Duration
	Limits
	Logger *slog.Logger
}

// ServerTLS says whether a server speaks TLS. A connection is TLS when its first
// byte is that of a handshake, so that one port may serve both.
type ServerTLS struct {
	Mode secure.Mode
	// Config gives the configuration of the next handshake; it is called for each,
	// from many goroutines. Required unless Mode is secure.Disabled.
	Config func() (*tls.Config, error)
	// HandshakeTimeout closes a connection that began a handshake and did not end it
	// in that time. Default 10 s.
	HandshakeTimeout time.Duration
	// MaxHandshakes bounds the handshakes that are worked on at a time; others wait for
	// their turn, within HandshakeTimeout. One that waits for its peer is none of them.
	// Default 256.
	MaxHandshakes int
}

// ClientConfig configures a Client. Every field may be zero.
type ClientConfig struct {
	// TLS gives the configuration for a connection to addr; nil: plaintext. The
	// handshake is part of the dial.
	TLS func(addr string) (*tls.Config, error)
	// Dial connects to an address. Default: TCP.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	// Routes, Unknown, OnOpen, OnClose and EndOfBatch are as for a server: they
	// serve what the peer requests on the connections that this client opened.
	Routes          func(code int32) (Route, bool)
	Unknown         Handler
	OnOpen, OnClose func(*Conn)
	EndOfBatch      func(*Conn)
	// ConnectTimeout bounds one dial. Default 3 s.
	ConnectTimeout time.Duration
	// Language and Version are announced in requests that leave Version zero.
	Language wire.Language
	Version  int32
	// Sign, when set, gives the fields that a request goes out with besides those of
	// its header, in place of its own Fields. It is called for each request, from many
	// goroutines, and must not change it.
	Sign func(*wire.Request) wire.Fields
	Limits
	Logger *slog.Logger
}
