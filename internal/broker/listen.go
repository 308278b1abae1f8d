// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"fmt"
	"net"
	"strconv"

	"github.com/twostage/twostage/internal/remoting"
)

// newServer makes a listener of the broker.
func (b *Broker) newServer(addr string) *remoting.Server {
	limits := b.cfg.Limits
	return remoting.NewServer(remoting.ServerConfig{
		OnFault: func(*remoting.Conn) { b.store.CheckAllReads() },
		Addr:    addr,
		Listen:  b.o.Listen,
		Routes:  func(code int32) (remoting.Route, bool) { r, ok := b.table().routes[code]; return r, ok },
		OnClose: func(c *remoting.Conn) {
			b.holds.Drop(c)
			b.popHeld.Drop(c)
			b.noted.Drop(c)
			b.session.ConnClosed(c)
		},
		EndOfBatch: func(c *remoting.Conn) {
			t := b.table()
			t.send.EndOfBatch(c)
			t.ends.EndOfBatch(c)
		},
		Slow:     b.cfg.Requests.Slow,
		MaxConns: limits.Connections, MaxConnsPerAddr: limits.PerAddress, TLS: b.o.TLS,
		Limits: remoting.Limits{
			IdleTimeout: b.cfg.Network.IdleTimeout, MaxInflightBytes: limits.InflightBytes, MaxReadMemory: limits.ArrivingBytes,
		},
		Logger: b.log,
	})
}

// Connections counts what the broker's listeners accepted and refused.
func (b *Broker) Connections() (all remoting.Stats) {
	if !b.opened.Load() {
		return all
	}
	all = b.server.Stats()
	if b.vip != nil {
		all.Add(b.vip.Stats())
	}
	return all
}

// RefusedCreations counts the topics and groups that were not made because an
// address had made too many.
func (b *Broker) RefusedCreations() (topics, groups int64) {
	return b.newTopics.Refused(), b.newGroups.Refused()
}

func (b *Broker) listenAddr(port int) string {
	return net.JoinHostPort(b.cfg.Network.BindAddress, strconv.Itoa(port))
}

// listen opens the main listener and, unless its port is taken, that of the VIP
// channel.
func (b *Broker) listen() error {
	b.server = b.newServer(b.listenAddr(b.cfg.Network.ListenPort))
	if err := b.server.Listen(); err != nil {
		return fmt.Errorf("listenPort=%d: %w", b.cfg.Network.ListenPort, err)
	}
	port, ok := b.cfg.Network.VIPPort()
	if !ok {
		return nil
	}
	b.vip = b.newServer(b.listenAddr(port))
	if err := b.vip.Listen(); err != nil {
		b.log.Warn("the port of the VIP channel (listenPort-2) is taken: clients that have that channel on can't connect", "port", port, "error", err)
		b.vip = nil
	}
	return nil
}
