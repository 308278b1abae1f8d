// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// relay is a broker that pushes replies to the client of the latest heartbeat, and
// keeps requests where they can be consumed.
func relay(t *testing.T, w *world, cluster string) *broker {
	var requester *remoting.Conn
	a := w.broker("a", 10001, func(r *remoting.Request) bool {
		switch r.Code {
		case wire.ReqHeartBeat:
			requester = r.Conn
			return false
		case wire.ReqSendReplyMessageV2:
			var h header.SendRequest
			if err := h.DecodeV2(r.Ext); err != nil {
				t.Error(err)
			}
			push := &header.ReplyRequest{
				ProducerGroup: string(h.ProducerGroup), Topic: string(h.Topic), SysFlag: h.SysFlag, Properties: string(h.Properties),
				BornTimestamp: h.BornTimestamp, BornHost: "127.0.0.1:7", StoreHost: "127.0.0.1:8", StoreTimestamp: 1,
			}
			if err := requester.Call(&wire.Request{Code: wire.ReqPushReplyMessageToClient, Header: push, Body: bytes.Clone(r.Body)}, time.Minute, func(c *wire.Command, err error) {
				if err != nil || c.Code != wire.Success {
					t.Errorf("the push was answered %+v, %v", c, err)
				}
			}); err != nil {
				t.Error(err)
			}
			return storing(r)
		}
		return false
	})
	w.topic("T", 1, a)
	w.topic(cluster+"_"+message.ReplySuffix, 1, a)
	return a
}

// consumed gives the one request that is stored, as its consumer gets it.
func consumed(t *testing.T, a *broker, cluster string) *message.Received {
	m := a.records(t, 0)[0]
	m.BrokerName = a.name
	m.Properties[message.PropertyCluster] = cluster
	return m
}

func TestRequestAndReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a := relay(t, w, "C")
		asking, answering := newTestProducer(t, w, WithInstance("asking")), newTestProducer(t, w, WithCompression(message.CompressionZstd, 100))
		long := bytes.Repeat([]byte("the answer "), 100)
		go func() {
			time.Sleep(time.Second)
			m := consumed(t, a, "C")
			if string(m.Body) != "the question" || m.Property(message.PropertyReplyToClient) != asking.ClientID() || m.Property(message.PropertyTTL) != "3000" || m.Tags() != "A" {
				t.Errorf("%+v", m)
			}
			if err := answering.Reply(t.Context(), m, long); err != nil {
				t.Error(err)
			}
		}()
		m := message.New("T", []byte("the question"))
		m.SetTags("A")
		begin := time.Now()
		reply, err := asking.Request(t.Context(), m)
		if err != nil || !bytes.Equal(reply.Body, long) || reply.Property(message.PropertyMessageType) != "reply" || reply.BornHost.Port() != 7 || time.Since(begin) != time.Second {
			t.Fatalf("after %v: %+v, %v", time.Since(begin), reply, err)
		}
		if len(m.Properties) != 1 {
			t.Errorf("the message was changed: %v", m.Properties)
		}
		if beats, asked := a.got(wire.ReqHeartBeat), a.got(wire.ReqSendMessageV2); len(beats) != 1 || beats[0].conn != asked[0].conn {
			t.Errorf("%d heartbeats ahead of the request", len(beats))
		}

		// Nobody waits for a second reply: it is taken all the same.
		if err := answering.Reply(t.Context(), consumed(t, a, "C"), []byte("again")); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if err := answering.Reply(t.Context(), reply, []byte("to a reply that says no cluster")); !errors.Is(err, ErrNoRequest) {
			t.Error(err)
		}
		a.stop()
	})
}

func TestRequestWithoutAReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a := relay(t, w, "C")
		p := newTestProducer(t, w, WithTimeout(2*time.Second))
		begin := time.Now()
		if _, err := p.Request(t.Context(), message.New("T", []byte("?"))); !errors.Is(err, ErrNoReply) || !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 2*time.Second {
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		time.AfterFunc(time.Second, func() { _ = p.Close() })
		if _, err := p.Request(ctx, message.New("T", []byte("?"))); !errors.Is(err, ErrClosed) {
			t.Errorf("while the producer is closed: %v", err)
		}
		if n := len(p.requests.waiting); n != 0 {
			t.Errorf("%d requests are still waited for", n)
		}
		if _, err := p.Request(ctx, message.New("T", nil)); !errors.Is(err, message.ErrBody) {
			t.Error(err)
		}
		a.stop()
	})
}

// A broker that is not known, or does not take heartbeats, keeps no request back
// while another of the topic's does.
func TestRequestNeedsOneBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b := relay(t, w, "C"), w.broker("b", 10002, nil)
		w.topic("T", 1, a, b)
		b.stop()
		p := newTestProducer(t, w)
		if _, err := p.Request(t.Context(), message.New("T", []byte("?"))); !errors.Is(err, ErrNoReply) {
			t.Error(err)
		}
		a.stop()
		if _, err := p.Request(t.Context(), message.New("T", []byte("?"))); err == nil || errors.Is(err, ErrNoReply) {
			t.Errorf("without a broker: %v", err)
		}
	})
}

// A broker that hangs, whichever of a topic's it is, does not keep requests from going
// by way of another, and no heartbeat to it is left behind.
func TestRequestWhileABrokerHangs(t *testing.T) {
	for _, hung := range []int{0, 1} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			brokers := []*broker{w.broker("a", 10001, nil), w.broker("b", 10002, nil)}
			w.topic("T", 4, brokers...)
			var begin time.Time
			good := brokers[1-hung]
			good.answer = func(r *remoting.Request) bool {
				if took := time.Since(begin); r.Code == wire.ReqSendMessageV2 && took > greetWait {
					t.Errorf("the request went out after %v", took)
				}
				return false
			}
			p := newTestProducer(t, w, w.hanging(brokers[hung].addr), WithLatencyFault(false))
			for i := range 8 {
				begin = time.Now()
				if _, err := p.Request(t.Context(), message.New("T", []byte("?"))); !errors.Is(err, ErrNoReply) {
					t.Error(err)
				}
				if n := len(good.got(wire.ReqSendMessageV2)); n != i+1 {
					t.Errorf("%d of %d requests went out", n, i+1)
				}
			}
		})
	}
}
