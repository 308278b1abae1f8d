// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package consume

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// handle names a popped message, as clients write it into requests about it:
//
//	ckQueueOffset popTime invisibleTime reviveQid retry brokerName queueId msgQueueOffset
//
// Source: ExtraInfoUtil of Apache RocketMQ 5.3.3.
type handle struct {
	start, popTime, invisible int64
	revive                    int32
	retry                     string // "0": of the topic itself, "1" and "2": of its retry topic, in either form
	broker                    string
	queue                     int32
	offset                    int64
}

func (h handle) String() string {
	return fmt.Sprintf("%d %d %d %d %s %s %d %d", h.start, h.popTime, h.invisible, h.revive, h.retry, h.broker, h.queue, h.offset)
}

func (h handle) until() int64 { return h.popTime + h.invisible }

// parseHandle reads a handle; fields behind the known ones are not looked at.
func parseHandle(s string) (h handle, err error) {
	f := strings.Split(s, " ")
	if len(f) < 8 {
		return h, fmt.Errorf("handle %q has %d fields, want 8", s, len(f))
	}
	number := func(i int) int64 {
		n, e := strconv.ParseInt(f[i], 10, 64)
		if e != nil && err == nil {
			err = fmt.Errorf("handle %q, field %d: %w", s, i, e)
		}
		return n
	}
	h = handle{
		start: number(0), popTime: number(1), invisible: number(2), revive: int32(number(3)), retry: f[4], broker: f[5],
		queue: int32(number(6)), offset: number(7),
	}
	return h, err
}

// from is the queue that the message is in.
func (h handle) from(g group) queue {
	switch h.retry {
	case "1":
		return queue{message.RetryTopic(g.name + "_" + g.topic), h.queue}
	case "2":
		return queue{message.RetryTopic(g.name + "+" + g.topic), h.queue}
	}
	return queue{g.topic, h.queue}
}

// pop asks for messages of all queues of the group's topic.
func (m *member) pop(ctx context.Context, invisible int64, most int32) ([]piece, error) {
	h := &header.PopRequest{
		ConsumerGroup: m.g.name, Topic: m.g.topic, QueueID: -1, MaxMsgNums: most, InvisibleTime: invisible, PollTime: held.Milliseconds(),
		InitMode: header.PopInitMin, ExpType: "TAG", Exp: "*", Order: m.g.orderly,
	}
	answer, err := m.call.Invoke(ctx, m.w.addr(), &wire.Request{Code: wire.ReqPopMessage, Header: h})
	if err != nil {
		return nil, err
	}
	switch answer.Code {
	case wire.PollingTimeout, wire.PullNotFound, wire.PullRetryImmediately:
		return nil, nil
	case wire.Success:
	default:
		return nil, &rpc.Error{Code: answer.Code, Remark: string(answer.Remark), Request: wire.ReqPopMessage, Addr: m.w.addr()}
	}
	var head header.PopResponse
	if err := head.DecodeExt(answer.Ext); err != nil {
		return nil, err
	}
	return readPop(m.g, &head, answer.Body)
}

// readPop takes a pop's answer apart. A message without a handle of its own, as
// all have that do not come from a retry topic, gets one made of the header.
func readPop(g group, head *header.PopResponse, records []byte) (all []piece, err error) {
	starts, err := offsetsOf(head.StartOffsetInfo)
	if err != nil {
		return nil, err
	}
	inQueue, err := offsetsOf(head.MsgOffsetInfo)
	if err != nil {
		return nil, err
	}
	err = message.RangeRecords(records, true, func(r *message.Record) error {
		p := pieceOf(r)
		if own, ok := r.Property(message.PropertyPopCheckpoint); ok {
			if p.handle, err = parseHandle(string(own)); err != nil {
				return err
			}
		} else {
			key := "0 " + strconv.Itoa(int(r.QueueID))
			if len(starts[key]) != 1 || !slices.Contains(inQueue[key], r.QueueOffset) {
				return fmt.Errorf("queue %d offset %d is not in startOffsetInfo %q, msgOffsetInfo %q", r.QueueID, r.QueueOffset, head.StartOffsetInfo, head.MsgOffsetInfo)
			}
			p.handle = handle{
				start: starts[key][0], popTime: head.PopTime, invisible: head.InvisibleTime, revive: head.ReviveQID, retry: "0",
				broker: brokerName, queue: r.QueueID, offset: r.QueueOffset,
			}
		}
		p.offset = p.handle.offset
		all = append(all, p)
		return nil
	})
	return all, err
}

// offsetsOf reads startOffsetInfo and msgOffsetInfo: lists of offsets by "retry
// queue".
func offsetsOf(info string) (map[string][]int64, error) {
	all := make(map[string][]int64)
	for entry := range strings.SplitSeq(info, ";") {
		if entry == "" {
			continue
		}
		f := strings.Split(entry, " ")
		if len(f) != 3 {
			return nil, fmt.Errorf("offset info %q: entry %q has %d fields, want 3", info, entry, len(f))
		}
		for text := range strings.SplitSeq(f[2], ",") {
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("offset info %q: %w", info, err)
			}
			all[f[0]+" "+f[1]] = append(all[f[0]+" "+f[1]], n)
		}
	}
	return all, nil
}

