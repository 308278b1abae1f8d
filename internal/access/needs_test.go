// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/auth"
	"github.com/twostage/twostage/internal/config"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
)

// TestAcksOfWhatIsPoppedAgain name the retry topic of their own group.
func TestAcksOfWhatIsPoppedAgain(t *testing.T) {
	w := plainWorld(t, plainFile)
	for _, code := range []int32{wire.ReqAckMessage, wire.ReqChangeMessageInvisibleTime} {
		for topic, ok := range map[string]bool{
			"seen": true, "%RETRY%readers_seen": true, "%RETRY%readers+seen": true, "%RETRY%readers": true,
			"hidden": false, "%RETRY%readers_hidden": false, "%RETRY%readers_": false, "%RETRY%readersseen": false, "%RETRY%others_seen": false,
		} {
			if ok {
				w.may(producer, code, nil, text{"topic", topic}, text{"consumerGroup", "readers"})
			} else {
				w.mayNot(producer, wire.SystemError, "no permission", code, nil, text{"topic", topic}, text{"consumerGroup", "readers"})
			}
		}
	}
	acks := func(topic string) []byte {
		return body.Marshal(&body.BatchAckRequest{Acks: []body.BatchAck{{Topic: topic, ConsumerGroup: "readers"}}})
	}
	w.may(producer, wire.ReqBatchAckMessage, acks("%RETRY%readers_seen"))
	w.mayNot(producer, wire.SystemError, "Topic:hidden", wire.ReqBatchAckMessage, acks("%RETRY%readers_hidden"))
	// A record is given to its own group only: this may be the group readers_seen.
	w.mayNot(producer, wire.SystemError, "Group:readers_seen", wire.ReqPullMessage, nil, text{"topic", "%RETRY%readers_seen"}, text{"consumerGroup", "readers"})
}

// TestAccountsSeeNoTransactions and no policies: both are an administrator's.
func TestAccountsSeeNoTransactions(t *testing.T) {
	w := plainWorld(t, plainFile)
	for _, code := range []int32{wire.ReqTxList, wire.ReqTxShow, wire.ReqAuthGetACL, wire.ReqAuthListACL} {
		w.mayNot(producer, wire.SystemError, "admin: true", code, nil)
	}
	w.may(admin, wire.ReqTxList, nil)
}

// TestWithoutAuthorizationOnlySuperUsersDestroy and decide: there are no permissions
// that could tell other users apart.
func TestWithoutAuthorizationOnlySuperUsersDestroy(t *testing.T) {
	w := newWorld(t, vfs.NewMem(), config.Access{Authentication: true, Dir: "/auth", InitUser: config.NewSecret("root", "top-secret-0")})
	root, alice := auth.Credentials{AccessKey: "root", SecretKey: "top-secret-0"}, auth.Credentials{AccessKey: "alice", SecretKey: "top-secret-1"}
	for _, name := range []string{"alice", "bob"} {
		if code, remark := w.user(root, wire.ReqAuthCreateUser, auth.User{Username: name, Password: "top-secret-1"}); code != wire.Success {
			t.Fatal(code, remark)
		}
	}
	for code := range needs {
		if !Protected(code) {
			continue
		}
		w.mayNot(alice, wire.NoPermission, "super users only", code, []byte(`{"password":"taken"}`), text{"username", "bob"})
	}
	w.may(alice, wire.ReqSendMessageV2, nil, text{"b", "t"})
	w.may(root, wire.ReqUpdateBrokerConfig, nil)
	if w.guard.Password("alice", "top-secret-1", loopback) == nil || w.guard.Password("root", "top-secret-0", loopback) != nil {
		t.Error("a password opens the inspector to the wrong users")
	}
}

// TestTopicsOfTheBroker are those that clients may not send to.
func TestTopicsOfTheBroker(t *testing.T) {
	for topic, want := range map[string]bool{
		message.TopicSchedule: true, message.TopicTimer: true, message.TopicHalf: true, message.TopicOpHalf: true, message.TopicCheckMax: true,
		message.TopicSelfTest: true, message.TopicOffsetMoved: true, message.RevivePrefix + strings.Repeat("c", 100): true,
		message.TopicTrace: false, message.TopicBenchmark: false, message.TopicAutoCreate: false, "orders": false, "": false,
	} {
		if message.IsSendForbidden(topic) != want || ofTheBroker([]byte(topic)) != want {
			t.Errorf("%q: want %v", topic, want)
		}
	}
}
