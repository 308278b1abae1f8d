// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"
	"maps"
	"testing"

	"github.com/twostage/twostage/internal/config"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
)

// callAdmin is call for the requests of operators.
func callAdmin(ctx context.Context, t *testing.T, c *recorded, req *wire.Command) (got []any, done bool) {
	list := func(v ...any) []any { return v }
	one := func(v any, err error) []any { return []any{v, err} }
	switch req.Code {
	case wire.ReqGetBrokerConfig:
		keys, version, err := BrokerConfig(ctx, c, addr)
		got = list(keys, version, err)
	case wire.ReqUpdateBrokerConfig:
		keys := map[string]string{}
		entries, err := config.ParseProperties(req.Body)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			keys[e.Key] = e.Value
		}
		note, err := UpdateBrokerConfig(ctx, c, addr, keys)
		if note != "" {
			t.Errorf("a note %q", note)
		}
		got = list(err)
	case wire.ReqQueryConsumeQueue:
		got = one(ConsumeQueue(ctx, c, addr, decode[header.ConsumeQueueRequest](t, req)))
	case wire.ReqQueryTopicConsumeByWho:
		got = one(GroupsOfTopic(ctx, c, addr, decode[header.TopicRequest](t, req).Topic))
	case wire.ReqGetAllProducerInfo:
		got = one(Producers(ctx, c, addr))
	case wire.ReqCleanExpiredConsumeQueue:
		got = list(CleanExpiredQueues(ctx, c, addr))
	case wire.ReqCleanUnusedTopic:
		got = list(CleanUnusedTopics(ctx, c, addr))
	case wire.ReqDeleteExpiredCommitLog:
		got = list(DeleteExpiredLog(ctx, c, addr))
	default:
		return nil, false
	}
	return got, true
}

// TestAdminRequests makes the requests of which there is no recording against an
// answer, and reads what was sent.
func TestAdminRequests(t *testing.T) {
	ctx := context.Background()
	for _, tc := range []struct {
		code   int32
		fields map[string]string
		sent   string // the body
		answer string
		call   func(c Caller) (any, error)
		want   any
	}{
		{18, nil, `{"topicConfigList":[{"order":false,"perm":6,"readQueueNums":16,"topicFilterType":"SINGLE_TAG","topicName":"T","topicSysFlag":0,"writeQueueNums":16}]}`, "",
			func(c Caller) (any, error) {
				return 0, CreateTopics(ctx, c, addr, []body.TopicConfig{body.NewTopicConfig("T")})
			}, 0},
		{225, nil, string(body.Marshal(&body.SubscriptionGroupList{GroupConfigList: []body.SubscriptionGroupConfig{body.NewSubscriptionGroupConfig("g")}})), "",
			func(c Caller) (any, error) {
				return 0, CreateGroups(ctx, c, addr, []body.SubscriptionGroupConfig{body.NewSubscriptionGroupConfig("g")})
			}, 0},
		{351, map[string]string{"topic": "T"}, "", `{"topicName":"T","perm":4,"mappingDetail":null}`, func(c Caller) (any, error) {
			b, err := TopicConfig(ctx, c, addr, "T")
			return b.Perm, err
		}, int32(4)},
		{352, map[string]string{"group": "g"}, "", `{"groupName":"g","retryMaxTimes":3}`, func(c Caller) (any, error) {
			b, err := GroupConfig(ctx, c, addr, "g")
			return b.RetryMaxTimes, err
		}, int32(3)},
		{353, map[string]string{"group": "g", "topic": "T"}, "", `{"group":"g","topic":"T","readable":true}`, func(c Caller) (any, error) {
			b, err := GroupForbidden(ctx, c, addr, "g", "T")
			return *b, err
		}, body.GroupForbidden{Group: "g", Topic: "T", Readable: true}},
		{353, map[string]string{"group": "g", "topic": "T", "readable": "false"}, "", `{"group":"g","topic":"T","readable":false}`, func(c Caller) (any, error) {
			b, err := SetGroupForbidden(ctx, c, addr, "g", "T", false)
			return *b, err
		}, body.GroupForbidden{Group: "g", Topic: "T"}},
		{305, nil, "", `{"topicList":["a","b"]}`, func(c Caller) (any, error) {
			l, err := BrokerSystemTopics(ctx, c, addr)
			return len(l), err
		}, 2},
		{343, map[string]string{"group": "g"}, "", `{"topicList":["a"],"brokerAddr":"x"}`, func(c Caller) (any, error) {
			l, err := TopicsOfGroup(ctx, c, addr, "g")
			return len(l), err
		}, 1},
		{345, map[string]string{"group": "g", "topic": "T"}, "", `{"group":"g","topic":"T","subscriptionData":{"topic":"T","subString":"*"}}`, func(c Caller) (any, error) {
			s, err := Subscription(ctx, c, addr, "g", "T")
			return s.SubString, err
		}, "*"},
		{303, map[string]string{"group": "g", "topic": "T"}, "", `{"consumeTimeSpanSet":[{"minTimeStamp":7,"messageQueue":{"topic":"T","brokerName":"b","queueId":1}}]}`, func(c Caller) (any, error) {
			l, err := ConsumeTimeSpan(ctx, c, addr, "T", "g")
			return l[0].MinTimeStamp, err
		}, int64(7)},
		{318, nil, "a=b\\\\c\norder\\ it=true\n", "", func(c Caller) (any, error) {
			return UpdateNamesrvConfig(ctx, c, addr, map[string]string{"order it": "true", "a": `b\c`})
		}, ""},
		{901, map[string]string{"clusterName": "c", "brokerName": "b"}, "", `{"brokerMemberGroup":{"cluster":"c","brokerName":"b","brokerAddrs":{0:"x:1"}}}`, func(c Caller) (any, error) {
			g, err := MemberGroup(ctx, c, addr, "c", "b")
			return g.BrokerAddrs[0], err
		}, "x:1"},
	} {
		c := &recorded{t: t, answer: &wire.Command{Body: []byte(tc.answer)}}
		got, err := tc.call(c)
		if err != nil || got != tc.want {
			t.Errorf("%d: %v, %v; want %v", tc.code, got, err, tc.want)
		}
		fields := map[string]string{}
		for _, f := range c.sent.Ext {
			fields[string(f.Key)] = string(f.Value)
		}
		if c.sent.Code != tc.code || !maps.Equal(fields, tc.fields) || string(c.sent.Body) != tc.sent {
			t.Errorf("%d: sent %d %v %q", tc.code, c.sent.Code, fields, c.sent.Body)
		}
	}
}
