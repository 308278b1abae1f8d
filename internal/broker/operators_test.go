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

// raw makes a request and gives the body of its success.
func (c *client) raw(code int32, h wire.Header) string {
	c.w.t.Helper()
	cmd, err := c.Invoke(c.w.ctx, c.w.addr, &wire.Request{Code: code, Header: h})
	if err != nil || cmd.Code != wire.Success {
		c.w.t.Fatalf("%d: %v, %v", code, cmd, err)
	}
	return string(cmd.Body)
}

func TestTopicAndGroupConfig(t *testing.T) {
	w := start(t, vfs.NewMem())
	c := w.client()
	if err := rpc.CreateTopic(w.ctx, c, w.addr, &header.CreateTopicRequest{Topic: "T", ReadQueueNums: 3, WriteQueueNums: 2, Perm: 6, TopicFilterType: body.SingleTag, Attributes: "+message.type=FIFO"}); err != nil {
		t.Fatal(err)
	}
	want := `{"attributes":{"message.type":"FIFO"},"order":false,"perm":6,"readQueueNums":3,"topicFilterType":"SINGLE_TAG","topicName":"T","topicSysFlag":0,"writeQueueNums":2}`
	if got := c.raw(wire.ReqGetTopicConfig, &header.TopicRequest{Topic: "T"}); got != want {
		t.Errorf("the topic: %s", got)
	}
	c.refused(wire.TopicNotExist, &wire.Request{Code: wire.ReqGetTopicConfig, Header: &header.TopicRequest{Topic: "Missing"}}, "Missing")

	g := body.NewSubscriptionGroupConfig("g")
	g.RetryMaxTimes = 3
	if err := rpc.CreateGroup(w.ctx, c, w.addr, &g); err != nil {
		t.Fatal(err)
	}
	want = `{"brokerId":0,"consumeBroadcastEnable":true,"consumeEnable":true,"consumeFromMinEnable":true,"groupName":"g","notifyConsumerIdsChangedEnable":true,"retryMaxTimes":3,"retryQueueNums":1,"whichBrokerWhenConsumeSlowly":1}`
	if got := c.raw(wire.ReqGetSubscriptionGroupConfig, &header.GroupRequest{Group: "g"}); got != want {
		t.Errorf("the group: %s", got)
	}
	// Asking makes no group.
	for range 2 {
		c.refused(wire.SubscriptionGroupNotExist, &wire.Request{Code: wire.ReqGetSubscriptionGroupConfig, Header: &header.GroupRequest{Group: "nobody"}}, "nobody")
	}
}

// Lists are made as a whole or not at all, and last.
func TestTopicAndGroupLists(t *testing.T) {
	fs := vfs.NewMem()
	w := start(t, fs)
	c := w.client()
	topics := []body.TopicConfig{body.NewTopicConfig("A"), body.NewTopicConfig("B")}
	topics[1].Attributes = map[string]string{"+message.type": "DELAY"}
	if err := rpc.CreateTopics(w.ctx, c, w.addr, topics); err != nil {
		t.Fatal(err)
	}
	topics[0].ReadQueueNums = 1
	topics[1].Attributes = map[string]string{"-message.type": ""}
	for what, bad := range map[string]body.TopicConfig{
		"SELF_TEST_TOPIC": body.NewTopicConfig("SELF_TEST_TOPIC"), "a b": body.NewTopicConfig("a b"), "topics with": topics[0],
		"colour": {TopicName: "C", Attributes: map[string]string{"+colour": "red"}}, "comma": {TopicName: "C", Attributes: map[string]string{"+message.type": "FIFO,-x"}},
	} {
		err := rpc.CreateTopics(w.ctx, c, w.addr, append(slices.Clone(topics), bad))
		if code(err) != wire.InvalidParameter || !strings.Contains(err.Error(), what) || !strings.Contains(err.Error(), "no topic was made or changed") {
			t.Errorf("with %s: %v", what, err)
		}
	}
	if a, _ := w.topics.Get("A"); a.ReadQueueNums != 16 {
		t.Errorf("a refused list changed %+v", a)
	}
	if err := rpc.CreateTopics(w.ctx, c, w.addr, nil); code(err) != wire.InvalidParameter {
		t.Errorf("no topics: %v", err)
	}
	groups := []body.SubscriptionGroupConfig{body.NewSubscriptionGroupConfig("g"), body.NewSubscriptionGroupConfig("h")}
	if err := rpc.CreateGroups(w.ctx, c, w.addr, groups); err != nil {
		t.Fatal(err)
	}
	groups[0].ConsumeEnable = false
	for what, bad := range map[string]body.SubscriptionGroupConfig{
		"i j": body.NewSubscriptionGroupConfig("i j"), "groups with": groups[0], "retryQueueNums": {GroupName: "i", RetryQueueNums: -1},
	} {
		err := rpc.CreateGroups(w.ctx, c, w.addr, append(slices.Clone(groups), bad))
		if code(err) != wire.InvalidParameter || !strings.Contains(err.Error(), what) {
			t.Errorf("with %s: %v", what, err)
		}
	}
	if g, _ := w.groups.Get("g"); !g.ConsumeEnable {
		t.Error("a refused list changed a group")
	}
	w = start(t, fs.Crash(vfs.CrashOptions{}))
	if b, ok := w.topics.Get("B"); !ok || b.Attributes["message.type"] != "DELAY" {
		t.Errorf("after a crash: %+v", b)
	}
	if _, ok := w.groups.Get("h"); !ok {
		t.Error("a group is gone")
	}
}

