// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
)

// SetRequestMode says how a group gets the messages of a topic from a broker; 5.x.
// TopicNotExist, SubscriptionGroupNotExist when it does not know one of them.
func SetRequestMode(ctx context.Context, c Caller, addr string, m *body.RequestModeConfig) error {
	return done(ctx, c, addr, &wire.Request{Code: wire.ReqSetMessageRequestMode, Body: body.Marshal(m)})
}

// RequestModes gives what SetRequestMode has set at a broker, by topic and group.
func RequestModes(ctx context.Context, c Caller, addr string) (map[string]map[string]body.RequestModeConfig, error) {
	t, err := fetch[body.RequestModeTable](ctx, c, addr, &wire.Request{Code: wire.ReqGetAllMessageRequestMode})
	if err != nil {
		return nil, err
	}
	return t.MessageRequestModeMap, nil
}
