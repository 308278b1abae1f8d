// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
)

// callProgress is call for what is asked about the places of groups and of their
// members. What a broker passes on to a member has other fields and a body: there is
// no function for that.
func callProgress(ctx context.Context, t *testing.T, c *recorded, req *wire.Command) (got []any, done bool) {
	one := func(v any, err error) []any { return []any{v, err} }
	switch req.Code {
	case wire.ReqInvokeBrokerToResetOffset:
		return one(ResetOffsets(ctx, c, addr, decode[header.ResetOffsetRequest](t, req))), true
	case wire.ReqCloneGroupOffset:
		return []any{CloneOffsets(ctx, c, addr, decode[header.CloneGroupOffsetRequest](t, req))}, true
	case wire.ReqGetConsumerRunningInfo:
		h := decode[header.RunningInfoRequest](t, req)
		return one(RunningInfo(ctx, c, addr, h.ConsumerGroup, h.ClientID, h.Stacks)), true
	case wire.ReqConsumeMessageDirectly:
		if len(req.Body) > 0 {
			return nil, false
		}
		return one(ConsumeDirectly(ctx, c, addr, decode[header.ConsumeDirectlyRequest](t, req))), true
	}
	return nil, false
}

func checkOffsets(t *testing.T, answer *wire.Command, offsets map[body.MessageQueue]int64) {
	for q, at := range offsets {
		if want := fmt.Sprintf(`"queueId":%d,"topic":"%s"}:%d`, q.QueueID, q.Topic, at); !strings.Contains(string(answer.Body), want) {
			t.Errorf("%s is not in %s", want, answer.Body)
		}
	}
	if want := strings.Count(string(answer.Body), "queueId"); len(offsets) != want {
		t.Errorf("%d queues of %s", len(offsets), answer.Body)
	}
}
