// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

func TestPlainSend(t *testing.T) {
	w := start(t, vfs.NewMem())
	c := w.client()
	h := sendHeader("T", "TAGS", "A", "WAIT", "true", "user", "u")
	h.SysFlag, h.QueueID = 0x301, 2
	sent := c.send(h, "one")
	rec := w.stored("T", 2)[0]
	if sent.Code != wire.Success || sent.Header.QueueID != 2 || sent.Header.QueueOffset != 0 || string(sent.Header.Region) != "DefaultRegion" ||
		string(sent.Header.MsgID) != string(message.AppendOffsetID(nil, w.advertised, rec.PhysicalOffset)) || sent.Header.TransactionID != nil {
		t.Errorf("answer %+v", sent)
	}
	w.wantProperties(&rec, "TAGS", "A", "user", "u", "CLUSTER", "DefaultCluster")
	if string(rec.Body) != "one" || rec.SysFlag != 0x301 || rec.Flag != 3 || rec.BornTimestamp != 7 || rec.StoreHost != w.advertised ||
		!rec.BornHost.Addr().IsLoopback() || rec.BornHost.Port() == 0 {
		t.Errorf("stored %+v", rec)
	}
	// Any queue; one-way; the long names.
	h = sendHeader("T")
	h.QueueID = -1
	if q := c.send(h, "any").Header.QueueID; q < 0 || q > 3 {
		t.Errorf("a queue of its own choice: %d", q)
	}
	h.QueueID = 3
	if err := rpc.SendOneWay(w.ctx, c, w.addr, h, []byte("oneway")); err != nil {
		t.Fatal(err)
	}
	v1 := (*header.SendRequestV1)(sendHeader("T"))
	v1.QueueID = 3
	cmd, err := c.Invoke(w.ctx, w.addr, &wire.Request{Code: wire.ReqSendMessage, Header: v1, Body: []byte("v1")})
	if err != nil || cmd.Code != wire.Success {
		t.Fatal(cmd, err)
	}
	if got := w.stored("T", 3); len(got) < 2 || string(got[len(got)-2].Body) != "oneway" || string(got[len(got)-1].Body) != "v1" {
		t.Errorf("queue 3 holds %v", got)
	}
}

// TestBatchByHeader: whether a body is a batch is said by the header, not by the
// request's code.
func TestBatchByHeader(t *testing.T) {
	w := start(t, vfs.NewMem())
	c := w.client()
	var b []byte
	b = message.AppendBatch(b, 1, []byte("x"), []byte("TAGS\x01A\x02WAIT\x01true"))
	b = message.AppendBatch(b, 2, []byte("y"), nil)
	for i, code := range []int32{wire.ReqSendMessageV2, wire.ReqSendBatchMessage} {
		h := sendHeader("T", "WAIT", "true")
		h.Batch = true
		cmd, err := c.Invoke(w.ctx, w.addr, &wire.Request{Code: code, Header: h, Body: b})
		if err != nil || cmd.Code != wire.Success {
			t.Fatal(cmd, err)
		}
		var res header.SendResponse
		if err := res.DecodeExt(cmd.Ext); err != nil {
			t.Fatal(err)
		}
		if ids := strings.Split(string(res.MsgID), ","); len(ids) != 2 || res.QueueOffset != int64(2*i) {
			t.Errorf("%d: %+v", code, res)
		}
	}
	w.wantBodies("T", 0, "x y x y")
	list := w.stored("T", 0)
	if list[0].Flag != 1 || list[1].Flag != 2 || list[0].TagsCode() != int64(message.HashCode("A")) {
		t.Errorf("members %+v", list[:2])
	}
	if p := string(list[0].Properties); strings.Count(p, "WAIT\x01true") != 2 || !strings.HasPrefix(p, "TAGS\x01A\x02WAIT\x01true\x02") || !strings.Contains(p, "CLUSTER\x01DefaultCluster") {
		t.Errorf("a member's properties: %q", p)
	}
	// A plain body under the batch code is one message.
	cmd, err := c.Invoke(w.ctx, w.addr, &wire.Request{Code: wire.ReqSendBatchMessage, Header: sendHeader("T"), Body: []byte("plain")})
	if err != nil || cmd.Code != wire.Success {
		t.Fatal(cmd, err)
	}
	w.wantBodies("T", 0, "x y x y plain")
}

