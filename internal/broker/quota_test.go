// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"fmt"
	"slices"
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

// heartbeatOf is of a client that consumes with the groups.
func heartbeatOf(client string, groups ...string) *body.HeartbeatData {
	hb := &body.HeartbeatData{ClientID: client}
	for _, g := range groups {
		hb.ConsumerDataSet = append(hb.ConsumerDataSet, body.ConsumerData{GroupName: g, ConsumeType: "CONSUME_PASSIVELY", MessageModel: "CLUSTERING", ConsumeFromWhere: "CONSUME_FROM_LAST_OFFSET"})
	}
	return hb
}

func refusedFor(err error, key string) bool {
	code, _ := rpc.CodeOf(err)
	return code == wire.SystemBusy && strings.Contains(err.Error(), key)
}

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
		return rpc.Heartbeat(w.ctx, c, w.addr, heartbeatOf("c", group))
	}
	pull := func(group string) error {
		_, err := rpc.Pull(w.ctx, c, w.addr, &header.PullRequest{ConsumerGroup: []byte(group), Topic: []byte("made-0"), MaxMsgNums: 1})
		return err
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

// A group that a heartbeat may not make keeps none of its others offline.
func TestHeartbeatWithAGroupTooMany(t *testing.T) {
	now := time.Now().UnixMilli()
	w := startAt(t, vfs.NewMem(), func() int64 { return now }, "groupCreationsPerMinute", "1")
	c := w.client()
	if err := rpc.Heartbeat(w.ctx, c, w.addr, heartbeatOf("first", "made")); err != nil {
		t.Fatal(err)
	}
	hb := heartbeatOf("second", "more", "made")
	hb.ProducerDataSet = []body.ProducerData{{GroupName: "producers"}}
	if err := rpc.Heartbeat(w.ctx, c, w.addr, hb); !refusedFor(err, "groupCreationsPerMinute") || !strings.Contains(err.Error(), "group more") {
		t.Errorf("error %v", err)
	}
	if ids := w.session.ConsumerIDs("made"); !slices.Contains(ids, "second") || len(w.session.Producers("producers")) != 1 {
		t.Errorf("online: %q, %d producers", ids, len(w.session.Producers("producers")))
	}
	if ids := w.session.ConsumerIDs("more"); len(ids) != 0 {
		t.Errorf("%q are online in a group that there is not", ids)
	}
}

// Offsets make groups too: those of groups that do not exist count, once for a topic.
func TestOffsetsOfGroupsThatDoNotExist(t *testing.T) {
	now := time.Now().UnixMilli()
	w := startAt(t, vfs.NewMem(), func() int64 { return now }, "groupCreationsPerMinute", "2")
	c := w.client()
	if _, err := rpc.Send(w.ctx, c, w.addr, sendHeader("topic"), []byte("body")); err != nil {
		t.Fatal(err)
	}
	commit := func(group string, queue int32) error {
		return rpc.UpdateOffset(w.ctx, c, w.addr, group, "topic", queue, 1)
	}
	if err := rpc.Heartbeat(w.ctx, c, w.addr, heartbeatOf("c", "exists")); err != nil {
		t.Fatal(err)
	}
	if err := commit("not a group's name!", 0); err != nil { // nothing is stored, and nothing counts
		t.Error(err)
	}
	for queue := range int32(4) {
		if err := commit("alone", queue); err != nil {
			t.Errorf("queue %d: %v", queue, err)
		}
	}
	if err := commit("more", 0); !refusedFor(err, "groupCreationsPerMinute") {
		t.Errorf("one group more: %v", err)
	}
	if err := commit("exists", 0); err != nil {
		t.Errorf("a group that exists: %v", err)
	}
	if got := w.offsets.Groups("topic"); !slices.Equal(got, []string{"alone", "exists"}) {
		t.Errorf("offsets of %q", got)
	}
}
