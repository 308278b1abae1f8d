// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"errors"
	"fmt"

	"github.com/twostage/twostage/internal/broker/quota"
	"github.com/twostage/twostage/internal/broker/topic"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/session"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// Sessions is the live clients.
type Sessions interface {
	RegisterProducer(c session.Client, group string)
	RegisterConsumer(c session.Client, group string, info session.ConsumerInfo, subs []body.SubscriptionData) (changed bool)
	KeepConsumer(c session.Client, group string, info session.ConsumerInfo) (known bool)
	Unregister(c session.Conn, clientID, producerGroup, consumerGroup string)
	ConsumerIDs(group string) []string
	Consumers(group string) (session.Group, bool)
	Producers(group string) []session.Client
	ProducerGroups() []string
	Conflicts(group string) []session.Conflict
}

// Client serves what clients say of themselves (34, 35, 46) and what is asked
// about them (38, 203, 204).
type Client struct {
	Sessions Sessions
	Groups   *GroupMaker
	Topics   SendTopics
	// Published is as in Admin, but must return soon, and at once where the name
	// servers know the topics: heartbeats wait for it.
	Published func()
	Filters   *Filters
	Settings  Settings
	// ProducerOnline is told of each heartbeat of a producer group.
	ProducerOnline func(group string)
	// Sender gives the access key that a request has proved; nil: nobody is asked for one.
	Sender func(*remoting.Request) string
}

// Heartbeat serves HEART_BEAT.
func (c *Client) Heartbeat(r *remoting.Request) {
	var hb body.HeartbeatData
	if !decodeBody(r, &hb) {
		return
	}
	if hb.ClientID == "" {
		fail(r, wire.SystemError, "the heartbeat has no clientID")
		return
	}
	who := session.Client{ID: hb.ClientID, Language: r.Language, Version: r.Version, Conn: r.Conn, Fingerprint: hb.HeartbeatFingerprint}
	if c.Sender != nil {
		who.AccessKey = c.Sender(r)
	}
	fresh, unknown := false, false
	var tooMany error
	for _, d := range hb.ConsumerDataSet {
		info := session.ConsumerInfo{ConsumeType: d.ConsumeType, MessageModel: d.MessageModel, ConsumeFromWhere: d.ConsumeFromWhere, Notify: c.Settings().Groups.NotifyChanges}
		g, err := c.Groups.Of(r, d.GroupName)
		if errors.Is(err, quota.ErrTooMany) { // the others of the heartbeat are not to blame
			tooMany = fmt.Errorf("group %s: %w", d.GroupName, err)
			continue
		}
		if err == nil {
			info.Notify = info.Notify && g.NotifyConsumerIDsChangedEnable
			var sysFlag int32
			if d.UnitMode {
				sysFlag = 2
			}
			name := message.RetryTopic(d.GroupName)
			if _, there := c.Topics.Find([]byte(name)); !there {
				if _, err := c.Topics.Ensure(name, g.RetryQueueNums, topic.PermRead|topic.PermWrite, sysFlag); err != nil {
					fail(r, wire.SystemError, "%s", err)
					return
				}
				fresh = true
			}
		}
		if hb.WithoutSub && hb.HeartbeatFingerprint != 0 {
			unknown = !c.Sessions.KeepConsumer(who, d.GroupName, info) || unknown
		} else {
			// Another member may be making the group's retry topic.
			fresh = c.Sessions.RegisterConsumer(who, d.GroupName, info, d.SubscriptionDataSet) || fresh
		}
	}
	for _, d := range hb.ProducerDataSet {
		c.Sessions.RegisterProducer(who, d.GroupName)
		if c.ProducerOnline != nil {
			c.ProducerOnline(d.GroupName)
		}
	}
	if fresh {
		c.Published() // the consumer asks for the route of its retry topic next
	}
	if tooMany != nil {
		fail(r, wire.SystemBusy, "%s", tooMany)
		return
	}
	res := &wire.Response{Code: wire.Success}
	if hb.HeartbeatFingerprint != 0 {
		res.Header = &header.HeartbeatResponse{SupportsV2: true, Again: unknown}
	}
	r.Reply(res)
}

