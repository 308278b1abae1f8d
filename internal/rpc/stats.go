// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
)

// RuntimeInfo gives the figures of a broker as names and values; all are described in
// docs/compatibility.md.
func RuntimeInfo(ctx context.Context, c Caller, addr string) (map[string]string, error) {
	table, err := fetch[body.KVTable](ctx, c, addr, &wire.Request{Code: wire.ReqGetBrokerRuntimeInfo})
	if err != nil {
		return nil, err
	}
	return table.Table, nil
}

// TopicStats gives the ends of a topic's queues on a broker, and how many messages
// a second came lately; TopicNotExist when it has no such topic.
func TopicStats(ctx context.Context, c Caller, addr, topic string) (*body.TopicStatsTable, error) {
	h := &header.TopicRequest{Topic: topic}
	return fetch[body.TopicStatsTable](ctx, c, addr, &wire.Request{Code: wire.ReqGetTopicStatsInfo, Header: h})
}

// ConsumeStats gives a group's places in a topic's queues on a broker; with topic
// "" in those of all its topics.
func ConsumeStats(ctx context.Context, c Caller, addr, group, topic string) (*body.ConsumeStats, error) {
	h := &header.ConsumeStatsRequest{ConsumerGroup: group, Topic: topic}
	return fetch[body.ConsumeStats](ctx, c, addr, &wire.Request{Code: wire.ReqGetConsumeStats, Header: h})
}

// BrokerStats gives a counter of a broker, by the name of its kind and its key, such
// as TOPIC_PUT_NUMS and a topic, or GROUP_GET_NUMS and topic@group; SystemError when
// there is no such counter, or nothing was counted yet.
func BrokerStats(ctx context.Context, c Caller, addr, name, key string) (*body.BrokerStatsData, error) {
	h := &header.BrokerStatsRequest{StatsName: name, StatsKey: key}
	return fetch[body.BrokerStatsData](ctx, c, addr, &wire.Request{Code: wire.ReqViewBrokerStatsData, Header: h})
}

// BrokerConsumeStats gives the places of all groups of a broker in the queues of
// their topics, or only in those of ordered topics.
func BrokerConsumeStats(ctx context.Context, c Caller, addr string, ordered bool) (*body.ConsumeStatsList, error) {
	h := &header.BrokerConsumeStatsRequest{Order: ordered}
	return fetch[body.ConsumeStatsList](ctx, c, addr, &wire.Request{Code: wire.ReqGetBrokerConsumeStats, Header: h})
}
