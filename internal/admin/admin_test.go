// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is servers on a network in memory, all of which share one state.
type world struct {
	t      *testing.T
	net    *remoting.MemNetwork
	client *remoting.Client

	mu       sync.Mutex
	clusters body.ClusterInfo
	created  map[string][]header.CreateTopicRequest                // by address
	deleted  []string                                              // address and topic
	refusing string                                                // address that refuses changes
	routes   map[string]*body.TopicRouteData                       // in place of what was created
	topics   []string                                              // in place of a and b
	orders   map[string]string                                     // the orders of topics that name servers have
	delay    int                                                   // look-ups of a route until it is there
	inspect  func(addr string, r *remoting.Request) *wire.Response // the inspector's requests
}

func newWorld(t *testing.T, servers ...string) *world {
	w := &world{
		t: t, net: remoting.NewMemNetwork(), created: map[string][]header.CreateTopicRequest{},
		clusters: body.ClusterInfo{BrokerAddrTable: map[string]body.BrokerData{}, ClusterAddrTable: map[string][]string{}},
	}
	w.client = remoting.NewClient(remoting.ClientConfig{Dial: w.net.Dial})
	t.Cleanup(func() {
		if err := w.client.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, addr := range servers {
		w.serve(addr)
	}
	return w
}

func (w *world) broker(cluster, name, addr string, ids ...int64) {
	b := body.BrokerData{Cluster: cluster, BrokerName: name, BrokerAddrs: map[int64]string{}}
	for _, id := range ids {
		b.BrokerAddrs[id] = addr
	}
	w.clusters.BrokerAddrTable[name] = b
	w.clusters.ClusterAddrTable[cluster] = append(w.clusters.ClusterAddrTable[cluster], name)
	w.serve(addr)
}

func (w *world) serve(addr string) {
	s := remoting.NewServer(remoting.ServerConfig{Addr: addr, Listen: w.net.Listen, Unknown: func(r *remoting.Request) {
		w.mu.Lock()
		defer w.mu.Unlock()
		r.Reply(w.answer(addr, r))
	}})
	if err := s.Listen(); err != nil {
		w.t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- s.Run(context.Background()) }()
	w.t.Cleanup(func() {
		if err := errors.Join(s.Close(), <-ended); err != nil {
			w.t.Error(err)
		}
	})
}

func (w *world) answer(addr string, r *remoting.Request) *wire.Response {
	switch r.Code {
	case wire.ReqGetBrokerClusterInfo:
		return &wire.Response{Body: body.Marshal(&w.clusters)}
	case wire.ReqGetAllTopicListFromNameServer:
		if w.topics != nil {
			return &wire.Response{Body: body.Marshal(&body.TopicList{TopicList: w.topics})}
		}
		return &wire.Response{Body: body.Marshal(&body.TopicList{TopicList: []string{"b", "a"}})}
	case wire.ReqGetRouteInfoByTopic:
		if w.delay--; w.delay >= 0 {
			return &wire.Response{Code: wire.TopicNotExist, Remark: "not yet"}
		}
		if w.routes != nil {
			topic, _ := r.Ext.Get("topic")
			if data := w.routes[string(topic)]; data != nil {
				return &wire.Response{Body: body.MarshalStandard(data)}
			}
			return &wire.Response{Code: wire.TopicNotExist, Remark: "no such topic"}
		}
		data := body.TopicRouteData{}
		for name, b := range w.clusters.BrokerAddrTable {
			if len(w.created[b.BrokerAddrs[0]]) > 0 {
				data.QueueDatas = append(data.QueueDatas, body.QueueData{BrokerName: name})
				data.BrokerDatas = append(data.BrokerDatas, b)
			}
		}
		return &wire.Response{Body: body.MarshalStandard(&data)}
	}
	if addr == w.refusing {
		return &wire.Response{Code: wire.SystemError, Remark: "refused on purpose"}
	}
	if w.inspect != nil {
		return w.inspect(addr, r)
	}
	switch r.Code {
	case wire.ReqGetTopicConfig:
		topic, _ := r.Ext.Get("topic")
		for _, h := range w.created[addr] {
			if h.Topic == string(topic) {
				c := body.NewTopicConfig(h.Topic)
				c.ReadQueueNums, c.WriteQueueNums, c.Perm, c.Order = h.ReadQueueNums, h.WriteQueueNums, h.Perm, h.Order
				return &wire.Response{Body: body.Marshal(&c)}
			}
		}
		return &wire.Response{Code: wire.TopicNotExist, Remark: "no such topic"}
	case wire.ReqUpdateAndCreateTopic:
		var h header.CreateTopicRequest
		if err := h.DecodeExt(r.Ext); err != nil {
			return &wire.Response{Code: wire.SystemError, Remark: err.Error()}
		}
		w.created[addr] = append(w.created[addr], h)
		return &wire.Response{}
	case wire.ReqGetKVConfig:
		key, _ := r.Ext.Get("key")
		if text, ok := w.orders[string(key)]; ok {
			return &wire.Response{Header: &header.GetKVResponse{Value: text}}
		}
		return &wire.Response{Code: wire.QueryNotFound, Remark: "none"}
	case wire.ReqPutKVConfig:
		key, _ := r.Ext.Get("key")
		text, _ := r.Ext.Get("value")
		w.deleted = append(w.deleted, fmt.Sprintf("%s order of %s %s", addr, key, text))
		return &wire.Response{}
	case wire.ReqDeleteKVConfig:
		namespace, _ := r.Ext.Get("namespace")
		key, _ := r.Ext.Get("key")
		w.deleted = append(w.deleted, fmt.Sprintf("%s %s %s", addr, namespace, key))
		return &wire.Response{}
	case wire.ReqDeleteTopicInBroker, wire.ReqDeleteTopicInNamesrv:
		topic, _ := r.Ext.Get("topic")
		cluster, _ := r.Ext.Get("clusterName")
		w.deleted = append(w.deleted, fmt.Sprintf("%s %s %s", addr, topic, cluster))
		return &wire.Response{}
	}
	return &wire.Response{Code: wire.RequestCodeNotSupported, Remark: wire.CodeName(r.Code)}
}

const (
	names1, names2       = "127.0.0.1:1001", "127.0.0.1:1002"
	addrA, addrB, addrC  = "127.0.0.1:2001", "127.0.0.1:2002", "127.0.0.1:2003"
	nobody, slaveAddress = "127.0.0.1:9", "127.0.0.1:2009"
)

func TestCreateTopic(t *testing.T) {
	w := newWorld(t, names1)
	w.broker("C", "a", addrA, 0)
	w.broker("C", "b", addrB, 0)
	w.broker("C", "slave", slaveAddress, 1)
	a := New(w.client, []string{nobody, names1})
	done, err := a.CreateTopic(t.Context(), Topic{Name: "T", Queues: 3})
	if err != nil || len(done) != 2 || done[0].Name != "a" || done[1].Name != "b" {
		t.Fatalf("%+v, %v", done, err)
	}
	want := header.CreateTopicRequest{Topic: "T", DefaultTopic: "TBW102", ReadQueueNums: 3, WriteQueueNums: 3, Perm: 6, TopicFilterType: "SINGLE_TAG"}
	for _, addr := range []string{addrA, addrB} {
		if got := w.created[addr]; len(got) != 1 || got[0] != want {
			t.Errorf("%s: %+v", addr, got)
		}
	}
	if len(w.created[slaveAddress]) != 0 {
		t.Error("created on a slave")
	}
	w.refusing = addrA
	done, err = a.CreateTopic(t.Context(), Topic{Name: "U", Queues: 3, Perm: 4, Order: true, Cluster: "C"})
	if !errors.Is(err, rpc.SystemError) || !strings.Contains(err.Error(), "broker a") || len(done) != 1 || done[0].Name != "b" {
		t.Errorf("%+v, %v", done, err)
	}
	if got := w.created[addrB][1]; got.Perm != 4 || !got.Order {
		t.Errorf("%+v", got)
	}
	for _, bad := range []Topic{{Name: "a b", Queues: 1}, {Name: "T"}, {Name: "T", Queues: 1, Perm: 9}, {Name: "T", Queues: 1, Perm: -1}} {
		if _, err := a.CreateTopic(t.Context(), bad); err == nil {
			t.Errorf("%+v was created", bad)
		}
	}
}

// A topic that is there stays as it is, and comes to brokers that have joined since.
func TestCreateTopicThatExists(t *testing.T) {
	w := newWorld(t, names1)
	w.broker("C", "a", addrA, 0)
	a := New(w.client, []string{names1})
	topic := Topic{Name: "T", Queues: 3}
	if _, err := a.CreateTopic(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
	if _, err := a.CreateTopic(t.Context(), topic); !errors.Is(err, ErrTopicExists) {
		t.Error(err)
	}
	w.broker("C", "b", addrB, 0)
	for _, other := range []Topic{{Queues: 1}, {Queues: 3, Perm: 4}, {Queues: 3, Order: true}} {
		other.Name = "T"
		if _, err := a.CreateTopic(t.Context(), other); !errors.Is(err, ErrTopicExists) || !strings.Contains(err.Error(), "T at broker a, with 3 queues") {
			t.Errorf("%+v: %v", other, err)
		}
	}
	if len(w.created[addrA]) != 1 || len(w.created[addrB]) != 0 {
		t.Errorf("created %+v", w.created)
	}
	done, err := a.CreateTopic(t.Context(), topic)
	if err != nil || len(done) != 1 || done[0].Name != "b" || len(w.created[addrA]) != 1 || len(w.created[addrB]) != 1 {
		t.Errorf("%+v, %v, %+v", done, err, w.created)
	}
}

func TestWhichCluster(t *testing.T) {
	w := newWorld(t, names1)
	a := New(w.client, []string{names1})
	create := func(cluster, want string) {
		t.Helper()
		_, err := a.CreateTopic(t.Context(), Topic{Name: "T", Queues: 1, Cluster: cluster})
		if want == "" && err != nil || want != "" && (!errors.Is(err, ErrCluster) || !strings.Contains(err.Error(), want)) {
			t.Errorf("cluster %q: %v, want %q", cluster, err, want)
		}
	}
	create("", "no broker is registered at "+names1)
	w.broker("C", "a", addrA, 0)
	create("D", `no cluster "D", only C`)
	w.broker("D", "b", addrB, 0)
	create("", "name one of C, D")
	create("D", "")
	if len(w.created[addrA]) != 0 || len(w.created[addrB]) != 1 {
		t.Errorf("created at %v", w.created)
	}
	w.broker("E", "c", addrC, 1)
	create("E", "no master")
}

func TestBrokersAndTopics(t *testing.T) {
	w := newWorld(t, names1)
	w.broker("D", "b", addrB, 0)
	w.broker("C", "z", addrC, 0, 1)
	w.broker("C", "a", addrA, 0)
	a := New(w.client, []string{names1})
	all, err := a.Brokers(t.Context())
	if err != nil || len(all) != 3 || all[0].Name != "a" || all[1].Name != "z" || all[2].Cluster != "D" || len(all[1].Addrs) != 2 {
		t.Errorf("%+v, %v", all, err)
	}
	if got, err := a.Topics(t.Context()); err != nil || !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("%v, %v", got, err)
	}
	_, err = New(w.client, []string{nobody}).Topics(t.Context())
	if !errors.Is(err, ErrNameServer) || !strings.Contains(err.Error(), nobody) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Topics(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestAwaitRoute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, names1)
		w.broker("C", "a", addrA, 0)
		w.broker("C", "b", addrB, 0)
		a := New(w.client, []string{names1})
		done, err := a.CreateTopic(t.Context(), Topic{Name: "T", Queues: 1})
		if err != nil {
			t.Fatal(err)
		}
		w.mu.Lock()
		w.delay = 10
		w.mu.Unlock()
		if err := a.AwaitRoute(t.Context(), "T", done); err != nil || w.delay >= 0 {
			t.Errorf("%v, %d look-ups before it was there", err, w.delay)
		}
		w.mu.Lock()
		w.created[addrB] = nil
		w.mu.Unlock()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := a.AwaitRoute(ctx, "T", done); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("without broker b: %v", err)
		}
		if _, err := a.Route(t.Context(), "T"); err != nil {
			t.Error(err)
		}
		w.mu.Lock()
		w.delay = 1
		w.mu.Unlock()
		if _, err := a.Route(t.Context(), "T"); !errors.Is(err, ErrNoTopic) {
			t.Errorf("%v", err)
		}
	})
}

