// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package body

import (
	"encoding/json"

	"github.com/twostage/twostage/internal/wire/fastjson"
)

// MessageQueue names a queue of a topic on a broker. It is comparable, and the
// key of several tables.
type MessageQueue struct {
	Topic      string `json:"topic"`
	BrokerName string `json:"brokerName"`
	QueueID    int32  `json:"queueId"`
}

// messageQueue is MessageQueue without its methods.
type messageQueue MessageQueue

// UnmarshalJSON reads the queue from an object, or from a string that holds the
// object's text, which is what a key of a table is in standard JSON. It refuses null.
func (q *MessageQueue) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '"' {
		var object string
		if err := json.Unmarshal(text, &object); err != nil {
			return err
		}
		text = []byte(object)
	}
	if string(text) == "null" {
		return errNullEntry
	}
	*q = MessageQueue{}
	return json.Unmarshal(text, (*messageQueue)(q))
}

// UnmarshalText reads the queue from the object's text. encoding/json takes only
// keys with this method, but reads them by UnmarshalJSON.
func (q *MessageQueue) UnmarshalText(text []byte) error { return q.UnmarshalJSON(text) }

// LockBatchRequestBody asks to lock queues for a client of an orderly consumer
// group, or to unlock them (LOCK_BATCH_MQ, 41; UNLOCK_BATCH_MQ, 42).
type LockBatchRequestBody struct {
	ConsumerGroup  string         `json:"consumerGroup,omitempty"`
	ClientID       string         `json:"clientId,omitempty"`
	MqSet          []MessageQueue `json:"mqSet"`
	OnlyThisBroker bool           `json:"onlyThisBroker,omitempty"` // 5.x, between brokers
}

// LockBatchResponseBody says which queues the client now holds (41).
type LockBatchResponseBody struct {
	LockOKMQSet []MessageQueue `json:"lockOKMQSet"`
}

func (*LockBatchRequestBody) about() (string, fastjson.Limits) {
	return "lock request", clientLimits()
}
func (*LockBatchResponseBody) about() (string, fastjson.Limits) {
	return "lock response", answerLimits()
}
