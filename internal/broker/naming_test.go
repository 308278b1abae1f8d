// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/access"
	"github.com/twostage/twostage/internal/config"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
)

const here = "10.0.0.1:10911"

// field is a broker without a store in a network without machines: what talks to
// name servers and other brokers, in a synctest bubble.
type field struct {
	t   *testing.T
	mem *remoting.MemNetwork
	b   *Broker

	version atomic.Int64 // of the topics
}

func newField(t *testing.T, servers ...string) *field {
	f := &field{t: t, mem: remoting.NewMemNetwork()}
	f.b = &Broker{
		o: Options{NameServers: servers}, log: slog.New(slog.DiscardHandler), advertised: netip.MustParseAddrPort(here),
		cfg: config.Broker{
			Identity:     config.Identity{Cluster: "c", Name: "a"},
			Registration: config.Registration{Timeout: 24 * time.Second, Period: 30 * time.Second},
		},
		access: access.New(access.Options{}),
	}
	n := newNaming(f.b)
	n.version = f.version.Load
	n.content = func() *body.RegisterBrokerBody {
		var c body.RegisterBrokerBody
		c.TopicConfigSerializeWrapper.DataVersion.Counter = f.version.Load()
		return &c
	}
	f.b.naming, f.b.spread = n, newSpread(f.b)
	_ = f.b.client.Close()
	f.b.client = remoting.NewClient(remoting.ClientConfig{Dial: f.mem.Dial, Logger: f.b.log})
	t.Cleanup(func() { _ = f.b.client.Close() })
	return f
}

// run runs the registration until the function it gives is called.
func (f *field) run() (stop func()) {
	ctx, cancel := context.WithCancel(f.t.Context())
	done := make(chan error, 1)
	go func() { done <- f.b.naming.run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			f.t.Error(err)
		}
	})
	f.t.Cleanup(stop)
	return stop
}

// accept gives the connections to addr to fn, in order.
func (f *field) accept(addr string, fn func(net.Conn)) {
	l, err := f.mem.Listen(addr)
	if err != nil {
		f.t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fn(c)
		}
	})
	f.t.Cleanup(func() { _ = l.Close(); wg.Wait() })
}

// fake is a server that notes the codes of what it is asked.
type fake struct {
	mu    sync.Mutex
	codes []int32
	at    []time.Time
	conns []*remoting.Conn
}

func (f *field) serve(addr string, answer func(r *remoting.Request)) *fake {
	k := &fake{}
	s := remoting.NewServer(remoting.ServerConfig{Addr: addr, Listen: f.mem.Listen, Logger: f.b.log,
		Routes: func(int32) (remoting.Route, bool) {
			return remoting.Route{Handler: func(r *remoting.Request) {
				k.mu.Lock()
				k.codes, k.at, k.conns = append(k.codes, r.Code), append(k.at, time.Now()), append(k.conns, r.Conn)
				k.mu.Unlock()
				answer(r)
			}}, true
		}})
	if err := s.Listen(); err != nil {
		f.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(context.Background()) }()
	f.t.Cleanup(func() { _ = s.Close(); <-done })
	return k
}

func (k *fake) seen() []int32 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.codes)
}

func (k *fake) count(code int32) (n int) {
	for _, c := range k.seen() {
		if c == code {
			n++
		}
	}
	return n
}

func succeed(r *remoting.Request) {
	r.Reply(&wire.Response{Code: wire.Success, Header: header.Empty{}})
}

func silent(*remoting.Request) {}

func pass(d time.Duration) { <-time.After(d); synctest.Wait() }

// publishTakes publishes a change.
func (f *field) publishTakes(want time.Duration) {
	f.t.Helper()
	f.version.Add(1)
	f.publishUnchanged(want)
}

func (f *field) publishUnchanged(want time.Duration) {
	f.t.Helper()
	begin := time.Now()
	f.b.naming.publish()
	if took := time.Since(begin); took != want {
		f.t.Errorf("publish took %v, want %v", took, want)
	}
}

