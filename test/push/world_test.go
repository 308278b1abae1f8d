// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package push

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/internal/proctest"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/test/rig"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a server and a producer.
type world struct {
	t   *testing.T
	ctx context.Context
	srv *proctest.Server
	net *remoting.Client
	p   *client.Producer
}

func newWorld(t *testing.T, keys ...string) *world {
	t.Helper()
	names, port := proctest.FreePort(t), proctest.FreePort(t) // those of a restart too
	args := []string{"server", "--data", t.TempDir(), "--namesrv-set", fmt.Sprint("listenPort=", names), "--namesrv-set", "bindAddress=127.0.0.1"}
	for _, kv := range append([]string{
		fmt.Sprint("listenPort=", port), "httpListenPort=0", "bindAddress=127.0.0.1", "brokerIP1=127.0.0.1", "brokerName=broker-a",
		"mappedFileSizeCommitLog=16777216", "maxHashSlotNum=1000", "maxIndexNum=4000", "messageDelayLevel=1s 2s 3s 4s 5s",
	}, keys...) {
		args = append(args, "--set", kv)
	}
	w := &world{t: t, ctx: rig.Context(t), srv: proctest.Start(t, args...), net: rig.Client(t)}
	p, err := client.NewProducer("senders", client.WithNameServers(w.srv.Namesrv))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	w.p = p
	return w
}

func (w *world) topic(name string, queues int32) {
	w.t.Helper()
	if err := rpc.CreateTopic(w.ctx, w.net, w.srv.Broker, rig.TopicHeader(name, queues)); err != nil {
		w.t.Fatal(err)
	}
}

// send sends messages with the bodies 0, 1, ...
func (w *world) send(topic string, n int) {
	w.t.Helper()
	for i := range n {
		w.sendOne(topic, fmt.Sprint(i))
	}
}

func (w *world) sendOne(topic, body string) *client.SendResult {
	w.t.Helper()
	res, err := w.p.Send(w.ctx, message.New(topic, []byte(body)))
	if err != nil {
		w.t.Fatal(err)
	}
	return res
}

// consumer makes a consumer that is closed when the test ends.
func (w *world) consumer(group string, opts ...client.Option) *client.PushConsumer {
	w.t.Helper()
	c, err := client.NewPushConsumer(group, append([]client.Option{
		client.WithNameServers(w.srv.Namesrv), client.WithStart(client.StartEarliest), client.WithLogger(slog.New(slog.NewTextHandler(w.t.Output(), nil))),
	}, opts...)...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = c.Close() })
	return c
}

func (w *world) start(c *client.PushConsumer) {
	w.t.Helper()
	if err := c.Start(w.ctx); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) close(c *client.PushConsumer) {
	w.t.Helper()
	if err := c.Close(); err != nil {
		w.t.Fatal(err)
	}
}

// offset is what a broker has of a group.
func (w *world) offset(group, topic string, queue int32) int64 {
	w.t.Helper()
	n, err := rpc.StoredOffset(w.ctx, w.net, w.srv.Broker, group, topic, queue)
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// seen is what handlers were given.
type seen struct {
	mu  sync.Mutex
	all []*message.Received
}

func (s *seen) add(m *message.Received) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, m)
}

// handler notes every message.
func (s *seen) handler(_ context.Context, m *message.Received) error {
	s.add(m)
	return nil
}

func (s *seen) bodies() (list []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.all {
		list = append(list, string(m.Body))
	}
	return list
}

func (s *seen) len() int { return len(s.bodies()) }

// sorted are the bodies, in their order.
func (s *seen) sorted() []string {
	list := s.bodies()
	slices.Sort(list)
	return list
}

// waitFor waits until so many messages were seen.
func (s *seen) waitFor(t *testing.T, n int) {
	t.Helper()
	rig.Poll(t, "messages", func() error {
		if got := s.len(); got < n {
			return fmt.Errorf("%d messages, want %d", got, n)
		}
		return nil
	})
}

// quiet is how long something is seen not to happen.
const quiet = 300 * time.Millisecond
