// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twostage/twostage/internal/access"
	"github.com/twostage/twostage/internal/broker/assign"
	"github.com/twostage/twostage/internal/broker/delay"
	"github.com/twostage/twostage/internal/broker/group"
	"github.com/twostage/twostage/internal/broker/inflow"
	"github.com/twostage/twostage/internal/broker/lock"
	"github.com/twostage/twostage/internal/broker/longpoll"
	"github.com/twostage/twostage/internal/broker/offset"
	"github.com/twostage/twostage/internal/broker/pop"
	"github.com/twostage/twostage/internal/broker/popwait"
	"github.com/twostage/twostage/internal/broker/quota"
	"github.com/twostage/twostage/internal/broker/stats"
	"github.com/twostage/twostage/internal/broker/timer"
	"github.com/twostage/twostage/internal/broker/topic"
	"github.com/twostage/twostage/internal/broker/txn"
	"github.com/twostage/twostage/internal/config"
	"github.com/twostage/twostage/internal/lifecycle"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/session"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/trace"
	"github.com/twostage/twostage/internal/vfs"
)

// Options is what a Broker is made of. FS, Logger and Config are required.
type Options struct {
	Config config.Broker
	Values config.Values // all keys, for who asks
	FS     vfs.FS
	Logger *slog.Logger
	// Live is Config and Values as they change while the broker runs [they don't].
	Live        *config.Live[config.Broker]
	NameServers []string // host:port each; none: clients must know the address
	// TLS is what the ports speak. Zero: plaintext.
	TLS remoting.ServerTLS
	// ClientTLS is that of connections to other servers. nil: plaintext.
	ClientTLS func(addr string) (*tls.Config, error)
	// Listen opens the listeners, each on bindAddress and a port [TCP].
	Listen func(addr string) (net.Listener, error)
	// NowMillis is the wall clock, in milliseconds since 1970 [the machine's].
	NowMillis func() int64
	// Tracer makes spans of messages [nil: none].
	Tracer *trace.Tracer
}

// Broker is one broker. Open, then Run; Close ends either.
type Broker struct {
	o    Options
	cfg  config.Broker // as it was at the start
	live *config.Live[config.Broker]
	log  *slog.Logger

	group   *lifecycle.Group
	store   *store.Store
	topics  *topic.Table
	groups  *group.Table
	offsets *offset.Table
	txn     *txn.Service
	delays  *delay.Service
	timers  *timer.Service // nil: timerWheelEnable=false
	pops    *pop.Service
	session *session.Registry
	holds   *longpoll.Hub[*store.Queue]
	popHeld *popwait.Hub // pops that wait
	noted   *popwait.Hub // notifications that wait
	assign  *assign.Service
	locks   *lock.Table
	stats   *stats.Stats
	inflow  *inflow.Counters
	scrapes scrapes
	server  *remoting.Server
	vip     *remoting.Server
	client  *remoting.Client
	naming  *naming
	spread  *spread

	access               *access.Guard
	newTopics, newGroups *quota.Limiter // what an address may make; nil: no limit

	requests   requests
	booted     int64          // when it was opened, ms
	unconsumed atomic.Int64   // messages that were deleted before a group had consumed them, for each group
	replay     []txn.Replayed // outcomes that the recovery has read

	advertised netip.AddrPort
	life       sync.Mutex // held by Open and by Close
	closed     bool
	closeErr   error
	opened     atomic.Bool
}

// maxHeld is how many pulls are held at once.
const maxHeld = 100_000

// New makes a broker; it touches nothing.
func New(o Options) *Broker {
	if o.NowMillis == nil {
		o.NowMillis = func() int64 { return time.Now().UnixMilli() }
	}
	if o.Live == nil {
		o.Live = config.Frozen(o.Config, o.Values)
	}
	clock := func() time.Time { return time.UnixMilli(o.NowMillis()) }
	return &Broker{
		o: o, live: o.Live, cfg: o.Config, log: o.Logger, locks: lock.New(), holds: longpoll.New[*store.Queue](maxHeld, o.Logger), stats: stats.New(stats.Config{Cluster: o.Config.Identity.Cluster, Now: time.Now}), inflow: inflow.New(),
		newTopics: quota.New("topics", "topicCreationsPerMinute", o.Config.Creations.Topics, clock),
		newGroups: quota.New("groups", "groupCreationsPerMinute", o.Config.Creations.Groups, clock),
		popHeld:   popwait.New(waitLimits(o.Config.PopWait), false, o.Logger), noted: popwait.New(waitLimits(o.Config.PopWait), true, o.Logger),
		access: access.New(access.Options{Config: o.Config.Access, Cluster: o.Config.Identity.Cluster, FS: o.FS, Logger: o.Logger}),
	}
}

