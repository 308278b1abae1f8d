// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/twostage/twostage/internal/broker/brokertest"
	"github.com/twostage/twostage/internal/config"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what a test waits for; it is long so that only a defect
// reaches it.
const patience = 20 * time.Second

// world is a broker in this process, over the loopback, its store in memory.
type world struct {
	*Broker
	t    testing.TB
	addr string
	ctx  context.Context
	stop func() error
}

func start(t testing.TB, fs vfs.FS, keys ...string) *world {
	t.Helper()
	return startAt(t, fs, nil, keys...)
}

// startAt starts a broker with a clock of its own.
func startAt(t testing.TB, fs vfs.FS, now func() int64, keys ...string) *world {
	t.Helper()
	return startLogged(t, fs, now, slog.New(slog.DiscardHandler), keys...)
}

// startLogged starts a broker that logs. Retention runs when the test says so.
func startLogged(t testing.TB, fs vfs.FS, now func() int64, logger *slog.Logger, keys ...string) *world {
	t.Helper()
	flags := map[string]string{
		"listenPort": "0", "bindAddress": "127.0.0.1", "brokerIP1": "127.0.0.1", "brokerName": "broker-a", "storePathRootDir": "/store",
		"mappedFileSizeCommitLog": "1048576", "mappedFileSizeConsumeQueue": "2000", "maxHashSlotNum": "1000", "maxIndexNum": "4000",
		"cleanResourceInterval": "3600000",
	}
	for i := 0; i+1 < len(keys); i += 2 {
		flags[keys[i]] = keys[i+1]
	}
	cfg, err := config.Load(config.Sources{Role: config.RoleBroker, HostName: "test", Flags: flags})
	if err != nil {
		t.Fatal(err)
	}
	b := New(Options{Config: cfg.Broker, Values: cfg.BrokerValues, Live: cfg.LiveBroker(), FS: fs, Logger: logger, NowMillis: now})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	w := &world{Broker: b, t: t, ctx: ctx}
	if err := b.Open(ctx); err != nil {
		cancel()
		t.Fatal(errors.Join(err, b.Close()))
	}
	w.addr = b.Addr().String()
	run, end := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(run) }()
	stopped := false
	var result error
	w.stop = func() error {
		if !stopped {
			stopped = true
			end()
			result = <-done
			cancel()
		}
		return result
	}
	t.Cleanup(func() { _ = w.stop() })
	return w
}

// client is a client process: one connection, and what the broker pushes on it.
type client struct {
	*remoting.Client
	w      *world
	pushed chan *wire.Command
}

func (w *world) client() *client {
	c := &client{w: w, pushed: make(chan *wire.Command, 1000)}
	c.Client = remoting.NewClient(remoting.ClientConfig{Version: wire.Version, Language: wire.LanguageJava, Routes: func(int32) (remoting.Route, bool) {
		return remoting.Route{Handler: func(r *remoting.Request) { c.pushed <- r.Clone() }}, true
	}})
	w.t.Cleanup(func() { _ = c.Close() })
	return c
}

// expect waits for a request of the broker.
func (c *client) expect(code int32) *wire.Command {
	c.w.t.Helper()
	select {
	case cmd := <-c.pushed:
		if cmd.Code != code {
			c.w.t.Fatalf("the broker pushed %d, want %d", cmd.Code, code)
		}
		return cmd
	case <-c.w.ctx.Done():
		c.w.t.Fatalf("no request %d came", code)
		return nil
	}
}

// heartbeat makes the client a consumer of a group, with its topics' expressions.
func (c *client) heartbeat(id, group string, subs ...string) {
	c.w.t.Helper()
	d := body.ConsumerData{GroupName: group, ConsumeType: body.ConsumePassively, MessageModel: body.Clustering, ConsumeFromWhere: body.ConsumeFromFirstOffset}
	for i := 0; i+1 < len(subs); i += 2 {
		s := body.SubscriptionData{Topic: subs[i], SubString: subs[i+1], ExpressionType: "TAG", SubVersion: 1}
		if s.SubString != "*" {
			for tag := range strings.SplitSeq(s.SubString, " || ") {
				s.TagsSet, s.CodeSet = append(s.TagsSet, tag), append(s.CodeSet, message.HashCode(tag))
			}
		}
		d.SubscriptionDataSet = append(d.SubscriptionDataSet, s)
	}
	if err := rpc.Heartbeat(c.w.ctx, c, c.w.addr, &body.HeartbeatData{ClientID: id, ConsumerDataSet: []body.ConsumerData{d}}); err != nil {
		c.w.t.Fatal(err)
	}
}

