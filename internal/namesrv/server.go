// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package namesrv

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twostage/twostage/internal/access"
	"github.com/twostage/twostage/internal/config"
	"github.com/twostage/twostage/internal/lifecycle"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/vfs"
)

// Options are what a Server is made of.
type Options struct {
	Config config.Namesrv
	Live   *config.Live[config.Namesrv] // Config and all keys, as they change while the server runs; nil: they don't
	FS     vfs.FS                       // holds kvConfigPath; nil is vfs.OS()
	Logger *slog.Logger                 // nil discards
	// TLS is what the port speaks. Zero: plaintext.
	TLS remoting.ServerTLS
	// Listen opens the listener on Config's bindAddress:listenPort. nil is TCP.
	Listen func(addr string) (net.Listener, error)
}

// Server is a name server. Its methods may be called from several goroutines.
type Server struct {
	cfg    config.Namesrv // as it was at the start
	live   *config.Live[config.Namesrv]
	log    *slog.Logger
	remote *remoting.Server
	kv     kvStore
	kvLane *remoting.Lane
	access *access.Guard
	admin  map[int32]remoting.Handler // requests about access

	current atomic.Pointer[snapshot] // that of the table

	mu    sync.Mutex // guards table; no I/O and no other lock under it
	table *table[*remoting.Conn]

	stateMu sync.Mutex // guards kv.lock too
	opened  bool
	closed  bool
}

// New returns a server that has neither read nor opened anything.
func New(o Options) *Server {
	if o.FS == nil {
		o.FS = vfs.OS()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Live == nil {
		o.Live = config.Frozen(o.Config, config.Values{})
	}
	s := &Server{
		live: o.Live,
		cfg:  o.Config, log: o.Logger,
		kv:     kvStore{fs: o.FS, path: o.Config.KVConfigPath},
		kvLane: remoting.NewLane("namesrv-kv", 1, 256),
		table:  newTable[*remoting.Conn](),
		access: access.New(access.Options{Config: o.Config.Access, Cluster: clusterResource, FS: o.FS, Logger: o.Logger}),
	}
	s.admin = s.access.Handlers(access.Identity{Broker: "namesrv", Addr: func() string { return s.Addr().String() }})
	s.current.Store(s.table.now)
	limits := o.Config.Limits
	s.remote = remoting.NewServer(remoting.ServerConfig{
		Addr:    net.JoinHostPort(o.Config.BindAddress, strconv.Itoa(o.Config.ListenPort)),
		Listen:  o.Listen,
		Routes:  s.guarded,
		OnClose: s.connClosed,
		TLS:     o.TLS,
		Limits: remoting.Limits{
			IdleTimeout: o.Config.IdleTimeout, MaxInflightBytes: limits.InflightBytes, MaxReadMemory: limits.ArrivingBytes,
		},
		MaxConns: limits.Connections, MaxConnsPerAddr: limits.PerAddress,
		Slow:   o.Config.Slow,
		Logger: o.Logger,
	})
	return s
}

// Open locks the directory of the KV configuration, reads it and opens the
// listener; requests are answered once Run is called. Errors name the
// configuration key, and match vfs.ErrLocked where another name server has the
// directory. After an error nothing is open.
func (s *Server) Open() error {
	s.stateMu.Lock()
	defer s.stateMu.Unlock()
	switch {
	case s.closed:
		return fmt.Errorf("namesrv: Open after Close: %w", context.Canceled)
	case s.opened:
		return nil
	}
	if names := s.live.BlackListUnknown(); len(names) > 0 {
		s.log.Warn("names in configBlackList are no keys of a name server, they forbid nothing", "names", strings.Join(names, ";"))
	}
	fromBackup, err := s.kv.open()
	if err != nil {
		return fmt.Errorf("namesrv: %w", err)
	}
	if err := s.access.Open(); err != nil {
		return errors.Join(fmt.Errorf("namesrv: %w", err), s.kv.close())
	}
	if fromBackup {
		s.log.Warn("the KV configuration was read from its backup: the file itself is missing or empty", "path", s.kv.path)
	}
	if err := s.remote.Listen(); err != nil {
		err = fmt.Errorf("namesrv: bindAddress %q, listenPort %d: %w", s.cfg.BindAddress, s.cfg.ListenPort, err)
		return errors.Join(err, s.kv.close())
	}
	s.opened = true
	if port := s.Addr().Port(); port != 0 {
		s.live.Choose("listenPort", strconv.Itoa(int(port)))
	}
	return nil
}

// Connections counts what the listener accepted and refused.
func (s *Server) Connections() remoting.Stats { return s.remote.Stats() }

// clusterResource is the resource of requests about the name server as a whole: it
// serves any cluster.
const clusterResource = "DefaultCluster"

// Access is who may do what.
func (s *Server) Access() *access.Guard { return s.access }

// Addr is the listener's address, the zero value before Open.
func (s *Server) Addr() netip.AddrPort {
	addr := s.remote.Addr()
	if addr == nil {
		return netip.AddrPort{}
	}
	if tcp, ok := addr.(*net.TCPAddr); ok {
		ap := tcp.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	ap, _ := netip.ParseAddrPort(addr.String()) // zero when the network has no such addresses
	return ap
}

// Run serves until ctx is done or Close is called, and closes the server. Open
// must have been called.
func (s *Server) Run(ctx context.Context) error {
	s.stateMu.Lock()
	opened := s.opened
	s.stateMu.Unlock()
	if !opened {
		return errors.New("namesrv: Run before Open")
	}
	g := lifecycle.NewGroup(context.WithoutCancel(ctx), s.log)
	g.Go("namesrv scan", s.scan)
	g.Go("access files", s.access.Run)
	err := s.remote.Run(ctx)
	return errors.Join(err, g.Stop(), s.Close())
}

// Close stops accepting, lets requests in flight be answered for at most five
// seconds, closes all connections, waits for them, and gives the directory back.
// It may be called again.
func (s *Server) Close() error {
	s.stateMu.Lock()
	s.closed = true
	s.stateMu.Unlock()
	err := s.remote.Close()
	s.stateMu.Lock()
	defer s.stateMu.Unlock()
	return errors.Join(err, s.kv.close())
}

// scan looks for silent brokers until ctx is done.
func (s *Server) scan(ctx context.Context) error {
	every := s.cfg.ScanInterval
	if every <= 0 {
		every = 5 * time.Second
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.expire()
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *Server) expire() {
	now := time.Now()
	var gone []*live[*remoting.Conn]
	s.change(func(t *table[*remoting.Conn]) { gone = t.expire(now) })
	for _, l := range gone {
		s.log.Warn("broker gone: it was silent for too long", "broker", l.identity.String(),
			"connection", l.peer.RemoteAddr(), "heard", now.Sub(l.heard).Round(time.Millisecond))
		l.peer.Close()
	}
}

// change lets edit change the table and publishes the result.
func (s *Server) change(edit func(t *table[*remoting.Conn])) {
	s.mu.Lock()
	defer s.mu.Unlock()
	edit(s.table)
	s.current.Store(s.table.now)
}

func (s *Server) connClosed(c *remoting.Conn) {
	if c.State() == nil {
		return // no broker ever registered over it
	}
	var gone []identity
	s.change(func(t *table[*remoting.Conn]) { gone = t.dropPeer(c) })
	for _, who := range gone {
		s.log.Warn("broker gone: its connection ended", "broker", who.String(), "connection", c.RemoteAddr(), "cause", c.Cause())
	}
}