// Open recovers the store and listens. After an error Close releases what was
// taken. After Close it is an error that wraps context.Canceled.
func (b *Broker) Open(ctx context.Context) error {
	b.life.Lock()
	defer b.life.Unlock()
	if b.closed {
		return fmt.Errorf("the broker was closed before it was open: %w", context.Canceled)
	}
	b.group = lifecycle.NewGroup(context.WithoutCancel(ctx), b.log)
	if err := refuseForeign(b.o.FS, b.cfg.Store.Dir); err != nil {
		return err
	}
	if err := b.listen(); err != nil {
		return err
	}
	if err := b.choose(); err != nil {
		return err
	}
	if err := b.openStore(); err != nil {
		return err
	}
	if err := b.openTables(); err != nil {
		return err
	}
	if err := b.openServices(); err != nil {
		return err
	}
	if err := b.access.Open(); err != nil {
		return err
	}
	b.booted = b.o.NowMillis()
	b.stats.Begin(b.counted())
	b.wire()
	b.follow()
	b.opened.Store(true)
	return nil
}

// Run serves until ctx ends or a part fails, then stops everything.
func (b *Broker) Run(ctx context.Context) error {
	g := b.group
	g.Go("transactions", b.txn.Run)
	g.Go("notes of transactions", b.txn.KeepNotes)
	g.Go("delayed delivery", b.delays.Run)
	if b.timers != nil {
		g.Go("timers", b.timers.Run)
	}
	g.Go("pops", b.pops.Run)
	g.Go("offset flush", b.flushOffsets)
	g.Go("store watch", b.watchStore)
	g.Go("access files", b.access.Run)
	g.Go("listener", b.server.Run)
	if b.vip != nil {
		g.Go("VIP listener", b.vip.Run)
	}
	b.runWaits(g)
	g.Go("moves from pop to pull", b.runMover(b.pops))
	g.Go("routes for assignments", b.assign.Run)
	g.Go("client expiry", b.expire)
	g.Go("stats", b.stats.Run)
	g.Go("address check", b.dialSelf)
	g.Go("topic spread", b.spread.run)
	g.Go("registration", b.naming.run)
	stopped := make(chan error, 1)
	unwatch := context.AfterFunc(ctx, func() { stopped <- g.Stop() })
	err := g.Wait()
	if !unwatch() {
		<-stopped
	}
	return errors.Join(err, b.Close())
}

// Close stops everything; it waits for an Open under way. It may be called again.
func (b *Broker) Close() error {
	b.life.Lock()
	defer b.life.Unlock()
	if b.closed {
		return b.closeErr
	}
	b.closed = true
	if b.group != nil {
		b.closeErr = b.group.Stop()
	}
	for _, s := range []*remoting.Server{b.server, b.vip} {
		if s != nil {
			b.closeErr = errors.Join(b.closeErr, s.Close())
		}
	}
	if b.client != nil {
		b.client.Close()
	}
	return b.closeErr
}

func (b *Broker) flushOffsets(ctx context.Context) error {
	return every(ctx, b.cfg.Groups.OffsetFlushInterval, func() {
		if err := b.offsets.Flush(); err != nil {
			b.log.Error("consumer offsets can't be written", "error", err)
		}
	})
}

// watchStore takes the write permission out of the routes once the store takes
// no more messages.
func (b *Broker) watchStore(ctx context.Context) error {
	said := false
	return every(ctx, time.Second, func() {
		if err := b.store.ReadOnly(); err != nil && !said {
			said = true
			b.log.Error("the store is read-only from now on: no message is taken until the cause is mended and the broker restarted", "error", err)
			b.topics.Touch()
			b.naming.changed()
		}
	})
}

func (b *Broker) expire(ctx context.Context) error {
	return every(ctx, min(10*time.Second, b.cfg.Groups.ClientExpiry/4+time.Millisecond), func() {
		b.locks.Purge(time.Now())
		for _, c := range b.session.Expire(time.Now()) {
			if conn, ok := c.(*remoting.Conn); ok {
				conn.Close()
			}
		}
	})
}

// every calls fn each interval until ctx ends.
func every(ctx context.Context, interval time.Duration, fn func()) error {
	t := time.NewTicker(interval)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			fn()
		}
	}
}

// Addr is where the broker listens.
func (b *Broker) Addr() netip.AddrPort {
	if a, ok := b.server.Addr().(*net.TCPAddr); ok {
		return a.AddrPort()
	}
	return netip.AddrPort{}
}

// Advertised is the address that clients get from the name servers.
func (b *Broker) Advertised() string { return b.advertised.String() }

// Access is who may do what.
func (b *Broker) Access() *access.Guard { return b.access }

// Transactions are the broker's, for the inspector. The broker must be open.
func (b *Broker) Transactions() *txn.Service { return b.txn }

// Check is something that must hold for a broker to serve clients.
type Check struct {
	Name string
	Err  error // why it does not hold; nil: it does
}

// Checks are all that Ready looks at. All but "store" pass again by themselves.
func (b *Broker) Checks() []Check {
	if !b.opened.Load() {
		return []Check{{"start", errors.New("the broker is starting")}}
	}
	return []Check{
		{"start", nil}, {"store", b.store.ReadOnly()}, {"space", b.store.NoSpace()}, {"disk", b.store.DiskFull()}, {"registration", b.naming.ready()},
	}
}

// Ready tells why the broker is not ready to serve clients, nil when it is.
func (b *Broker) Ready() error {
	for _, c := range b.Checks() {
		if c.Err != nil {
			return c.Err
		}
	}
	return nil
}