// A name server that accepts and does not answer costs one publication 3 s, and
// the other name servers nothing.
func TestSilentNameServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newField(t, "10.0.0.2:9876", "10.0.0.3:9876")
		f.serve("10.0.0.2:9876", silent)
		good := f.serve("10.0.0.3:9876", succeed)
		stop := f.run()
		synctest.Wait()
		if err := f.b.naming.ready(); err != nil {
			t.Error(err)
		}
		if have := f.b.spread.nameServers(); have[0] != "10.0.0.3:9876" {
			t.Errorf("asked first: %v", have)
		}
		begin := time.Now()
		for i := time.Duration(1); i <= 3; i++ {
			f.version.Add(1)
			f.b.naming.announce()
			if took := time.Since(begin); took != i*announceTimeout {
				t.Errorf("%d heartbeats took %v", i, took)
			}
		}
		f.publishTakes(publishTimeout)
		for i := 0; i < 20; i++ {
			before := good.count(wire.ReqRegisterBroker)
			f.publishTakes(0)
			if now := good.count(wire.ReqRegisterBroker); now <= before {
				t.Fatalf("published without a registration: %d before, %d after", before, now)
			}
			pass(3 * time.Second) // through the end of the failed round, too
		}
		begin = time.Now()
		stop()
		if took := time.Since(begin); took > 2*unregisterTimeout {
			t.Errorf("stopping took %v", took)
		}
		f.publishTakes(0)
	})
}

// A server that ends each connection is tried every two seconds, whatever happens
// meanwhile, also when it answers first; one whose connection ends once gets its
// registration at once.
func TestLostConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newField(t, "10.0.0.2:9876", "10.0.0.3:9876", "10.0.0.4:9876")
		var mu sync.Mutex
		conns := 0
		f.accept("10.0.0.2:9876", func(c net.Conn) {
			mu.Lock()
			conns++
			mu.Unlock()
			_ = c.Close()
		})
		hasty := f.serve("10.0.0.3:9876", func(r *remoting.Request) {
			succeed(r)
			c := r.Conn
			time.AfterFunc(time.Millisecond, c.Close)
		})
		good := f.serve("10.0.0.4:9876", succeed)
		defer f.run()()
		pass(time.Second)
		if n := good.count(wire.ReqRegisterBroker); n != 1 {
			t.Errorf("%d registrations, want 1", n)
		}
		good.mu.Lock()
		c := good.conns[0]
		good.mu.Unlock()
		cut := time.Now()
		c.Close()
		synctest.Wait()
		good.mu.Lock()
		if len(good.at) != 2 || good.at[1] != cut {
			t.Errorf("the connection was lost at %v, registrations at %v", cut, good.at)
		}
		good.mu.Unlock()
		for i := 0; i < 590; i++ {
			f.b.naming.servers[0].wake()
			pass(100 * time.Millisecond)
		}
		mu.Lock()
		defer mu.Unlock()
		// A request is tried on a new connection when its own was closed before it left.
		if conns < 29 || conns > 93 {
			t.Errorf("%d connections in a minute to a server that ends them", conns)
		}
		if n := hasty.count(wire.ReqRegisterBroker); n < 29 || n > 62 {
			t.Errorf("%d registrations in a minute with a server that ends each connection", n)
		}
	})
}

// A round that is under way at the stop ends before the broker leaves the routes.
func TestUnregistrationComesLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newField(t, "10.0.0.2:9876")
		var mu sync.Mutex
		var done []int32
		f.serve("10.0.0.2:9876", func(r *remoting.Request) {
			code, ticket, wait := r.Code, r.Ticket(), time.Duration(0)
			if code == wire.ReqRegisterBroker {
				wait = unregisterTimeout / 2
			}
			time.AfterFunc(wait, func() {
				mu.Lock()
				done = append(done, code)
				mu.Unlock()
				ticket.Reply(&wire.Response{Code: wire.Success, Header: header.Empty{}})
			})
		})
		stop := f.run()
		synctest.Wait()
		stop()
		f.b.naming.changed()
		f.b.naming.publish()
		pass(time.Minute)
		mu.Lock()
		defer mu.Unlock()
		if want := []int32{wire.ReqRegisterBroker, wire.ReqUnregisterBroker}; !slices.Equal(done, want) {
			t.Errorf("the name server did %v, want %v", done, want)
		}
	})
}