// What a group is forbidden goes with its deletion, also when there is no such group;
// until then it is told with the groups.
func TestGroupForbiddenIsForgotten(t *testing.T) {
	fs := vfs.NewMem()
	w := start(t, fs)
	c := w.client()
	for _, group := range []string{"nobody", "other"} {
		c.raw(wire.ReqUpdateAndGetGroupForbidden, &header.GroupForbiddenRequest{Group: group, Topic: "T", HasReadable: true})
	}
	told := func() map[string]map[string]int32 {
		t.Helper()
		var groups body.SubscriptionGroupWrapper
		if err := body.Unmarshal([]byte(c.raw(wire.ReqGetAllSubscriptionGroupConfig, nil)), &groups); err != nil || len(groups.SubscriptionGroupTable) == 0 {
			t.Fatalf("%+v, %v", groups, err)
		}
		return groups.ForbiddenTable
	}
	if got := told(); got["nobody"]["T"] == 0 || got["other"]["T"] == 0 {
		t.Errorf("forbidden is %v", got)
	}
	if cmd := c.answer(wire.ReqDeleteSubscriptionGroup, &header.DeleteGroupRequest{GroupName: "nobody", RemoveOffset: true}, nil); cmd.Code != wire.Success {
		t.Fatalf("%d %s", cmd.Code, cmd.Remark)
	}
	w = start(t, fs.Crash(vfs.CrashOptions{}))
	c = w.client()
	if got := told(); len(got) != 1 || got["other"]["T"] == 0 {
		t.Errorf("forbidden is %v", got)
	}
}

// A group that is forbidden to consume a topic is refused, and that lasts.
func TestGroupForbidden(t *testing.T) {
	fs := vfs.NewMem()
	w := start(t, fs)
	c := w.client()
	c.send(sendHeader("T"), "a")
	c.heartbeat("id", "g", "T", "*", "U", "*")
	ask := func(h header.GroupForbiddenRequest) string {
		t.Helper()
		h.Group = "g"
		return c.raw(wire.ReqUpdateAndGetGroupForbidden, &h)
	}
	yes, no := `{"group":"g","readable":true,"topic":"T"}`, `{"group":"g","readable":false,"topic":"T"}`
	if got := ask(header.GroupForbiddenRequest{Topic: "T"}); got != yes {
		t.Errorf("%s", got)
	}
	for _, topic := range []string{"U", "T"} {
		ask(header.GroupForbiddenRequest{Topic: topic, HasReadable: true})
	}
	if got := ask(header.GroupForbiddenRequest{Topic: "T"}); got != no {
		t.Errorf("%s", got)
	}
	pull := &wire.Request{Code: wire.ReqPullMessage, Header: &header.PullRequest{ConsumerGroup: []byte("g"), Topic: []byte("T"), MaxMsgNums: 1, SubVersion: 1}}
	c.refused(wire.NoPermission, pull, "forbidden")
	c.refused(wire.SystemError, &wire.Request{Code: wire.ReqUpdateAndGetGroupForbidden, Header: &header.GroupForbiddenRequest{Group: "a b", Topic: "T", HasReadable: true}}, "a b")
	w = start(t, fs.Crash(vfs.CrashOptions{}))
	c = w.client()
	if got := ask(header.GroupForbiddenRequest{Topic: "T"}); got != no {
		t.Errorf("after a crash: %s", got)
	}
	if got := ask(header.GroupForbiddenRequest{Topic: "T", HasReadable: true, Readable: true}); got != yes {
		t.Errorf("%s", got)
	}
	if !w.groups.ReadForbidden([]byte("g"), []byte("U")) {
		t.Error("what one topic is given, another has got too")
	}
}

