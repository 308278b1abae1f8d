// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package namesrv

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/twostage/twostage/internal/config"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// logs is a log that tests read.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) has(words ...string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		all := true
		for _, w := range words {
			all = all && strings.Contains(line, w)
		}
		if all {
			return true
		}
	}
	return false
}

// world is a name server on a network in memory.
type world struct {
	t    testing.TB
	mem  *remoting.MemNetwork
	fs   *vfs.Mem
	srv  *Server
	addr string
	log  *logs
	stop func()
}

func settings() config.Namesrv {
	return config.Namesrv{
		BindAddress: "127.0.0.1", IdleTimeout: 2 * time.Minute, KVConfigPath: "/data/namesrv/kvConfig.json",
		OrderMessages: true, ScanInterval: 5 * time.Second,
	}
}

// start runs a name server until the test ends or stop is called.
func start(t testing.TB, fs *vfs.Mem, edit func(*Options)) *world {
	t.Helper()
	w := &world{t: t, mem: remoting.NewMemNetwork(), fs: fs, log: &logs{}}
	o := Options{Config: settings(), FS: fs, Listen: w.mem.Listen, Logger: slog.New(slog.NewTextHandler(w.log, nil))}
	if edit != nil {
		edit(&o)
	}
	w.srv = New(o)
	if err := w.srv.Open(); err != nil {
		t.Fatal(err)
	}
	w.addr = w.srv.Addr().String()
	done := make(chan error, 1)
	go func() { done <- w.srv.Run(context.Background()) }()
	w.stop = sync.OnceFunc(func() {
		if err := w.srv.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(w.stop)
	return w
}

// client connects on first use; it ends with the test.
func (w *world) client() *remoting.Client {
	cl := remoting.NewClient(remoting.ClientConfig{Dial: w.mem.Dial, Limits: remoting.Limits{IdleTimeout: time.Hour}})
	w.t.Cleanup(func() { cl.Close() })
	return cl
}

// node is a broker as name servers see it.
type node struct {
	header.RegisterBrokerRequest
	body.RegisterBrokerBody
}

// newNode is broker id of a name, on a port of 10.0.0.1, with topics of four queues.
func newNode(name string, id int64, port int, topics ...string) *node {
	n := &node{}
	n.ClusterName, n.BrokerName, n.BrokerID = "DefaultCluster", name, id
	n.BrokerAddr, n.HAServerAddr = fmt.Sprintf("10.0.0.1:%d", port), fmt.Sprintf("10.0.0.1:%d", port+1)
	n.TopicConfigSerializeWrapper.DataVersion = body.DataVersion{Timestamp: 1_700_000_000_000}
	n.set(topics...)
	return n
}

// set gives the broker these topics and a new data version.
func (n *node) set(topics ...string) {
	table := make(map[string]body.TopicConfig)
	for _, name := range topics {
		c := body.NewTopicConfig(name)
		c.ReadQueueNums, c.WriteQueueNums = 4, 4
		table[name] = c
	}
	n.TopicConfigSerializeWrapper.TopicConfigTable = table
	n.TopicConfigSerializeWrapper.DataVersion.Counter++
}

func (n *node) identity() *header.UnregisterBrokerRequest {
	return &header.UnregisterBrokerRequest{BrokerName: n.BrokerName, BrokerAddr: n.BrokerAddr, ClusterName: n.ClusterName, BrokerID: n.BrokerID}
}

func (w *world) tryRegister(c rpc.Caller, n *node) (*rpc.Registration, error) {
	return rpc.RegisterBroker(context.Background(), c, w.addr, &n.RegisterBrokerRequest, &n.RegisterBrokerBody)
}

func (w *world) register(c rpc.Caller, n *node) *rpc.Registration {
	w.t.Helper()
	r, err := w.tryRegister(c, n)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// brokers gives "name/id@address" of the brokers in a topic's route; nil when
// there is no route.
func (w *world) brokers(c rpc.Caller, topic string) []string {
	w.t.Helper()
	r, err := rpc.Route(context.Background(), c, w.addr, topic)
	if code, _ := rpc.CodeOf(err); code == wire.TopicNotExist {
		return nil
	}
	if err != nil {
		w.t.Fatal(err)
	}
	var all []string
	for _, b := range r.BrokerDatas {
		for id := range int64(10) {
			if addr, ok := b.BrokerAddrs[id]; ok {
				all = append(all, fmt.Sprintf("%s/%d@%s", b.BrokerName, id, addr))
			}
		}
	}
	return all
}

// rawConn is a bare connection.
type rawConn struct {
	nc net.Conn
	d  wire.Decoder
}

func (w *world) dialRaw() *rawConn {
	w.t.Helper()
	nc, err := w.mem.Dial(context.Background(), w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { nc.Close() })
	return &rawConn{nc: nc}
}

func (c *rawConn) write(t testing.TB, frame []byte) {
	t.Helper()
	if _, err := c.nc.Write(frame); err != nil {
		t.Fatal(err)
	}
}

// read gives the next frame, decoded.
func (c *rawConn) read() (*wire.Command, error) {
	var length [4]byte
	if _, err := io.ReadFull(c.nc, length[:]); err != nil {
		return nil, err
	}
	frame := make([]byte, binary.BigEndian.Uint32(length[:]))
	if _, err := io.ReadFull(c.nc, frame); err != nil {
		return nil, err
	}
	cmd := new(wire.Command)
	if err := c.d.Decode(frame, cmd); err != nil {
		return nil, err
	}
	return cmd.Clone(), nil
}

// ask writes a request and reads its answer.
func (c *rawConn) ask(t testing.TB, req *wire.Request) *wire.Command {
	t.Helper()
	c.write(t, wire.AppendRequest(nil, req))
	cmd, err := c.read()
	if err != nil {
		t.Fatalf("request %d: %v", req.Code, err)
	}
	return cmd
}
