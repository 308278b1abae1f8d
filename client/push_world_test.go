// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// groups is what brokers of a world know of consumer groups.
type groups struct {
	mu      sync.Mutex
	members []string
	offsets map[string]int64 // by "group topic queue"
	back    []header.SendBackRequest
	before  func(r *remoting.Request) bool // answers what it returns true for
}

// groupBroker starts a broker that serves consumers.
func (w *world) groupBroker(name string, port int) (*broker, *groups) {
	g := &groups{offsets: map[string]int64{}}
	return w.broker(name, port, g.answer), g
}

func place(group, topic string, queue int32) string { return fmt.Sprint(group, " ", topic, " ", queue) }

func (g *groups) answer(r *remoting.Request) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.before != nil && g.before(r) {
		return true
	}
	switch r.Code {
	case wire.ReqHeartBeat:
		var b body.HeartbeatData
		if err := body.Unmarshal(r.Body, &b); err == nil && !slices.Contains(g.members, b.ClientID) {
			g.members = append(g.members, b.ClientID)
		}
		r.Reply(&wire.Response{})
	case wire.ReqGetConsumerListByGroup:
		r.Reply(&wire.Response{Body: body.Marshal(&body.GetConsumerListByGroupResponseBody{ConsumerIDList: g.members})})
	case wire.ReqQueryConsumerOffset:
		var h header.QueryConsumerOffsetRequest
		_ = h.DecodeExt(r.Ext)
		if at, ok := g.offsets[place(h.ConsumerGroup, h.Topic, h.QueueID)]; ok {
			r.Reply(&wire.Response{Header: &header.OffsetResponse{Offset: at}})
		} else {
			r.Reply(&wire.Response{Code: wire.QueryNotFound, Remark: "none"})
		}
	case wire.ReqUpdateConsumerOffset:
		var h header.UpdateConsumerOffsetRequest
		_ = h.DecodeExt(r.Ext)
		g.offsets[place(h.ConsumerGroup, h.Topic, h.QueueID)] = h.CommitOffset
		r.Reply(&wire.Response{})
	case wire.ReqConsumerSendMsgBack:
		var h header.SendBackRequest
		_ = h.DecodeExt(r.Ext)
		g.back = append(g.back, h)
		r.Reply(&wire.Response{})
	case wire.ReqLockBatchMQ, wire.ReqUnlockBatchMQ:
		var b body.LockBatchRequestBody
		_ = body.Unmarshal(r.Body, &b)
		r.Reply(&wire.Response{Body: body.Marshal(&body.LockBatchResponseBody{LockOKMQSet: b.MqSet})})
	case wire.ReqPullMessage:
		var h header.PullRequest
		if err := h.DecodeExt(r.Ext); err == nil && h.SysFlag&header.PullCommitOffset != 0 {
			g.offsets[place(string(h.ConsumerGroup), string(h.Topic), h.QueueID)] = h.CommitOffset
		}
		return false
	default:
		return false
	}
	return true
}

// given are the messages that consumers gave back.
func (g *groups) given() []header.SendBackRequest {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.back)
}

func (g *groups) offset(group, topic string, queue int32) int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.offsets[place(group, topic, queue)]
}

// forget drops a member, as when its connection is lost.
func (g *groups) forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.members = nil
}

// number puts messages with the bodies 0, 1, ... into a queue.
func (b *broker) number(topic string, queue int32, n int) {
	for i := range n {
		b.put(queue, &message.Record{Topic: []byte(topic), Body: []byte(fmt.Sprint(i))})
	}
}

// newPush makes a consumer of the group g that is closed with the test.
func newPush(t *testing.T, w *world, opts ...Option) *PushConsumer {
	t.Helper()
	c, err := NewPushConsumer("g", append([]Option{WithNameServers(nameServer), WithDialer(w.net.Dial), WithStart(StartEarliest)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	closing(t, c)
	return c
}

func startPush(t *testing.T, c *PushConsumer, topic string, h Handler) {
	t.Helper()
	if err := c.Subscribe(topic, All, h); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func closePush(t *testing.T, c *PushConsumer) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// eventually waits for something in the bubble's time.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 20000 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%s: not in 200 s", what)
}

// took notes bodies.
type took struct {
	mu  sync.Mutex
	all []string
}

func (s *took) handler(_ context.Context, m *message.Received) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, string(m.Body))
	return nil
}

func (s *took) list() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.all)
}
