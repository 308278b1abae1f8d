// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"
	"testing"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/header"
)

// callStats is call for the requests of stats.go.
func callStats(ctx context.Context, t *testing.T, c *recorded, req *wire.Command) (got []any, done bool) {
	one := func(v any, err error) []any { return []any{v, err} }
	switch req.Code {
	case wire.ReqGetBrokerRuntimeInfo:
		got = one(RuntimeInfo(ctx, c, addr))
	case wire.ReqGetTopicStatsInfo:
		got = one(TopicStats(ctx, c, addr, decode[header.TopicRequest](t, req).Topic))
	case wire.ReqGetConsumeStats:
		h := decode[header.ConsumeStatsRequest](t, req)
		got = one(ConsumeStats(ctx, c, addr, h.ConsumerGroup, h.Topic))
	case wire.ReqViewBrokerStatsData:
		h := decode[header.BrokerStatsRequest](t, req)
		got = one(BrokerStats(ctx, c, addr, h.StatsName, h.StatsKey))
	case wire.ReqGetBrokerConsumeStats:
		got = one(BrokerConsumeStats(ctx, c, addr, decode[header.BrokerConsumeStatsRequest](t, req).Order))
	default:
		return nil, false
	}
	return got, true
}
