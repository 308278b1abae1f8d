// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const nameServer = "127.0.0.1:9876"

// world is a name server and brokers on a network in memory.
type world struct {
	t   testing.TB
	net *remoting.MemNetwork

	stopNames func() // stops the name server

	mu      sync.Mutex
	routes  map[string]*body.TopicRouteData
	lookups int
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, net: remoting.NewMemNetwork(), routes: map[string]*body.TopicRouteData{}}
	w.stopNames = w.serve(nameServer, func(r *remoting.Request) {
		var h header.RouteRequest
		if err := h.DecodeExt(r.Ext); err != nil || r.Code != wire.ReqGetRouteInfoByTopic {
			r.Reply(&wire.Response{Code: wire.SystemError, Remark: fmt.Sprint("code ", r.Code, " ", err)})
			return
		}
		w.mu.Lock()
		data, ok := w.routes[h.Topic]
		w.lookups++
		w.mu.Unlock()
		if !ok {
			r.Reply(&wire.Response{Code: wire.TopicNotExist, Remark: "no topic " + h.Topic})
			return
		}
		r.Reply(&wire.Response{Body: body.MarshalStandard(data)})
	})
	return w
}

// serve runs a server until the test ends, or the returned function is called.
func (w *world) serve(addr string, handle remoting.Handler) (stop func()) {
	s := remoting.NewServer(remoting.ServerConfig{Addr: addr, Listen: w.net.Listen, Unknown: handle})
	if err := s.Listen(); err != nil {
		w.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Run(context.Background())
	}()
	stop = sync.OnceFunc(func() {
		if err := s.Close(); err != nil {
			w.t.Error(err)
		}
		<-ended
	})
	w.t.Cleanup(stop)
	return stop
}

// topic puts a topic with queues on brokers into the routes.
func (w *world) topic(name string, queues int32, brokers ...*broker) {
	data := &body.TopicRouteData{FilterServerTable: map[string][]string{}}
	for _, b := range brokers {
		data.QueueDatas = append(data.QueueDatas, body.QueueData{BrokerName: b.name, ReadQueueNums: queues, WriteQueueNums: queues, Perm: 6})
		data.BrokerDatas = append(data.BrokerDatas, body.BrokerData{Cluster: "C", BrokerName: b.name, BrokerAddrs: map[int64]string{0: b.addr}})
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.routes[name] = data
}

// with are the options of a client of this world, before others.
func (w *world) with(opts ...Option) []Option {
	return append([]Option{WithNameServers(nameServer), WithDialer(w.net.Dial)}, opts...)
}

// hanging dials, but for an address that never answers.
func (w *world) hanging(addr string) Option {
	return WithDialer(func(ctx context.Context, to string) (net.Conn, error) {
		if to == addr {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return w.net.Dial(ctx, to)
	})
}

// asked is how many routes were looked up.
func (w *world) asked() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lookups
}

// call is a request that a broker got.
type call struct {
	*wire.Command
	conn *remoting.Conn
}

// broker stores what it is sent in memory.
type broker struct {
	w          *world
	name, addr string
	stop       func()

	mu     sync.Mutex
	calls  []call
	queues map[int32][][]byte // records by queue
	min    int64              // of every queue
	answer func(r *remoting.Request) bool
}

// broker starts a broker. answer, which may be nil, handles requests that it
// returns true for; the lock is not held.
func (w *world) broker(name string, port int, answer func(r *remoting.Request) bool) *broker {
	b := &broker{w: w, name: name, addr: fmt.Sprintf("127.0.0.1:%d", port), queues: map[int32][][]byte{}, answer: answer}
	b.start()
	return b
}

func (b *broker) start() { b.stop = b.w.serve(b.addr, b.handle) }

func (b *broker) handle(r *remoting.Request) {
	b.mu.Lock()
	b.calls = append(b.calls, call{r.Clone(), r.Conn})
	answer := b.answer
	b.mu.Unlock()
	if answer != nil && answer(r) {
		return
	}
	switch r.Code {
	case wire.ReqHeartBeat, wire.ReqUnregisterClient:
		r.Reply(&wire.Response{})
	case wire.ReqEndTransaction:
		var h header.EndTransactionRequest
		if err := h.DecodeExt(r.Ext); err == nil && h.CommitOrRollback != 0 {
			r.Reply(&wire.Response{})
		}
	case wire.ReqSendMessageV2:
		r.Reply(b.store(r))
	case wire.ReqPullMessage:
		b.pull(r)
	case wire.ReqGetMaxOffset, wire.ReqGetMinOffset:
		b.offset(r)
	default:
		r.Reply(&wire.Response{Code: wire.RequestCodeNotSupported, Remark: wire.CodeName(r.Code)})
	}
}

func (b *broker) store(r *remoting.Request) *wire.Response {
	var h header.SendRequest
	if err := h.DecodeV2(r.Ext); err != nil {
		return &wire.Response{Code: wire.SystemError, Remark: err.Error()}
	}
	at := b.put(h.QueueID, &message.Record{
		Topic: h.Topic, Properties: h.Properties, Body: r.Body, SysFlag: message.SysFlag(h.SysFlag), Flag: h.Flag, BornTimestamp: h.BornTimestamp,
	})
	id := message.AppendOffsetID(nil, netip.MustParseAddrPort(b.addr), 1000+at)
	return &wire.Response{Header: &header.SendResponse{MsgID: id, QueueID: h.QueueID, QueueOffset: at, Region: []byte("R"), TraceOn: true}}
}

// put stores a record and gives its offset.
func (b *broker) put(queue int32, r *message.Record) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := b.min + int64(len(b.queues[queue]))
	r.QueueID, r.QueueOffset, r.PhysicalOffset = queue, at, 1000+at
	r.StoreHost = netip.MustParseAddrPort(b.addr)
	b.queues[queue] = append(b.queues[queue], message.AppendRecord(nil, r))
	return at
}