func TestDeleteTopic(t *testing.T) {
	w := newWorld(t, names1, names2)
	w.broker("C", "a", addrA, 0)
	w.broker("C", "b", addrB, 0)
	a := New(w.client, []string{names1, names2})
	w.orders = map[string]string{"T": "a:2;b:2"}
	if done, err := a.DeleteTopic(t.Context(), "T", ""); err != nil || len(done) != 2 {
		t.Fatal(done, err)
	}
	asked := []string{names1 + " ORDER_TOPIC_CONFIG ?", names2 + " ORDER_TOPIC_CONFIG ?"} // deletes nothing
	want := []string{addrA + " T ", addrB + " T ", names1 + " T C", names1 + " ORDER_TOPIC_CONFIG T", names2 + " T C", names2 + " ORDER_TOPIC_CONFIG T"}
	if want = append(asked, want...); !slices.Equal(w.deleted, want) {
		t.Errorf("deleted %q, want %q", w.deleted, want)
	}
	w.deleted, w.refusing = nil, names2
	if done, err := a.DeleteTopic(t.Context(), "T", "C"); !errors.Is(err, rpc.SystemError) || !strings.Contains(err.Error(), "nothing is deleted") || len(done) > 0 {
		t.Errorf("%v, %v", done, err)
	}
	if !slices.Equal(w.deleted, asked[:1]) {
		t.Errorf("deleted %q, though a name server refuses", w.deleted)
	}
	w.deleted, w.refusing = nil, addrA
	if done, err := a.DeleteTopic(t.Context(), "T", "C"); !errors.Is(err, rpc.SystemError) || !strings.Contains(err.Error(), "broker a: ") || len(done) != 1 || done[0].Name != "b" {
		t.Errorf("%v, %v", done, err)
	}
	if want = append(asked, addrB+" T "); !slices.Equal(w.deleted, want) {
		t.Errorf("deleted %q: the routes must stay while a broker has the topic", w.deleted)
	}
}

// A topic that is deleted in one cluster keeps the order of its queues in the others.
func TestDeleteTopicOfOneCluster(t *testing.T) {
	w := newWorld(t, names1)
	w.broker("C", "a", addrA, 0)
	w.broker("D", "b", addrB, 0)
	a := New(w.client, []string{names1})
	for order, want := range map[string]string{
		"a:2;b:4": "order of T b:4", "away:1;b:4": "", "a:2;away:1;b:4": "order of T away:1;b:4", "a:2": OrderNamespace + " T", "a:2;away:1": OrderNamespace + " T", "none": "",
	} {
		w.orders = map[string]string{"T": order}
		wanted := []string{names1 + " ORDER_TOPIC_CONFIG ?", addrA + " T ", names1 + " T C"}
		if order == "none" {
			w.orders = nil
		}
		if want != "" {
			wanted = append(wanted, names1+" "+want)
		}
		w.deleted = nil
		if _, err := a.DeleteTopic(t.Context(), "T", "C"); err != nil || !slices.Equal(w.deleted, wanted) {
			t.Errorf("%s: %q, want %q, %v", order, w.deleted, wanted, err)
		}
	}
}
