// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package frames

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/test/rig"
)

// newFields are what clients of 5.x add to the fields of 4.9.
func newFields(fields ...string) []string {
	return append(fields, "bname", brokerName, "ns", "", "nsd", "false", "oway", "false", "lo", "false")
}

// LITE_PULL_MESSAGE is a pull, with a commit of its offset where it says so.
func testLitePull(t *testing.T, p *peer) {
	topic, group := p.topic("topic", 1), p.group("group", 16)
	p.sendAll(topic, 0, "m0", "m1", "m2")
	p.heartbeat(group, topic)
	answer := p.must(wire.ReqLitePullMessage, nil, newFields(
		"consumerGroup", group, "topic", topic, "queueId", "0", "queueOffset", "1", "maxMsgNums", "32", "sysFlag", "5",
		"commitOffset", "1", "suspendTimeoutMillis", "0", "subscription", "*", "subVersion", "0", "expressionType", "TAG",
		"maxMsgBytes", "1000000", "requestSource", "0")...)
	var all []string
	if err := message.RangeRecords(answer.Body, true, func(r *message.Record) error {
		all = append(all, string(r.Body))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"m1", "m2"}; !slices.Equal(all, want) || p.number(answer, "nextBeginOffset") != 3 || p.number(answer, "maxOffset") != 3 {
		t.Errorf("pulled %q, want %q; %q", all, want, answer.Ext)
	}
	if at, err := rpc.QueryOffset(rig.Context(t), p.c, p.b.Broker, group, topic, 0); err != nil || at != 1 {
		t.Errorf("the group's offset is %d, %v; want 1", at, err)
	}
}

// A message can be sent with long names of the fields and with short ones, a
// batch under its own code and under those of single messages.
func testSendForms(t *testing.T, p *peer) {
	topic := p.topic("topic", 1)
	long := func(batch string) []string {
		return []string{
			"producerGroup", p.name("producer"), "topic", topic, "defaultTopic", message.TopicAutoCreate, "defaultTopicQueueNums", "4",
			"queueId", "0", "sysFlag", "0", "bornTimestamp", "1800000000000", "flag", "3", "properties", "", "reconsumeTimes", "0",
			"unitMode", "false", "batch", batch,
		}
	}
	short := []string{
		"a", p.name("producer"), "b", topic, "c", message.TopicAutoCreate, "d", "4", "e", "0", "f", "0", "g", "1800000000000",
		"h", "3", "i", "", "j", "0", "k", "false", "m", "true",
	}
	batch := func(from int) []byte {
		var data []byte
		for i := range 3 {
			data = message.AppendBatch(data, 3, []byte("m"+strconv.Itoa(from+i)), message.AppendProperty(nil, "TAGS", "t"))
		}
		return data
	}
	for i, send := range []struct {
		code   int32
		data   []byte
		fields []string
	}{
		{wire.ReqSendMessage, []byte("m0"), long("false")},
		{wire.ReqSendMessage, batch(1), long("true")},
		{wire.ReqSendBatchMessage, batch(4), short},
		{wire.ReqSendMessageV2, batch(7), short},
	} {
		answer := p.must(send.code, send.data, send.fields...)
		if at := p.number(answer, "queueOffset"); at != []int64{0, 1, 4, 7}[i] {
			t.Errorf("request %d was stored at %d", i, at)
		}
		if ids := strings.Split(p.field(answer, "msgId"), ","); len(ids) != []int{1, 3, 3, 3}[i] || len(ids[0]) != 32 {
			t.Errorf("request %d is answered the ids %q", i, ids)
		}
	}
	all, err := p.stored(topic, 0)
	if want := []string{"m0", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "m9"}; err != nil || !slices.Equal(all, want) {
		t.Errorf("stored are %q, %v", all, err)
	}
}

// A heartbeat with a fingerprint registers the subscriptions that it brings; the
// next ones may leave them out.
func testFingerprint(t *testing.T, p *peer) {
	topic, group := p.topic("topic", 1), p.group("group", 16)
	data := heartbeat(p.id, group, topic)
	data.HeartbeatFingerprint = 12345
	if err := rpc.Heartbeat(rig.Context(t), p.c, p.b.Broker, data); err != nil {
		t.Fatal(err)
	}
	conns, err := rpc.ConsumerConnection(rig.Context(t), p.c, p.b.Broker, group)
	if err != nil {
		t.Fatal(err)
	}
	if s, ok := conns.SubscriptionTable[topic]; !ok || s.SubString != "*" {
		t.Errorf("the group's subscriptions are %v", conns.SubscriptionTable)
	}
	if len(conns.ConnectionSet) != 1 || conns.ConnectionSet[0].ClientID != p.id {
		t.Errorf("the group's clients are %v, want %s", conns.ConnectionSet, p.id)
	}
	data.WithoutSub, data.ConsumerDataSet[0].SubscriptionDataSet = true, nil
	for _, fingerprint := range []int32{12345, 54321} {
		data.HeartbeatFingerprint = fingerprint
		answer := p.must(wire.ReqHeartBeat, body.Marshal(data))
		if v2, again := p.field(answer, "IS_SUPPORT_HEART_BEAT_V2"), p.field(answer, "IS_SUB_CHANGE"); v2 != "true" || again != strconv.FormatBool(fingerprint != 12345) {
			t.Errorf("fingerprint %d: answered V2 %s, again %s", fingerprint, v2, again)
		}
		conns, err := rpc.ConsumerConnection(rig.Context(t), p.c, p.b.Broker, group)
		if s, ok := conns.SubscriptionTable[topic]; err != nil || !ok || s.SubString != "*" {
			t.Errorf("fingerprint %d: the group's subscriptions are %v, %v", fingerprint, conns.SubscriptionTable, err)
		}
	}
}

// What clients of 5.x add to known requests is read or passed over; the broker
// states a version of 5.3.
func testNewFields(t *testing.T, p *peer) {
	topic, group := p.topic("topic", 1), p.group("group", 16)
	before := time.Now().UnixMilli()
	p.send(topic, 0, "m0")
	props := message.AppendProperty(nil, message.PropertyUniqueKey, uniqueKey())
	answer := p.must(wire.ReqSendMessageV2, []byte("m1"), newFields(
		"a", p.name("producer"), "b", topic, "c", message.TopicAutoCreate, "d", "4", "e", "0", "f", "0", "g", strconv.FormatInt(before, 10),
		"h", "0", "i", string(props), "j", "0", "k", "false", "m", "false", "n", brokerName)...)
	if at := p.number(answer, "queueOffset"); at != 1 {
		t.Errorf("m1 is at offset %d, want 1", at)
	}
	if answer.Version != 473 {
		t.Errorf("the broker states version %d, want 473", answer.Version)
	}
	if answer.Encoding != p.enc {
		t.Errorf("asked in %s, answered in %s", p.enc, answer.Encoding)
	}
	// A batch is one by its field, whatever the request's code.
	batch := message.AppendBatch(message.AppendBatch(nil, 0, []byte("m2"), nil), 0, []byte("m3"), nil)
	answer = p.must(wire.ReqSendMessageV2, batch, newFields(
		"a", p.name("producer"), "b", topic, "c", message.TopicAutoCreate, "d", "4", "e", "0", "f", "0", "g", strconv.FormatInt(before, 10),
		"h", "0", "i", "", "j", "0", "k", "false", "m", "true", "n", brokerName)...)
	if at := p.number(answer, "queueOffset"); at != 2 {
		t.Errorf("the batch is at offset %d, want 2", at)
	}
	if all, err := p.stored(topic, 0); err != nil || !slices.Equal(all, []string{"m0", "m1", "m2", "m3"}) {
		t.Errorf("stored are %q, %v", all, err)
	}
	answer = p.must(wire.ReqGetMaxOffset, nil, newFields("topic", topic, "queueId", "0", "committed", "true")...)
	if at := p.number(answer, "offset"); at != 4 {
		t.Errorf("the queue ends at %d, want 4", at)
	}
	query := newFields("consumerGroup", group, "topic", topic, "queueId", "0")
	if at := p.number(p.must(wire.ReqQueryConsumerOffset, nil, query...), "offset"); at != 0 {
		t.Errorf("a new group begins at %d, want 0", at)
	}
	p.refused(wire.QueryNotFound, wire.ReqQueryConsumerOffset, nil, append(query, "setZeroIfNotFound", "false")...)
	// Behind the last message: lower is the first one that comes then, upper the last one there is.
	after := time.Now().UnixMilli() + 3600_000
	for _, tc := range []struct {
		boundary string
		at, want int64
	}{{"lower", before - 1000, 0}, {"upper", before - 1000, 0}, {"lower", after, 4}, {"upper", after, 3}} {
		answer = p.must(wire.ReqSearchOffsetByTimestamp, nil, newFields("topic", topic, "queueId", "0",
			"timestamp", strconv.FormatInt(tc.at, 10), "boundaryType", tc.boundary)...)
		if at := p.number(answer, "offset"); at != tc.want {
			t.Errorf("%s at %d ms is offset %d, want %d", tc.boundary, tc.at-before, at, tc.want)
		}
	}
}

// A subscription that cannot be read is refused where it is first seen, with the
// place in the expression.
func testCheckConfig(t *testing.T, p *peer) {
	topic, group := p.topic("topic", 1), p.group("group", 16)
	p.send(topic, 0, "m0", "n", "5")
	for expression, want := range map[string]int32{
		"n > 3 AND TAGS IS NULL":                wire.Success,
		"n > 3 AND":                             wire.SubscriptionParseFailed,
		"n BETWEEN 'a' AND":                     wire.SubscriptionParseFailed,
		strings.Repeat("(", 10_000) + "n = 1":   wire.SubscriptionParseFailed,
		"n IN (" + strings.Repeat("'x',", 5000): wire.SubscriptionParseFailed,
	} {
		sub := &body.SubscriptionData{Topic: topic, SubString: expression, ExpressionType: "SQL92", SubVersion: 1}
		answer := p.ask(wire.ReqCheckClientConfig, body.Marshal(&body.CheckClientRequestBody{ClientID: p.id, Group: group, SubscriptionData: sub}))
		if answer.Code != want || want != wire.Success && !strings.Contains(string(answer.Remark), "column") {
			t.Errorf("%.40s: %s, %.200s", expression, wire.ResponseName(answer.Code), answer.Remark)
		}
		answer = p.ask(wire.ReqPullMessage, nil, "consumerGroup", group, "topic", topic, "queueId", "0", "queueOffset", "0", "maxMsgNums", "32",
			"sysFlag", "4", "commitOffset", "0", "suspendTimeoutMillis", "0", "subscription", expression, "subVersion", "0", "expressionType", "SQL92")
		if answer.Code != want || want != wire.Success && !strings.Contains(string(answer.Remark), "column") {
			t.Errorf("a pull of %.40s: %s, %.200s", expression, wire.ResponseName(answer.Code), answer.Remark)
		}
	}
}