// Who consumes what: online, by offsets, or both.
func TestWhoConsumesWhat(t *testing.T) {
	w := start(t, vfs.NewMem())
	c := w.client()
	c.send(sendHeader("T"), "a")
	c.heartbeat("id", "online", "T", "TagA", "U", "*")
	c.heartbeat("id", "both", "T", "*")
	for _, g := range []string{"both", "gone"} {
		w.offsets.Commit(g, "T", 0, 1)
	}
	w.offsets.Commit("gone", "S", 0, 1)
	if got := c.raw(wire.ReqQueryTopicConsumeByWho, &header.TopicRequest{Topic: "T"}); got != `{"groupList":["both","gone","online"]}` {
		t.Errorf("%s", got)
	}
	if got := c.raw(wire.ReqQueryTopicConsumeByWho, &header.TopicRequest{Topic: "Missing"}); got != `{"groupList":[]}` {
		t.Errorf("%s", got)
	}
	if got := c.raw(wire.ReqQueryTopicsByConsumer, &header.GroupRequest{Group: "gone"}); got != `{"brokerAddr":"`+w.addr+`","topicList":["S","T"]}` {
		t.Errorf("%s", got)
	}
	want := `{"group":"online","subscriptionData":{"classFilterMode":false,"codeSet":[2598919],"expressionType":"TAG","subString":"TagA","subVersion":1,"tagsSet":["TagA"],"topic":"T"},"topic":"T"}`
	if got := c.raw(wire.ReqQuerySubscriptionByConsumer, &header.SubscriptionRequest{Group: "online", Topic: "T"}); got != want {
		t.Errorf("%s", got)
	}
	for _, h := range []*header.SubscriptionRequest{{Group: "gone", Topic: "T"}, {Group: "both", Topic: "U"}} {
		if got := c.raw(wire.ReqQuerySubscriptionByConsumer, h); got != `{"group":"`+h.Group+`","topic":"`+h.Topic+`"}` {
			t.Errorf("%s", got)
		}
	}
}

func TestConsumeTimeSpan(t *testing.T) {
	var now atomic.Int64
	now.Store(1_000_000)
	w := startAt(t, vfs.NewMem(), now.Load)
	c := w.client()
	for i := range 3 {
		c.send(sendHeader("T"), fmt.Sprint(i))
		now.Add(10)
	}
	w.stored("T", 0)
	now.Store(1_001_000)
	spans := func(group string) []body.QueueTimeSpan {
		t.Helper()
		list, err := rpc.ConsumeTimeSpan(w.ctx, c, w.addr, "T", group)
		if err != nil || len(list) != 4 || *list[0].MessageQueue != (body.MessageQueue{Topic: "T", BrokerName: "broker-a"}) {
			t.Fatalf("%+v, %v", list, err)
		}
		for i := range list {
			list[i].MessageQueue = nil
		}
		return list
	}
	w.offsets.Commit("g", "T", 0, 2)
	w.offsets.Commit("done", "T", 0, 3)
	none := body.QueueTimeSpan{MinTimeStamp: -1, MaxTimeStamp: -1, ConsumeTimeStamp: -1}
	for group, want := range map[string]body.QueueTimeSpan{
		"g":    {MinTimeStamp: 1_000_000, MaxTimeStamp: 1_000_020, ConsumeTimeStamp: 1_000_010, DelayTime: 980},
		"new":  {MinTimeStamp: 1_000_000, MaxTimeStamp: 1_000_020, ConsumeTimeStamp: 1_000_000, DelayTime: 1000},
		"done": {MinTimeStamp: 1_000_000, MaxTimeStamp: 1_000_020, ConsumeTimeStamp: 1_000_020},
	} {
		if got := spans(group); got[0] != want || got[3] != none {
			t.Errorf("%s: %+v", group, got)
		}
	}
	c.refused(wire.TopicNotExist, &wire.Request{Code: wire.ReqQueryConsumeTimeSpan, Header: &header.ConsumeTimeSpanRequest{Topic: "Missing", Group: "g"}}, "Missing")
}

