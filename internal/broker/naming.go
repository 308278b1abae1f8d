// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire/header"
)

const (
	retryRegistration = 2 * time.Second // after one that failed
	publishTimeout    = 3 * time.Second // that an admin request waits for the name servers
	unregisterTimeout = time.Second
)

// naming keeps the broker registered with every name server: at the start, every
// period, when topics change, and at once when a connection is lost.
type naming struct {
	b    *Broker
	kick chan struct{}

	turn sync.Mutex // one round at a time, so that name servers see rising versions

	mu     sync.Mutex
	states map[string]error // of each name server's last round; nil: registered
	tried  bool
}

func newNaming(b *Broker) *naming {
	n := &naming{b: b, kick: make(chan struct{}, 1), states: map[string]error{}}
	b.client = remoting.NewClient(remoting.ClientConfig{Logger: b.log, OnClose: func(*remoting.Conn) { n.changed() }})
	return n
}

// changed asks for a round of registrations soon.
func (n *naming) changed() {
	select {
	case n.kick <- struct{}{}:
	default:
	}
}

// run registers until ctx ends, and then takes the broker out of the routes.
func (n *naming) run(ctx context.Context) error {
	if len(n.b.o.NameServers) == 0 {
		return nil
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			n.unregister()
			return nil
		case <-n.kick:
		case <-timer.C:
		}
		wait := n.b.cfg.Registration.Period
		if err := n.register(ctx, n.b.cfg.Registration.Timeout); err != nil {
			wait = min(wait, retryRegistration)
		}
		timer.Reset(wait)
	}
}

// publish registers now, for a change that is to be in the routes before it is
// answered.
func (n *naming) publish() {
	if len(n.b.o.NameServers) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), publishTimeout)
	defer cancel()
	_ = n.register(ctx, publishTimeout) // the regular rounds report and repeat
}

// register tells all name servers about the broker.
func (n *naming) register(ctx context.Context, timeout time.Duration) error {
	n.turn.Lock()
	defer n.turn.Unlock()
	c := n.b.cfg
	h := &header.RegisterBrokerRequest{
		BrokerName: c.Identity.Name, BrokerAddr: n.b.Advertised(), ClusterName: c.Identity.Cluster,
		HAServerAddr: n.haAddr(), Compressed: c.Registration.Compressed,
	}
	content := n.b.registerBody()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	servers := n.b.o.NameServers
	errs := make([]error, len(servers))
	var wg sync.WaitGroup
	for i, addr := range servers {
		wg.Go(func() {
			_, errs[i] = rpc.RegisterBroker(ctx, n.b.client, addr, h, content)
			n.note(ctx, addr, errs[i])
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// note remembers how a registration went, and logs when that changes; a refusal
// is logged each time.
func (n *naming) note(ctx context.Context, addr string, err error) {
	n.mu.Lock()
	before, known := n.states[addr]
	n.states[addr] = err
	n.tried = true
	n.mu.Unlock()
	_, refused := rpc.CodeOf(err)
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
	case err == nil && (!known || before != nil):
		n.b.log.Info("registered with the name server", "namesrv", addr, "as", n.b.Advertised())
	case refused:
		n.b.log.Error("the name server REFUSES this broker: clients that ask it will not find it", "namesrv", addr, "error", err)
	case err != nil && (!known || before == nil):
		n.b.log.Error("the name server can't be reached: clients that ask it will not find this broker", "namesrv", addr, "error", err)
	}
}

// haAddr is only announced: nothing listens there yet.
func (n *naming) haAddr() string {
	c := n.b.cfg.Network
	host, port := n.b.advertised.Addr().String(), c.HAPort
	if c.HAIP != "" {
		host = c.HAIP
	}
	if next := int(n.b.advertised.Port()) + 1; port == 0 && next <= 65535 {
		port = next
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}

// unregister takes the broker out of the routes, as far as name servers answer.
func (n *naming) unregister() {
	ctx, cancel := context.WithTimeout(context.Background(), unregisterTimeout)
	defer cancel()
	c := n.b.cfg.Identity
	h := &header.UnregisterBrokerRequest{BrokerName: c.Name, BrokerAddr: n.b.Advertised(), ClusterName: c.Cluster}
	var wg sync.WaitGroup
	for _, addr := range n.b.o.NameServers {
		wg.Go(func() {
			if err := rpc.UnregisterBroker(ctx, n.b.client, addr, h); err != nil {
				n.b.log.Warn("the name server was not told that the broker stops", "namesrv", addr, "error", err)
			}
		})
	}
	wg.Wait()
}

// ready is nil once the broker is registered somewhere.
func (n *naming) ready() error {
	if len(n.b.o.NameServers) == 0 {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.tried {
		return errors.New("the broker is not registered with a name server yet")
	}
	var errs []error
	for addr, err := range n.states {
		if err == nil {
			return nil
		}
		errs = append(errs, fmt.Errorf("name server %s: %w", addr, err))
	}
	return errors.Join(errs...)
}
