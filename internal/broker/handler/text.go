// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package handler

import (
	"fmt"
	"strconv"

	"github.com/twostage/twostage/internal/broker/topic"
	"github.com/twostage/twostage/internal/wire/body"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// describe names a topic's settings as RocketMQ's remarks do.
func describe(t *body.TopicConfig) string {
	perm := []byte("---")
	for i, bit := range []int32{topic.PermRead, topic.PermWrite, topic.PermInherit} {
		if t.Perm&bit != 0 {
			perm[i] = "RWX"[i]
		}
	}
	return fmt.Sprintf("TopicConfig [topicName=%s, readQueueNums=%d, writeQueueNums=%d, perm=%s, topicFilterType=%s, topicSysFlag=%d, order=%t]",
		t.TopicName, t.ReadQueueNums, t.WriteQueueNums, perm, t.TopicFilterType, t.TopicSysFlag, t.Order)
}