func TestQueueEntries(t *testing.T) {
	w := start(t, vfs.NewMem())
	c := w.client()
	for _, tag := range []string{"TagA", "TagB", ""} {
		c.send(sendHeader("T", message.PropertyTags, tag), "m")
	}
	recs := w.stored("T", 0)
	c.heartbeat("id", "g", "T", "TagA")
	ask := func(h header.ConsumeQueueRequest) (*body.QueryConsumeQueueResponseBody, string) {
		t.Helper()
		h.Topic = "T"
		cmd, err := c.Invoke(w.ctx, w.addr, &wire.Request{Code: wire.ReqQueryConsumeQueue, Header: &h})
		if err != nil || cmd.Code != wire.Success {
			t.Fatalf("%v, %v", cmd, err)
		}
		var b body.QueryConsumeQueueResponseBody
		if err := body.Unmarshal(cmd.Body, &b); err != nil || b.MinQueueIndex != 0 || b.MaxQueueIndex != 3 {
			t.Fatalf("%s: %v", cmd.Body, err)
		}
		return &b, string(cmd.Remark)
	}
	b, _ := ask(header.ConsumeQueueRequest{Index: 1, Count: 5, ConsumerGroup: "g"})
	want := []body.ConsumeQueueData{
		{PhysicOffset: recs[1].PhysicalOffset, PhysicSize: recs[1].Size, TagsCode: int64(message.HashCode("TagB"))},
		{PhysicOffset: recs[2].PhysicalOffset, PhysicSize: recs[2].Size},
	}
	if !slices.Equal(b.QueueData, want) || b.SubscriptionData == nil || b.SubscriptionData.SubString != "TagA" || b.FilterData != "" {
		t.Errorf("%+v", b)
	}
	if b, _ = ask(header.ConsumeQueueRequest{Count: 1, ConsumerGroup: "off"}); len(b.QueueData) != 1 || b.FilterData != "off@T is not online!" {
		t.Errorf("%+v", b)
	}
	for _, h := range []header.ConsumeQueueRequest{{Index: 3, Count: 1}, {Index: -1, Count: 1}} {
		if b, remark := ask(h); len(b.QueueData) != 0 || !strings.Contains(remark, fmt.Sprint(h.Index)) {
			t.Errorf("%+v, %q", b, remark)
		}
	}
	if b, _ = ask(header.ConsumeQueueRequest{Count: -7}); len(b.QueueData) != 0 {
		t.Errorf("a negative count: %+v", b)
	}
	c.refused(wire.SystemError, &wire.Request{Code: wire.ReqQueryConsumeQueue, Header: &header.ConsumeQueueRequest{Topic: "T", QueueID: 9}}, "9@T")
}

func TestAllProducers(t *testing.T) {
	w := start(t, vfs.NewMem())
	if got := w.client().raw(wire.ReqGetAllProducerInfo, nil); got != `{"data":{}}` {
		t.Errorf("%s", got)
	}
	a, b := w.client(), w.client()
	before := time.Now().UnixMilli()
	a.produces("a", "p")
	b.produces("b", "p")
	b.produces("b", "q")
	groups, err := rpc.Producers(w.ctx, a, w.addr)
	if err != nil || len(groups) != 2 || len(groups["p"]) != 2 || len(groups["q"]) != 1 {
		t.Fatalf("%+v, %v", groups, err)
	}
	if q := groups["q"][0]; q.ClientID != "b" || !strings.HasPrefix(q.RemoteIP, "/127.0.0.1:") || q.Language != "JAVA" || q.Version != wire.Version || q.LastUpdateTimestamp < before {
		t.Errorf("%+v", q)
	}
}

func TestSystemTopicsOfABroker(t *testing.T) {
	w := start(t, vfs.NewMem())
	c := w.client()
	c.send(sendHeader("T"), "a")
	list, err := rpc.BrokerSystemTopics(w.ctx, c, w.addr)
	if err != nil || !slices.IsSorted(list) {
		t.Fatalf("%v, %v", list, err)
	}
	for _, name := range []string{message.TopicAutoCreate, message.TopicSchedule, message.TopicHalf, message.TopicTimer, "broker-a", "DefaultCluster"} {
		if !slices.Contains(list, name) {
			t.Errorf("%s is not among %v", name, list)
		}
	}
	if slices.Contains(list, "T") {
		t.Errorf("T is among %v", list)
	}
}
