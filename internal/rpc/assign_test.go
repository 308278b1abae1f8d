// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"errors"
	"testing"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
)

func TestRequestModes(t *testing.T) {
	pop := body.RequestModeConfig{Topic: "T", ConsumerGroup: "g", Mode: body.RequestPop, PopShareQueueNum: 2}
	c := &recorded{t: t, answer: &wire.Command{}}
	if err := SetRequestMode(t.Context(), c, addr, &pop); err != nil || c.sent.Code != wire.ReqSetMessageRequestMode || *unmarshal[body.RequestModeConfig](t, c.sent.Body) != pop {
		t.Errorf("%s, %v", c.sent.Body, err)
	}
	c.answer.Body = []byte(`{"messageRequestModeMap":{"T":{"g":{"topic":"T","consumerGroup":"g","mode":"POP","popShareQueueNum":2}}}}`)
	if table, err := RequestModes(t.Context(), c, addr); err != nil || table["T"]["g"] != pop || c.sent.Code != wire.ReqGetAllMessageRequestMode {
		t.Errorf("%+v, %v", table, err)
	}
	c.answer = &wire.Command{Code: wire.SubscriptionGroupNotExist}
	if err := SetRequestMode(t.Context(), c, addr, &pop); !errors.Is(err, SubscriptionGroupNotExist) {
		t.Errorf("%v", err)
	}
}
