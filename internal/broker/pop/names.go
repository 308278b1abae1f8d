// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package pop

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/twostage/twostage/message"
)

// OrderQueue stands in place of the revive queue in handles of messages that are
// consumed in order: nothing of them is revived.
const OrderQueue int32 = 999

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
type Retry byte

// The kinds.
const (
	Normal  Retry = '0'
	RetryV1 Retry = '1' // %RETRY%group_topic
	RetryV2 Retry = '2' // %RETRY%group+topic
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

// Handle is what a consumer acks a message with: the property POP_CK of the
// message, extraInfo in requests.
//
//	ckQueueOffset popTime invisibleTime reviveQid retry brokerName queueId msgQueueOffset
//
// The fields are separated by a blank; the last two may be missing. Source:
// ExtraInfoUtil of Apache RocketMQ 5.3.3.
type Handle struct {
	Start     int64 // offset that the checkpoint begins at
	PopTime   int64 // ms since 1970
	Invisible int64 // ms
	Revive    int32 // revive queue, or OrderQueue
	Kind      Retry
	Broker    string
	Queue     int32 // -1: not said
	Offset    int64 // of the message; -1: not said
}

// AppendHandle writes a handle.
func AppendHandle(dst []byte, h *Handle) []byte {
	number := func(n int64) { dst = append(strconv.AppendInt(dst, n, 10), ' ') }
	number(h.Start)
	number(h.PopTime)
	number(h.Invisible)
	number(int64(h.Revive))
	dst = append(dst, byte(h.Kind), ' ')
	dst = append(append(dst, h.Broker...), ' ')
	number(int64(h.Queue))
	return strconv.AppendInt(dst, h.Offset, 10)
}

// ParseHandle reads a handle. Errors name the field.
func ParseHandle(s string) (Handle, error) {
	f := strings.Split(s, " ")
	if len(f) < 6 {
		return Handle{}, fmt.Errorf("the handle %.100q has %d fields, 6 are needed (extraInfo)", s, len(f))
	}
	h := Handle{Broker: f[5], Queue: -1, Offset: -1}
	var err error
	number := func(i int, name string, size int) int64 {
		n, e := strconv.ParseInt(f[i], 10, size)
		if err == nil && (e != nil || n < 0) {
			err = fmt.Errorf("the handle %.100q has no %s but %.20q (extraInfo)", s, name, f[i])
		}
		return n
	}
	h.Start, h.PopTime, h.Invisible = number(0, "start offset", 64), number(1, "pop time", 64), number(2, "invisible time", 64)
	h.Revive = int32(number(3, "revive queue", 32))
	switch f[4] {
	case "0", "1", "2":
		h.Kind = Retry(f[4][0])
	default:
		return Handle{}, fmt.Errorf("the handle %.100q has no retry mark but %.20q (extraInfo)", s, f[4])
	}
	if len(f) > 6 {
		h.Queue = int32(number(6, "queue", 32))
	}
	if len(f) > 7 {
		h.Offset = number(7, "offset", 64)
	}
	return h, err
}

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
