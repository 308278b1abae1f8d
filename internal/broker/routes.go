// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"runtime"
	"sync/atomic"

	"github.com/twostage/twostage/internal/access"
	"github.com/twostage/twostage/internal/broker/handler"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/session"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
)

// table is the broker's requests. It is set once, before anything is served.
type table struct {
	all    []*remoting.Lane
	routes map[int32]remoting.Route
	send   *handler.Send
	ends   *handler.Transaction
	lanes  lanes
}

func (b *Broker) table() *table { return b.requests.Load() }

// requests is where the table is, once the broker is open.
type requests struct{ atomic.Pointer[table] }

// wire makes the table.
func (b *Broker) wire() {
	h := b.handlers()
	workers := max(runtime.GOMAXPROCS(0), 2)
	// An unregistration must not overtake the heartbeat before it. A heartbeat that
	// makes a group waits for the disk and for name servers; who comes meanwhile
	// shares the next write and the next registration with those beside it.
	clients := remoting.NewOrderedLane("client", 64, 10_000)
	queries := remoting.NewLane("query", workers, 1_000)
	backs := remoting.NewLane("send back", workers, 10_000)
	admins := remoting.NewLane("admin", 1, 1_000)
	popped := remoting.NewLane("pop", 64, 10_000)             // may wait for the disk
	makes := remoting.NewLane("make", 64, 1_000)              // waits for the disk and for name servers
	shares := remoting.NewLane("assignment", workers, 10_000) // may wait for a name server
	replies := remoting.NewLane("reply", workers, 10_000)
	// Its workers wait for clients.
	relays := remoting.NewLane("relay", 512, 1_000)

	inline := func(h remoting.Handler) remoting.Route { return remoting.Route{Handler: h} }
	lane := func(l *remoting.Lane, h remoting.Handler) remoting.Route {
		return remoting.Route{Handler: h, Lane: l}
	}
	together := func(l *remoting.Lane, h func([]*remoting.Request)) remoting.Route {
		return remoting.Route{Together: h, Lane: l}
	}
	all := []*remoting.Lane{clients, queries, backs, admins, popped, makes, shares, replies, relays}
	b.requests.Store(&table{all: all, send: h.send, ends: h.end, lanes: lanes{query: queries, ack: popped, admin: admins}, routes: b.guarded(admins, map[int32]remoting.Route{
		wire.ReqSendMessage:      inline(h.send.Handle),
		wire.ReqSendMessageV2:    inline(h.send.Handle),
		wire.ReqSendBatchMessage: inline(h.send.Handle),
		wire.ReqPullMessage:      inline(h.pull.Handle),
		wire.ReqLitePullMessage:  inline(h.pull.Handle),
		wire.ReqEndTransaction:   inline(h.end.End),

		wire.ReqQueryConsumerOffset:              inline(h.offsets.Query),
		wire.ReqUpdateConsumerOffset:             inline(h.offsets.Update),
		wire.ReqGetMaxOffset:                     inline(h.offsets.Max),
		wire.ReqGetMinOffset:                     inline(h.offsets.Min),
		wire.ReqSearchOffsetByTimestamp:          lane(queries, h.offsets.Search),
		wire.ReqGetEarliestMsgStoreTime:          lane(queries, h.offsets.Earliest),
		wire.ReqQueryMessage:                     lane(queries, h.query.ByKey),
		wire.ReqViewMessageByID:                  lane(queries, h.query.ByOffset),
		wire.ReqRecallMessage:                    lane(backs, h.recall.Handle),
		wire.ReqConsumerSendMsgBack:              lane(backs, h.back.Handle),
		wire.ReqHeartBeat:                        lane(clients, h.client.Heartbeat),
		wire.ReqUnregisterClient:                 lane(clients, h.client.Unregister),
		wire.ReqCheckClientConfig:                lane(clients, h.client.Check),
		wire.ReqGetConsumerListByGroup:           lane(clients, h.client.ConsumerList),
		wire.ReqLockBatchMQ:                      lane(clients, h.locks.Lock),
		wire.ReqUnlockBatchMQ:                    lane(clients, h.locks.Unlock),
		wire.ReqGetConsumerConnectionList:        lane(admins, h.client.ConsumerConnections),
		wire.ReqGetProducerConnectionList:        lane(admins, h.client.ProducerConnections),
		wire.ReqUpdateAndCreateTopic:             lane(makes, h.admin.CreateTopic),
		wire.ReqDeleteTopicInBroker:              lane(admins, h.admin.DeleteTopic),
		wire.ReqGetAllTopicConfig:                lane(admins, h.admin.AllTopics),
		wire.ReqUpdateAndCreateSubscriptionGroup: lane(makes, h.admin.PutGroup),
		wire.ReqDeleteSubscriptionGroup:          lane(admins, h.admin.DeleteGroup),
		wire.ReqGetAllSubscriptionGroupConfig:    lane(admins, h.admin.AllGroups),

		wire.ReqUpdateAndCreateTopicList:             lane(makes, h.admin.CreateTopics),
		wire.ReqUpdateAndCreateSubscriptionGroupList: lane(makes, h.admin.PutGroups),
		wire.ReqGetTopicConfig:                       lane(queries, h.admin.Topic),
		wire.ReqGetSubscriptionGroupConfig:           lane(queries, h.admin.Group),
		wire.ReqUpdateAndGetGroupForbidden:           lane(makes, h.admin.Forbidden),
		wire.ReqGetSystemTopicListFromBroker:         lane(queries, h.admin.SystemTopics),
		wire.ReqCleanExpiredConsumeQueue:             lane(admins, h.admin.CleanQueues),
		wire.ReqDeleteExpiredCommitLog:               lane(admins, h.admin.DeleteLog),
		wire.ReqCleanUnusedTopic:                     lane(admins, h.admin.CleanTopics),
		wire.ReqQueryTopicConsumeByWho:               lane(queries, h.consumption.Groups),
		wire.ReqQueryTopicsByConsumer:                lane(queries, h.consumption.GroupTopics),
		wire.ReqQuerySubscriptionByConsumer:          lane(queries, h.consumption.Subscription),
		wire.ReqQueryConsumeTimeSpan:                 lane(queries, h.consumption.TimeSpan),
		wire.ReqQueryConsumeQueue:                    lane(queries, h.consumption.Entries),
		wire.ReqGetBrokerConfig:                      lane(queries, h.config.Get),
		wire.ReqUpdateBrokerConfig:                   lane(admins, h.config.Update),
		wire.ReqGetAllProducerInfo:                   lane(admins, h.client.AllProducers),

		wire.ReqInvokeBrokerToResetOffset:       lane(admins, h.reset.Handle),
		wire.ReqGetConsumeStats:                 lane(queries, h.progress.Handle),
		wire.ReqGetBrokerConsumeStats:           lane(queries, h.progress.All),
		wire.ReqGetBrokerRuntimeInfo:            lane(queries, h.stats.RuntimeInfo),
		wire.ReqGetTopicStatsInfo:               lane(queries, h.stats.Topic),
		wire.ReqViewBrokerStatsData:             lane(queries, h.stats.Counter),
		wire.ReqCloneGroupOffset:                lane(admins, h.clone.Clone),
		wire.ReqQueryCorrectionOffset:           lane(queries, h.clone.Correct),
		wire.ReqGetConsumerRunningInfo:          lane(relays, h.relay.RunningInfo),
		wire.ReqConsumeMessageDirectly:          lane(relays, h.relay.ConsumeDirectly),
		wire.ReqInvokeBrokerToGetConsumerStatus: lane(relays, h.relay.Status),
		wire.ReqSendReplyMessage:                lane(replies, h.reply.Handle),
		wire.ReqSendReplyMessageV2:              lane(replies, h.reply.Handle),

		wire.ReqPopMessage:                 lane(popped, h.pops.Handle),
		wire.ReqPeekMessage:                lane(popped, h.pops.Peek),
		wire.ReqAckMessage:                 together(popped, h.pops.Acks),
		wire.ReqBatchAckMessage:            together(popped, h.pops.BatchAcks),
		wire.ReqChangeMessageInvisibleTime: lane(popped, h.pops.ChangeInvisible),

		wire.ReqNotification:             inline(h.notify.Notification),
		wire.ReqPollingInfo:              inline(h.notify.PollingInfo),
		wire.ReqQueryAssignment:          lane(shares, h.share.Query),
		wire.ReqSetMessageRequestMode:    lane(admins, h.share.SetMode),
		wire.ReqGetAllMessageRequestMode: lane(admins, h.share.Modes),

		wire.ReqTxList:                 lane(queries, h.inspect.List),
		wire.ReqTxShow:                 lane(queries, h.inspect.Show),
		wire.ReqTxDecide:               lane(admins, h.inspect.Decide),
		wire.ReqTxRecheck:              lane(admins, h.inspect.Recheck),
		wire.ReqTxResume:               lane(admins, h.inspect.Resume),
		wire.ReqResumeCheckHalfMessage: lane(admins, h.inspect.ResumeCheck),
	})})
}

// guarded adds the requests about access, and puts the guard before all that need it.
func (b *Broker) guarded(admins *remoting.Lane, routes map[int32]remoting.Route) map[int32]remoting.Route {
	id := access.Identity{Cluster: b.cfg.Identity.Cluster, Broker: b.cfg.Identity.Name, Addr: b.Advertised}
	for code, h := range b.access.Handlers(id) {
		routes[code] = remoting.Route{Handler: h, Lane: admins}
	}
	for code, r := range routes {
		routes[code] = b.access.Protect(code, r)
	}
	return routes
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
