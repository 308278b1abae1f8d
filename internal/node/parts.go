// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"fmt"
	"strings"

	"github.com/twostage/twostage/internal/broker"
	"github.com/twostage/twostage/internal/namesrv"
)

// openNow is a name server as a server: its Open takes no time.
type openNow struct{ *namesrv.Server }

func (s openNow) Open(context.Context) error { return s.Server.Open() }

func (n *node) newNamesrv() (server, error) {
	tls, err := n.serverTLS("namesrv")
	if err != nil {
		return nil, fmt.Errorf("name server: %w", err)
	}
	s := namesrv.New(namesrv.Options{
		Config: n.Config.Namesrv, Live: n.Config.LiveNamesrv(), FS: n.FS, Logger: n.Logger.With("server", "namesrv"), TLS: tls,
	})
	n.connections.server("namesrv", s.Connections)
	n.guards.namesrv = s.Access()
	return openNow{s}, nil
}

func (n *node) newBroker() (*broker.Broker, error) {
	servers, live := n.nameServers(), n.Config.LiveBroker()
	if len(n.Config.Broker.Registration.NameServers) == 0 && len(servers) > 0 {
		live.Choose("namesrvAddr", strings.Join(servers, ";"))
	}
	tracer, err := n.newTracer()
	if err != nil {
		return nil, err
	}
	tls, err := n.serverTLS("broker")
	if err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	client, err := n.clientTLS(n.Config.Broker.TLS.Client)
	if err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	b := broker.New(broker.Options{
		Config: n.Config.Broker, Live: live, FS: n.FS, Logger: n.Logger.With("server", "broker"), NameServers: servers, Tracer: tracer,
		TLS: tls, ClientTLS: client,
	})
	n.connections.server("broker", b.Connections)
	n.connections.creations(b.RefusedCreations)
	n.guards.broker = b.Access()
	if err := n.metrics.Register(b.Metrics()); err != nil {
		return nil, fmt.Errorf("broker: metrics: %w", err)
	}
	n.serving.Store(b)
	return b, nil
}
