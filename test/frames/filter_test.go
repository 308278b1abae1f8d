// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package frames

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
	"github.com/twostage/twostage/test/rig"
)

// versions are those of subscriptions: a later one counts.
var versions atomic.Int64

// subscribe makes the peer a member of a group that wants what an expression
// selects of a topic: a tag, or SQL92.
func (p *peer) subscribe(group, topic, language, expression string) {
	p.t.Helper()
	data := heartbeat(p.id, group, topic)
	sub := &data.ConsumerDataSet[0].SubscriptionDataSet[0]
	sub.ExpressionType, sub.SubString, sub.SubVersion = language, expression, versions.Add(1)
	if language == "TAG" && expression != "*" {
		sub.TagsSet, sub.CodeSet = []string{expression}, []int32{message.HashCode(expression)}
	}
	if err := rpc.Heartbeat(rig.Context(p.t), p.c, p.b.Broker, data); err != nil {
		p.t.Fatal(err)
	}
}

// pullAs asks for what a group subscribes to by its heartbeat, from an offset on.
func (p *peer) pullAs(group, topic string, queue int32, offset int64) *wire.Command {
	p.t.Helper()
	return p.ask(wire.ReqPullMessage, nil, "consumerGroup", group, "topic", topic, "queueId", strconv.Itoa(int(queue)),
		"queueOffset", strconv.FormatInt(offset, 10), "maxMsgNums", "32", "sysFlag", "0", "commitOffset", "0",
		"suspendTimeoutMillis", "0", "subVersion", "0")
}

// readTexts gives the messages of an answer.
func (p *peer) readTexts(answer *wire.Command) []string {
	p.t.Helper()
	var all []string
	if err := message.RangeRecords(answer.Body, true, func(r *message.Record) error {
		all = append(all, string(r.Body))
		return nil
	}); err != nil {
		p.t.Fatal(err)
	}
	return all
}

// A group's expression comes with its heartbeat alone: a pull says nothing of it.
// What a later heartbeat says holds from the next pull on, and an expression that
// can't be read gives no messages.
func testSQLOfHeartbeat(t *testing.T, p *peer) {
	topic, group := p.topic("topic", 1), p.group("group", 16)
	for i := range 12 {
		p.send(topic, 0, fmt.Sprint("m", i), "TAGS", []string{"red", "green", "blue"}[i%3], "n", strconv.Itoa(i))
	}
	for _, tc := range []struct {
		expression string
		want       []string
	}{
		{"n > 3 AND TAGS IN ('red', 'blue')", []string{"m5", "m6", "m8", "m9", "m11"}},
		{"TAGS = 'green' AND NOT (n BETWEEN 4 AND 8)", []string{"m1", "m10"}},
		{"TAGS IS NULL OR n = 2", []string{"m2"}},
	} {
		p.subscribe(group, topic, "SQL92", tc.expression)
		answer := p.pullAs(group, topic, 0, 0)
		if have := p.readTexts(answer); answer.Code != wire.Success || !slices.Equal(have, tc.want) {
			t.Errorf("%s: pulled %q, %s %s; want %q", tc.expression, have, wire.ResponseName(answer.Code), answer.Remark, tc.want)
		}
		if next := p.number(answer, "nextBeginOffset"); next != 12 {
			t.Errorf("%s: the next pull begins at %d, want 12", tc.expression, next)
		}
	}
	p.subscribe(group, topic, "SQL92", "n > 1 AND (TAGS = )")
	answer := p.pullAs(group, topic, 0, 0)
	if answer.Code != wire.FilterDataNotExist || len(answer.Body) > 0 || !strings.Contains(string(answer.Remark), "column 19") {
		t.Errorf("an expression that can't be read: %s, %s", wire.ResponseName(answer.Code), answer.Remark)
	}
	p.subscribe(group, topic, "TAG", "green")
	if have := p.readTexts(p.pullAs(group, topic, 0, 0)); !slices.Equal(have, []string{"m1", "m4", "m7", "m10"}) {
		t.Errorf("of tag green: pulled %q", have)
	}
}

// An expression that the grammar takes is refused for its size or its depth, with
// the limit in the remark, however it comes; one within the limits is served.
func testHostileSQL(t *testing.T, p *peer) {
	topic, group := p.topic("topic", 1), p.group("group", 16)
	p.send(topic, 0, "m0", "n", "5")
	in := func(n int) string { return "n IN (" + strings.TrimSuffix(strings.Repeat("'5',", n), ",") + ")" }
	nested := func(n int) string { return strings.Repeat("(", n) + "n = 5" + strings.Repeat(")", n) }
	for _, tc := range []struct {
		what, expression, limit string // limit: "" where it is served
	}{
		{"a large IN", in(2000), ""},
		{"a huge IN", in(5000), "2048"},
		{"an expression of 1 MB", in(250_000), "32768"},
		{"100 nestings", nested(100), ""},
		{"10,000 nestings", nested(10_000), "128 levels"},
		{"10,000 times NOT", strings.Repeat("NOT ", 7000) + "n = 5", "128 levels"},
	} {
		pull := []string{"consumerGroup", group, "topic", topic, "queueId", "0", "queueOffset", "0", "maxMsgNums", "32",
			"sysFlag", "4", "commitOffset", "0", "suspendTimeoutMillis", "0", "subscription", tc.expression, "subVersion", "0", "expressionType", "SQL92"}
		sub := &body.SubscriptionData{Topic: topic, SubString: tc.expression, ExpressionType: "SQL92", SubVersion: 1}
		asked := body.Marshal(&body.CheckClientRequestBody{ClientID: p.id, Group: group, SubscriptionData: sub})
		for how, answer := range map[string]*wire.Command{
			"checked": p.ask(wire.ReqCheckClientConfig, asked),
			"pulled":  p.ask(wire.ReqPullMessage, nil, pull...),
		} {
			switch remark := string(answer.Remark); {
			case tc.limit == "" && answer.Code != wire.Success:
				t.Errorf("%s, %s: %s, %.200s", tc.what, how, wire.ResponseName(answer.Code), remark)
			case tc.limit != "" && (answer.Code != wire.SubscriptionParseFailed || !strings.Contains(remark, tc.limit) || len(remark) > 2000):
				t.Errorf("%s, %s: %s, %.200s; want %s of few words", tc.what, how, wire.ResponseName(answer.Code), remark, tc.limit)
			}
		}
	}
	p.subscribe(group, topic, "SQL92", nested(10_000))
	if answer := p.pullAs(group, topic, 0, 0); answer.Code != wire.FilterDataNotExist || !strings.Contains(string(answer.Remark), "128 levels") {
		t.Errorf("10,000 nestings in a heartbeat: %s, %.200s", wire.ResponseName(answer.Code), answer.Remark)
	}
}
