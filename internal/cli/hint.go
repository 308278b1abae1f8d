// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"strings"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
)

// refusal says what to do about an answer with an error code, by the code and by what
// the server says: NO_PERMISSION is answered for more than missing permissions.
func refusal(err error) string {
	e, ok := errors.AsType[*rpc.Error](err)
	if !ok {
		return ""
	}
	says := func(some ...string) bool {
		for _, text := range some {
			if strings.Contains(e.Remark, text) {
				return true
			}
		}
		return false
	}
	switch e.Code {
	case wire.NoPermission:
		switch {
		case fixedKey(err):
			return "docs/configuration.md says which keys change while a server runs"
		case says("(brokerPermission)", "the broker["): // RocketMQ's own names it so
			return "let it with `twostage config set BROKER brokerPermission=6`"
		case says("Enable", "rejectTransactionMessage"):
			if says("consumeEnable", "consumeBroadcastEnable") {
				return "let it with `twostage group update GROUP --consume` or --broadcast"
			}
			return "the server's configuration says so: see `twostage config show BROKER`, and docs/configuration.md"
		case says("perm has no", "ing message is forbidden"):
			return "let it with `twostage topic update TOPIC --perm rw`"
		case says("broker's own", "is answered on the loopback only", "is forbidden for topic"):
			return "" // nothing that may be changed, or the server says how
		}
		return "say who you are with --credentials FILE, or ask an admin for the permission; docs/security.md says what each request needs"
	case wire.SubscriptionGroupNotExist:
		return "create it with `twostage group create GROUP`, or see what there is with `twostage group list`"
	case wire.InvalidParameter:
		return "the server does not take a value as it was given; see --help"
	case wire.SystemError:
		if says("is not exist!") && e.Request == wire.ReqQueryConsumeQueue {
			return "see what there is with `twostage topic route TOPIC`"
		}
	}
	return ""
}
