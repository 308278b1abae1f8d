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

	"github.com/twostage/twostage/internal/broker/topic"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
)

const (
	retryRegistration = 2 * time.Second        // after one that failed
	publishTimeout    = 3 * time.Second        // that an admin request waits for the name servers
	announceTimeout   = 100 * time.Millisecond // that a heartbeat does
	unregisterTimeout = time.Second            // for the last answer, and again for unregistering
)

// naming keeps the broker registered with every name server: at the start, every
// period, when topics change, and at once when a connection is lost. Each name
// server has a goroutine of its own, so none waits for another.
type naming struct {
	b       *Broker
	content func() *body.RegisterBrokerBody
	servers []*nameServer
}

// nameServer is one name server and how it stands with it. All its requests but
// those of spread come from its goroutine, so it sees rising versions.
type nameServer struct {
	n    *naming
	addr string
	kick chan struct{}

	mu    sync.Mutex
	tried bool
	err   error         // of the last round; nil: registered
	late  bool          // somebody waited in vain for the round that is under way
	gone  bool          // there are no more rounds
	asked chan struct{} // closed when the next round ends; nil: nobody waits
}

func newNaming(b *Broker) *naming {
	n := &naming{b: b, content: b.registerBody}
	for _, addr := range b.o.NameServers {
		n.servers = append(n.servers, &nameServer{n: n, addr: addr, kick: make(chan struct{}, 1)})
	}
	b.client = remoting.NewClient(remoting.ClientConfig{Logger: b.log})
	return n
}

// changed asks for a round of registrations soon.
func (n *naming) changed() {
	for _, s := range n.servers {
		s.wake()
	}
}

// run registers until ctx ends, and then takes the broker out of the routes.
func (n *naming) run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, s := range n.servers {
		wg.Go(func() { s.run(ctx) })
	}
	wg.Wait()
	return nil
}

// publish registers now, for a change that is to be in the routes before it is
// answered. It does not wait for name servers that are known not to answer.
func (n *naming) publish() {
	for s, asked := range n.register(publishTimeout) {
		s.gaveUp(asked)
	}
}

// announce is publish for heartbeats, which wait for a moment only.
func (n *naming) announce() { n.register(announceTimeout) }

// register has name servers told now and gives those that it waited for in vain.
func (n *naming) register(limit time.Duration) map[*nameServer]<-chan struct{} {
	waiting := make(map[*nameServer]<-chan struct{})
	for _, s := range n.servers {
		if asked := s.ask(); asked != nil {
			waiting[s] = asked
		}
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for s, asked := range waiting {
		select {
		case <-asked:
			delete(waiting, s)
		case <-timer.C:
			return waiting // gaveUp looks again
		}
	}
	return waiting
}

// ready is nil once the broker is registered somewhere.
func (n *naming) ready() error {
	var errs []error
	for _, s := range n.servers {
		s.mu.Lock()
		tried, err := s.tried, s.err
		s.mu.Unlock()
		switch {
		case tried && err == nil:
			return nil
		case tried:
			errs = append(errs, fmt.Errorf("name server %s: %w", s.addr, err))
		}
	}
	if len(n.servers) > 0 && len(errs) == 0 {
		return errors.New("the broker is not registered with a name server yet")
	}
	return errors.Join(errs...)
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

func (s *nameServer) wake() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// ask wakes and gives what is closed once a round that begins from now on has
// ended; nil when that is not worth waiting for.
func (s *nameServer) ask() <-chan struct{} {
	defer s.wake()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone || s.late || s.err != nil {
		return nil
	}
	if s.asked == nil {
		s.asked = make(chan struct{})
	}
	return s.asked
}

// gaveUp notes that asked did not come in time, if it still has not.
func (s *nameServer) gaveUp(asked <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-asked: // closed under mu: the round is over
	default:
		s.late = true
	}
}

func (s *nameServer) answers() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tried && s.err == nil && !s.late
}

