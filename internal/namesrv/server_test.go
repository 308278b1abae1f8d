// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package namesrv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
)

func TestBrokerGoneWithConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, vfs.NewMem(), nil)
		defer w.stop()
		a, b, c := w.client(), w.client(), w.client()
		defer c.Close()
		defer b.Close()
		w.register(a, newNode("a", 0, 1, "T"))
		w.register(b, newNode("b", 0, 2, "T"))
		if have := w.brokers(c, "T"); !slices.Equal(have, []string{"a/0@10.0.0.1:1", "b/0@10.0.0.1:2"}) {
			t.Fatalf("route: %v", have)
		}
		at := time.Now()
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if have := w.brokers(c, "T"); !slices.Equal(have, []string{"b/0@10.0.0.1:2"}) || !time.Now().Equal(at) {
			t.Errorf("route after %v: %v", time.Since(at), have)
		}
		if !w.log.has("broker gone", "10.0.0.1:1") {
			t.Error("nothing is logged")
		}
	})
}

func TestBrokerGoneAfterSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, vfs.NewMem(), func(o *Options) { o.Config.IdleTimeout = time.Hour })
		defer w.stop()
		a, c := w.client(), w.client()
		defer a.Close()
		defer c.Close()
		n := newNode("a", 0, 1, "T", "U")
		w.register(a, n)
		ctx := context.Background()
		alive := map[string]func() error{
			"registration": func() error { _, err := w.tryRegister(a, n); return err },
			"data version": func() error {
				stale, theirs, err := rpc.DataVersion(ctx, a, w.addr, (*header.DataVersionRequest)(n.identity()), n.TopicConfigSerializeWrapper.DataVersion)
				if err == nil && (stale || theirs == nil || *theirs != n.TopicConfigSerializeWrapper.DataVersion) {
					err = fmt.Errorf("stale %v, version %v", stale, theirs)
				}
				return err
			},
			"heartbeat": func() error {
				return rpc.BrokerHeartbeat(ctx, a, w.addr, &header.BrokerHeartbeatRequest{ClusterName: n.ClusterName, BrokerName: n.BrokerName, BrokerAddr: n.BrokerAddr})
			},
		}
		for what, say := range alive {
			time.Sleep(119 * time.Second)
			if err := say(); err != nil {
				t.Errorf("%s: %v", what, err)
			}
			time.Sleep(119 * time.Second)
			if have := w.brokers(c, "T"); len(have) != 1 {
				t.Fatalf("119 s after a %s: %v", what, have)
			}
			if err := say(); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
		time.Sleep(125*time.Second + 1) // the silence, and one scan
		if have := w.brokers(c, "T"); have != nil {
			t.Errorf("after silence: %v", have)
		}
		if !w.log.has("silent for too long", "10.0.0.1:1") {
			t.Error("nothing is logged")
		}
		if err := alive["heartbeat"](); err == nil {
			t.Error("the heartbeat of a broker that is gone is welcome")
		}
		w.register(a, n) // over a new connection: the old one was closed
		if have := w.brokers(c, "T"); len(have) != 1 {
			t.Errorf("after another registration: %v", have)
		}
	})
}

func TestMemberGroup(t *testing.T) {
	w := start(t, vfs.NewMem(), nil)
	c := w.client()
	w.register(c, newNode("a", 0, 1, "T"))
	w.register(c, newNode("a", 1, 3))
	for _, tc := range []struct {
		cluster, broker string
		addrs           int
	}{{"DefaultCluster", "a", 2}, {"DefaultCluster", "b", 0}, {"Other", "a", 0}} {
		g, err := rpc.MemberGroup(context.Background(), c, w.addr, tc.cluster, tc.broker)
		if err != nil || g.Cluster != tc.cluster || g.BrokerName != tc.broker || len(g.BrokerAddrs) != tc.addrs || tc.addrs > 0 && g.BrokerAddrs[1] != "10.0.0.1:3" {
			t.Errorf("%+v: %+v, %v", tc, g, err)
		}
	}
	conn := w.dialRaw()
	cmd := conn.ask(t, &wire.Request{Code: wire.ReqGetBrokerMemberGroup, Header: &header.MemberGroupRequest{ClusterName: "DefaultCluster", BrokerName: "a"}})
	if got := string(cmd.Body); got != `{"brokerMemberGroup":{"brokerAddrs":{0:"10.0.0.1:1",1:"10.0.0.1:3"},"brokerName":"a","cluster":"DefaultCluster"}}` {
		t.Errorf("%s", got)
	}
}

