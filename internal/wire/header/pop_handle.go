// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package header

import (
	"fmt"
	"strconv"
	"strings"
)

// PopOrderQueue stands in place of the revive queue in handles of messages that are
// consumed in order: nothing of them is revived.
const PopOrderQueue int32 = 999

// PopRetry says of which kind a topic is, in handles and answers to pops.
type PopRetry byte

// The kinds.
const (
	PopNormal  PopRetry = '0'
	PopRetryV1 PopRetry = '1' // %RETRY%group_topic
	PopRetryV2 PopRetry = '2' // %RETRY%group+topic
)

// PopHandle is what a consumer acks a message with: the property POP_CK of the
// message, extraInfo in requests.
//
//	ckQueueOffset popTime invisibleTime reviveQid retry brokerName queueId msgQueueOffset
//
// The fields are separated by a blank; the last two may be missing. Source:
// ExtraInfoUtil of Apache RocketMQ 5.3.3.
type PopHandle struct {
	Start     int64 // offset that the checkpoint begins at
	PopTime   int64 // ms since 1970
	Invisible int64 // ms
	Revive    int32 // revive queue, or PopOrderQueue
	Kind      PopRetry
	Broker    string
	Queue     int32 // -1: not said
	Offset    int64 // of the message; -1: not said
}

// AppendPopHandle writes a handle behind dst.
func AppendPopHandle(dst []byte, h *PopHandle) []byte {
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

// String is the handle as requests have it.
func (h *PopHandle) String() string { return string(AppendPopHandle(nil, h)) }

// ParsePopHandle reads a handle. Errors name the field.
func ParsePopHandle(s string) (PopHandle, error) {
	f := strings.Split(s, " ")
	if len(f) < 6 {
		return PopHandle{}, fmt.Errorf("the handle %.100q has %d fields, 6 are needed (extraInfo)", s, len(f))
	}
	h := PopHandle{Broker: f[5], Queue: -1, Offset: -1}
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
	kind, ok := popRetry(f[4])
	if !ok {
		return PopHandle{}, fmt.Errorf("the handle %.100q has no retry mark but %.20q (extraInfo)", s, f[4])
	}
	h.Kind = kind
	if len(f) > 6 {
		h.Queue = int32(number(6, "queue", 32))
	}
	if len(f) > 7 {
		h.Offset = number(7, "offset", 64)
	}
	return h, err
}

func popRetry(s string) (PopRetry, bool) {
	switch s {
	case "0", "1", "2":
		return PopRetry(s[0]), true
	}
	return 0, false
}

// PopPart is what a pop gave out of one queue.
type PopPart struct {
	Kind    PopRetry
	Queue   int32
	Start   int64   // of the checkpoint
	Offsets []int64 // of the messages in the queue
}

// AppendParts appends to dst what StartOffsetInfo and MsgOffsetInfo say, in the
// order of the latter. Both have an entry for each queue that gave messages.
func (h *PopResponse) AppendParts(dst []PopPart) ([]PopPart, error) {
	bad := func() ([]PopPart, error) {
		return nil, fmt.Errorf("a pop's answer says startOffsetInfo %.200q and msgOffsetInfo %.200q", h.StartOffsetInfo, h.MsgOffsetInfo)
	}
	for entry := range strings.SplitSeq(h.MsgOffsetInfo, ";") {
		if entry == "" {
			continue
		}
		at := strings.LastIndexByte(entry, ' ')
		if at < 0 {
			return bad()
		}
		name, list := entry[:at], entry[at+1:] // "retry queue"
		retry, queue, _ := strings.Cut(name, " ")
		kind, ok := popRetry(retry)
		id, err1 := strconv.ParseInt(queue, 10, 32)
		start, err2 := strconv.ParseInt(popEntry(h.StartOffsetInfo, name), 10, 64)
		if !ok || err1 != nil || err2 != nil || id < 0 || start < 0 {
			return bad()
		}
		one := PopPart{Kind: kind, Queue: int32(id), Start: start}
		for text := range strings.SplitSeq(list, ",") {
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil || n < start {
				return bad()
			}
			one.Offsets = append(one.Offsets, n)
		}
		dst = append(dst, one)
	}
	return dst, nil
}

// Times is how often a message of a queue was given before, as OrderCountInfo says
// it: by the message where it names it, else by its queue; 0 where it says nothing.
func (h *PopResponse) Times(kind PopRetry, queue int32, offset int64) int32 {
	if h.OrderCountInfo == "" {
		return 0
	}
	q := strconv.Itoa(int(queue))
	text := popEntry(h.OrderCountInfo, string(rune(kind))+" qo"+q+"%"+strconv.FormatInt(offset, 10))
	if text == "" {
		text = popEntry(h.OrderCountInfo, string(rune(kind))+" "+q)
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 0 {
		return 0
	}
	return int32(n)
}

// popEntry is the value of a name in "name value;name value", "" when it has none.
func popEntry(info, name string) string {
	for entry := range strings.SplitSeq(info, ";") {
		if v, ok := strings.CutPrefix(entry, name); ok && strings.HasPrefix(v, " ") {
			return v[1:]
		}
	}
	return ""
}