// Unregister serves UNREGISTER_CLIENT.
func (c *Client) Unregister(r *remoting.Request) {
	var h header.UnregisterClientRequest
	if !decode(r, &h) {
		return
	}
	c.Sessions.Unregister(r.Conn, h.ClientID, h.ProducerGroup, h.ConsumerGroup)
	succeed(r, header.Empty{})
}

// Check serves CHECK_CLIENT_CONFIG: whether the broker can serve a subscription.
func (c *Client) Check(r *remoting.Request) {
	var b body.CheckClientRequestBody
	if !decodeBody(r, &b) {
		return
	}
	if b.SubscriptionData != nil {
		if _, err := c.Filters.OfSubscription(b.SubscriptionData); err != nil {
			refused := asRefusal(err)
			fail(r, refused.Code, "%s", refused.Remark)
			return
		}
	}
	r.Reply(&wire.Response{Code: wire.Success})
}

// ConsumerList serves GET_CONSUMER_LIST_BY_GROUP.
func (c *Client) ConsumerList(r *remoting.Request) {
	var h header.ConsumerListRequest
	if !decode(r, &h) {
		return
	}
	ids := c.Sessions.ConsumerIDs(h.ConsumerGroup)
	if len(ids) == 0 {
		r.Reply(&wire.Response{Code: wire.SystemError, Remark: "no consumer for this group, " + h.ConsumerGroup, Header: header.Empty{}})
		return
	}
	r.Reply(&wire.Response{Code: wire.Success, Header: header.Empty{}, Body: body.Marshal(&body.GetConsumerListByGroupResponseBody{ConsumerIDList: ids})})
}

// ConsumerConnections serves GET_CONSUMER_CONNECTION_LIST.
func (c *Client) ConsumerConnections(r *remoting.Request) {
	var h header.ConsumerConnectionRequest
	if !decode(r, &h) {
		return
	}
	g, ok := c.Sessions.Consumers(h.ConsumerGroup)
	if !ok || len(g.Clients) == 0 {
		fail(r, wire.ConsumerNotOnline, "the consumer group[%s] not online", h.ConsumerGroup)
		return
	}
	res := body.ConsumerConnection{
		ConnectionSet: connections(g.Clients), SubscriptionTable: g.Subscriptions,
		ConsumeType: g.Info.ConsumeType, MessageModel: g.Info.MessageModel, ConsumeFromWhere: g.Info.ConsumeFromWhere,
	}
	for _, k := range c.Sessions.Conflicts(h.ConsumerGroup) {
		res.SubscriptionConflicts = append(res.SubscriptionConflicts, body.SubscriptionConflict{
			Topic: k.Topic, ClientID: k.ClientID, Expression: k.Expression, OtherClientID: k.OtherID, OtherExpression: k.Other,
		})
	}
	succeedBody(r, &res)
}

// ProducerConnections serves GET_PRODUCER_CONNECTION_LIST.
func (c *Client) ProducerConnections(r *remoting.Request) {
	var h header.ProducerConnectionRequest
	if !decode(r, &h) {
		return
	}
	list := c.Sessions.Producers(h.ProducerGroup)
	if len(list) == 0 {
		fail(r, wire.SystemError, "the producer group[%s] not exist", h.ProducerGroup)
		return
	}
	succeedBody(r, &body.ProducerConnection{ConnectionSet: connections(list)})
}

// AllProducers serves GET_ALL_PRODUCER_INFO.
func (c *Client) AllProducers(r *remoting.Request) {
	res := body.ProducerTableInfo{Data: map[string][]body.ProducerInfo{}}
	for _, group := range c.Sessions.ProducerGroups() {
		for _, p := range c.Sessions.Producers(group) {
			res.Data[group] = append(res.Data[group], body.ProducerInfo{
				ClientID: p.ID, RemoteIP: "/" + p.Conn.RemoteAddr().String(), Language: p.Language.String(), Version: p.Version,
				LastUpdateTimestamp: p.LastSeen.UnixMilli(),
			})
		}
	}
	succeedBody(r, &res)
}

func connections(list []session.Client) []body.Connection {
	out := make([]body.Connection, 0, len(list))
	for _, c := range list {
		out = append(out, body.Connection{ClientID: c.ID, ClientAddr: c.Conn.RemoteAddr().String(), Language: c.Language.String(), Version: c.Version})
	}
	return out
}