func TestTwoBrokersWithOneIdentity(t *testing.T) {
	w := start(t, vfs.NewMem(), nil)
	first, second := w.client(), w.client()
	n, other := newNode("a", 0, 1, "T"), newNode("a", 0, 7, "T")
	w.register(first, n)
	_, err := w.tryRegister(second, other)
	if !errors.Is(err, rpc.SystemError) || !strings.Contains(err.Error(), "10.0.0.1:1") || !strings.Contains(err.Error(), "10.0.0.1:7") {
		t.Fatalf("the second broker is told %v", err)
	}
	if !w.log.has("level=ERROR", "refused", "10.0.0.1:1", "10.0.0.1:7") {
		t.Error("the log does not say so")
	}
	// Giving up, it says goodbye. That is not the first one's.
	if err := rpc.UnregisterBroker(context.Background(), second, w.addr, other.identity()); err != nil {
		t.Fatal(err)
	}
	second.Close()
	if have := w.brokers(first, "T"); !slices.Equal(have, []string{"a/0@10.0.0.1:1"}) {
		t.Errorf("route: %v", have)
	}
	// The first one's place is free when it left.
	if err := rpc.UnregisterBroker(context.Background(), first, w.addr, n.identity()); err != nil {
		t.Fatal(err)
	}
	third := w.client()
	w.register(third, other)
	if have := w.brokers(third, "T"); !slices.Equal(have, []string{"a/0@10.0.0.1:7"}) {
		t.Errorf("route: %v", have)
	}
}

func TestNameServersAreIndependent(t *testing.T) {
	one, two := start(t, vfs.NewMem(), nil), start(t, vfs.NewMem(), nil)
	a, b := one.client(), two.client()
	n := newNode("a", 0, 1, "T")
	one.register(a, n)
	if have := two.brokers(b, "T"); have != nil {
		t.Errorf("the other one knows %v", have)
	}
	two.register(b, n)
	one.stop()
	if have := two.brokers(b, "T"); len(have) != 1 {
		t.Errorf("without the other one: %v", have)
	}
}

func TestRouteDialects(t *testing.T) {
	w := start(t, vfs.NewMem(), nil)
	c := w.client()
	w.register(c, newNode("a", 0, 1, "T"))
	if err := rpc.PutKV(context.Background(), c, w.addr, orderNamespace, "T", "a:4"); err != nil {
		t.Fatal(err)
	}
	raw := w.dialRaw()
	for _, tt := range []struct {
		version  int32
		standard bool
		want     string
	}{{317, false, `{0:"10`}, {400, false, `{0:"10`}, {401, false, `{"0":"10`}, {453, false, `{"0":"10`}, {317, true, `{"0":"10`}} {
		answer := raw.ask(t, &wire.Request{Code: wire.ReqGetRouteInfoByTopic, Version: tt.version, Header: &header.RouteRequest{Topic: "T", StandardJSON: tt.standard}})
		if !bytes.Contains(answer.Body, []byte(tt.want)) || !bytes.Contains(answer.Body, []byte(`"orderTopicConf":"a:4"`)) {
			t.Errorf("version %d, acceptStandardJsonOnly %v: %s", tt.version, tt.standard, answer.Body)
		}
	}
	off := start(t, vfs.NewMem(), func(o *Options) { o.Config.OrderMessages = false })
	c = off.client()
	if err := rpc.PutKV(context.Background(), c, off.addr, orderNamespace, "T", "a:4"); err != nil {
		t.Fatal(err)
	}
	if reg := off.register(c, newNode("a", 0, 1, "T")); reg.OrderConf["T"] != "a:4" {
		t.Errorf("the broker is told %v", reg)
	}
	if r, err := rpc.Route(context.Background(), c, off.addr, "T"); err != nil || r.OrderTopicConf != "" {
		t.Errorf("orderMessageEnable=false: %+v, %v", r, err)
	}
}