func TestSendRefusals(t *testing.T) {
	w := start(t, vfs.NewMem(), "maxMessageSize", "4096", "autoCreateTopicEnable", "false", "autoCreateSubscriptionGroup", "false")
	c := w.client()
	if err := rpc.CreateTopic(w.ctx, c, w.addr, &header.CreateTopicRequest{Topic: "T", DefaultTopic: "TBW102", ReadQueueNums: 1, WriteQueueNums: 1, Perm: 6, TopicFilterType: "SINGLE_TAG"}); err != nil {
		t.Fatal(err)
	}
	req := func(change func(*header.SendRequest), text string) *wire.Request {
		h := sendHeader("T")
		change(h)
		return &wire.Request{Code: wire.ReqSendMessageV2, Header: h, Body: []byte(text)}
	}
	to := func(topic string) func(*header.SendRequest) {
		return func(h *header.SendRequest) { h.Topic = []byte(topic) }
	}
	with := func(name, value string) func(*header.SendRequest) {
		return func(h *header.SendRequest) { h.Properties = message.AppendProperty(h.Properties, name, value) }
	}
	c.refused(wire.TopicNotExist, req(to("Missing"), "x"), "Missing", "not exist")
	c.refused(wire.SystemError, req(to("bad name!"), "x"), "bad name!")
	c.refused(wire.NoPermission, req(to(message.TopicHalf), "x"), message.TopicHalf, "forbidden")
	c.refused(wire.NoPermission, req(to(message.TopicSchedule), "x"), "forbidden")
	c.refused(wire.SystemError, req(func(h *header.SendRequest) { h.QueueID = 1 }, "x"), "queueId[1]", "topicName=T")
	c.refused(wire.MessageIllegal, req(func(*header.SendRequest) {}, strings.Repeat("x", 4097)), "4097", "4096", "maxMessageSize")
	c.refused(wire.MessageIllegal, req(with("k", strings.Repeat("v", 32767)), "x"), "properties")
	c.refused(wire.MessageIllegal, req(with("k", strings.Repeat("v", 32760)), "x"), "32") // CLUSTER makes it too long
	c.refused(wire.MessageIllegal, req(func(h *header.SendRequest) { h.SysFlag = int32(message.TransactionPrepared) }, "x"), "TRAN_MSG")
	c.refused(wire.MessageIllegal, req(func(h *header.SendRequest) { h.Batch = true }, "no batch"))
	c.refused(wire.MessageIllegal, req(func(h *header.SendRequest) { h.Batch = true }, ""), "no message")
	c.refused(wire.MessageIllegal, req(func(h *header.SendRequest) {
		with("DELAY", "3")(h)
		h.Batch = true
	}, string(message.AppendBatch(nil, 0, []byte("x"), nil))), "batch", "delayed")
	c.refused(wire.SubscriptionGroupNotExist, req(to("%RETRY%nobody"), "x"), "nobody")
	w.wantBodies("T", 0, "")
	// A flag that only the broker gives is not taken from a client.
	h := sendHeader("T")
	h.SysFlag = int32(message.TransactionCommit)
	c.send(h, "ok")
	if list := w.stored("T", 0); len(list) != 1 || list[0].SysFlag != 0 {
		t.Errorf("stored %+v", list)
	}
	// A header that lacks a field names it.
	c.refused(wire.SystemError, &wire.Request{Code: wire.ReqSendMessageV2, Fields: wire.Fields{{Key: []byte("b"), Value: []byte("T")}}}, "producerGroup")
}

func TestUnknownRequestNamesItself(t *testing.T) {
	w := start(t, vfs.NewMem())
	c := w.client()
	c.refused(wire.RequestCodeNotSupported, &wire.Request{Code: wire.ReqPopLiteMessage}, "POP_LITE_MESSAGE")
	c.refused(wire.RequestCodeNotSupported, &wire.Request{Code: 31999}, "31999")
}

func TestTopicIsMadeBySend(t *testing.T) {
	w := start(t, vfs.NewMem(), "defaultTopicQueueNums", "8")
	c := w.client()
	h := sendHeader("New")
	h.DefaultTopicQueueNums = 5
	c.send(h, "x")
	tc, ok := w.topics.Get("New")
	if !ok || tc.ReadQueueNums != 5 || tc.WriteQueueNums != 5 || tc.Perm != 6 {
		t.Errorf("topic %+v %v", tc, ok)
	}
}

// TestDelayedSend: what waits keeps its properties, with the real topic.
func TestDelayedSend(t *testing.T) {
	w := start(t, vfs.NewMem(), "messageDelayLevel", "1h 2h")
	c := w.client()
	h := sendHeader("T", "DELAY", "9", "WAIT", "true")
	h.QueueID = 1
	sent := c.send(h, "late")
	if sent.Header.QueueID != 1 {
		t.Errorf("answered queue %d", sent.Header.QueueID)
	}
	w.wantBodies("T", 1, "")
	list := w.stored(message.TopicSchedule, 1)
	if len(list) != 1 {
		t.Fatalf("%d messages wait at level 2", len(list))
	}
	w.wantProperties(&list[0], "DELAY", "2", "WAIT", "true", "REAL_TOPIC", "T", "REAL_QID", "1", "CLUSTER", "DefaultCluster")
	c.send(sendHeader("T", "DELAY", "0"), "now")
	w.wantBodies("T", 0, "now")
}

