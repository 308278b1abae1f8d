// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package body

import "github.com/twostage/twostage/internal/wire/fastjson"

// ConsumerOffsetSerializeWrapper is the offsets of a broker's groups:
// config/consumerOffset.json and the answer to GET_ALL_CONSUMER_OFFSET (43).
type ConsumerOffsetSerializeWrapper struct {
	OffsetTable map[string]map[int32]int64 `json:"offsetTable"` // next offset by "topic@group" and queue id
	DataVersion *DataVersion               `json:"dataVersion"` // 5.x
}

// DelayOffsetSerializeWrapper is how far each delay level is delivered:
// config/delayOffset.json and the answer to GET_ALL_DELAY_OFFSET (45).
type DelayOffsetSerializeWrapper struct {
	OffsetTable map[int32]int64 `json:"offsetTable"` // next offset in queue level-1 of SCHEDULE_TOPIC_XXXX, by level
	DataVersion *DataVersion    `json:"dataVersion"` // 5.x
}

// ResetOffsetBody is offsets by queue (RESET_CONSUMER_CLIENT_OFFSET, 220, and the
// answer to INVOKE_BROKER_TO_RESET_OFFSET, 222).
type ResetOffsetBody struct {
	OffsetTable map[MessageQueue]int64 `json:"offsetTable"`
}

// ResetOffsetBodyForC is [ResetOffsetBody] for C++ clients.
type ResetOffsetBodyForC struct {
	OffsetTable []MessageQueueForC `json:"offsetTable"`
}

// MessageQueueForC is a queue and an offset.
type MessageQueueForC struct {
	Topic      string `json:"topic"`
	BrokerName string `json:"brokerName"`
	QueueID    int32  `json:"queueId"`
	Offset     int64  `json:"offset"`
}

// GetConsumerStatusBody is offsets of a group: of one client by queue
// (GET_CONSUMER_STATUS_FROM_CLIENT, 221), or of all clients by client id (223).
type GetConsumerStatusBody struct {
	MessageQueueTable map[MessageQueue]int64            `json:"messageQueueTable"`
	ConsumerTable     map[string]map[MessageQueue]int64 `json:"consumerTable"`
}

// QueryCorrectionOffsetBody is offsets by queue id (QUERY_CORRECTION_OFFSET, 308).
type QueryCorrectionOffsetBody struct {
	CorrectionOffsets map[int32]int64 `json:"correctionOffsets"`
}

func (*ConsumerOffsetSerializeWrapper) about() (string, fastjson.Limits) {
	return "consumer offset table", tableLimits()
}
func (*DelayOffsetSerializeWrapper) about() (string, fastjson.Limits) {
	return "delay offset table", tableLimits()
}
func (*ResetOffsetBody) about() (string, fastjson.Limits) { return "reset offsets", answerLimits() }
func (*ResetOffsetBodyForC) about() (string, fastjson.Limits) {
	return "reset offsets for C++", answerLimits()
}
func (*GetConsumerStatusBody) about() (string, fastjson.Limits) {
	return "consumer status", answerLimits()
}
func (*QueryCorrectionOffsetBody) about() (string, fastjson.Limits) {
	return "correction offsets", answerLimits()
}
