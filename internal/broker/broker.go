// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twostage/twostage/internal/broker/assign"
	"github.com/twostage/twostage/internal/broker/delay"
	"github.com/twostage/twostage/internal/broker/group"
	"github.com/twostage/twostage/internal/broker/lock"
	"github.com/twostage/twostage/internal/broker/longpoll"
	"github.com/twostage/twostage/internal/broker/offset"
	"github.com/twostage/twostage/internal/broker/pop"
	"github.com/twostage/twostage/internal/broker/popwait"
	"github.com/twostage/twostage/internal/broker/timer"
	"github.com/twostage/twostage/internal/broker/topic"
	"github.com/twostage/twostage/internal/broker/txn"
	"github.com/twostage/twostage/internal/config"
	"github.com/twostage/twostage/internal/lifecycle"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/session"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
)

// Options is what a Broker is made of. FS, Logger and Config are required.
type Options struct {
	Config      config.Broker
	Values      config.Values // all keys, for who asks
	FS          vfs.FS
	Logger      *slog.Logger
	NameServers []string // host:port each; none: clients must know the address
	// NowMillis is the wall clock, in milliseconds since 1970 [the machine's].
	NowMillis func() int64
}

// Broker is one broker. Open, then Run; Close ends either.
type Broker struct {
	o   Options
	cfg config.Broker
	log *slog.Logger

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
	stats   *stats
	rates   *rates
	server  *remoting.Server
	vip     *remoting.Server
	client  *remoting.Client
	naming  *naming
	spread  *spread

	requests requests
	replay   []txn.Replayed // outcomes that the recovery has read

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
	return &Broker{
		o: o, cfg: o.Config, log: o.Logger, locks: lock.New(), holds: longpoll.New[*store.Queue](maxHeld), stats: newStats(),
		popHeld: popwait.New(waitLimits(o.Config.PopWait), false), noted: popwait.New(waitLimits(o.Config.PopWait), true),
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
	b.rates = newRates(b.stats, time.Now())
	b.wire()
	b.opened.Store(true)
	return nil
}

// configDir holds RocketMQ's JSON files.
func (b *Broker) configDir() string { return filepath.Join(b.cfg.Store.Dir, "config") }

// readChecks are the values of checkCRCOnRead.
var readChecks = map[string]store.ReadCheck{"NONE": store.CheckNone, "COLD": store.CheckCold, "ALL": store.CheckAll}

func (b *Broker) openStore() error {
	c := b.cfg
	levels := make([]int64, len(c.Delays.Levels))
	for i, d := range c.Delays.Levels {
		levels[i] = d.Milliseconds()
	}
	s, err := store.Open(store.Config{
		Dir: c.Store.Dir, CommitLog: c.Store.CommitLogDir, FS: b.o.FS, NowMillis: b.o.NowMillis,
		CommitLogFileSize: c.Store.CommitLogFileSize, ConsumeQueueFileSize: c.Store.ConsumeQueueFileSize,
		IndexSlots: c.Store.IndexSlots, IndexEntries: c.Store.IndexEntries, MaxMessageSize: c.Store.MaxMessageSize,
		SyncFlush: c.Flush.Policy == config.SyncFlush,
		// Zero means at once in RocketMQ, the default in store.Config.
		FlushInterval: c.Flush.CommitLogInterval, FlushLeastPages: max(c.Flush.CommitLogLeastPages, 1),
		FlushThoroughInterval: max(c.Flush.CommitLogThoroughInterval, time.Millisecond),
		ViewFlushInterval:     max(c.Flush.ConsumeQueueInterval, time.Second),
		DelayLevels:           levels,
		ColdDistance:          max(memory()*int64(c.Pull.MemoryPercent)/100, 1),
		ColdBytes:             c.Pull.MaxBytesOnDisk, ColdCount: c.Pull.MaxCountOnDisk,
		PropertyCRC: c.Store.PropertyCRC, CheckReads: readChecks[c.Store.CheckReads],
		Retention: b.retentionPolicy(), RetentionInterval: c.Retention.Interval, BeforeDelete: b.beforeDelete,
		Logger:   b.log,
		OnArrive: b.arrived,
		OnReplay: b.replayed,
	})
	if err != nil {
		return err
	}
	b.store = s
	b.group.Defer("store", s.Close)
	return nil
}

// arrived is told of each new queue entry, by the store.
func (b *Broker) arrived(q *store.Queue, at, tagsCode, storeTimestamp int64, props []byte) {
	b.holds.Arrive(q, at, tagsCode, props)
	b.popHeld.Arrive(q.Topic(), q.ID(), at, tagsCode, props)
	b.noted.Arrive(q.Topic(), q.ID(), at, tagsCode, props)
	if b.opened.Load() {
		b.delays.Arrived(q, at, tagsCode, storeTimestamp, props)
		if b.timers != nil {
			b.timers.Arrived(q, at, tagsCode, storeTimestamp, props)
		}
		b.pops.Arrived(q, at, props)
	}
}

func (b *Broker) openTables() error {
	dir, now := b.configDir(), b.o.NowMillis
	if err := vfs.MkdirAllSync(b.o.FS, dir); err != nil {
		return err
	}
	c := b.cfg
	var err error
	system := topic.System{
		Cluster: c.Identity.Cluster, Broker: c.Identity.Name, AutoCreate: c.Topics.AutoCreate,
		DefaultQueues: int32(c.Topics.DefaultQueues), ClusterTopic: c.Topics.Cluster, BrokerTopic: c.Topics.Broker, Timers: c.Timers.Enable,
	}
	if c.Trace.TopicEnable {
		system.TraceTopic = c.Trace.Topic
	}
	b.naming = newNaming(b)
	b.spread = newSpread(b)
	if b.topics, err = topic.Open(topic.Config{FS: b.o.FS, Dir: dir, Now: now, Logger: b.log, System: system,
		OnChange: func([]string) { b.naming.changed() }}); err != nil {
		return err
	}
	if b.groups, err = group.Open(group.Config{FS: b.o.FS, Dir: dir, Now: now, Logger: b.log, AutoCreate: c.Groups.AutoCreate}); err != nil {
		return err
	}
	if b.offsets, err = offset.Open(offset.Config{FS: b.o.FS, Dir: dir, Logger: b.log}); err != nil {
		return err
	}
	b.group.Defer("offsets", b.offsets.Flush)
	return nil
}

func (b *Broker) openServices() error {
	c := b.cfg
	b.session = session.New(session.Config{OnChange: b.notify, Expiry: c.Groups.ClientExpiry, Logger: b.log})
	err := b.openAssignments()
	if err != nil {
		return err
	}
	if b.delays, err = delay.Open(delay.Config{
		Log: b.store, FS: b.o.FS, Path: filepath.Join(b.configDir(), "delayOffset.json"),
		Levels: c.Delays.Levels, FlushInterval: c.Delays.OffsetFlushInterval, NowMillis: b.o.NowMillis, Logger: b.log,
		TopicExists: func(name string) bool { _, ok := b.topics.Get(name); return ok },
		Delivered:   b.stats.In,
	}); err != nil {
		return err
	}
	b.group.Defer("delayed delivery", b.delays.Close)
	if err = b.openTimers(); err != nil {
		return err
	}
	if b.txn, err = txn.Open(txn.Config{
		Log: b.store, Offsets: b.offsets, Delays: taken{b.waits()}, Producers: b.producer,
		Topic: func(name string) error {
			_, err := b.topics.Ensure(name, 1, topic.PermRead|topic.PermWrite, 0)
			return err
		},
		FS: b.o.FS, Dir: c.Store.Dir, NowMillis: b.o.NowMillis, Now: time.Now, Logger: b.log, Visible: b.stats.In,
		Host: b.advertised, Sync: c.Transactions.Flush == config.SyncFlush || c.Flush.Policy == config.SyncFlush,
		Timeout: c.Transactions.Timeout, Checks: c.Transactions.MaxChecks, Interval: c.Transactions.CheckInterval,
		MaxAge: c.Transactions.MaxAge, Rate: c.Transactions.CheckRate,
	}); err != nil {
		return err
	}
	b.group.Defer("transactions", b.txn.Close)
	if err = b.txn.Repair(b.replay); err == nil {
		b.store.ReplayDone()
	}
	b.replay = nil
	if err != nil {
		return err
	}
	return b.openPops()
}

// replayed is told of each record that the recovery of the store reads.
func (b *Broker) replayed(rec *message.Record) {
	if r, ok := txn.Outcomes(rec); ok {
		b.replay = append(b.replay, r)
	}
}

// producer is a live connection of a producer group.
func (b *Broker) producer(group string) (txn.Producer, bool) {
	c, ok := b.session.PickProducer(group)
	if !ok {
		return nil, false
	}
	return c, true
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
	g.Go("listener", b.server.Run)
	if b.vip != nil {
		g.Go("VIP listener", b.vip.Run)
	}
	g.Go("held pulls", b.holds.Run)
	b.runWaits(g)
	g.Go("moves from pop to pull", b.runMover(b.pops))
	g.Go("routes for assignments", b.assign.Run)
	g.Go("client expiry", b.expire)
	g.Go("rates", b.rates.run)
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

// settle has delayed delivery note how far it is.
func (b *Broker) settle() {
	if err := b.delays.Persist(); err != nil {
		b.log.Error("the offsets of delayed delivery can't be written", "error", err)
	}
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

// Transactions are the broker's, for the inspector. The broker must be open.
func (b *Broker) Transactions() *txn.Service { return b.txn }

// Ready tells why the broker is not ready to serve clients, nil when it is.
func (b *Broker) Ready() error {
	if !b.opened.Load() {
		return errors.New("the broker is starting")
	}
	if err := b.refusing(); err != nil {
		return err
	}
	return b.naming.ready()
}

// refusing is why no message is stored now, nil when they are. All but the first
// end by themselves.
func (b *Broker) refusing() error {
	return cmp.Or(b.store.ReadOnly(), b.store.NoSpace(), b.store.DiskFull())
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

func (b *Broker) listenAddr(port int) string {
	return net.JoinHostPort(b.cfg.Network.BindAddress, strconv.Itoa(port))
}

// listen opens the main listener and, unless its port is taken, that of the VIP
// channel.
func (b *Broker) listen() error {
	b.server = b.newServer(b.listenAddr(b.cfg.Network.ListenPort))
	if err := b.server.Listen(); err != nil {
		return fmt.Errorf("listenPort=%d: %w", b.cfg.Network.ListenPort, err)
	}
	port, ok := b.cfg.Network.VIPPort()
	if !ok {
		return nil
	}
	b.vip = b.newServer(b.listenAddr(port))
	if err := b.vip.Listen(); err != nil {
		b.log.Warn("the port of the VIP channel (listenPort-2) is taken: clients that have that channel on can't connect", "port", port, "error", err)
		b.vip = nil
	}
	return nil
}
