// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// One address makes so many topics and groups in a minute, in whatever way; what
// exists is used as before.
func TestCreationsOfAnAddress(t *testing.T) {
	var now atomic.Int64
	now.Store(time.Now().UnixMilli())
	w := startAt(t, vfs.NewMem(), now.Load, "topicCreationsPerMinute", "4", "groupCreationsPerMinute", "4")
	c := w.client()
	send := func(topic string) error {
		_, err := rpc.Send(w.ctx, c, w.addr, sendHeader(topic), []byte("body"))
		return err
	}
	create := func(topic string) error {
		return rpc.CreateTopic(w.ctx, c, w.addr, &header.CreateTopicRequest{Topic: topic, DefaultTopic: message.TopicAutoCreate, ReadQueueNums: 1, WriteQueueNums: 1, Perm: 6, TopicFilterType: "SINGLE_TAG"})
	}
	heartbeat := func(group string) error {
		return rpc.Heartbeat(w.ctx, c, w.addr, &body.HeartbeatData{ClientID: "c", ConsumerDataSet: []body.ConsumerData{{GroupName: group, ConsumeType: "CONSUME_PASSIVELY", MessageModel: "CLUSTERING", ConsumeFromWhere: "CONSUME_FROM_LAST_OFFSET"}}})
	}
	pull := func(group string) error {
		_, err := rpc.Pull(w.ctx, c, w.addr, &header.PullRequest{ConsumerGroup: []byte(group), Topic: []byte("made-0"), MaxMsgNums: 1})
		return err
	}
	refusedFor := func(err error, key string) bool {
		code, _ := rpc.CodeOf(err)
		return code == wire.SystemBusy && strings.Contains(err.Error(), key)
	}
	for i := range 4 {
		for _, err := range []error{[]func(string) error{send, create}[i%2](fmt.Sprint("made-", i)), heartbeat(fmt.Sprint("group-", i))} {
			if err != nil {
				t.Fatal(i, err)
			}
		}
	}
	for what, err := range map[string]error{"send": send("more"), "create": create("more")} {
		if !refusedFor(err, "topicCreationsPerMinute") {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, err := range map[string]error{"heartbeat": heartbeat("more"), "pull": pull("more")} {
		if !refusedFor(err, "groupCreationsPerMinute") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, there := w.groups.Get("more"); there {
		t.Error("a group was made")
	}
	for what, err := range map[string]error{"send": send("made-0"), "change": create("made-0"), "heartbeat": heartbeat("group-0")} {
		if err != nil {
			t.Errorf("%s of what exists: %v", what, err)
		}
	}
	now.Add(15_000)
	if err := send("more"); err != nil {
		t.Errorf("a quarter of a minute later: %v", err)
	}
	if err := heartbeat("more"); err != nil {
		t.Errorf("a quarter of a minute later: %v", err)
	}
}
