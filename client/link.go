// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twostage/twostage/internal/auth"
	"github.com/twostage/twostage/internal/lifecycle"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/route"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
)

// standInQueues is how many queues a topic gets that comes into being by sending
// to it.
const standInQueues = 4

// link is a client's way to name servers and brokers: connections and routes.
type link struct {
	cfg   *common
	id    string // the client's
	net   *remoting.Client
	parts *lifecycle.Group

	// heartbeat is what brokers are to know of the client; nil: nothing.
	heartbeat func() *body.HeartbeatData
	once      sync.Once // starts the heartbeats
	beats     *lifecycle.Group

	mu      sync.Mutex
	closed  bool
	server  int // index of the name server that answered last
	routes  map[string]*known
	greeted map[string]*remoting.Conn // by address: brokers know the client on these
	stale   map[string]bool           // brokers in greeted that are to be greeted again

	last atomic.Pointer[known] // that route gave last; nil once the link is closed
}

// known is a route and when it was looked up.
type known struct {
	route   *route.Snapshot
	at      time.Time
	standIn bool // the topic does not exist yet
}

// isNew says whether k need not be looked up again.
func (k *known) isNew(now time.Time) bool {
	age := now.Sub(k.at)
	return age < routeAge && (!k.standIn || age < standInAge)
}

// newLink makes a link that serves requests of brokers by routes, which may be
// nil.
func newLink(cfg *common, routes func(code int32) (remoting.Route, bool)) *link {
	return &link{
		cfg: cfg, id: ownIP().String() + "@" + cfg.instance,
		net: remoting.NewClient(remoting.ClientConfig{
			Dial: cfg.dial, TLS: cfg.secured(), Routes: routes, ConnectTimeout: cfg.timeout, Logger: cfg.log,
			Language: wire.LanguageGo, Version: wire.Version, Sign: remoting.Signer(auth.Credentials(cfg.credentials)),
		}),
		parts:   lifecycle.NewGroup(context.Background(), cfg.log),
		beats:   lifecycle.NewGroup(context.Background(), cfg.log),
		routes:  map[string]*known{},
		greeted: map[string]*remoting.Conn{}, stale: map[string]bool{},
	}
}

// close tells the brokers that the client goes, closes the connections and waits
// for everything.
func (l *link) close() error {
	l.mu.Lock()
	first := !l.closed
	l.closed = true
	l.last.Store(nil)
	l.mu.Unlock()
	if !first {
		return l.parts.Wait()
	}
	l.parts.Defer("connections", l.net.Close)
	_ = l.beats.Stop() // nothing of it fails; a heartbeat behind the farewell would undo it
	l.farewell()
	return l.parts.Stop()
}

func (l *link) check() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ErrClosed
	}
	return nil
}

// request bounds one request.
func (l *link) request(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, l.cfg.timeout)
}

// overdue is how much later than asked for a broker may answer a request that it
// holds: RocketMQ's look every 5 s whose time has come.
const overdue = 10 * time.Second

// held bounds one request that a broker may hold, for 0 as any other.
func (l *link) held(ctx context.Context, hold time.Duration) (context.Context, context.CancelFunc) {
	if hold <= 0 {
		return l.request(ctx)
	}
	return context.WithTimeout(ctx, hold+max(l.cfg.timeout, overdue))
}

// ask calls fn with one name server after the other until one answers, be it
// with a refusal. It begins with the one that answered last.
func (l *link) ask(ctx context.Context, fn func(ctx context.Context, addr string) error) error {
	lookUp, cancel := l.request(ctx)
	servers, err := l.cfg.names.list(lookUp, l.cfg.log)
	cancel()
	if err != nil {
		return err
	}
	l.mu.Lock()
	first := l.server
	l.mu.Unlock()
	var silent []error
	for i := range servers {
		at := (first + i) % len(servers)
		one, cancel := l.request(ctx)
		err := fn(one, servers[at])
		cancel()
		if _, answered := rpc.CodeOf(err); err == nil || answered {
			l.mu.Lock()
			l.server = at
			l.mu.Unlock()
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if l.check() != nil {
			return ErrClosed
		}
		silent = append(silent, err)
	}
	l.cfg.names.silent()
	return fmt.Errorf("%w: %w", ErrNameServer, errors.Join(silent...))
}

// route gives the route of a topic. fresh asks the name server whatever is
// known. With standIn, a topic that does not exist gets the brokers that would
// create it.
func (l *link) route(ctx context.Context, topic string, fresh, standIn bool) (*route.Snapshot, error) {
	l.mu.Lock()
	k, closed := l.routes[topic], l.closed
	good := k != nil && !fresh && (standIn || !k.standIn) && k.isNew(time.Now())
	if good && !closed {
		l.last.Store(k)
	}
	l.mu.Unlock()
	switch {
	case closed:
		return nil, ErrClosed
	case good:
		return k.route, nil
	}
	found, err := l.lookUp(ctx, topic, standIn)
	switch {
	case err == nil:
		l.mu.Lock()
		l.routes[topic] = &found
		l.mu.Unlock()
		return found.route, nil
	case k != nil && (standIn || !k.standIn) && errors.Is(err, ErrNameServer):
		l.cfg.log.Warn("client: going on with the route known before", "topic", topic, "err", err)
		return k.route, nil
	}
	return nil, err
}

// recent is the route of a topic, or those that would create it, if it is the one
// that was asked for last, and new at that time: route without its lock. nil: ask
// route.
func (l *link) recent(topic string, now time.Time) *route.Snapshot {
	if k := l.last.Load(); k != nil && k.route.Topic() == topic && k.isNew(now) {
		return k.route
	}
	return nil
}

func (l *link) lookUp(ctx context.Context, topic string, standIn bool) (k known, err error) {
	data, err := l.askRoute(ctx, topic)
	if errors.Is(err, rpc.TopicNotExist) && standIn {
		if data, err = l.askRoute(ctx, message.TopicAutoCreate); err == nil {
			k.standIn = true
			for i := range data.QueueDatas {
				q := &data.QueueDatas[i]
				q.WriteQueueNums, q.ReadQueueNums = min(q.WriteQueueNums, standInQueues), min(q.ReadQueueNums, standInQueues)
			}
		}
	}
	if err != nil {
		if errors.Is(err, rpc.TopicNotExist) {
			return k, fmt.Errorf("%w: %q", ErrNoRoute, topic)
		}
		return k, public(err)
	}
	if k.route, err = route.New(topic, data); err != nil {
		return k, fmt.Errorf("client: %w", err)
	}
	k.at = time.Now()
	return k, nil
}

func (l *link) askRoute(ctx context.Context, topic string) (data *body.TopicRouteData, err error) {
	err = l.ask(ctx, func(ctx context.Context, addr string) (err error) {
		data, err = rpc.Route(ctx, l.net, addr, topic)
		return err
	})
	return data, err
}

// masters are the addresses of the masters of all topics that were used, sorted.
func (l *link) masters() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []string
	for _, k := range l.routes {
		for _, b := range k.route.Brokers() {
			if addr, ok := b.Addr(0); ok {
				all = append(all, addr)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// refresh looks up the routes that have grown old.
func (l *link) refresh(ctx context.Context) {
	l.mu.Lock()
	var old []string
	for topic, k := range l.routes {
		if time.Since(k.at) >= routeAge {
			old = append(old, topic)
		}
	}
	l.mu.Unlock()
	for _, topic := range old {
		if _, err := l.route(ctx, topic, true, true); err != nil && ctx.Err() == nil {
			l.cfg.log.Warn("client: route not refreshed", "topic", topic, "err", err)
		}
	}
}
