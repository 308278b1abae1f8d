// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/twostage/twostage/internal/broker"
	"github.com/twostage/twostage/internal/config"
	"github.com/twostage/twostage/internal/lifecycle"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/vfs"
)

// readyPatience is how long the ready line waits for a broker that serves but is
// not ready, as when no name server answers.
const readyPatience = 3 * time.Second

// Options says what to run. All fields are required but Data, Version
// and NotifySocket.
type Options struct {
	Config *config.Config
	Role   config.Role
	Data   string    // the directory that the ready line names
	Stdout io.Writer // gets the ready line and nothing else
	Logger *slog.Logger
	FS     vfs.FS

	// Version is what the spans of traces say of the server.
	Version string

	// NotifySocket is systemd's, which is told when everything serves and when it
	// begins to stop; "" when no service manager asked for that.
	NotifySocket string
}

// server is a part of the node that listens.
type server interface {
	Open(ctx context.Context) error
	Run(ctx context.Context) error
	Close() error
	Addr() netip.AddrPort
}

// node is what runs.
type node struct {
	Options
	group   *lifecycle.Group
	metrics *prometheus.Registry
	health  *health
	inspect *transactions
	guards  guards

	tls         map[string]remoting.ServerTLS // by server, once it is made
	connections *connections
	serving     atomic.Pointer[broker.Broker] // whose metrics are served
	spare       atomic.Pointer[[]byte]        // what the last answer of /metrics stood in

	namesrv, broker, http netip.AddrPort
}

// Run runs the servers of the role until ctx ends or one of them fails, and
// returns when all have stopped. That ctx ended is no error.
func Run(ctx context.Context, o Options) error {
	n := &node{Options: o, group: lifecycle.NewGroup(ctx, o.Logger), metrics: newRegistry(), health: &health{}, inspect: &transactions{}, tls: map[string]remoting.ServerTLS{}}
	n.connections = &connections{}
	n.ownMetrics().MustRegister(n.connections)
	n.report()
	if err := n.start(ctx); err != nil {
		stopped := n.group.Stop()
		if ctx.Err() != nil { // parts that stop cannot start
			n.Logger.Info("stopped while starting", "err", err)
			return stopped
		}
		return errors.Join(err, stopped)
	}
	return n.group.Wait()
}

// start starts everything and prints the ready line.
func (n *node) start(ctx context.Context) error {
	if err := n.serveHTTP(); err != nil {
		return err
	}
	if n.Role != config.RoleBroker {
		s, err := n.newNamesrv()
		if err != nil {
			return err
		}
		if err := n.serve(ctx, "name server", s); err != nil {
			return portError(err, "name server", n.Config.Namesrv.ListenPort, "--namesrv-set listenPort=PORT")
		}
		n.namesrv = s.Addr()
	}
	if n.Role != config.RoleNamesrv {
		b, err := n.newBroker()
		if err != nil {
			return err
		}
		if err := n.serve(ctx, "broker", b); err != nil {
			return portError(err, "broker", n.Config.Broker.Network.ListenPort, "--set listenPort=PORT")
		}
		n.broker = b.Addr()
		n.inspect.inspect(n.Config.Broker.Identity.Name, b.Transactions(), b.Access())
		n.awaitReady(ctx, b)
	}
	n.guards.warn(n.Logger)
	if err := n.ownMetrics().Register(&n.guards); err != nil {
		return fmt.Errorf("metrics of access: %w", err)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	n.health.started.Store(true)
	if _, err := fmt.Fprintln(n.Stdout, n.readyLine()); err != nil {
		return err
	}
	n.tellManager("READY=1\nSTATUS=" + n.readyLine())
	n.group.Defer("service manager", func() error { // the last one added is the first to stop
		n.tellManager("STOPPING=1\nSTATUS=stopping")
		return nil
	})
	return nil
}

// serve opens a server and runs it as a part of the group.
func (n *node) serve(ctx context.Context, name string, s server) error {
	n.group.Defer(name, s.Close)
	if err := s.Open(ctx); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	n.group.Go(name, s.Run)
	return nil
}

// awaitReady waits until the broker is ready, but not for ever: it serves those
// who know its address already.
func (n *node) awaitReady(ctx context.Context, b *broker.Broker) {
	n.health.broker.Store(b)
	patience := time.NewTimer(readyPatience)
	defer patience.Stop()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for {
		err := b.Ready()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-patience.C:
			n.Logger.Warn("the broker serves but is not ready", "err", err)
			return
		case <-again.C:
		}
	}
}

// nameServers are those that the broker registers with.
func (n *node) nameServers() []string {
	if set := n.Config.Broker.Registration.NameServers; len(set) > 0 {
		return set
	}
	if n.namesrv.IsValid() {
		return []string{reachable(n.namesrv).String()}
	}
	n.Logger.Warn("the broker has no name server, so clients cannot find it: set namesrvAddr (--namesrv HOST:PORT)")
	return nil
}

// report logs what the configuration says beyond errors.
func (n *node) report() {
	values := []config.Values{n.Config.BrokerValues, n.Config.NamesrvValues}
	var ignored []string
	for _, v := range values {
		ignored = append(ignored, v.Ignored()...)
	}
	if len(ignored) > 0 {
		n.Logger.Info("keys without a meaning here, they tune the Java server", "ignored", strings.Join(ignored, ","))
	}
	for _, v := range values {
		for _, p := range v.Pending() {
			n.Logger.Warn(p.String())
		}
	}
	if len(n.Config.Foreign) > 0 {
		n.Logger.Info("variables of a server that this role does not run", "variables", strings.Join(n.Config.Foreign, ","))
	}
}

func (n *node) readyLine() string {
	var b strings.Builder
	b.WriteString("ready")
	for _, f := range []struct {
		name string
		addr netip.AddrPort
	}{{"namesrv", n.namesrv}, {"broker", n.broker}, {"http", n.http}} {
		if f.addr.IsValid() {
			fmt.Fprintf(&b, " %s=%s", f.name, reachable(f.addr))
		}
	}
	if mode := n.guards.mode(); mode != "" {
		fmt.Fprintf(&b, " admin=%s", mode)
	}
	fmt.Fprintf(&b, " data=%s", n.Data)
	return b.String()
}

// reachable is an address that a client on this machine can dial.
func reachable(a netip.AddrPort) netip.AddrPort {
	ip := a.Addr().Unmap()
	if ip.IsUnspecified() {
		ip = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return netip.AddrPortFrom(ip, a.Port())
}
