// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twostage/twostage/internal/auth"
	"github.com/twostage/twostage/internal/lifecycle"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
)

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

	routes routes
	forget bool // routes that are not used any more

	ctx    context.Context // of what runs behind calls; ends with close
	cancel context.CancelCauseFunc
	behind sync.WaitGroup // look-ups and greetings; Add with mu held

	closed    atomic.Bool // set with mu held
	mu        sync.Mutex
	server    int                       // index of the name server that answered last
	greeted   map[string]*remoting.Conn // by address: brokers know the client on these
	stale     map[string]bool           // brokers in greeted that are to be greeted again
	sayings   int                       // times that the heartbeat got something new to say
	greetings map[string]*greeting      // under way, by address
}

// newLink makes a link that serves requests of brokers by routes, which may be
// nil.
func newLink(cfg *common, routes func(code int32) (remoting.Route, bool)) *link {
	l := &link{
		cfg: cfg, id: ownIP().String() + "@" + cfg.instance,
		net: remoting.NewClient(remoting.ClientConfig{
			Dial: cfg.dial, TLS: cfg.secured(), Routes: routes, ConnectTimeout: cfg.timeout, Logger: cfg.log,
			Language: wire.LanguageGo, Version: wire.Version, Sign: remoting.Signer(auth.Credentials(cfg.credentials)),
		}),
		parts:   lifecycle.NewGroup(context.Background(), cfg.log),
		beats:   lifecycle.NewGroup(context.Background(), cfg.log),
		greeted: map[string]*remoting.Conn{}, stale: map[string]bool{}, greetings: map[string]*greeting{},
	}
	l.ctx, l.cancel = context.WithCancelCause(context.Background())
	l.routes.init()
	return l
}

// close tells the brokers that the client goes, closes the connections and waits
// for everything.
func (l *link) close() error {
	l.mu.Lock()
	first := !l.closed.Swap(true)
	l.mu.Unlock()
	if !first {
		return l.parts.Wait()
	}
	l.cancel(ErrClosed)
	l.parts.Defer("connections", l.net.Close)
	_ = l.beats.Stop() // nothing of it fails; a heartbeat behind the farewell would undo it
	l.behind.Wait()
	l.farewell()
	return l.parts.Stop()
}

func (l *link) check() error {
	if l.closed.Load() {
		return ErrClosed
	}
	return nil
}

// run runs fn behind the calls; close ends its ctx and waits for it. l.mu is held;
// false: the link is closed.
func (l *link) run(fn func(ctx context.Context)) bool {
	if l.closed.Load() {
		return false
	}
	l.behind.Go(func() { fn(l.ctx) })
	return true
}

// request bounds one request.
func (l *link) request(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, l.cfg.timeout)
}

// overdue is how much later than asked for a broker may answer a request that it
// holds: RocketMQ's look every 5 s whose time has come.
const overdue = 10 * time.Second

// held bounds one request that a broker may hold, for 0 as any other. It ends with
// ctx, but as one that was given up, also when that is for ctx's deadline: a broker that
// still holds it is not late, and nothing against it for its connection (remoting.ErrSilent).
func (l *link) held(ctx context.Context, hold time.Duration) (context.Context, context.CancelFunc) {
	if hold <= 0 || ctx.Err() != nil {
		return l.request(ctx)
	}
	bound := hold + max(l.cfg.timeout, overdue)
	if _, has := ctx.Deadline(); !has { // as of consumers, which are spared what follows
		return context.WithTimeout(ctx, bound)
	}
	one, cancel := context.WithTimeout(context.WithoutCancel(ctx), bound)
	stop := context.AfterFunc(ctx, cancel)
	return one, func() {
		stop()
		cancel()
	}
}

// ask calls fn with one name server after the other until one answers, be it with
// a refusal that more than its own state speaks for. It begins with the one that
// answered last.
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
	var failed []error
	answered := false
	for i := range servers {
		at := (first + i) % len(servers)
		one, cancel := l.request(ctx)
		err := fn(one, servers[at])
		cancel()
		code, refused := rpc.CodeOf(err)
		notNow := refused && (code == wire.SystemError || code == wire.SystemBusy) // as one that has just started
		if err == nil || refused && !notNow {
			l.mu.Lock()
			l.server = at
			l.mu.Unlock()
			return err
		}
		if l.check() != nil {
			return ErrClosed
		}
		if ctx.Err() != nil {
			return fmt.Errorf("client: asking name server %s: %w", servers[at], ended(ctx))
		}
		answered = answered || refused
		failed = append(failed, err)
	}
	if answered {
		return errors.Join(failed...)
	}
	l.cfg.names.silent()
	return fmt.Errorf("%w: %w", ErrNameServer, errors.Join(failed...))
}

// ended says why ctx has ended. It matches ctx.Err() and the cause.
func ended(ctx context.Context) error {
	if cause := context.Cause(ctx); !errors.Is(cause, ctx.Err()) {
		return fmt.Errorf("%w: %w", ctx.Err(), cause)
	}
	return ctx.Err()
}
