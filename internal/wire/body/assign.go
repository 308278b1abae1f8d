// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package body

import "github.com/twostage/twostage/internal/wire/fastjson"

// A RequestMode is how a group gets the messages of a topic (5.x). Unknown names
// are kept as they are.
type RequestMode string

// The request modes.
const (
	RequestPull RequestMode = "PULL"
	RequestPop  RequestMode = "POP"
)

// UnmarshalJSON takes the name or the ordinal in Java's enum.
func (m *RequestMode) UnmarshalJSON(text []byte) error {
	return unmarshalEnum(m, text, RequestPull, RequestPop)
}

// RequestModeConfig says how a group gets the messages of a topic
// (SET_MESSAGE_REQUEST_MODE, 401).
type RequestModeConfig struct {
	Topic         string      `json:"topic,omitempty"`
	ConsumerGroup string      `json:"consumerGroup,omitempty"`
	Mode          RequestMode `json:"mode,omitempty"`
	// PopShareQueueNum is with how many others a client shares its queues; 0 or
	// less: all clients pop from all queues.
	PopShareQueueNum int32 `json:"popShareQueueNum"`
}

// RequestModeTable is messageRequestMode.json, and the answer to
// GET_ALL_MESSAGE_REQUEST_MODE (402): modes by topic and group.
type RequestModeTable struct {
	MessageRequestModeMap map[string]map[string]RequestModeConfig `json:"messageRequestModeMap"`
}

// QueryAssignmentRequestBody asks for a client's share of a topic's queues
// (QUERY_ASSIGNMENT, 400).
type QueryAssignmentRequestBody struct {
	Topic         string       `json:"topic,omitempty"`
	ConsumerGroup string       `json:"consumerGroup,omitempty"`
	ClientID      string       `json:"clientId,omitempty"`
	StrategyName  string       `json:"strategyName,omitempty"`
	MessageModel  MessageModel `json:"messageModel,omitempty"`
}

// QueryAssignmentResponseBody is the share. Nil, which is written as absent, tells
// the client to keep what it has; an empty slice that it has nothing.
type QueryAssignmentResponseBody struct {
	MessageQueueAssignments *[]MessageQueueAssignment `json:"messageQueueAssignments"`
}

// MessageQueueAssignment is a queue of the share and how it is to be read. The
// queue -1 is all queues of the broker.
type MessageQueueAssignment struct {
	MessageQueue MessageQueue      `json:"messageQueue"`
	Mode         RequestMode       `json:"mode,omitempty"`
	Attachments  map[string]string `json:"attachments,omitempty"`
}

func (*RequestModeConfig) about() (string, fastjson.Limits) { return "request mode", clientLimits() }
func (*RequestModeTable) about() (string, fastjson.Limits) {
	return "request mode table", tableLimits()
}
func (*QueryAssignmentRequestBody) about() (string, fastjson.Limits) {
	return "assignment query", clientLimits()
}
func (*QueryAssignmentResponseBody) about() (string, fastjson.Limits) {
	return "assignment", answerLimits()
}