// A change that comes while a round is under way is in the next one, and waited
// for until that has ended.
func TestPublishDuringRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newField(t, "10.0.0.2:9876")
		k := f.serve("10.0.0.2:9876", func(r *remoting.Request) {
			ticket := r.Ticket()
			time.AfterFunc(time.Second, func() { ticket.Reply(&wire.Response{Code: wire.Success, Header: header.Empty{}}) })
		})
		defer f.run()()
		pass(time.Second / 4)
		f.publishTakes(time.Second * 7 / 4)
		if n := k.count(wire.ReqRegisterBroker); n != 2 {
			t.Errorf("%d registrations, want 2", n)
		}
	})
}

// All changes that come while a round is under way are in the next one, for which
// all who made them wait; who finds all of it registered does not wait, and has
// nothing sent.
func TestChangesShareARound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newField(t, "10.0.0.2:9876")
		k := f.serve("10.0.0.2:9876", func(r *remoting.Request) {
			ticket := r.Ticket()
			time.AfterFunc(time.Second, func() { ticket.Reply(&wire.Response{Code: wire.Success, Header: header.Empty{}}) })
		})
		defer f.run()()
		pass(2 * time.Second)
		f.version.Add(1)
		f.b.naming.changed()
		pass(time.Second / 4)
		f.publishUnchanged(time.Second * 3 / 4) // in the round that is under way
		pass(time.Second / 4)
		f.publishUnchanged(0)
		f.b.naming.changed() // a round begins, with what is known
		pass(time.Second / 4)
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() { f.publishTakes(time.Second * 7 / 4) })
		}
		wg.Wait()
		if n := k.count(wire.ReqRegisterBroker); n != 4 {
			t.Errorf("%d registrations, want 4", n)
		}
	})
}

// With a name server that accepts and does not answer, over real connections: a
// heartbeat that makes a topic is answered soon, and so are topics that are made.
func TestRequestsWithSilentNameServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var held sync.WaitGroup
	held.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			held.Go(func() { _, _ = io.Copy(io.Discard, c); _ = c.Close() })
		}
	})
	defer held.Wait()
	defer l.Close()

	cfg, err := config.Load(config.Sources{Role: config.RoleBroker, HostName: "test", Flags: map[string]string{
		"listenPort": "0", "bindAddress": "127.0.0.1", "brokerIP1": "127.0.0.1", "storePathRootDir": "/store",
		"mappedFileSizeCommitLog": "1048576", "mappedFileSizeConsumeQueue": "2000", "maxHashSlotNum": "1000", "maxIndexNum": "4000",
	}})
	if err != nil {
		t.Fatal(err)
	}
	b := New(Options{Config: cfg.Broker, FS: vfs.NewMem(), Logger: slog.New(slog.DiscardHandler), NameServers: []string{l.Addr().String()}})
	if err := b.Open(t.Context()); err != nil {
		t.Fatal(errors.Join(err, b.Close()))
	}
	done := make(chan error, 1)
	run, end := context.WithCancel(context.Background())
	go func() { done <- b.Run(run) }()
	defer func() {
		end()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	cl := remoting.NewClient(remoting.ClientConfig{Version: wire.Version})
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	within := func(limit time.Duration, what string, fn func() error) {
		t.Helper()
		begin := time.Now()
		if err := fn(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took > limit {
			t.Errorf("%s took %v, more than %v", what, took, limit)
		}
	}
	addr := b.Addr().String()
	within(2*time.Second, "the heartbeat", func() error {
		return rpc.Heartbeat(ctx, cl, addr, &body.HeartbeatData{ClientID: "x", ConsumerDataSet: []body.ConsumerData{{GroupName: "g"}}})
	})
	begin := time.Now()
	if err := rpc.Heartbeat(ctx, cl, addr, &body.HeartbeatData{ClientID: "y", ConsumerDataSet: []body.ConsumerData{{GroupName: "g"}}}); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took < announceTimeout {
		t.Errorf("the first heartbeat of another member took %v: its retry topic is not in the routes yet", took)
	}
	for i, limit := range []time.Duration{3500 * time.Millisecond, time.Second} {
		within(limit, "making a topic", func() error {
			return rpc.CreateTopic(ctx, cl, addr, &header.CreateTopicRequest{Topic: "t" + strconv.Itoa(i), DefaultTopic: "t", ReadQueueNums: 1, WriteQueueNums: 1, Perm: 6, TopicFilterType: body.SingleTag})
		})
	}
}
