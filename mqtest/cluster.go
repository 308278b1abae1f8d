// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package mqtest

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"github.com/twostage/twostage/internal/config"
	"github.com/twostage/twostage/internal/lifecycle"
	"github.com/twostage/twostage/internal/namesrv"
	"github.com/twostage/twostage/internal/vfs"
)

// Cluster is a name server and brokers. Start makes one. Its methods and those of
// its brokers may be called from several goroutines.
type Cluster struct {
	o       *options
	t       tester
	group   *lifecycle.Group
	servers string // host:port
	brokers []*Broker
	checks  checkBacks
	close   func() error
}

// Start starts a cluster that ends with the test. It fails the test when an option
// is wrong.
func Start(t testing.TB, opts ...Option) *Cluster {
	t.Helper()
	o, err := newOptions(opts)
	if err != nil {
		t.Fatal(err)
	}
	if o.log == nil {
		o.log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	c, err := start(t, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("mqtest: %v", err)
		}
	})
	return c
}

// New is Start where there is no testing.TB, as in an Example. Close ends the
// cluster. What would end a test panics.
func New(opts ...Option) (*Cluster, error) {
	o, err := newOptions(opts)
	if err != nil {
		return nil, err
	}
	if o.log == nil {
		o.log = slog.New(slog.DiscardHandler)
	}
	return start(noTest{}, o)
}

func start(t tester, o *options) (*Cluster, error) {
	c := &Cluster{o: o, t: t, group: lifecycle.NewGroup(context.Background(), o.log)}
	c.close = sync.OnceValue(c.group.Stop)
	err := c.startNameServer()
	for i := 0; err == nil && i < o.brokers; i++ {
		err = c.addBroker(fmt.Sprintf("broker-%c", 'a'+i))
	}
	if err != nil {
		_ = c.close() // err says more
		return nil, fmt.Errorf("mqtest: %w", err)
	}
	return c, nil
}

// Close ends the cluster and waits until nothing of it runs. Start has the end of the
// test do it. It may be called again.
func (c *Cluster) Close() error { return c.close() }

// NameServer is the address of the name server, host:port on 127.0.0.1. Any client
// can use it.
func (c *Cluster) NameServer() string { return c.servers }

// Brokers are all brokers.
func (c *Cluster) Brokers() []*Broker { return append([]*Broker(nil), c.brokers...) }

// Broker is broker i, from 0 on.
func (c *Cluster) Broker(i int) *Broker {
	c.t.Helper()
	if i < 0 || i >= len(c.brokers) {
		c.t.Fatalf("mqtest: there is no broker %d of %d: see Brokers", i, len(c.brokers))
	}
	return c.brokers[i]
}

func (c *Cluster) startNameServer() error {
	cfg, err := config.Load(config.Sources{Role: config.RoleNamesrv, DataDir: "/", NamesrvFlags: map[string]string{"listenPort": "0", "bindAddress": "127.0.0.1"}})
	if err != nil {
		return err
	}
	s := namesrv.New(namesrv.Options{Config: cfg.Namesrv, Live: cfg.LiveNamesrv(), FS: vfs.NewMem(), Logger: c.o.log.With("server", "namesrv")})
	c.group.Defer("name server", s.Close)
	if err := s.Open(); err != nil {
		return err
	}
	c.group.Go("name server", s.Run)
	c.servers = s.Addr().String()
	return nil
}

func (c *Cluster) addBroker(name string) error {
	p, err := newPort(&c.checks)
	if err != nil {
		return err
	}
	c.group.Defer("port of "+name, p.close)
	b := &Broker{c: c, name: name, port: p, disk: vfs.NewMem()}
	c.group.Defer(name, b.end)
	c.brokers = append(c.brokers, b)
	return b.start()
}

// tester is what failures are told to.
type tester interface {
	Helper()
	Fatalf(format string, args ...any)
}

// noTest stands for the test where there is none.
type noTest struct{}

func (noTest) Helper()                           {}
func (noTest) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