func (c *client) produces(id, group string) {
	c.w.t.Helper()
	if err := rpc.Heartbeat(c.w.ctx, c, c.w.addr, &body.HeartbeatData{ClientID: id, ProducerDataSet: []body.ProducerData{{GroupName: group}}}); err != nil {
		c.w.t.Fatal(err)
	}
}

// sendHeader is that of a message to queue 0.
func sendHeader(topic string, props ...string) *header.SendRequest {
	var p []byte
	for i := 0; i+1 < len(props); i += 2 {
		p = message.AppendProperty(p, props[i], props[i+1])
	}
	return &header.SendRequest{ProducerGroup: []byte("p"), Topic: []byte(topic), DefaultTopic: []byte(message.TopicAutoCreate), DefaultTopicQueueNums: 4,
		BornTimestamp: 7, Flag: 3, Properties: p}
}

func (c *client) send(h *header.SendRequest, text string) *rpc.Sent {
	c.w.t.Helper()
	sent, err := rpc.Send(c.w.ctx, c, c.w.addr, h, []byte(text))
	if err != nil {
		c.w.t.Fatal(err)
	}
	return sent
}

// refused sends and wants a refusal with the code and words of its remark.
func (c *client) refused(code int32, req *wire.Request, words ...string) {
	c.w.t.Helper()
	cmd, err := c.Invoke(c.w.ctx, c.w.addr, req)
	if err != nil {
		c.w.t.Fatal(err)
	}
	if cmd.Code != code {
		c.w.t.Errorf("answered %d %q, want %d", cmd.Code, cmd.Remark, code)
	}
	for _, word := range words {
		if !strings.Contains(string(cmd.Remark), word) {
			c.w.t.Errorf("remark %q does not say %q", cmd.Remark, word)
		}
	}
}

// pull asks for messages of queue 0 from an offset on, and holds on for the
// suspend time.
func (c *client) pull(group, topic string, queue int32, from int64, suspend time.Duration) *rpc.Pulled {
	c.w.t.Helper()
	h := &header.PullRequest{ConsumerGroup: []byte(group), Topic: []byte(topic), QueueID: queue, QueueOffset: from, MaxMsgNums: 32, SubVersion: 1}
	if suspend > 0 {
		h.SysFlag, h.SuspendTimeoutMillis = header.PullSuspend, suspend.Milliseconds()
	}
	p, err := rpc.Pull(c.w.ctx, c, c.w.addr, h)
	if err != nil {
		c.w.t.Fatal(err)
	}
	return p
}

// stored reads a queue out of the store once everything is dispatched.
func (w *world) stored(topic string, queue int32) []message.Record {
	w.t.Helper()
	if err := w.store.WaitDispatched(w.store.MaxPhysical()); err != nil {
		w.t.Fatal(err)
	}
	return brokertest.Records(w.t, w.store, topic, queue)
}

func (w *world) wantBodies(topic string, queue int32, want string) {
	w.t.Helper()
	var list []string
	for _, rec := range w.stored(topic, queue) {
		list = append(list, string(rec.Body))
	}
	if got := strings.Join(list, " "); got != want {
		w.t.Errorf("%s/%d holds %q, want %q", topic, queue, got, want)
	}
}

// wantProperties compares a record's properties, given as name, value, ...
func (w *world) wantProperties(rec *message.Record, want ...string) {
	w.t.Helper()
	m := map[string]string{}
	for i := 0; i+1 < len(want); i += 2 {
		m[want[i]] = want[i+1]
	}
	if got := message.ParseProperties(rec.Properties); !maps.Equal(got, m) {
		w.t.Errorf("properties\n%v, want\n%v", got, m)
	}
}

func bodies(t testing.TB, records []byte) string {
	t.Helper()
	var list []string
	if err := message.RangeRecords(records, true, func(r *message.Record) error { list = append(list, string(r.Body)); return nil }); err != nil {
		t.Fatal(err)
	}
	return strings.Join(list, " ")
}

func code(err error) int32 {
	var e *rpc.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return -1
}
