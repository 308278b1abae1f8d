// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package mqtest

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/twostage/twostage/internal/broker"
	"github.com/twostage/twostage/internal/config"
	"github.com/twostage/twostage/internal/vfs"
)

// readyPatience is how long a broker may take until it serves.
const readyPatience = 10 * time.Second

// Broker is one broker of a cluster. When something that it is told to do fails,
// which nothing in a test should make happen, it ends the test, for which it must be
// told by the test's own goroutine.
type Broker struct {
	c    *Cluster
	name string
	port *port

	mu   sync.Mutex // held while it starts or ends
	disk *vfs.Mem
	run  *run // nil: it is stopped
}

// run is a broker from one start to its end.
type run struct {
	b     *broker.Broker
	end   context.CancelFunc
	ended chan error
}

// Name is the broker's name: broker-a for the first one.
func (b *Broker) Name() string { return b.name }

// Addr is the broker's address, host:port on 127.0.0.1. It never changes.
func (b *Broker) Addr() string { return b.port.ln.Addr().String() }

// Start starts a broker that is stopped, with the data it has left. It returns when
// the broker serves and is in the routes. A broker that runs goes on.
func (b *Broker) Start() {
	b.c.t.Helper()
	if err := b.start(); err != nil {
		b.c.t.Fatalf("mqtest: %v", err)
	}
}

// Stop stops the broker in good order, as a signal does: it leaves the routes,
// answers what it can and writes everything down. A partition is healed first. A
// broker that is stopped stays so.
func (b *Broker) Stop() {
	b.c.t.Helper()
	if err := b.end(); err != nil {
		b.c.t.Fatalf("mqtest: %v", err)
	}
}

// Kill ends the broker as the death of its process does: nothing more is answered,
// and what it had written is there when it starts again, synced or not.
func (b *Broker) Kill() { b.lose((*vfs.Mem).Kill) }

// Crash ends the broker as a power failure does: nothing more is answered, and when
// it starts again only what was synced is there. With flushDiskType=SYNC_FLUSH no
// message that was acknowledged gets lost, with ASYNC_FLUSH, the default, what was
// sent since the last flush does (flushIntervalCommitLog, 500 ms). A broker that is
// stopped loses nothing.
func (b *Broker) Crash() {
	b.lose(func(m *vfs.Mem) *vfs.Mem { return m.Crash(vfs.CrashOptions{}) })
}

func (b *Broker) start() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.run != nil {
		return nil
	}
	cfg, err := b.config()
	if err != nil {
		return fmt.Errorf("%s: %w", b.name, err)
	}
	log := &muted{Handler: b.c.o.log.Handler(), port: b.port}
	r := &run{ended: make(chan error, 1), b: broker.New(broker.Options{
		Config: cfg.Broker, Values: cfg.BrokerValues, Live: cfg.LiveBroker(), FS: b.disk, Listen: b.port.listen,
		Logger: slog.New(log).With("server", b.name), NameServers: []string{b.c.servers},
	})}
	ctx, cancel := context.WithCancel(context.Background())
	r.end = cancel
	if err := r.b.Open(ctx); err != nil {
		cancel()
		_ = r.b.Close() // err says more
		return fmt.Errorf("%s: %w", b.name, err)
	}
	go func() { r.ended <- r.b.Run(ctx) }()
	b.run = r
	return b.awaitReady()
}

func (b *Broker) config() (*config.Config, error) {
	flags := maps.Clone(b.c.o.keys)
	flags["listenPort"], flags["bindAddress"], flags["brokerIP1"] = "0", "127.0.0.1", "127.0.0.1"
	flags["brokerName"], flags["storePathRootDir"] = b.name, "/store"
	return config.Load(config.Sources{Role: config.RoleBroker, DataDir: "/", Flags: flags})
}

// awaitReady waits until clients find the broker.
func (b *Broker) awaitReady() error {
	late := time.NewTimer(readyPatience)
	defer late.Stop()
	again := time.NewTicker(200 * time.Microsecond)
	defer again.Stop()
	for {
		err := b.run.b.Ready()
		if err == nil {
			return nil
		}
		select {
		case <-late.C:
			return fmt.Errorf("%s does not serve after %v: %w", b.name, readyPatience, err)
		case <-again.C:
		}
	}
}

// end is Stop, also at the end of the cluster.
func (b *Broker) end() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.run == nil {
		return nil
	}
	b.port.faults.heal()
	b.run.end()
	err := <-b.run.ended
	b.run = nil
	b.port.reset()
	return err
}

// lose ends the broker together with its disk, of which some is left.
func (b *Broker) lose(left func(*vfs.Mem) *vfs.Mem) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.run == nil {
		return
	}
	b.port.kill()
	b.disk = left(b.disk)
	b.run.end()
	<-b.run.ended // it could write nothing: that is as it should be
	b.run = nil
	b.port.revive()
}

// muted logs nothing of a broker that was killed.
type muted struct {
	slog.Handler
	port *port
}

func (h *muted) Handle(ctx context.Context, r slog.Record) error {
	if h.port.killed() {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

func (h *muted) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &muted{h.Handler.WithAttrs(attrs), h.port}
}

func (h *muted) WithGroup(name string) slog.Handler {
	return &muted{h.Handler.WithGroup(name), h.port}
}
