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
			b.popHeld.Drop(c)
			b.noted.Drop(c)
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
		Log: b.store, Topics: b.topics, Groups: b.groups, Halves: b.txn, Delays: b.waits(), Stats: b.stats,
		Host: b.advertised, Cluster: c.Identity.Cluster, Broker: c.Identity.Name, Every: header.EveryAnswer(c.Identity.Region, c.Trace.On),
		MaxMessageSize: c.Store.MaxMessageSize, CheckTypes: c.Topics.CheckTypes, Writable: writable, RejectTransactions: c.Transactions.Reject,
		SyncTimeout: c.Flush.SyncTimeout, Wait: c.Flush.SendWait, Created: b.spread.add, Ordered: b.locks.Held,
	}
	filters := handler.NewFilters(c.Pull.PropertyFilter)
	pull := &handler.Pull{
		Log: b.store, Topics: b.topics, Groups: b.groups, Subs: b.session, Holder: b.holds, Offsets: b.offsets, Resets: b.offsets, Stats: b.stats, Filters: filters,
		Readable: readable, MaxCount: c.Pull.MaxCountInMemory, MaxBytes: c.Pull.MaxBytesInMemory,
		LongPolling: c.Pull.LongPolling, ShortPoll: c.Pull.ShortPolling,
	}
	offsets := &handler.Offset{Log: b.store, Topics: b.topics, Offsets: b.offsets}
	query := &handler.Query{Log: b.store, MaxMessages: c.Query.MaxMessages, MaxUniqueKey: c.Query.MaxByUniqueKey}
	client := &handler.Client{Sessions: b.session, Groups: b.groups, Topics: b.topics, Published: b.naming.announce, Filters: filters, NotifyChanges: c.Groups.NotifyChanges, ProducerOnline: b.txn.Online}
	back := &handler.SendBack{Log: b.store, Topics: b.topics, Groups: b.groups, Delays: b.waits(), Stats: b.stats, Writable: writable, Host: b.advertised, Wait: c.Flush.SendWait}
	if b.timers != nil {
		back.MaxWait = c.Timers.MaxDelay
	}
	locks := &handler.Lock{Locks: b.locks, Broker: c.Identity.Name}
	recall := &handler.Recall{
		Log: b.store, Topics: b.topics, Delays: b.waits(), Enable: c.Timers.Recall, Writable: writable, Always: c.Timers.RecallAlways,
		Broker: c.Identity.Name, Region: c.Identity.Region, Host: b.advertised, MaxDelay: c.Timers.MaxDelay.Milliseconds(), Now: b.o.NowMillis,
	}
	end := &handler.Transaction{Decisions: b.txn}
	inspect := &handler.Inspect{Transactions: b.txn, Broker: c.Identity.Name}
	admin := &handler.Admin{Topics: b.topics, Groups: b.groups, Offsets: b.offsets, Queues: b.store, Published: b.naming.publish, Settle: b.settle,
		Deleted: b.letGoDeleted}

	reset := &handler.Reset{Log: b.store, Topics: b.topics, Groups: b.groups, Online: b.session, Offsets: b.offsets, LetGo: b.wasReset,
		OnServer: c.Groups.ServerSideReset, Broker: c.Identity.Name, Logger: b.log}
	clone := &handler.Clone{Log: b.store, Topics: b.topics, Subs: b.session, Offsets: b.offsets}
	relay := &handler.Relay{Members: b.session, Log: b.store, Topics: b.topics, Groups: b.groups, Broker: c.Identity.Name}
	progress := &handler.Progress{Log: b.store, Topics: b.topics, Subs: b.session, Offsets: b.offsets, PerSecond: b.rates.perSecond, Broker: c.Identity.Name}
	reply := &handler.Reply{Send: send, Requesters: b.session, Store: c.Topics.StoreReplies, NowMillis: b.o.NowMillis, Logger: b.log}

	notify := &handler.Notify{Topics: b.topics, Groups: b.groups, Ready: b.pops, Waiter: b.noted, Held: b.popHeld.Held, Readable: readable}
	pops := &handler.Pop{
		Pops: b.pops, Topics: b.topics, Groups: b.groups, Queues: b.store, Filters: filters, Waiter: b.popHeld, Freed: b.freed, Stats: b.stats,
		Readable: readable, NowMillis: b.o.NowMillis,
	}
	share := &handler.Assign{Assignments: b.assign, Topics: b.topics, Groups: b.groups}

	workers := max(runtime.GOMAXPROCS(0), 2)
	// One worker: an unregistration must not overtake the heartbeat before it.
	clients := remoting.NewLane("client", 1, 10_000)
	queries := remoting.NewLane("query", workers, 1_000)
	backs := remoting.NewLane("send back", workers, 10_000)
	admins := remoting.NewLane("admin", 1, 1_000)
	popped := remoting.NewLane("pop", 64, 10_000)             // may wait for the disk
	shares := remoting.NewLane("assignment", workers, 10_000) // may wait for a name server
	// Their workers wait for clients.
	relays := remoting.NewLane("relay", 512, 1_000)
	replies := remoting.NewLane("reply", 4_096, 10_000)

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
		wire.ReqRecallMessage:                    lane(backs, recall.Handle),
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

		wire.ReqInvokeBrokerToResetOffset:       lane(admins, reset.Handle),
		wire.ReqGetConsumeStats:                 lane(queries, progress.Handle),
		wire.ReqCloneGroupOffset:                lane(admins, clone.Clone),
		wire.ReqQueryCorrectionOffset:           lane(queries, clone.Correct),
		wire.ReqGetConsumerRunningInfo:          lane(relays, relay.RunningInfo),
		wire.ReqConsumeMessageDirectly:          lane(relays, relay.ConsumeDirectly),
		wire.ReqInvokeBrokerToGetConsumerStatus: lane(relays, relay.Status),
		wire.ReqSendReplyMessage:                lane(replies, reply.Handle),
		wire.ReqSendReplyMessageV2:              lane(replies, reply.Handle),

		wire.ReqPopMessage:                 lane(popped, pops.Handle),
		wire.ReqPeekMessage:                lane(popped, pops.Peek),
		wire.ReqAckMessage:                 lane(popped, pops.Ack),
		wire.ReqBatchAckMessage:            lane(popped, pops.BatchAck),
		wire.ReqChangeMessageInvisibleTime: lane(popped, pops.ChangeInvisible),

		wire.ReqNotification:             inline(notify.Notification),
		wire.ReqPollingInfo:              inline(notify.PollingInfo),
		wire.ReqQueryAssignment:          lane(shares, share.Query),
		wire.ReqSetMessageRequestMode:    lane(admins, share.SetMode),
		wire.ReqGetAllMessageRequestMode: lane(admins, share.Modes),

		wire.ReqTxList:                 lane(queries, inspect.List),
		wire.ReqTxShow:                 lane(queries, inspect.Show),
		wire.ReqTxDecide:               lane(admins, inspect.Decide),
		wire.ReqTxRecheck:              lane(admins, inspect.Recheck),
		wire.ReqTxResume:               lane(admins, inspect.Resume),
		wire.ReqResumeCheckHalfMessage: lane(admins, inspect.ResumeCheck),
	}})
}

// letGo ends the holds of pulls at queues of a topic.
func (b *Broker) letGo(topic string, queues map[int32]int64) {
	b.holds.LetGo(func(q *store.Queue) bool {
		_, ok := queues[q.ID()]
		return ok && q.Topic() == topic
	})
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
