// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pop

import (
	"strconv"
	"strings"

	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// OrderQueue stands in place of the revive queue in handles of messages that are
// consumed in order: nothing of them is revived.
const OrderQueue = header.PopOrderQueue

// The names of the revive records, and their tags.
const (
	// ReviveGroup is the group whose offsets say how far the revive queues are
	// dealt with.
	ReviveGroup   = "CID_RMQ_SYS_REVIVE_GROUP"
	tagCheckpoint = "ck"
	tagAck        = "ack"
	tagBatchAck   = "bAck"
	timerTopic    = "rmq_sys_wheel_timer"
)

// propertyNext is the offset that a pop goes on from, in its checkpoint record.
const propertyNext = "POP_NEXT"

// propertyMoved is the pop time of the checkpoint that a message has moved to, in
// the ack in its old one: that one counts only if the new one is there.
const propertyMoved = "POP_MOVED"

// propertyAttempt is the attempt id of a pop in order, in its record.
const propertyAttempt = "POP_ATTEMPT"

// propertyVisible is when a message that is in flight in order is visible, ms since
// 1970, in the record of a change of that.
const propertyVisible = "POP_VISIBLE"

// MaxInvisible is the longest invisible time, in ms: a year.
const MaxInvisible = 366 * 24 * 3600 * 1000

// Retry says of which kind a topic is, in handles and answers.
type Retry = header.PopRetry

// The kinds.
const (
	Normal  = header.PopNormal
	RetryV1 = header.PopRetryV1
	RetryV2 = header.PopRetryV2
)

// ReviveTopic is the topic of checkpoints and acks of a cluster.
func ReviveTopic(cluster string) string { return message.RevivePrefix + cluster }

// RetryTopic is the topic in which a group gets messages of topic again.
func RetryTopic(group, topic string, kind Retry) string {
	switch kind {
	case RetryV1:
		return message.PopRetryTopics(group, topic)[0]
	case RetryV2:
		return message.PopRetryTopics(group, topic)[1]
	}
	return topic
}

// kindOf tells of which kind a topic is.
func kindOf(topic string) Retry {
	switch {
	case !strings.HasPrefix(topic, message.RetryPrefix):
		return Normal
	case strings.Contains(topic, "+"):
		return RetryV2
	}
	return RetryV1
}

// TopicOf is the topic whose messages a group gets again in topic, when that is a
// retry topic of its pops; else topic.
func TopicOf(topic, group string) string {
	rest, ok := strings.CutPrefix(topic, message.RetryPrefix+group)
	if !ok || rest == "" || rest[0] != '_' && rest[0] != '+' {
		return topic
	}
	return rest[1:]
}

// Handle is what a consumer acks a message with.
type Handle = header.PopHandle

// infos are the three texts of an answer, see header.PopResponse.
type infos struct{ start, offsets, counts []byte }

// begin starts an entry: retry queue.
func begin(dst []byte, kind Retry, queue string) []byte {
	if len(dst) > 0 {
		dst = append(dst, ';')
	}
	return append(append(append(dst, byte(kind), ' '), queue...), ' ')
}

func (f *infos) add(p *Part) {
	kind, q := kindOf(p.Topic), strconv.Itoa(int(p.Queue))
	f.start = strconv.AppendInt(begin(f.start, kind, q), p.Start, 10)
	f.offsets = begin(f.offsets, kind, q)
	for i, o := range p.Offsets {
		if i > 0 {
			f.offsets = append(f.offsets, ',')
		}
		f.offsets = strconv.AppendInt(f.offsets, o, 10)
	}
}

// count says how often messages of a queue were given before: each that was, and
// for old clients the least of all.
func (f *infos) count(topic string, queue int32, offsets []int64, before map[int64]int32) {
	kind, q := kindOf(topic), strconv.Itoa(int(queue))
	least, all := int32(0), len(offsets) > 0
	for i, o := range offsets {
		n, ok := before[o]
		if !ok {
			all = false
			continue
		}
		f.counts = begin(f.counts, kind, "qo"+q+"%"+strconv.FormatInt(o, 10))
		f.counts = strconv.AppendInt(f.counts, int64(n), 10)
		if i == 0 || n < least {
			least = n
		}
	}
	if !all {
		least = 0
	}
	f.counts = strconv.AppendInt(begin(f.counts, kind, q), int64(least), 10)
}
