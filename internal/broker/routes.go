// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"runtime"
	"sync/atomic"

	"github.com/twostage/twostage/internal/broker/handler"
	"github.com/twostage/twostage/internal/broker/topic"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/session"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
)

// table is the broker's requests. It is set once, before anything is served.
type table struct {
	routes map[int32]remoting.Route
	send   *handler.Send
	ends   *handler.Transaction
}

// newServer makes a listener of the broker.
func (b *Broker) newServer(addr string) *remoting.Server {
	return remoting.NewServer(remoting.ServerConfig{
		OnFault: func(*remoting.Conn) { b.store.CheckAllReads() },
		Addr:    addr,
		Routes:  func(code int32) (remoting.Route, bool) { r, ok := b.table().routes[code]; return r, ok },
		OnClose: func(c *remoting.Conn) {
			b.holds.Drop(c)
			b.session.ConnClosed(c)
		},
		EndOfBatch: func(c *remoting.Conn) {
			t := b.table()
			t.send.EndOfBatch(c)
			t.ends.EndOfBatch(c)
		},
		Limits: remoting.Limits{IdleTimeout: b.cfg.Network.IdleTimeout},
		Logger: b.log,
	})
}

func (b *Broker) table() *table { return b.requests.Load() }

// requests is where the table is, once the broker is open.
type requests struct{ atomic.Pointer[table] }

