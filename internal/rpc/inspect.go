// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
)

// CreateTopics makes topics on a broker or changes them: all of them or, when one
// is refused, none. Attributes of a topic are written with their sign ("+k": "v",
// "-k": ""). Brokers of 4.9 answer NotSupported.
func CreateTopics(ctx context.Context, c Caller, addr string, topics []body.TopicConfig) error {
	b := &body.CreateTopicListRequestBody{TopicConfigList: topics}
	return done(ctx, c, addr, &wire.Request{Code: wire.ReqUpdateAndCreateTopicList, Body: body.Marshal(b)})
}

// CreateGroups makes consumer groups on a broker or changes them: all of them or,
// when one is refused, none. Brokers of 4.9 answer NotSupported.
func CreateGroups(ctx context.Context, c Caller, addr string, groups []body.SubscriptionGroupConfig) error {
	b := &body.SubscriptionGroupList{GroupConfigList: groups}
	return done(ctx, c, addr, &wire.Request{Code: wire.ReqUpdateAndCreateSubscriptionGroupList, Body: body.Marshal(b)})
}

// TopicConfig gives a topic of a broker; TopicNotExist when there is none, and
// NotSupported from a broker of 4.9.
func TopicConfig(ctx context.Context, c Caller, addr, topic string) (*body.TopicConfig, error) {
	h := &header.TopicRequest{Topic: topic}
	return fetch[body.TopicConfig](ctx, c, addr, &wire.Request{Code: wire.ReqGetTopicConfig, Header: h})
}

// GroupConfig gives a consumer group of a broker; SubscriptionGroupNotExist when
// there is none, and NotSupported from a broker of 4.9.
func GroupConfig(ctx context.Context, c Caller, addr, group string) (*body.SubscriptionGroupConfig, error) {
	h := &header.GroupRequest{Group: group}
	return fetch[body.SubscriptionGroupConfig](ctx, c, addr, &wire.Request{Code: wire.ReqGetSubscriptionGroupConfig, Header: h})
}

// GroupForbidden tells whether a group may consume a topic of a broker (5.x).
func GroupForbidden(ctx context.Context, c Caller, addr, group, topic string) (*body.GroupForbidden, error) {
	return groupForbidden(ctx, c, addr, &header.GroupForbiddenRequest{Group: group, Topic: topic})
}

// SetGroupForbidden decides whether a group may consume a topic of a broker (5.x).
func SetGroupForbidden(ctx context.Context, c Caller, addr, group, topic string, readable bool) (*body.GroupForbidden, error) {
	return groupForbidden(ctx, c, addr, &header.GroupForbiddenRequest{Group: group, Topic: topic, Readable: readable, HasReadable: true})
}

func groupForbidden(ctx context.Context, c Caller, addr string, h *header.GroupForbiddenRequest) (*body.GroupForbidden, error) {
	return fetch[body.GroupForbidden](ctx, c, addr, &wire.Request{Code: wire.ReqUpdateAndGetGroupForbidden, Header: h})
}

// BrokerSystemTopics gives the topics that belong to a broker.
func BrokerSystemTopics(ctx context.Context, c Caller, addr string) ([]string, error) {
	return topicNames(ctx, c, addr, &wire.Request{Code: wire.ReqGetSystemTopicListFromBroker})
}

// GroupsOfTopic gives the groups that consume a topic of a broker, or have.
func GroupsOfTopic(ctx context.Context, c Caller, addr, topic string) ([]string, error) {
	req := &wire.Request{Code: wire.ReqQueryTopicConsumeByWho, Header: &header.TopicRequest{Topic: topic}}
	list, err := fetch[body.GroupList](ctx, c, addr, req)
	if err != nil {
		return nil, err
	}
	return list.GroupList, nil
}

