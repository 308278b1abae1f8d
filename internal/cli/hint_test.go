// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
)

// A hint fits what the server says, not the code alone.
func TestHints(t *testing.T) {
	for _, c := range []struct {
		code, request int32
		remark, want  string
	}{
		{wire.NoPermission, wire.ReqUpdateAndCreateTopic, "User:app has no permission to access Topic:orders", "--credentials"},
		{wire.NoPermission, wire.ReqSendMessage, "the topic[orders] sending message is forbidden: its perm has no write bit", "topic update"},
		{wire.NoPermission, wire.ReqSendMessage, "this broker takes no messages (brokerPermission)", "brokerPermission=6"},
		{wire.NoPermission, wire.ReqSendMessage, "the broker[10.0.0.1] sending message is forbidden", "brokerPermission=6"},
		{wire.NoPermission, wire.ReqSendMessage, "the topic[orders] sending message is forbidden", "topic update"},
		{wire.NoPermission, wire.ReqPullMessage, "subscription group no permission, g: its consumeEnable is false", "group update"},
		{wire.NoPermission, wire.ReqSendMessage, "this broker takes no transactional messages (rejectTransactionMessage=true)", "config show"},
		{wire.NoPermission, wire.ReqUpdateConsumerOffset, "the offsets of group g are the broker's own: no offset was stored", ""},
		{wire.NoPermission, wire.ReqUpdateBrokerConfig, "nothing was changed: storePathRootDir", "docs/configuration.md"},
		{wire.SubscriptionGroupNotExist, wire.ReqPullMessage, "", "group create"},
		{wire.InvalidParameter, wire.ReqPopMessage, "", "--help"},
		{wire.SystemError, wire.ReqQueryConsumeQueue, "0@shr is not exist!", "topic route"},
		{wire.SystemError, wire.ReqSendMessage, "disk", ""},
	} {
		got := hint(&rpc.Error{Code: c.code, Request: c.request, Remark: c.remark, Addr: "x"})
		if !strings.Contains(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%s: %q, want %q", c.remark, got, c.want)
		}
	}
}