// wire makes the table.
func (b *Broker) wire() {
	c := b.cfg
	writable := func() bool { return c.Identity.Permission&int(topic.PermWrite) != 0 }
	readable := func() bool { return c.Identity.Permission&int(topic.PermRead) != 0 }
	send := &handler.Send{
		Log: b.store, Topics: b.topics, Groups: b.groups, Halves: b.txn, Delays: b.delays, Stats: b.stats,
		Host: b.advertised, Cluster: c.Identity.Cluster, Every: header.EveryAnswer(c.Identity.Region, c.Trace.On),
		MaxMessageSize: c.Store.MaxMessageSize, Writable: writable, RejectTransactions: c.Transactions.Reject,
		SyncTimeout: c.Flush.SyncTimeout, Created: b.spread.add,
	}
	pull := &handler.Pull{
		Log: b.store, Topics: b.topics, Groups: b.groups, Subs: b.session, Holder: b.holds, Offsets: b.offsets, Stats: b.stats,
		Readable: readable, MaxCount: c.Pull.MaxCountInMemory, MaxBytes: c.Pull.MaxBytesInMemory,
		LongPolling: c.Pull.LongPolling, ShortPoll: c.Pull.ShortPolling,
	}
	offsets := &handler.Offset{Log: b.store, Topics: b.topics, Offsets: b.offsets}
	query := &handler.Query{Log: b.store, MaxMessages: c.Query.MaxMessages, MaxUniqueKey: c.Query.MaxByUniqueKey}
	client := &handler.Client{Sessions: b.session, Groups: b.groups, Topics: b.topics, Published: b.naming.announce, NotifyChanges: c.Groups.NotifyChanges, ProducerOnline: b.txn.Online}
	back := &handler.SendBack{Log: b.store, Topics: b.topics, Groups: b.groups, Delays: b.delays, Stats: b.stats, Writable: writable, Host: b.advertised}
	locks := &handler.Lock{Locks: b.locks, Broker: c.Identity.Name}
	end := &handler.Transaction{Decisions: b.txn}
	inspect := &handler.Inspect{Transactions: b.txn, Broker: c.Identity.Name}
	admin := &handler.Admin{Topics: b.topics, Groups: b.groups, Offsets: b.offsets, Queues: b.store, Published: b.naming.publish, Settle: b.settle,
		Deleted: func() { b.holds.LetGo((*store.Queue).Deleted) }}

	workers := max(runtime.GOMAXPROCS(0), 2)
	// One worker: an unregistration must not overtake the heartbeat before it.
	clients := remoting.NewLane("client", 1, 10_000)
	queries := remoting.NewLane("query", workers, 1_000)
	backs := remoting.NewLane("send back", workers, 10_000)
	admins := remoting.NewLane("admin", 1, 1_000)

	inline := func(h remoting.Handler) remoting.Route { return remoting.Route{Handler: h} }
	lane := func(l *remoting.Lane, h remoting.Handler) remoting.Route {
		return remoting.Route{Handler: h, Lane: l}
	}
	b.requests.Store(&table{send: send, ends: end, routes: map[int32]remoting.Route{
		wire.ReqSendMessage:      inline(send.Handle),
		wire.ReqSendMessageV2:    inline(send.Handle),
		wire.ReqSendBatchMessage: inline(send.Handle),
		wire.ReqPullMessage:      inline(pull.Handle),
		wire.ReqLitePullMessage:  inline(pull.Handle),
		wire.ReqEndTransaction:   inline(end.End),

		wire.ReqQueryConsumerOffset:              inline(offsets.Query),
		wire.ReqUpdateConsumerOffset:             inline(offsets.Update),
		wire.ReqGetMaxOffset:                     inline(offsets.Max),
		wire.ReqGetMinOffset:                     inline(offsets.Min),
		wire.ReqSearchOffsetByTimestamp:          lane(queries, offsets.Search),
		wire.ReqGetEarliestMsgStoreTime:          lane(queries, offsets.Earliest),
		wire.ReqQueryMessage:                     lane(queries, query.ByKey),
		wire.ReqViewMessageByID:                  lane(queries, query.ByOffset),
		wire.ReqConsumerSendMsgBack:              lane(backs, back.Handle),
		wire.ReqHeartBeat:                        lane(clients, client.Heartbeat),
		wire.ReqUnregisterClient:                 lane(clients, client.Unregister),
		wire.ReqCheckClientConfig:                lane(clients, client.Check),
		wire.ReqGetConsumerListByGroup:           lane(clients, client.ConsumerList),
		wire.ReqLockBatchMQ:                      lane(clients, locks.Lock),
		wire.ReqUnlockBatchMQ:                    lane(clients, locks.Unlock),
		wire.ReqGetConsumerConnectionList:        lane(admins, client.ConsumerConnections),
		wire.ReqGetProducerConnectionList:        lane(admins, client.ProducerConnections),
		wire.ReqUpdateAndCreateTopic:             lane(admins, admin.CreateTopic),
		wire.ReqDeleteTopicInBroker:              lane(admins, admin.DeleteTopic),
		wire.ReqGetAllTopicConfig:                lane(admins, admin.AllTopics),
		wire.ReqUpdateAndCreateSubscriptionGroup: lane(admins, admin.PutGroup),
		wire.ReqDeleteSubscriptionGroup:          lane(admins, admin.DeleteGroup),
		wire.ReqGetAllSubscriptionGroupConfig:    lane(admins, admin.AllGroups),

		wire.ReqTxList:                 lane(queries, inspect.List),
		wire.ReqTxShow:                 lane(queries, inspect.Show),
		wire.ReqTxDecide:               lane(admins, inspect.Decide),
		wire.ReqTxRecheck:              lane(admins, inspect.Recheck),
		wire.ReqTxResume:               lane(admins, inspect.Resume),
		wire.ReqResumeCheckHalfMessage: lane(admins, inspect.ResumeCheck),
	}})
}

// notify tells the consumers of a group that its members or topics changed.
func (b *Broker) notify(name string, conns []session.Conn) {
	req := &wire.Request{Code: wire.ReqNotifyConsumerIDsChanged, OneWay: true, Header: &header.ConsumerIDsChangedRequest{ConsumerGroup: name}}
	for _, c := range conns {
		if err := c.Push(req); err != nil {
			b.log.Warn("a consumer was not told of a change in its group", "group", name, "client", c.RemoteAddr(), "error", err)
		}
	}
}