// TopicsOfGroup gives the topics of a broker in which a group has offsets.
func TopicsOfGroup(ctx context.Context, c Caller, addr, group string) ([]string, error) {
	return topicNames(ctx, c, addr, &wire.Request{Code: wire.ReqQueryTopicsByConsumer, Header: &header.GroupRequest{Group: group}})
}

// Subscription gives what a group wants of a topic; nil while it is offline or does
// not subscribe to it.
func Subscription(ctx context.Context, c Caller, addr, group, topic string) (*body.SubscriptionData, error) {
	req := &wire.Request{Code: wire.ReqQuerySubscriptionByConsumer, Header: &header.SubscriptionRequest{Group: group, Topic: topic}}
	b, err := fetch[body.QuerySubscriptionResponseBody](ctx, c, addr, req)
	if err != nil {
		return nil, err
	}
	return b.SubscriptionData, nil
}

// ConsumeTimeSpan gives, for each queue of a topic on a broker, the store times of
// its first and last message and of what a group consumed last; TopicNotExist.
func ConsumeTimeSpan(ctx context.Context, c Caller, addr, topic, group string) ([]body.QueueTimeSpan, error) {
	req := &wire.Request{Code: wire.ReqQueryConsumeTimeSpan, Header: &header.ConsumeTimeSpanRequest{Topic: topic, Group: group}}
	b, err := fetch[body.QueryConsumeTimeSpanBody](ctx, c, addr, req)
	if err != nil {
		return nil, err
	}
	return b.ConsumeTimeSpanSet, nil
}

// ConsumeQueue gives entries of a queue, from h.Index on, and its ends; SystemError
// when there is no such queue.
func ConsumeQueue(ctx context.Context, c Caller, addr string, h *header.ConsumeQueueRequest) (*body.QueryConsumeQueueResponseBody, error) {
	return fetch[body.QueryConsumeQueueResponseBody](ctx, c, addr, &wire.Request{Code: wire.ReqQueryConsumeQueue, Header: h})
}

// Producers gives the clients of all producer groups of a broker, by group.
func Producers(ctx context.Context, c Caller, addr string) (map[string][]body.ProducerInfo, error) {
	b, err := fetch[body.ProducerTableInfo](ctx, c, addr, &wire.Request{Code: wire.ReqGetAllProducerInfo})
	if err != nil {
		return nil, err
	}
	return b.Data, nil
}

// CleanExpiredQueues deletes files of consume queues whose records are gone from the
// log.
func CleanExpiredQueues(ctx context.Context, c Caller, addr string) error {
	return done(ctx, c, addr, &wire.Request{Code: wire.ReqCleanExpiredConsumeQueue})
}

// CleanUnusedTopics deletes the queues of topics that a broker does not have any
// more.
func CleanUnusedTopics(ctx context.Context, c Caller, addr string) error {
	return done(ctx, c, addr, &wire.Request{Code: wire.ReqCleanUnusedTopic})
}

// DeleteExpiredLog deletes log files that have expired, whatever the hour.
func DeleteExpiredLog(ctx context.Context, c Caller, addr string) error {
	return done(ctx, c, addr, &wire.Request{Code: wire.ReqDeleteExpiredCommitLog})
}

// MemberGroup asks a name server for the master and the slaves of one broker name
// (5.x). One that it does not know has no addresses.
func MemberGroup(ctx context.Context, c Caller, addr, cluster, brokerName string) (*body.BrokerMemberGroup, error) {
	req := &wire.Request{Code: wire.ReqGetBrokerMemberGroup, Header: &header.MemberGroupRequest{ClusterName: cluster, BrokerName: brokerName}}
	b, err := fetch[body.GetBrokerMemberGroupResponseBody](ctx, c, addr, req)
	if err != nil {
		return nil, err
	}
	if b.BrokerMemberGroup == nil {
		return &body.BrokerMemberGroup{Cluster: cluster, BrokerName: brokerName}, nil
	}
	return b.BrokerMemberGroup, nil
}
