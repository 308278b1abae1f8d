// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// popHandle is what a pop gave out of one queue.
type popHandle struct {
	retry   string // 0: the topic; 1, 2: the group's retry topic
	queue   int32
	start   int64 // of the checkpoint
	offsets []int64
}

// popHandles appends what the header of a pop's answer says (see
// [header.PopResponse]).
func popHandles(dst []popHandle, h *header.PopResponse) ([]popHandle, error) {
	bad := func() ([]popHandle, error) {
		return nil, fmt.Errorf("bench: a pop's answer says startOffsetInfo %q and msgOffsetInfo %q", h.StartOffsetInfo, h.MsgOffsetInfo)
	}
	starts := h.StartOffsetInfo
	for part := range strings.SplitSeq(h.MsgOffsetInfo, ";") {
		var one popHandle
		retry, rest, _ := strings.Cut(part, " ")
		queue, list, ok := strings.Cut(rest, " ")
		start, more, _ := strings.Cut(starts, ";") // in the same order
		starts = more
		of, same := strings.CutPrefix(start, retry+" "+queue+" ")
		id, err1 := strconv.ParseInt(queue, 10, 32)
		first, err2 := strconv.ParseInt(of, 10, 64)
		if !ok || !same || err1 != nil || err2 != nil {
			return bad()
		}
		one.retry, one.queue, one.start = retry, int32(id), first
		for text := range strings.SplitSeq(list, ",") {
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil || n < first {
				return bad()
			}
			one.offsets = append(one.offsets, n)
		}
		dst = append(dst, one)
	}
	return dst, nil
}

// appendAcks writes the acks of what the last pop gave behind out, and tells how
// many requests they are.
func (p *popper) appendAcks(out []byte, opaque int32, h *header.PopResponse) ([]byte, int) {
	if p.load.Batch {
		b := body.BatchAckRequest{BrokerName: p.target.Broker}
		for i := range p.handles {
			of := &p.handles[i]
			a := body.BatchAck{
				ConsumerGroup: p.group, Topic: p.load.Topic, Retry: of.retry, QueueID: of.queue, ReviveQueueID: h.ReviveQID,
				PopTime: h.PopTime, InvisibleTime: h.InvisibleTime,
			}
			a.SetOffsets(of.start, of.offsets...)
			b.Acks = append(b.Acks, a)
		}
		return wire.AppendRequest(out, &wire.Request{
			Code: wire.ReqBatchAckMessage, Opaque: opaque, Encoding: p.load.Encoding, Language: wire.LanguageJava, Version: wire.Version, Body: body.Marshal(&b),
		}), 1
	}
	requests := 0
	for i := range p.handles {
		of := &p.handles[i]
		topic := p.load.Topic
		switch of.retry {
		case "1":
			topic = message.RetryPrefix + p.group + "_" + topic
		case "2":
			topic = message.RetryPrefix + p.group + "+" + topic
		}
		handle := fmt.Sprintf("%d %d %d %d %s %s %d ", of.start, h.PopTime, h.InvisibleTime, h.ReviveQID, of.retry, p.target.Broker, of.queue)
		for _, offset := range of.offsets {
			requests++
			out = wire.AppendRequest(out, &wire.Request{
				Code: wire.ReqAckMessage, Opaque: opaque, Encoding: p.load.Encoding, Language: wire.LanguageJava, Version: wire.Version,
				Header: &header.AckRequest{
					ConsumerGroup: p.group, Topic: topic, QueueID: of.queue, Offset: offset, ExtraInfo: handle + strconv.FormatInt(offset, 10),
				},
			})
		}
	}
	return out, requests
}
