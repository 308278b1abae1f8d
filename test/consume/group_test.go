// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package consume

import (
	"slices"

	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
)

// group is a consumer group of a run.
type group struct {
	name, topic string
	orderly     bool // each queue in order
	pop         bool
	maxTimes    int32 // reconsume times after which a failure makes a dead letter

	// policy is when a message that was given back comes again; nil: by delay levels.
	// waits are the times that it comes to, in ms, by reconsume times. The clients of
	// a group with a policy leave maxTimes to the group, those of others name it.
	policy *body.GroupRetryPolicy
	waits  []int64
}

// levelWait is what every delay level waits here, in ms.
const levelWait = 1000

var (
	plainGroup = group{name: "pull", topic: "Plain", maxTimes: 2}
	keyedGroup = group{name: "orderly", topic: "Keyed", orderly: true, maxTimes: 2}
	// The first two entries of a list are those of the levels that retries skip.
	listedGroup = group{
		name: "listed", topic: "Plain", maxTimes: 2, waits: []int64{700, 1600},
		policy: &body.GroupRetryPolicy{Type: "CUSTOMIZED", CustomizedRetryPolicy: &body.CustomizedRetryPolicy{Next: []int64{1, 2, 700, 1600}}},
	}
	growingGroup = group{
		name: "growing", topic: "Plain", maxTimes: 3, waits: []int64{400, 1200, 2000},
		policy: &body.GroupRetryPolicy{Type: "EXPONENTIAL", ExponentialRetryPolicy: &body.ExponentialRetryPolicy{Initial: 400, Max: 2000, Multiplier: 3}},
	}
	patientGroup = group{
		name: "patient", topic: "Plain", maxTimes: 2, waits: []int64{4 * levelWait},
		policy: &body.GroupRetryPolicy{Type: "CUSTOMIZED", CustomizedRetryPolicy: &body.CustomizedRetryPolicy{Next: []int64{1, 2, 4 * levelWait}}},
	}
	popGroup        = group{name: "pop", topic: "Plain", pop: true, maxTimes: 2}
	popOrderlyGroup = group{name: "poporderly", topic: "Keyed", orderly: true, pop: true, maxTimes: 2}
)

// retryTopics are where the group's messages come again. A group that pops has
// one for each topic, in the form of RocketMQ 4 or in that of enableRetryTopicV2.
func (g group) retryTopics() []string {
	if g.pop {
		return []string{message.RetryTopic(g.name + "_" + g.topic), message.RetryTopic(g.name + "+" + g.topic)}
	}
	return []string{message.RetryTopic(g.name)}
}

// consumes says whether a queue of the topic is one of the group's.
func (g group) consumes(topic string) bool {
	return topic == g.topic || slices.Contains(g.retryTopics(), topic)
}

// wait is how long, in ms, a message waits for its next try after so many.
func (g group) wait(times int32) int64 {
	if g.policy == nil {
		return levelWait
	}
	return g.waits[min(int(times), len(g.waits)-1)]
}

// storesOffsets says whether the group's offsets say what was consumed; those of
// a group that pops message by message say what was popped.
func (g group) storesOffsets() bool { return !g.pop || g.orderly }
