// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
)

const (
	// Expiry is how long RocketMQ keeps a silent member; heartbeats come every
	// 30 s.
	Expiry = 120 * time.Second
	// MaxMemberships is how many groups one connection can be a member of.
	MaxMemberships = 16384
)

// Conn is the connection of a member; *remoting.Conn is one. Values are compared
// with ==: an ID is not unique where a broker has two listeners.
type Conn interface {
	ID() uint64
	RemoteAddr() netip.AddrPort
	Push(*wire.Request) error
	PushIf(req *wire.Request, valid func() bool) error
	Closed() <-chan struct{}
}

// Client is a member of a group.
type Client struct {
	ID       string
	Language wire.Language
	Version  int32 // ordinal of Java's MQVersion
	Conn     Conn
	LastSeen time.Time // when its last heartbeat came; set by the registry
	// Fingerprint is the client's of its subscriptions, of consumers that send
	// heartbeats of V2; 0: none.
	Fingerprint int32
	// AccessKey is whose heartbeat it was, with access control; "" without, and of
	// those that need not say.
	AccessKey string

	stance *stance // what it subscribes to; of members of consumer groups
}

// ConsumerInfo is what the last heartbeat said of a consumer group.
type ConsumerInfo struct {
	ConsumeType      body.ConsumeType
	MessageModel     body.MessageModel
	ConsumeFromWhere body.ConsumeFromWhere
	// Notify: the members want to know of changes
	// (notifyConsumerIdsChangedEnable of the group). As in RocketMQ they are
	// told in any case of members that are lost without a word.
	Notify bool
}

// Config is what a Registry needs. The zero value works.
type Config struct {
	// Now is the clock, with monotonic readings; time.Now when nil.
	Now func() time.Time
	// Expiry is the constant's value when 0.
	Expiry time.Duration
	// OnChange runs after a consumer group has got or lost a member or a topic,
	// with the connections of its members, none when the group is gone.
	OnChange func(group string, conns []Conn)
	// Logger is silent when nil.
	Logger *slog.Logger
}

// Registry is the live clients of a broker. All methods are safe for concurrent
// use.
type Registry struct {
	cfg Config

	mu        sync.RWMutex
	producers map[string]*producers
	consumers map[string]*consumers
	peers     map[Conn]*peer
	requests  map[string][]requester // by client id: the connections of producers
}

// peer is the groups of one connection.
type peer struct {
	produces, consumes map[string]struct{}
	full               bool // refused a group, and said so
}

// New returns an empty registry.
func New(cfg Config) *Registry {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Expiry == 0 {
		cfg.Expiry = Expiry
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Registry{
		cfg: cfg, producers: map[string]*producers{}, consumers: map[string]*consumers{}, peers: map[Conn]*peer{},
		requests: map[string][]requester{},
	}
}

// admit gives the peer of a connection that may become a member of a group, nil
// when it may not; r.mu is held. The caller adds the group to the peer.
func (r *Registry) admit(c Conn, group string) *peer {
	select {
	case <-c.Closed(): // ConnClosed may have run: nobody would take the member away
		return nil
	default:
	}
	p := r.peers[c]
	if p == nil {
		p = &peer{produces: map[string]struct{}{}, consumes: map[string]struct{}{}}
		r.peers[c] = p
	}
	if len(p.produces)+len(p.consumes) < MaxMemberships {
		return p
	}
	if !p.full {
		p.full = true
		r.cfg.Logger.Warn("a client has too many groups, further ones are ignored",
			"client", c.RemoteAddr(), "group", group, "limit", MaxMemberships)
	}
	return nil
}

// forget drops a peer without groups; r.mu is held.
func (r *Registry) forget(c Conn, p *peer) {
	if len(p.produces)+len(p.consumes) == 0 {
		delete(r.peers, c)
	}
}

// notice is a call of OnChange that is due.
type notice struct {
	group string
	conns []Conn
}

// tell calls OnChange; r.mu is not held.
func (r *Registry) tell(notices []notice) {
	if r.cfg.OnChange == nil {
		return
	}
	for _, n := range notices {
		r.cfg.OnChange(n.group, n.conns)
	}
}

// Unregister takes a connection out of a producer group and a consumer group;
// "" is no group. Like RocketMQ it goes by the connection, so that another client
// with the same id stays; clientID is for the log.
func (r *Registry) Unregister(c Conn, clientID, producerGroup, consumerGroup string) {
	r.cfg.Logger.Debug("a client unregisters", "client", clientID, "address", c.RemoteAddr(),
		"producerGroup", producerGroup, "consumerGroup", consumerGroup)
	r.mu.Lock()
	if producerGroup != "" {
		r.leaveProducers(c, producerGroup)
	}
	var due []notice
	if consumerGroup != "" {
		due = r.leaveConsumers(due, c, consumerGroup, false)
	}
	r.mu.Unlock()
	r.tell(due)
}

// ConnClosed takes a connection out of all its groups.
func (r *Registry) ConnClosed(c Conn) {
	r.mu.Lock()
	var due []notice
	if p := r.peers[c]; p != nil {
		for group := range p.produces {
			r.leaveProducers(c, group)
		}
		for group := range p.consumes {
			due = r.leaveConsumers(due, c, group, true)
		}
	}
	r.mu.Unlock()
	r.tell(due)
}

// Expire takes out the members that were silent for longer than Config.Expiry,
// and returns the connections that have no group left, for the caller to close.
// RocketMQ closes a connection as soon as it was silent in any of its groups.
func (r *Registry) Expire(now time.Time) (silent []Conn) {
	r.mu.Lock()
	var due []notice
	for c, p := range r.peers {
		for group := range p.produces {
			if now.Sub(r.producers[group].members.find(c).LastSeen) > r.cfg.Expiry {
				r.leaveProducers(c, group)
				r.cfg.Logger.Warn("a producer was silent for too long", "group", group, "client", c.RemoteAddr())
			}
		}
		for group := range p.consumes {
			if now.Sub(r.consumers[group].members.find(c).LastSeen) > r.cfg.Expiry {
				due = r.leaveConsumers(due, c, group, true)
				r.cfg.Logger.Warn("a consumer was silent for too long", "group", group, "client", c.RemoteAddr())
			}
		}
		if r.peers[c] == nil {
			silent = append(silent, c)
		}
	}
	r.mu.Unlock()
	r.tell(due)
	return silent
}

// Len is how many producer and consumer groups and how many connections there
// are.
func (r *Registry) Len() (producerGroups, consumerGroups, conns int) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.producers), len(r.consumers), len(r.peers)
}
