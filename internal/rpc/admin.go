// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
)

// CreateTopic makes a topic on a broker or changes it.
func CreateTopic(ctx context.Context, c Caller, addr string, h *header.CreateTopicRequest) error {
	return done(ctx, c, addr, &wire.Request{Code: wire.ReqUpdateAndCreateTopic, Header: h})
}

// DeleteTopic deletes a topic of a broker, with its queues.
func DeleteTopic(ctx context.Context, c Caller, addr, topic string) error {
	h := &header.DeleteTopicRequest{Topic: topic}
	return done(ctx, c, addr, &wire.Request{Code: wire.ReqDeleteTopicInBroker, Header: h})
}

// AllTopics gives the topics of a broker.
func AllTopics(ctx context.Context, c Caller, addr string) (*body.TopicConfigSerializeWrapper, error) {
	return fetch[body.TopicConfigSerializeWrapper](ctx, c, addr, &wire.Request{Code: wire.ReqGetAllTopicConfig})
}

// CreateGroup makes a consumer group on a broker or changes it.
func CreateGroup(ctx context.Context, c Caller, addr string, g *body.SubscriptionGroupConfig) error {
	return done(ctx, c, addr, &wire.Request{Code: wire.ReqUpdateAndCreateSubscriptionGroup, Body: body.Marshal(g)})
}

// DeleteGroup deletes a consumer group of a broker, with its offsets if asked.
func DeleteGroup(ctx context.Context, c Caller, addr, group string, removeOffset bool) error {
	h := &header.DeleteGroupRequest{GroupName: group, RemoveOffset: removeOffset}
	return done(ctx, c, addr, &wire.Request{Code: wire.ReqDeleteSubscriptionGroup, Header: h})
}

// AllGroups gives the consumer groups of a broker.
func AllGroups(ctx context.Context, c Caller, addr string) (*body.SubscriptionGroupWrapper, error) {
	return fetch[body.SubscriptionGroupWrapper](ctx, c, addr, &wire.Request{Code: wire.ReqGetAllSubscriptionGroupConfig})
}

// ConsumerConnection gives the clients and subscriptions of a consumer group;
// ConsumerNotOnline when there are none.
func ConsumerConnection(ctx context.Context, c Caller, addr, group string) (*body.ConsumerConnection, error) {
	h := &header.ConsumerConnectionRequest{ConsumerGroup: group}
	return fetch[body.ConsumerConnection](ctx, c, addr, &wire.Request{Code: wire.ReqGetConsumerConnectionList, Header: h})
}

// ProducerConnection gives the clients of a producer group; SystemError when
// there are none.
func ProducerConnection(ctx context.Context, c Caller, addr, group string) (*body.ProducerConnection, error) {
	h := &header.ProducerConnectionRequest{ProducerGroup: group}
	return fetch[body.ProducerConnection](ctx, c, addr, &wire.Request{Code: wire.ReqGetProducerConnectionList, Header: h})
}
