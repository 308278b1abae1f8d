// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
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
	version func() int64 // of the content, rising
	servers []*nameServer
}

// nameServer is one name server and how it stands with it. All its requests but
// those of spread come from its goroutine, so it sees rising versions.
type nameServer struct {
	n    *naming
	addr string
	kick chan struct{}

	mu      sync.Mutex
	tried   bool
	err     error         // of the last round; nil: registered
	late    bool          // somebody waited in vain for the round that is under way
	gone    bool          // there are no more rounds
	sending int64         // version of the content that was sent last
	sent    int64         // likewise, that was answered
	ended   chan struct{} // closed when the round that is under way, or the next one, ends
}

func newNaming(b *Broker) *naming {
	n := &naming{b: b, content: b.registerBody, version: func() int64 { return b.topics.Version().Counter }}
	for _, addr := range b.o.NameServers {
		n.servers = append(n.servers, &nameServer{n: n, addr: addr, kick: make(chan struct{}, 1), ended: make(chan struct{}), sending: -1, sent: -1})
	}
	b.client = remoting.NewClient(remoting.ClientConfig{Logger: b.log, TLS: b.o.ClientTLS, Sign: b.access.Inner()})
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

// publish returns once what the topics are now is registered, for a change that is
// to be in the routes before it is answered. It does not wait for name servers that
// are known not to answer. All who wait share a round.
func (n *naming) publish() {
	version := n.version()
	for _, s := range n.register(version, publishTimeout) {
		s.gaveUp(version)
	}
}

// announce is publish for heartbeats, which wait for a moment only.
func (n *naming) announce() { n.register(n.version(), announceTimeout) }

// register waits until the name servers have got a version, and gives those that it
// waited for in vain.
func (n *naming) register(version int64, limit time.Duration) (silent []*nameServer) {
	waiting := make(map[*nameServer]<-chan struct{})
	for _, s := range n.servers {
		if ended := s.ask(version); ended != nil { // all of them, before the first is waited for
			waiting[s] = ended
		}
	}
	if len(waiting) == 0 {
		return nil
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for s, ended := range waiting {
		for ended != nil {
			select {
			case <-ended:
				ended = s.ask(version)
			case <-timer.C:
				return slices.Collect(maps.Keys(waiting)) // gaveUp looks again
			}
		}
		delete(waiting, s)
	}
	return nil
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

// ask gives what is closed when the next round ends, which it wakes unless it is
// under way with this version; nil when the version is registered, or that is not
// worth waiting for.
func (s *nameServer) ask(version int64) (ended <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sending < version {
		s.wake()
	}
	if !s.missing(version) {
		return nil
	}
	return s.ended
}

// missing tells whether a round is going to bring the version, which is not
// registered; mu is held.
func (s *nameServer) missing(version int64) bool {
	return !s.gone && !s.late && s.err == nil && s.sent < version
}

// gaveUp notes that a version did not come in time, if it still has not.
func (s *nameServer) gaveUp(version int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.late = s.late || s.missing(version)
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
	ctx, cancel := context.WithTimeout(context.WithoutCancel(stop), s.n.b.cfg.Registration.Timeout)
	defer cancel()
	defer context.AfterFunc(stop, func() { time.AfterFunc(unregisterTimeout, cancel) })()
	lost, err = s.register(ctx)
	s.note(ctx, err)
	return lost, err
}

func (s *nameServer) register(ctx context.Context) (lost <-chan struct{}, err error) {
	b := s.n.b
	conn, err := b.client.Conn(ctx, s.addr)
	if err != nil {
		return nil, err
	}
	c := b.cfg
	content := s.take()
	_, err = rpc.RegisterBroker(ctx, b.client, s.addr, &header.RegisterBrokerRequest{
		BrokerName: c.Identity.Name, BrokerAddr: b.Advertised(), ClusterName: c.Identity.Cluster,
		HAServerAddr: s.n.haAddr(), Compressed: c.Registration.Compressed,
	}, content)
	return conn.Closed(), err
}

// take is the content of a round, which is what all wanted who woke it until now.
func (s *nameServer) take() *body.RegisterBrokerBody {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.kick:
	default:
	}
	content := s.n.content()
	s.sending = content.TopicConfigSerializeWrapper.DataVersion.Counter
	return content
}

// note remembers how a registration went, tells who waits for it, and logs when
// that changes; a refusal is logged each time.
func (s *nameServer) note(ctx context.Context, err error) {
	s.mu.Lock()
	before, known := s.err, s.tried
	s.err, s.tried, s.late = err, true, false
	if err == nil {
		s.sent = s.sending
	} else {
		s.sending = s.sent // what did not arrive is to be sent again
	}
	s.release()
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

// release lets who waits look again; mu is held.
func (s *nameServer) release() {
	close(s.ended)
	s.ended = make(chan struct{})
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
	perm := int32(b.live.Now().Identity.Permission)
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
