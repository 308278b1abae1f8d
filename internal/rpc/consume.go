// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
)

// Heartbeat tells a broker which groups the client has.
func Heartbeat(ctx context.Context, c Caller, addr string, b *body.HeartbeatData) error {
	return done(ctx, c, addr, &wire.Request{Code: wire.ReqHeartBeat, Body: body.Marshal(b)})
}

// Unregister takes a client out of a producer group, a consumer group or both.
func Unregister(ctx context.Context, c Caller, addr string, h *header.UnregisterClientRequest) error {
	return done(ctx, c, addr, &wire.Request{Code: wire.ReqUnregisterClient, Header: h})
}

// Pulled is a broker's answer to a pull.
type Pulled struct {
	// Code is wire.Success, or, without messages, PullNotFound,
	// PullRetryImmediately or PullOffsetMoved.
	Code    int32
	Header  header.PullResponse
	Records []byte // one after the other; see message.RangeRecords
}

// Pull pulls messages. With header.PullSuspend the broker may hold the request
// for h.SuspendTimeoutMillis: ctx must allow for more.
func Pull(ctx context.Context, c Caller, addr string, h *header.PullRequest) (*Pulled, error) {
	req := &wire.Request{Code: wire.ReqPullMessage, Header: h}
	answer, err := invoke(ctx, c, addr, req, wire.PullNotFound, wire.PullRetryImmediately, wire.PullOffsetMoved)
	if err != nil {
		return nil, err
	}
	p := &Pulled{Code: answer.Code, Records: answer.Body}
	if err := readHeader(addr, req, answer, &p.Header); err != nil {
		return nil, err
	}
	return p, nil
}

// QueryOffset gives the offset that a group consumes next; QueryNotFound when
// the broker has none and the queue's first message is gone, 0 when it is there.
func QueryOffset(ctx context.Context, c Caller, addr, group, topic string, queue int32) (int64, error) {
	h := &header.QueryConsumerOffsetRequest{ConsumerGroup: group, Topic: topic, QueueID: queue}
	return offset(ctx, c, addr, &wire.Request{Code: wire.ReqQueryConsumerOffset, Header: h})
}

// StoredOffset is QueryOffset, but QueryNotFound whenever the broker has none. Those
// before 5.0 make no difference.
func StoredOffset(ctx context.Context, c Caller, addr, group, topic string, queue int32) (int64, error) {
	h := &header.QueryConsumerOffsetRequest{ConsumerGroup: group, Topic: topic, QueueID: queue, KeepNotFound: true}
	return offset(ctx, c, addr, &wire.Request{Code: wire.ReqQueryConsumerOffset, Header: h})
}

// UpdateOffset stores the offset that a group consumes next.
func UpdateOffset(ctx context.Context, c Caller, addr, group, topic string, queue int32, next int64) error {
	return done(ctx, c, addr, updateOffset(group, topic, queue, next))
}

// UpdateOffsetOneWay is UpdateOffset without an answer, as clients send it.
func UpdateOffsetOneWay(ctx context.Context, c Caller, addr, group, topic string, queue int32, next int64) error {
	return oneWay(ctx, c, addr, updateOffset(group, topic, queue, next))
}

func updateOffset(group, topic string, queue int32, next int64) *wire.Request {
	h := &header.UpdateConsumerOffsetRequest{ConsumerGroup: group, Topic: topic, QueueID: queue, CommitOffset: next}
	return &wire.Request{Code: wire.ReqUpdateConsumerOffset, Header: h}
}

// MaxOffset gives the offset of a queue's next message.
func MaxOffset(ctx context.Context, c Caller, addr, topic string, queue int32) (int64, error) {
	h := &header.MaxOffsetRequest{Topic: topic, QueueID: queue}
	return offset(ctx, c, addr, &wire.Request{Code: wire.ReqGetMaxOffset, Header: h})
}

// MinOffset gives the offset of a queue's first message.
func MinOffset(ctx context.Context, c Caller, addr, topic string, queue int32) (int64, error) {
	h := &header.MinOffsetRequest{Topic: topic, QueueID: queue}
	return offset(ctx, c, addr, &wire.Request{Code: wire.ReqGetMinOffset, Header: h})
}

