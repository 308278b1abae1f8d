// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire/header"
)

// begin starts the heartbeats; again, it does nothing.
func (l *link) begin() {
	l.once.Do(func() { l.beats.Go("heartbeats", l.beat) })
}

// beat tells the brokers every 30 s that the client is there, and, once it can be
// reached again, one whose connection broke: until then it asks this client about
// no transaction.
func (l *link) beat(ctx context.Context) error {
	tick, look := time.NewTicker(heartbeatPeriod), time.NewTicker(reunionPeriod)
	defer tick.Stop()
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-look.C:
			l.beatToAll(ctx, l.lost(), slog.LevelDebug, "client: broker not back yet")
		case <-tick.C:
			l.refresh(ctx)
			l.beatToAll(ctx, l.hearers(), slog.LevelWarn, "client: heartbeat failed")
		}
	}
}

// refresh forgets routes and looks up those that have grown old, as long as there is a
// name server that answers.
func (l *link) refresh(ctx context.Context) {
	l.sweep(time.Now())
	for topic, t := range *l.routes.topics.Load() {
		k := t.known.Load()
		if time.Since(k.at) < routeAge {
			continue
		}
		a, _ := l.look(lookUp{topic, k.standIn}, time.Time{})
		select {
		case <-a.done:
		case <-ctx.Done():
			return
		}
		if errors.Is(a.err, ErrNameServer) {
			return
		}
	}
}

// sweep forgets topics that were not used for long, and their brokers, as long as
// there is a name server to look them up again.
func (l *link) sweep(now time.Time) {
	if !l.forget || l.routes.silent.Load() != 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	all := maps.Clone(*l.routes.topics.Load())
	maps.DeleteFunc(all, func(topic string, t *topicRoute) bool {
		asked := l.routes.lookUps[lookUp{topic, t.known.Load().standIn}] != nil // the answer would bring it back
		return !asked && now.UnixNano()-t.used.Load() > int64(forgetAge)
	})
	l.routes.topics.Store(&all)
	masters := l.masters()
	for addr, conn := range l.greeted {
		select {
		case <-conn.Closed():
			if _, ok := slices.BinarySearch(masters, addr); !ok {
				delete(l.greeted, addr)
				delete(l.stale, addr)
			}
		default:
		}
	}
}

// beatToAll tells brokers that the client is there: one that is silent takes none of
// the others' time.
func (l *link) beatToAll(ctx context.Context, addrs []string, level slog.Level, failed string) {
	var all sync.WaitGroup
	defer all.Wait()
	for _, addr := range addrs {
		all.Go(func() {
			if err := l.beatTo(ctx, addr); err != nil && ctx.Err() == nil {
				l.cfg.log.Log(ctx, level, failed, "broker", addr, "err", err)
			}
		})
	}
}

