// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package sqltxtest

import (
	"context"
	"net/netip"
	"sync"
	"testing"

	"github.com/twostage/twostage/client"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// Broker is a name server and a broker on a network in memory, which keeps half
// messages and what it is told of them. It asks nobody.
type Broker struct {
	t   testing.TB
	net *remoting.MemNetwork

	mu     sync.Mutex
	halves []*message.Received
	ends   []header.EndTransactionRequest
	status int32 // of the answers to half messages
}

const (
	namesAddr  = "127.0.0.1:9876"
	brokerAddr = "127.0.0.1:10911"
)

// NewBroker starts one, until the test ends.
func NewBroker(t testing.TB) *Broker {
	b := &Broker{t: t, net: remoting.NewMemNetwork()}
	b.serve(namesAddr, func(r *remoting.Request) {
		r.Reply(&wire.Response{Body: body.MarshalStandard(&body.TopicRouteData{
			FilterServerTable: map[string][]string{},
			QueueDatas:        []body.QueueData{{BrokerName: "b", ReadQueueNums: 1, WriteQueueNums: 1, Perm: 6}},
			BrokerDatas:       []body.BrokerData{{Cluster: "C", BrokerName: "b", BrokerAddrs: map[int64]string{0: brokerAddr}}},
		})})
	})
	b.serve(brokerAddr, b.handle)
	return b
}

func (b *Broker) serve(addr string, handle remoting.Handler) {
	s := remoting.NewServer(remoting.ServerConfig{Addr: addr, Listen: b.net.Listen, Unknown: handle})
	if err := s.Listen(); err != nil {
		b.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Run(context.Background())
	}()
	b.t.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.t.Error(err)
		}
		<-ended
	})
}

func (b *Broker) handle(r *remoting.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch r.Code {
	case wire.ReqSendMessageV2:
		if b.status == wire.SystemError {
			r.Reply(&wire.Response{Code: b.status, Remark: "on purpose"})
			return
		}
		var h header.SendRequest
		if err := h.DecodeV2(r.Ext); err != nil {
			b.t.Error(err)
		}
		at := int64(len(b.halves))
		store := netip.MustParseAddrPort(brokerAddr)
		b.halves = append(b.halves, message.NewReceived(&message.Record{
			Topic: h.Topic, Properties: h.Properties, Body: r.Body, SysFlag: message.SysFlag(h.SysFlag), BornTimestamp: h.BornTimestamp,
			QueueOffset: at, PhysicalOffset: 100 * at, StoreHost: store,
		}))
		id := message.AppendOffsetID(nil, store, 100*at)
		r.Reply(&wire.Response{Code: b.status, Header: &header.SendResponse{MsgID: id, QueueOffset: at}})
	case wire.ReqEndTransaction:
		var h header.EndTransactionRequest
		if err := h.DecodeExt(r.Ext); err != nil {
			b.t.Error(err)
		}
		b.ends = append(b.ends, h)
		if h.CommitOrRollback != 0 {
			r.Reply(&wire.Response{})
		}
	default:
		r.Reply(&wire.Response{})
	}
}

// Half gives the last half message.
func (b *Broker) Half() *message.Received {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.halves) == 0 {
		b.t.Fatal("no half message has come")
	}
	return b.halves[len(b.halves)-1]
}

// Told gives what the broker was told, one word for each end.
func (b *Broker) Told() (all []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, h := range b.ends {
		all = append(all, map[int32]string{0: "unknown", 8: "commit", 12: "rollback"}[h.CommitOrRollback])
	}
	return all
}

// Producer makes one of the group "g", until the test ends.
func (b *Broker) Producer(check client.Checker, opts ...client.Option) *client.TransactionProducer {
	b.t.Helper()
	opts = append([]client.Option{client.WithNameServers(namesAddr), client.WithDialer(b.net.Dial)}, opts...)
	p, err := client.NewTransactionProducer("g", check, opts...)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		if err := p.Close(); err != nil {
			b.t.Error(err)
		}
	})
	return p
}

// AnswerHalves sets the code that half messages are answered with. With
// wire.SystemError they are not kept.
func (b *Broker) AnswerHalves(code int32) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.status = code
}

// Halves is how many half messages have come.
func (b *Broker) Halves() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.halves)
}
