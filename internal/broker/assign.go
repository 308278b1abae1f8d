// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"fmt"
	"time"

	"github.com/twostage/twostage/internal/broker/assign"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
)

// routeTimeout is how long one name server may take to say where a topic is; the
// question is given up after three times that.
const routeTimeout = time.Second

// openAssignments opens the request modes and the shares of queues.
func (b *Broker) openAssignments() (err error) {
	c := assign.Config{
		FS: b.o.FS, Dir: b.configDir(), Broker: b.cfg.Identity.Name, Topic: b.topics.Get, Clients: b.session.ConsumerIDs,
		DefaultMode: body.RequestMode(b.cfg.Assign.DefaultMode), DefaultShare: int32(b.cfg.Assign.ShareQueues),
		Balance: b.cfg.Assign.Balance, Refresh: b.cfg.Assign.RouteInterval, Logger: b.log,
	}
	if len(b.o.NameServers) > 0 {
		c.Route = b.route
	}
	b.assign, err = assign.Open(c)
	return err
}

// route asks the name servers, those that answer first, where a topic is.
func (b *Broker) route(ctx context.Context, topic string) (*body.TopicRouteData, error) {
	var last error
	for _, ns := range b.spread.nameServers() {
		asking, cancel := context.WithTimeout(ctx, routeTimeout)
		data, err := rpc.Route(asking, b.client, ns, topic)
		cancel()
		if err == nil {
			return data, nil
		}
		if code, answered := rpc.CodeOf(err); answered && code == wire.TopicNotExist {
			return nil, fmt.Errorf("%w: %w", assign.ErrNoRoute, err)
		}
		last = err
	}
	return nil, last
}
