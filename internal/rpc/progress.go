// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
)

// ResetOffsets has a broker send a consumer group elsewhere in a topic, and gives
// the offsets. Brokers that leave that to the consumers answer ConsumerNotOnline
// when there are none, and go by h.Timestamp in all queues, whatever queue and offset
// h names; those that do it themselves may not look at h.Force.
func ResetOffsets(ctx context.Context, c Caller, addr string, h *header.ResetOffsetRequest) (map[body.MessageQueue]int64, error) {
	b, err := fetch[body.ResetOffsetBody](ctx, c, addr, &wire.Request{Code: wire.ReqInvokeBrokerToResetOffset, Header: h})
	if err != nil {
		return nil, err
	}
	return b.OffsetTable, nil
}

// CloneOffsets gives a consumer group the offsets that another one has at a broker.
func CloneOffsets(ctx context.Context, c Caller, addr string, h *header.CloneGroupOffsetRequest) error {
	return done(ctx, c, addr, &wire.Request{Code: wire.ReqCloneGroupOffset, Header: h})
}

// RunningInfo asks a member of a consumer group, through a broker, how it is doing;
// with stacks also what its threads do. SystemError when it is not online.
func RunningInfo(ctx context.Context, c Caller, addr, group, clientID string, stacks bool) (*body.ConsumerRunningInfo, error) {
	h := &header.RunningInfoRequest{ConsumerGroup: group, ClientID: clientID, Stacks: stacks}
	return fetch[body.ConsumerRunningInfo](ctx, c, addr, &wire.Request{Code: wire.ReqGetConsumerRunningInfo, Header: h})
}

// ConsumeDirectly has a member of a consumer group consume a stored message at
// once, whatever its offsets are. h.MsgID is the message's offset id.
func ConsumeDirectly(ctx context.Context, c Caller, addr string, h *header.ConsumeDirectlyRequest) (*body.ConsumeMessageDirectlyResult, error) {
	return fetch[body.ConsumeMessageDirectlyResult](ctx, c, addr, &wire.Request{Code: wire.ReqConsumeMessageDirectly, Header: h})
}