func TestReadOnlyStore(t *testing.T) {
	fs := vfs.NewMem()
	w := start(t, fs)
	c := w.client()
	c.send(sendHeader("T"), "before")
	broken, before := errors.New("the disk is broken"), w.topics.Version()
	fs.Fail(func(op vfs.Op, name string) error {
		if op == vfs.OpWrite && strings.Contains(name, "commitlog") {
			return broken
		}
		return nil
	})
	for range 2 {
		c.refused(wire.ServiceNotAvailable, &wire.Request{Code: wire.ReqSendMessageV2, Header: sendHeader("T"), Body: []byte("x")}, broken.Error())
	}
	if err := w.Ready(); err == nil || !strings.Contains(err.Error(), broken.Error()) {
		t.Errorf("Ready: %v", err)
	}
	if got := w.registerBody().TopicConfigSerializeWrapper.TopicConfigTable["T"].Perm; got != 4 {
		t.Errorf("a read-only broker registers its topics with perm %d", got)
	}
	if tc, _ := w.topics.Get("T"); tc.Perm != 6 {
		t.Errorf("the topic itself has perm %d now", tc.Perm)
	}
	// Name servers take topics anew only when their version is another.
	for end := time.Now().Add(20 * time.Second); w.topics.Version() == before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the name servers are not told")
		}
	}
	c.heartbeat("c", "g", "T", "*")
	if got := bodies(t, c.pull("g", "T", 0, 0, 0).Records); got != "before" {
		t.Errorf("a read-only store still serves: %q", got)
	}
	fs.Fail(nil)
	if err := w.stop(); err == nil {
		t.Error("the end of a broker with a broken store is no error")
	}
}

func TestNames(t *testing.T) {
	w := start(t, vfs.NewMem())
	c := w.client()
	if err := rpc.CreateTopic(w.ctx, c, w.addr, &header.CreateTopicRequest{Topic: "Made", DefaultTopic: "TBW102", ReadQueueNums: 3, WriteQueueNums: 2, Perm: 6, TopicFilterType: "SINGLE_TAG"}); err != nil {
		t.Fatal(err)
	}
	c.send(sendHeader("Made"), "x")
	c.heartbeat("c", "g", "Made", "*")
	if err := rpc.UpdateOffset(w.ctx, c, w.addr, "g", "Made", 0, 1); err != nil {
		t.Fatal(err)
	}
	all, err := rpc.AllTopics(w.ctx, c, w.addr)
	if err != nil || all.TopicConfigTable["Made"].ReadQueueNums != 3 || all.TopicConfigTable["Made"].WriteQueueNums != 2 {
		t.Fatalf("%+v %v", all, err)
	}
	if err := rpc.DeleteTopic(w.ctx, c, w.addr, "Made"); err != nil {
		t.Fatal(err)
	}
	if _, ok := w.topics.Get("Made"); ok || w.store.LookupQueue("Made", 0) != nil {
		t.Error("the topic is still there")
	}
	if off, ok := w.offsets.Query("g", "Made", 0); ok {
		t.Errorf("offset %d of a deleted topic", off)
	}
	c.send(sendHeader("Made"), "again")
	w.wantBodies("Made", 0, "again")
	for _, name := range []string{"", message.TopicHalf, message.TopicAutoCreate} {
		if err := rpc.DeleteTopic(w.ctx, c, w.addr, name); code(err) != wire.SystemError {
			t.Errorf("delete %q: %v", name, err)
		}
	}
	if err := rpc.CreateTopic(w.ctx, c, w.addr, &header.CreateTopicRequest{Topic: "T", TopicFilterType: "ODD", ReadQueueNums: 1, WriteQueueNums: 1, Perm: 6}); code(err) != wire.SystemError {
		t.Errorf("an odd filter type: %v", err)
	}

	g := body.NewSubscriptionGroupConfig("made-group")
	g.RetryMaxTimes = 2
	if err := rpc.CreateGroup(w.ctx, c, w.addr, &g); err != nil {
		t.Fatal(err)
	}
	groups, err := rpc.AllGroups(w.ctx, c, w.addr)
	if err != nil || groups.SubscriptionGroupTable["made-group"].RetryMaxTimes != 2 {
		t.Fatalf("%+v %v", groups, err)
	}
	if err := rpc.DeleteGroup(w.ctx, c, w.addr, "made-group", true); err != nil {
		t.Fatal(err)
	}
	if groups, err = rpc.AllGroups(w.ctx, c, w.addr); err != nil || slices.Contains(keysOf(groups.SubscriptionGroupTable), "made-group") {
		t.Errorf("%+v %v", groups, err)
	}
	if err := rpc.DeleteGroup(w.ctx, c, w.addr, message.GroupTransCheck, true); code(err) != wire.SystemError {
		t.Errorf("deleting the broker's own group: %v", err)
	}
}

func keysOf[V any](m map[string]V) (list []string) {
	for k := range m {
		list = append(list, k)
	}
	return list
}