// SearchOffset gives the offset of a queue's message that was stored nearest to
// a time in milliseconds.
func SearchOffset(ctx context.Context, c Caller, addr, topic string, queue int32, millis int64) (int64, error) {
	h := &header.SearchOffsetRequest{Topic: topic, QueueID: queue, Timestamp: millis}
	return offset(ctx, c, addr, &wire.Request{Code: wire.ReqSearchOffsetByTimestamp, Header: h})
}

func offset(ctx context.Context, c Caller, addr string, req *wire.Request) (int64, error) {
	answer, err := invoke(ctx, c, addr, req)
	if err != nil {
		return 0, err
	}
	var resp header.OffsetResponse
	err = readHeader(addr, req, answer, &resp)
	return resp.Offset, err
}

// EarliestStoreTime gives the store time of a queue's first message in
// milliseconds, -1 when there is none.
func EarliestStoreTime(ctx context.Context, c Caller, addr, topic string, queue int32) (int64, error) {
	h := &header.EarliestStoreTimeRequest{Topic: topic, QueueID: queue}
	req := &wire.Request{Code: wire.ReqGetEarliestMsgStoreTime, Header: h}
	answer, err := invoke(ctx, c, addr, req)
	if err != nil {
		return 0, err
	}
	var resp header.StoreTimeResponse
	err = readHeader(addr, req, answer, &resp)
	return resp.Timestamp, err
}

// ViewMessage gives the record at an offset of the commit log; SystemError when
// there is none.
func ViewMessage(ctx context.Context, c Caller, addr string, physicalOffset int64) ([]byte, error) {
	h := &header.ViewMessageRequest{Offset: physicalOffset}
	answer, err := invoke(ctx, c, addr, &wire.Request{Code: wire.ReqViewMessageByID, Header: h})
	if err != nil {
		return nil, err
	}
	return answer.Body, nil
}

// QueryMessage gives the records with a key, one after the other, and how far
// the index is; QueryNotFound when there is none.
func QueryMessage(ctx context.Context, c Caller, addr string, h *header.QueryMessageRequest) (records []byte, resp header.QueryMessageResponse, err error) {
	req := &wire.Request{Code: wire.ReqQueryMessage, Header: h}
	answer, err := invoke(ctx, c, addr, req)
	if err != nil {
		return nil, resp, err
	}
	if err := readHeader(addr, req, answer, &resp); err != nil {
		return nil, resp, err
	}
	return answer.Body, resp, nil
}

// ConsumerList gives the client ids of a consumer group; SystemError when there
// are none.
func ConsumerList(ctx context.Context, c Caller, addr, group string) ([]string, error) {
	h := &header.ConsumerListRequest{ConsumerGroup: group}
	list, err := fetch[body.GetConsumerListByGroupResponseBody](ctx, c, addr, &wire.Request{Code: wire.ReqGetConsumerListByGroup, Header: h})
	if err != nil {
		return nil, err
	}
	return list.ConsumerIDList, nil
}

// LockBatch locks queues for a client of a group and gives those it now holds.
// A lock lasts a minute.
func LockBatch(ctx context.Context, c Caller, addr string, b *body.LockBatchRequestBody) ([]body.MessageQueue, error) {
	resp, err := fetch[body.LockBatchResponseBody](ctx, c, addr, &wire.Request{Code: wire.ReqLockBatchMQ, Body: body.Marshal(b)})
	if err != nil {
		return nil, err
	}
	return resp.LockOKMQSet, nil
}

// UnlockBatch gives locks back.
func UnlockBatch(ctx context.Context, c Caller, addr string, b *body.LockBatchRequestBody) error {
	return done(ctx, c, addr, &wire.Request{Code: wire.ReqUnlockBatchMQ, Body: body.Marshal(b)})
}

// SendBack gives a message back that a consumer failed to consume, to be
// delivered again later.
func SendBack(ctx context.Context, c Caller, addr string, h *header.SendBackRequest) error {
	return done(ctx, c, addr, &wire.Request{Code: wire.ReqConsumerSendMsgBack, Header: h})
}

// CheckClientConfig asks a broker whether it can serve a subscription.
func CheckClientConfig(ctx context.Context, c Caller, addr string, b *body.CheckClientRequestBody) error {
	return done(ctx, c, addr, &wire.Request{Code: wire.ReqCheckClientConfig, Body: body.Marshal(b)})
}
