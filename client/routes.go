// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/twostage/twostage/internal/route"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
)

// standInQueues is how many queues a topic gets that comes into being by sending
// to it.
const standInQueues = 4

// routes are those that a link knows. Look-ups are made behind the calls, one a
// topic at a time: who knows a route goes on with it meanwhile, and when the
// look-up fails, for as long as that may last.
type routes struct {
	topics atomic.Pointer[map[string]*topicRoute] // never changed, replaced with link.mu held
	silent atomic.Int64                           // when no name server answered: ns since 1970; 0: the last look-up was answered

	// Held by link.mu:
	lookUps map[lookUp]*answer // under way
	warned  time.Time          // of silent name servers
}

// topicRoute is what a link knows of a topic.
type topicRoute struct {
	known  atomic.Pointer[known] // never nil
	turn   atomic.Uint64         // round robin over its queues
	used   atomic.Int64          // in use up to then at least: ns since 1970
	failed atomic.Int64          // when the last look-up did; 0: it did not
	warned time.Time             // link.mu is held
}

// known is a route.
type known struct {
	route   *route.Snapshot
	at      time.Time // the look-up began
	standIn bool      // the topic does not exist yet
	of      *topicRoute
}

// lookUp is what a name server is asked. standIn: a topic that does not exist gets
// the brokers that would create it.
type lookUp struct {
	topic   string
	standIn bool
}

// answer is to become that of a look-up.
type answer struct {
	began time.Time
	done  chan struct{} // closed when known and err are set
	known *known
	err   error
}

func (r *routes) init() {
	r.topics.Store(&map[string]*topicRoute{})
	r.lookUps = map[lookUp]*answer{}
}

func (r *routes) of(topic string) *topicRoute { return (*r.topics.Load())[topic] }

// use notes that a topic is in use up to a time.
func (t *topicRoute) use(until time.Time) {
	const step = time.Second // so that it is seldom written
	if ns := until.UnixNano(); ns-t.used.Load() > int64(step) {
		t.used.Store(ns)
	}
}

// use notes that a topic is in use up to a time.
func (l *link) use(topic string, until time.Time) {
	if t := l.routes.of(topic); t != nil {
		t.use(until)
	}
}

// route gives the route of a topic. One that is known is given at once, and when it
// has grown old a newer one is looked up behind the call. With standIn, a topic that
// does not exist gets the brokers that would create it.
func (l *link) route(ctx context.Context, topic string, standIn bool) (*route.Snapshot, error) {
	return l.routeSince(ctx, topic, time.Time{}, standIn)
}

// routeSince is route, and looks up a route that is not known to be younger than
// since, and waits for that as long as ctx says. When the look-up fails, or has
// just failed, the known route is given.
func (l *link) routeSince(ctx context.Context, topic string, since time.Time, standIn bool) (*route.Snapshot, error) {
	k, err := l.find(ctx, topic, since, standIn)
	if err != nil {
		return nil, err
	}
	return k.route, nil
}

// isNew reports whether k need not be looked up again. It is in use by that.
func (k *known) isNew(now, since time.Time) bool {
	k.of.use(now)
	return k.fresh(now, since)
}

// fresh is isNew of a route that is not in use by that.
func (k *known) fresh(now, since time.Time) bool {
	if !since.IsZero() {
		return k.at.After(since)
	}
	age := now.Sub(k.at)
	return age < routeAge && (!k.standIn || age < standInAge)
}

// recent is a route, or those that would create the topic, that is known and need not
// be looked up again; nil: ask find. It takes no lock.
func (l *link) recent(topic string, now time.Time) *known {
	if k := l.have(topic, true); k != nil && k.isNew(now, time.Time{}) && !l.closed.Load() {
		return k
	}
	return nil
}

// find is routeSince.
func (l *link) find(ctx context.Context, topic string, since time.Time, standIn bool) (*known, error) {
	if l.closed.Load() {
		return nil, ErrClosed
	}
	k := l.have(topic, standIn)
	if k == nil {
		return l.await(ctx, lookUp{topic, standIn}, since)
	}
	now := time.Now()
	if k.isNew(now, since) {
		return k, nil
	}
	failing, resting := l.failing(k, now)
	ask := lookUp{topic, standIn && k.standIn} // what exists does not become a stand-in
	switch {
	case resting:
		return k, nil
	case since.IsZero() && (now.Sub(k.at) < forgetAge || failing):
		l.look(ask, since)
		return k, nil
	}
	if since.IsZero() { // the client was idle
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, newerWait)
		defer cancel()
	}
	return l.await(ctx, ask, since)
}

// newer is find for who knows a route of before since that does not do: it waits for
// newerWait at most.
func (l *link) newer(ctx context.Context, topic string, since time.Time) (*known, error) {
	ctx, cancel := context.WithTimeout(ctx, newerWait)
	defer cancel()
	return l.find(ctx, topic, since, true)
}

