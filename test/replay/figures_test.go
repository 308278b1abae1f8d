// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// figures takes from the answer to a request for figures what there was.
func (w *world) figures(t *testing.T, req, ans *wire.Command) {
	t.Helper()
	queues := map[body.MessageQueue]int64{} // and their ends
	if req.Code == wire.ReqGetTopicStatsInfo {
		var stats body.TopicStatsTable
		if err := body.Unmarshal(ans.Body, &stats); err != nil {
			t.Fatal(err)
		}
		for mq, at := range stats.OffsetTable {
			queues[mq] = at.MaxOffset
		}
	} else {
		var list body.ConsumeStatsList
		if err := body.Unmarshal(ans.Body, &list); err != nil {
			t.Fatal(err)
		}
		for _, one := range list.ConsumeStatsList {
			for group, topics := range one {
				w.consumed(group, topics, queues)
			}
		}
	}
	count := map[string]int32{}
	for mq := range queues {
		count[mq.Topic] = max(count[mq.Topic], mq.QueueID+1)
	}
	for topic, n := range count {
		w.topics[topic] = body.QueueData{ReadQueueNums: n, WriteQueueNums: n, Perm: 6}
	}
	for mq, end := range queues {
		c := w.content(queueKey{mq.Topic, strconv.Itoa(int(mq.QueueID))})
		c.count = max(c.count, end)
	}
}

func (w *world) consumed(group string, topics []body.ConsumeStats, queues map[body.MessageQueue]int64) {
	if !message.IsSystemGroup(group) {
		w.groups = append(w.groups, group)
	}
	for _, s := range topics {
		for mq, at := range s.OffsetTable {
			queues[mq] = at.BrokerOffset
			w.offsets[offsetKey{group, queueKey{mq.Topic, strconv.Itoa(int(mq.QueueID))}}] = strconv.FormatInt(at.ConsumerOffset, 10)
		}
	}
}

// withoutOwnGroups leaves out of the groups of a broker those that it makes itself.
func withoutOwnGroups(list []any) []any {
	return slices.DeleteFunc(list, func(v any) bool {
		one, ok := v.(map[string]any)
		for name := range one {
			ok = ok && !strings.HasPrefix(name, "Fr")
		}
		return ok
	})
}

// consumed pulls what is in the two queues of a topic, as the group did before
// mqadmin asked how much that was.
func (p *player) consumed(topic, group string) {
	p.t.Helper()
	for queue := range 2 {
		p.peer(2).must(p.t, &wire.Request{Code: wire.ReqPullMessage, Fields: fields("consumerGroup", group, "topic", topic, "queueId", strconv.Itoa(queue),
			"queueOffset", "0", "maxMsgNums", "32", "sysFlag", strconv.Itoa(int(header.PullSubscription)), "commitOffset", "0", "suspendTimeoutMillis", "0",
			"subscription", "*", "subVersion", "0", "expressionType", "TAG")})
	}
}