func TestUnitTopicsAndCompressedForm(t *testing.T) {
	w := start(t, vfs.NewMem(), nil)
	c := w.client()
	n := newNode("a", 0, 1, "Plain", "Unit", "Sub", "Both")
	for name, flag := range map[string]int32{"Unit": 1, "Sub": 2, "Both": 3} {
		config := n.TopicConfigSerializeWrapper.TopicConfigTable[name]
		config.TopicSysFlag = flag
		n.TopicConfigSerializeWrapper.TopicConfigTable[name] = config
	}
	w.register(c, n)
	raw := w.dialRaw()
	for code, want := range map[int32]string{
		wire.ReqGetUnitTopicList: "Both Unit", wire.ReqGetHasUnitSubTopicList: "Both Sub", wire.ReqGetHasUnitSubNonUnitTopicList: "Sub",
		wire.ReqGetAllTopicListFromNameServer: "Both Plain Sub Unit", wire.ReqGetSystemTopicListFromNS: "DefaultCluster a",
	} {
		var list body.TopicList
		if err := body.Unmarshal(raw.ask(t, &wire.Request{Code: code}).Body, &list); err != nil || strings.Join(list.TopicList, " ") != want {
			t.Errorf("%s: %v, %v, want %s", wire.CodeName(code), list.TopicList, err, want)
		}
	}
	for _, cluster := range []string{"DefaultCluster", "none"} {
		names, err := rpc.ClusterTopics(context.Background(), c, w.addr, cluster)
		if err != nil || (len(names) == 4) != (cluster == "DefaultCluster") {
			t.Errorf("topics of cluster %s: %v, %v", cluster, names, err)
		}
	}
	m := newNode("b", 0, 2, "Deflated")
	m.Compressed = true
	w.register(c, m)
	if have := w.brokers(c, "Deflated"); !slices.Equal(have, []string{"b/0@10.0.0.1:2"}) {
		t.Errorf("route: %v", have)
	}
}