// renew has a route of before since, which a broker failed after, be looked up behind
// the calls.
func (l *link) renew(topic string, since time.Time) {
	k := l.have(topic, true)
	if k == nil || k.fresh(since, since) {
		return
	}
	if _, resting := l.failing(k, time.Now()); !resting {
		l.look(lookUp{topic, k.standIn}, since)
	}
}

// failing says whether the last look-up of a known route failed, and whether that was
// just now.
func (l *link) failing(k *known, now time.Time) (failing, resting bool) {
	at := max(k.of.failed.Load(), l.routes.silent.Load())
	return at != 0, now.UnixNano()-at < int64(lookUpRest)
}

// have gives a known route; nil: none.
func (l *link) have(topic string, standIn bool) *known {
	t := l.routes.of(topic)
	if t == nil {
		return nil
	}
	if k := t.known.Load(); standIn || !k.standIn {
		return k
	}
	return nil
}

// await waits for a look-up that began after since, or after the call.
func (l *link) await(ctx context.Context, ask lookUp, since time.Time) (*known, error) {
	for again := false; ; again = true {
		a, mine := l.look(ask, since)
		select {
		case <-a.done:
		case <-ctx.Done():
			if k := l.have(ask.topic, ask.standIn); k != nil {
				return k, nil
			}
			return nil, fmt.Errorf("client: looking up the route of topic %q at %s: %w", ask.topic, l.cfg.names, ended(ctx))
		}
		switch {
		case l.check() != nil:
			return nil, ErrClosed
		case a.err != nil:
			if k := l.have(ask.topic, ask.standIn); k != nil {
				return k, nil
			}
			return nil, a.err
		case mine || again || a.began.After(since):
			return a.known, nil
		}
	}
}

// look begins a look-up, or gives the one that is under way, or has ended since the
// caller looked for the route and is new enough.
func (l *link) look(ask lookUp, since time.Time) (a *answer, mine bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.routes.lookUps[ask]; a != nil {
		return a, false
	}
	a = &answer{began: time.Now(), done: make(chan struct{})}
	if k := l.have(ask.topic, ask.standIn); k != nil && k.fresh(a.began, since) {
		a.known = k
		close(a.done)
		return a, true
	}
	run := func(ctx context.Context) {
		k, err := l.lookUp(ctx, ask, a.began)
		l.learn(ask, a, k, err)
	}
	if l.run(run) {
		l.routes.lookUps[ask] = a
	} else {
		a.err = ErrClosed
		close(a.done)
	}
	return a, true
}

// learn takes the answer of a look-up.
func (l *link) learn(ask lookUp, a *answer, k *known, err error) {
	defer close(a.done)
	now, warn := time.Now(), false
	l.mu.Lock()
	delete(l.routes.lookUps, ask)
	silent := int64(0)
	if errors.Is(err, ErrNameServer) {
		silent = now.UnixNano()
	}
	l.routes.silent.Store(silent)
	t := l.routes.of(ask.topic)
	if err == nil && k.standIn && t != nil && !t.known.Load().standIn {
		err = fmt.Errorf("%w: %q", ErrNoRoute, ask.topic) // it existed
	}
	a.known, a.err = k, err
	switch {
	case err == nil:
		l.keep(ask.topic, k, now)
	case t != nil:
		t.failed.Store(now.UnixNano())
		warn = l.warns(t, now, err)
	}
	l.mu.Unlock()
	if warn {
		l.cfg.log.Warn("client: going on with the route known before", "topic", ask.topic, "err", err)
	}
}

// keep has a route be known. l.mu is held.
func (l *link) keep(topic string, k *known, now time.Time) {
	if k.of = l.routes.of(topic); k.of != nil {
		k.of.known.Store(k)
		k.of.failed.Store(0)
		return
	}
	k.of = &topicRoute{}
	k.of.known.Store(k)
	k.of.turn.Store(uint64(rand.Uint32())) // clients begin with different queues
	k.of.use(now)
	all := maps.Clone(*l.routes.topics.Load())
	all[topic] = k.of
	l.routes.topics.Store(&all)
}

// warns reports whether to tell of a look-up that failed: not of each. l.mu is held.
func (l *link) warns(t *topicRoute, now time.Time, err error) bool {
	last := &t.warned
	if errors.Is(err, ErrNameServer) {
		last = &l.routes.warned // for all topics
	}
	if l.closed.Load() || now.Sub(*last) < routeAge {
		return false
	}
	*last = now
	return true
}

// lookUp asks for a route.
func (l *link) lookUp(ctx context.Context, ask lookUp, began time.Time) (*known, error) {
	k := &known{at: began}
	data, err := l.askRoute(ctx, ask.topic)
	if errors.Is(err, rpc.TopicNotExist) && ask.standIn {
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
			return nil, fmt.Errorf("%w: %q", ErrNoRoute, ask.topic)
		}
		return nil, public(err)
	}
	if k.route, err = route.New(ask.topic, data); err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
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
	var all []string
	for _, t := range *l.routes.topics.Load() {
		for _, b := range t.known.Load().route.Brokers() {
			if addr, ok := b.Addr(0); ok {
				all = append(all, addr)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
