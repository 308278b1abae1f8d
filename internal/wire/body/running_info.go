// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package body

import "github.com/twostage/twostage/internal/wire/fastjson"

// ConsumerRunningInfo is how a consumer's client is doing
// (GET_CONSUMER_RUNNING_INFO, 307). A broker passes it on as it is.
type ConsumerRunningInfo struct {
	Properties       map[string]string                    `json:"properties"`
	SubscriptionSet  []SubscriptionData                   `json:"subscriptionSet"`
	MqTable          map[MessageQueue]ProcessQueueInfo    `json:"mqTable"`
	MqPopTable       map[MessageQueue]PopProcessQueueInfo `json:"mqPopTable,omitempty"`       // 5.x
	StatusTable      map[string]ConsumeStatus             `json:"statusTable"`                // by topic
	UserConsumerInfo map[string]string                    `json:"userConsumerInfo,omitempty"` // 5.x
	Jstack           string                               `json:"jstack,omitempty"`
}

// ProcessQueueInfo is what the client holds of a queue. Timestamps are
// milliseconds.
type ProcessQueueInfo struct {
	CommitOffset            int64 `json:"commitOffset"`
	CachedMsgMinOffset      int64 `json:"cachedMsgMinOffset"`
	CachedMsgMaxOffset      int64 `json:"cachedMsgMaxOffset"`
	CachedMsgCount          int32 `json:"cachedMsgCount"`
	CachedMsgSizeInMiB      int32 `json:"cachedMsgSizeInMiB"`
	TransactionMsgMinOffset int64 `json:"transactionMsgMinOffset"`
	TransactionMsgMaxOffset int64 `json:"transactionMsgMaxOffset"`
	TransactionMsgCount     int32 `json:"transactionMsgCount"`
	Locked                  bool  `json:"locked"`
	TryUnlockTimes          int64 `json:"tryUnlockTimes"`
	LastLockTimestamp       int64 `json:"lastLockTimestamp"`
	Droped                  bool  `json:"droped"` // the protocol's spelling
	LastPullTimestamp       int64 `json:"lastPullTimestamp"`
	LastConsumeTimestamp    int64 `json:"lastConsumeTimestamp"`
}

// PopProcessQueueInfo is what the client holds of a queue that it pops (5.x).
type PopProcessQueueInfo struct {
	WaitAckCount     int32 `json:"waitAckCount"`
	Droped           bool  `json:"droped"`
	LastPopTimestamp int64 `json:"lastPopTimestamp"` // milliseconds
}

// ConsumeStatus is the client's rates for a topic: RT in milliseconds, TPS in
// messages a second.
type ConsumeStatus struct {
	PullRT            float64 `json:"pullRT"`
	PullTPS           float64 `json:"pullTPS"`
	ConsumeRT         float64 `json:"consumeRT"`
	ConsumeOKTPS      float64 `json:"consumeOKTPS"`
	ConsumeFailedTPS  float64 `json:"consumeFailedTPS"`
	ConsumeFailedMsgs int64   `json:"consumeFailedMsgs"` // of the last hour
}

func (*ConsumerRunningInfo) about() (string, fastjson.Limits) {
	return "consumer running info", answerLimits()
}