// run is the rounds with one name server. After one that failed only time brings
// the next, so that a server that ends every connection is not flooded.
func (s *nameServer) run(ctx context.Context) {
	defer s.leave()
	timer := time.NewTimer(0)
	defer timer.Stop()
	var kick, lost <-chan struct{} // nil after a failure
	var rejoined time.Time         // when a lost connection last made a round at once
	for {
		select {
		case <-ctx.Done():
			return
		case <-kick:
		case <-lost:
			if since := time.Since(rejoined); since < retryRegistration {
				lost = nil
				timer.Reset(retryRegistration - since)
				continue
			}
			rejoined = time.Now()
		case <-timer.C:
		}
		if ctx.Err() != nil {
			return
		}
		var err error
		wait := s.n.b.cfg.Registration.Period
		kick = s.kick
		if lost, err = s.round(ctx); err != nil {
			kick, lost, wait = nil, nil, min(wait, retryRegistration)
		}
		timer.Reset(wait)
	}
}

// round registers, and gives what is closed when the connection is lost. When the
// broker stops it waits for the answer a little longer: the registration must
// not come after the unregistration.
func (s *nameServer) round(stop context.Context) (lost <-chan struct{}, err error) {
	select {
	case <-s.kick:
	default:
	}
	s.mu.Lock()
	asked := s.asked
	s.asked = nil
	s.mu.Unlock()

	ctx, cancel := context.WithTimeout(context.WithoutCancel(stop), s.n.b.cfg.Registration.Timeout)
	defer cancel()
	defer context.AfterFunc(stop, func() { time.AfterFunc(unregisterTimeout, cancel) })()
	lost, err = s.register(ctx)
	s.note(ctx, err, asked)
	return lost, err
}

func (s *nameServer) register(ctx context.Context) (lost <-chan struct{}, err error) {
	b := s.n.b
	conn, err := b.client.Conn(ctx, s.addr)
	if err != nil {
		return nil, err
	}
	c := b.cfg
	_, err = rpc.RegisterBroker(ctx, b.client, s.addr, &header.RegisterBrokerRequest{
		BrokerName: c.Identity.Name, BrokerAddr: b.Advertised(), ClusterName: c.Identity.Cluster,
		HAServerAddr: s.n.haAddr(), Compressed: c.Registration.Compressed,
	}, s.n.content())
	return conn.Closed(), err
}

// note remembers how a registration went, tells who asked for it, and logs when
// that changes; a refusal is logged each time.
func (s *nameServer) note(ctx context.Context, err error, asked chan struct{}) {
	s.mu.Lock()
	before, known := s.err, s.tried
	s.err, s.tried, s.late = err, true, false
	if asked != nil {
		close(asked)
	}
	if err != nil {
		s.release()
	}
	s.mu.Unlock()
	log := s.n.b.log
	_, refused := rpc.CodeOf(err)
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
	case err == nil && (!known || before != nil):
		log.Info("registered with the name server", "namesrv", s.addr, "as", s.n.b.Advertised())
	case refused:
		log.Error("the name server REFUSES this broker: clients that ask it will not find it", "namesrv", s.addr, "error", err)
	case err != nil && (!known || before == nil):
		log.Error("the name server can't be reached: clients that ask it will not find this broker", "namesrv", s.addr, "error", err)
	}
}

// release lets go who waits for the next round; mu is held.
func (s *nameServer) release() {
	if s.asked != nil {
		close(s.asked)
		s.asked = nil
	}
}

// leave takes the broker out of the routes, if the name server answers.
func (s *nameServer) leave() {
	s.mu.Lock()
	s.gone = true
	s.release()
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), unregisterTimeout)
	defer cancel()
	b, c := s.n.b, s.n.b.cfg.Identity
	h := &header.UnregisterBrokerRequest{BrokerName: c.Name, BrokerAddr: b.Advertised(), ClusterName: c.Cluster}
	if err := rpc.UnregisterBroker(ctx, b.client, s.addr, h); err != nil {
		b.log.Warn("the name server was not told that the broker stops", "namesrv", s.addr, "error", err)
	}
}

// registerBody is what the name servers get.
func (b *Broker) registerBody() *body.RegisterBrokerBody {
	topics, version := b.topics.All()
	perm := int32(b.cfg.Identity.Permission)
	if b.store.ReadOnly() != nil {
		perm &^= topic.PermWrite
	}
	if perm&(topic.PermRead|topic.PermWrite) != topic.PermRead|topic.PermWrite {
		for name, t := range topics {
			t.Perm &= perm | topic.PermInherit
			topics[name] = t
		}
	}
	return &body.RegisterBrokerBody{TopicConfigSerializeWrapper: body.TopicConfigSerializeWrapper{DataVersion: version, TopicConfigTable: topics}}
}