func (b *broker) pull(r *remoting.Request) {
	var h header.PullRequest
	if err := h.DecodeExt(r.Ext); err != nil {
		r.Reply(&wire.Response{Code: wire.SystemError, Remark: err.Error()})
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	records := b.queues[h.QueueID]
	top := b.min + int64(len(records))
	res := header.PullResponse{NextBeginOffset: h.QueueOffset, MinOffset: b.min, MaxOffset: top}
	switch {
	case h.QueueOffset < b.min || h.QueueOffset > top:
		res.NextBeginOffset = b.min
		r.Reply(&wire.Response{Code: wire.PullOffsetMoved, Header: &res})
	case h.QueueOffset == top:
		r.Reply(&wire.Response{Code: wire.PullNotFound, Header: &res})
	default:
		got := records[h.QueueOffset-b.min:]
		got = got[:min(len(got), int(h.MaxMsgNums))]
		res.NextBeginOffset += int64(len(got))
		r.Reply(&wire.Response{Header: &res, Body: slices.Concat(got...)})
	}
}

func (b *broker) offset(r *remoting.Request) {
	var h header.MaxOffsetRequest
	if err := h.DecodeExt(r.Ext); err != nil {
		r.Reply(&wire.Response{Code: wire.SystemError, Remark: err.Error()})
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	at := b.min
	if r.Code == wire.ReqGetMaxOffset {
		at += int64(len(b.queues[h.QueueID]))
	}
	r.Reply(&wire.Response{Header: &header.OffsetResponse{Offset: at}})
}

// got gives the requests of a code, in their order; 0 is all.
func (b *broker) got(code int32) []call {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []call
	for _, c := range b.calls {
		if code == 0 || c.Code == code {
			all = append(all, c)
		}
	}
	return all
}

// records decodes what a queue holds.
func (b *broker) records(t *testing.T, queue int32) []*message.Received {
	b.mu.Lock()
	defer b.mu.Unlock()
	all, err := message.DecodeReceived(slices.Concat(b.queues[queue]...))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// mute never answers what code it is given.
func mute(code int32) func(*remoting.Request) bool {
	return func(r *remoting.Request) bool { return r.Code == code }
}

// refuse answers a code with an error.
func refuse(code, with int32) func(*remoting.Request) bool {
	return func(r *remoting.Request) bool {
		if r.Code == code {
			r.Reply(&wire.Response{Code: with, Remark: "on purpose"})
		}
		return r.Code == code
	}
}

func closing(t testing.TB, c interface{ Close() error }) {
	t.Helper()
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}