// TestConcurrently has many brokers come, change and go while clients ask: each
// answer is one that was true at some moment.
func TestConcurrently(t *testing.T) {
	w := start(t, vfs.NewMem(), nil)
	var brokers, readers sync.WaitGroup
	var stop atomic.Bool
	for range 3 {
		c := w.client()
		readers.Go(func() {
			for !stop.Load() {
				r, err := rpc.Route(context.Background(), c, w.addr, "Shared")
				if errors.Is(err, rpc.TopicNotExist) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				for i, q := range r.QueueDatas {
					// Broker i has port 100+i, and as many queues.
					want := "10.0.0.1:" + fmt.Sprint(q.ReadQueueNums)
					if r.BrokerDatas[i].BrokerName != q.BrokerName || r.BrokerDatas[i].BrokerAddrs[0] != want {
						t.Errorf("route: %+v", r)
					}
				}
				if _, err := rpc.TopicList(context.Background(), c, w.addr); err != nil {
					t.Error(err)
				}
				if _, err := rpc.ClusterInfo(context.Background(), c, w.addr); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range 16 {
		brokers.Go(func() {
			for round := range 5 {
				c := remoting.NewClient(remoting.ClientConfig{Dial: w.mem.Dial})
				n := newNode(fmt.Sprint("b", i), 0, 100+i, "Shared", fmt.Sprint("Own", i))
				n.TopicConfigSerializeWrapper.DataVersion.Counter = int64(round)
				config := n.TopicConfigSerializeWrapper.TopicConfigTable["Shared"]
				config.ReadQueueNums = int32(100 + i)
				n.TopicConfigSerializeWrapper.TopicConfigTable["Shared"] = config
				if _, err := w.tryRegister(c, n); err != nil {
					t.Error(err)
				}
				if have := w.brokers(c, fmt.Sprint("Own", i)); len(have) != 1 {
					t.Errorf("right after the answer to its registration broker %d finds %v", i, have)
				}
				if round == 4 {
					t.Cleanup(func() { c.Close() })
				} else {
					c.Close()
				}
			}
		})
	}
	brokers.Wait()
	stop.Store(true)
	readers.Wait()
	if have := w.brokers(w.client(), "Shared"); len(have) != 16 {
		t.Errorf("in the end: %v", have)
	}
}

func TestLifecycle(t *testing.T) {
	t.Run("taken port", func(t *testing.T) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		cfg := settings()
		cfg.ListenPort = ln.Addr().(*net.TCPAddr).Port
		s := New(Options{Config: cfg, FS: vfs.NewMem()})
		if err := s.Open(); !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "listenPort") {
			t.Errorf("Open: %v", err)
		}
		if err := s.Run(context.Background()); err == nil {
			t.Error("Run without Open")
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Run("damaged file", func(t *testing.T) {
		fs := vfs.NewMem()
		if err := fs.MkdirAll("/data/namesrv"); err != nil {
			t.Fatal(err)
		}
		if err := vfs.ReplaceFile(fs, "/data/namesrv/kvConfig.json", []byte("{damaged")); err != nil {
			t.Fatal(err)
		}
		s := New(Options{Config: settings(), FS: fs})
		if err := s.Open(); err == nil || !strings.Contains(err.Error(), "/data/namesrv/kvConfig.json") {
			t.Errorf("Open: %v", err)
		}
		if s.Addr().IsValid() {
			t.Error("it listens")
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Run("over TCP until the context ends", func(t *testing.T) {
		s := New(Options{Config: settings(), FS: vfs.NewMem()})
		if err := s.Open(); err != nil {
			t.Fatal(err)
		}
		if err := s.Open(); err != nil {
			t.Errorf("Open again: %v", err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		c := remoting.NewClient(remoting.ClientConfig{})
		defer c.Close()
		if err := rpc.Ping(ctx, c, s.Addr().String()); err != nil {
			t.Error(err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := s.Open(); err == nil {
			t.Error("Open after Close")
		}
	})
	t.Run("one directory, two name servers", func(t *testing.T) {
		fs, mem := vfs.NewMem(), remoting.NewMemNetwork()
		first := New(Options{Config: settings(), FS: fs, Listen: mem.Listen})
		if err := first.Open(); err != nil {
			t.Fatal(err)
		}
		second := New(Options{Config: settings(), FS: fs, Listen: mem.Listen})
		if err := second.Open(); !errors.Is(err, vfs.ErrLocked) || !strings.Contains(err.Error(), "/data/namesrv ") {
			t.Errorf("Open of the second: %v", err)
		}
		for range 2 {
			if err := first.Close(); err != nil {
				t.Error(err)
			}
		}
		// The directory is free, also after an Open that came to nothing.
		failed := New(Options{Config: settings(), FS: fs, Listen: func(string) (net.Listener, error) { return nil, syscall.EADDRINUSE }})
		if err := failed.Open(); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("Open without a port: %v", err)
		}
		if err := second.Open(); err != nil {
			t.Errorf("Open of the second after the first was closed: %v", err)
		}
		if err := second.Close(); err != nil {
			t.Error(err)
		}
	})
}