// acknowledge ends a popped message.
func (m *member) acknowledge(ctx context.Context, p *piece) error {
	q := p.handle.from(m.g)
	h := &header.AckRequest{ConsumerGroup: m.g.name, Topic: q.topic, QueueID: q.id, ExtraInfo: p.handle.String(), Offset: p.offset}
	return succeed(m.call.Invoke(ctx, m.w.addr(), &wire.Request{Code: wire.ReqAckMessage, Header: h}))
}

// acknowledgeAll ends popped messages by one request.
func (m *member) acknowledgeAll(ctx context.Context, pieces []*piece) error {
	return succeed(m.call.Invoke(ctx, m.w.addr(), &wire.Request{Code: wire.ReqBatchAckMessage, Body: body.Marshal(batchAck(m.g, pieces))}))
}

// batchAck is the body that acknowledges pieces: an entry for each handle, but for
// the offset, with a bit for each offset behind the handle's start.
func batchAck(g group, pieces []*piece) *body.BatchAckRequest {
	bits := make(map[handle][]byte)
	for _, p := range pieces {
		h := p.handle
		at := int(h.offset - h.start)
		h.offset = 0
		for len(bits[h]) <= at/8 {
			bits[h] = append(bits[h], 0)
		}
		bits[h][at/8] |= 1 << (at % 8)
	}
	all := &body.BatchAckRequest{BrokerName: brokerName}
	for h, set := range bits {
		all.Acks = append(all.Acks, body.BatchAck{
			BitSet: base64.StdEncoding.EncodeToString(set), ConsumerGroup: g.name, Topic: g.topic, Retry: h.retry, QueueID: h.queue,
			StartOffset: h.start, PopTime: h.popTime, InvisibleTime: h.invisible, ReviveQueueID: h.revive,
		})
	}
	return all
}

// hide makes a popped message visible after so many milliseconds, and changes its
// handle.
func (m *member) hide(ctx context.Context, p *piece, invisible int64) error {
	q := p.handle.from(m.g)
	h := &header.ChangeInvisibleRequest{
		ConsumerGroup: m.g.name, Topic: q.topic, QueueID: q.id, ExtraInfo: p.handle.String(), Offset: p.offset, InvisibleTime: invisible,
	}
	answer, err := m.call.Invoke(ctx, m.w.addr(), &wire.Request{Code: wire.ReqChangeMessageInvisibleTime, Header: h})
	if err := succeed(answer, err); err != nil {
		return err
	}
	var head header.ChangeInvisibleResponse
	if err := head.DecodeExt(answer.Ext); err != nil {
		return err
	}
	p.handle.start, p.handle.popTime, p.handle.invisible, p.handle.revive = p.offset, head.PopTime, head.InvisibleTime, head.ReviveQID
	return nil
}

func succeed(answer *wire.Command, err error) error {
	if err == nil && answer.Code != wire.Success {
		err = &rpc.Error{Code: answer.Code, Remark: string(answer.Remark)}
	}
	return err
}

func TestHandle(t *testing.T) {
	const text = "10 1700000000000 1500 3 1 consume 0 12"
	h, err := parseHandle(text + " 4096")
	if err != nil || h.String() != text || h.until() != 1700000001500 {
		t.Fatalf("%v, %v", h, err)
	}
	g := group{name: "g", topic: "T"}
	for retry, want := range map[string]string{"0": "T/0", "1": "%RETRY%g_T/0", "2": "%RETRY%g+T/0"} {
		if h.retry = retry; h.from(g).String() != want {
			t.Errorf("retry %s: %s, want %s", retry, h.from(g), want)
		}
	}
	for _, bad := range []string{"", "1 2 3 4 5 6 7", "x 1700000000000 1500 3 1 consume 0 12"} {
		if _, err := parseHandle(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestBatchAck(t *testing.T) {
	h := handle{start: 100, popTime: 5, invisible: 6, revive: 7, retry: "1", queue: 2}
	var pieces []*piece
	for _, offset := range []int64{109, 100, 103} {
		h.offset = offset
		pieces = append(pieces, &piece{handle: h})
	}
	h.popTime = 8
	pieces = append(pieces, &piece{handle: h})
	all := batchAck(group{name: "g", topic: "T"}, pieces)
	slices.SortFunc(all.Acks, func(a, b body.BatchAck) int { return int(a.PopTime - b.PopTime) })
	want := body.BatchAck{BitSet: "CQI=", ConsumerGroup: "g", Topic: "T", Retry: "1", QueueID: 2, StartOffset: 100, PopTime: 5, InvisibleTime: 6, ReviveQueueID: 7}
	if len(all.Acks) != 2 || all.Acks[0] != want || all.Acks[1].BitSet != "CA==" || all.Acks[1].PopTime != 8 {
		t.Errorf("%+v, want first %+v", all.Acks, want)
	}
}

func TestOffsetInfo(t *testing.T) {
	all, err := offsetsOf("0 3 7;1 0 1,2,5")
	if err != nil || !slices.Equal(all["0 3"], []int64{7}) || !slices.Equal(all["1 0"], []int64{1, 2, 5}) {
		t.Errorf("%v, %v", all, err)
	}
	for _, bad := range []string{"0 3", "0 3 x", "0 3 1,"} {
		if _, err := offsetsOf(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