// hearers are the masters of known topics, and the slaves that the client reads from:
// without heartbeats those forget it.
func (l *link) hearers() []string {
	all := l.masters()
	l.mu.Lock()
	greeted := slices.Collect(maps.Keys(l.greeted))
	l.mu.Unlock()
	for _, addr := range greeted {
		if l.knows(addr) {
			all = append(all, addr)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// lost are the brokers of known topics that knew the client on a connection that is
// gone.
func (l *link) lost() (addrs []string) {
	for _, addr := range l.masters() {
		l.mu.Lock()
		conn := l.greeted[addr]
		l.mu.Unlock()
		if conn == nil {
			continue
		}
		select {
		case <-conn.Closed():
			addrs = append(addrs, addr)
		default:
		}
	}
	return addrs
}

// beatTo tells one broker that the client is there.
func (l *link) beatTo(ctx context.Context, addr string) error {
	ctx, cancel := l.request(ctx)
	defer cancel()
	conn, err := l.net.Conn(ctx, addr)
	if err != nil {
		return err
	}
	return l.greet(ctx, conn, addr)
}

func (l *link) greet(ctx context.Context, conn *remoting.Conn, addr string) error {
	l.mu.Lock()
	before := l.sayings
	l.mu.Unlock()
	if err := rpc.Heartbeat(ctx, connCaller{conn}, addr, l.heartbeat()); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.greeted[addr] = conn
	l.stale[addr] = l.sayings != before // there was more to say meanwhile
	return nil
}

// forgetGreetings has what needs a greeted connection greet its broker again: the
// heartbeat says something new, or a broker does not know the client.
func (l *link) forgetGreetings() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sayings++
	for addr := range l.greeted {
		l.stale[addr] = true
	}
}

// known gives the open connection to an address, if a heartbeat went over it.
func (l *link) known(addr string) (*remoting.Conn, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	conn := l.greeted[addr]
	if conn == nil {
		return nil, false
	}
	select {
	case <-conn.Closed():
		return nil, false
	default:
		return conn, true
	}
}

// knows says whether a broker knows the client on an open connection.
func (l *link) knows(addr string) bool {
	_, ok := l.known(addr)
	return ok
}

// greeting is a heartbeat that makes the client known to a broker.
type greeting struct {
	began time.Time
	done  chan struct{} // closed when err is set
	err   error
}

// meet makes the client known to brokers, all at once. It returns when they have
// answered, or, once one of them knows the client, when the others were asked for
// wait: greeting those goes on behind the call. failed are the errors of brokers that
// do not know the client by then; err is nil unless that are all of them.
func (l *link) meet(ctx context.Context, addrs []string, wait time.Duration) (failed []error, err error) {
	var last time.Time // when a greeting began
	known, left := false, 0
	answers := make(chan error, len(addrs))
	waiting, stop := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	for _, addr := range addrs {
		if l.knownAt(addr) {
			known = true
			continue
		}
		g := l.greetSoon(addr)
		if g.began.After(last) {
			last = g.began
		}
		left++
		all.Go(func() {
			select {
			case <-g.done:
				answers <- g.err
			case <-waiting.Done():
			}
		})
	}
	if left == 0 {
		return nil, nil
	}
	patience := time.NewTimer(time.Until(last.Add(wait)))
	defer patience.Stop()
	for late := false; left > 0 && !(late && known); {
		select {
		case err := <-answers:
			left--
			if known = known || err == nil; err != nil {
				failed = append(failed, err)
			}
		case <-patience.C:
			late = true
		case <-ctx.Done():
			left = 0
			failed = append(failed, fmt.Errorf("client: waiting for heartbeats to be answered: %w", ended(ctx)))
		}
	}
	switch {
	case known:
		return failed, nil
	case l.check() != nil:
		return nil, ErrClosed
	}
	return failed, errors.Join(failed...)
}

// greetSoon greets a broker that does not know the client behind the call, once at a
// time.
func (l *link) greetSoon(addr string) *greeting {
	l.mu.Lock()
	defer l.mu.Unlock()
	if g := l.greetings[addr]; g != nil {
		return g
	}
	g := &greeting{began: time.Now(), done: make(chan struct{})}
	run := func(ctx context.Context) {
		ctx, cancel := l.request(ctx)
		defer cancel()
		if _, err := l.greetedConn(ctx, addr); err != nil {
			g.err = fmt.Errorf("client: heartbeat to %s: %w", addr, public(err))
		}
		l.mu.Lock()
		delete(l.greetings, addr)
		l.mu.Unlock()
		close(g.done)
	}
	if l.run(run) {
		l.greetings[addr] = g
	} else {
		g.err = ErrClosed
		close(g.done)
	}
	return g
}

// knownAt reports whether a broker knows the client, and nothing new is to be said.
func (l *link) knownAt(addr string) bool {
	ok := l.knows(addr)
	l.mu.Lock()
	defer l.mu.Unlock()
	return ok && !l.stale[addr]
}

// greetedConn is the connection to a broker that knows the client on it. The
// error says that nothing but a heartbeat may have been sent.
func (l *link) greetedConn(ctx context.Context, addr string) (*remoting.Conn, error) {
	conn, err := l.net.Conn(ctx, addr)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	said := l.greeted[addr] == conn && !l.stale[addr]
	l.mu.Unlock()
	if said {
		return conn, nil
	}
	return conn, l.greet(ctx, conn, addr)
}

// farewell tells the brokers that know the client that it goes.
func (l *link) farewell() {
	if l.heartbeat == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), farewellTimeout)
	defer cancel()
	said := l.heartbeat()
	var all []header.UnregisterClientRequest
	for _, p := range said.ProducerDataSet {
		all = append(all, header.UnregisterClientRequest{ClientID: l.id, ProducerGroup: p.GroupName})
	}
	for _, c := range said.ConsumerDataSet {
		all = append(all, header.UnregisterClientRequest{ClientID: l.id, ConsumerGroup: c.GroupName})
	}
	var going sync.WaitGroup
	defer going.Wait()
	for _, addr := range l.hearers() {
		conn, ok := l.known(addr)
		if !ok {
			continue
		}
		going.Go(func() {
			for i := range all {
				if err := rpc.Unregister(ctx, connCaller{conn}, addr, &all[i]); err != nil {
					l.cfg.log.Debug("client: not unregistered", "broker", addr, "err", err)
				}
			}
		})
	}
}
