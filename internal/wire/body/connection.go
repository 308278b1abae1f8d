// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package body

import "github.com/twostage/twostage/internal/wire/fastjson"

// Connection is a client of a group.
type Connection struct {
	ClientID   string `json:"clientId,omitempty"`
	ClientAddr string `json:"clientAddr,omitempty"` // "ip:port"
	Language   string `json:"language,omitempty"`   // JAVA, GO, CPP ...
	Version    int32  `json:"version"`              // ordinal of Java's MQVersion
}

// ConsumerConnection is the clients of a consumer group and what they want
// (GET_CONSUMER_CONNECTION_LIST, 203).
type ConsumerConnection struct {
	ConnectionSet     []Connection                `json:"connectionSet"`
	SubscriptionTable map[string]SubscriptionData `json:"subscriptionTable"` // by topic
	ConsumeType       ConsumeType                 `json:"consumeType,omitempty"`
	MessageModel      MessageModel                `json:"messageModel,omitempty"`
	ConsumeFromWhere  ConsumeFromWhere            `json:"consumeFromWhere,omitempty"`
	// Twostage only: members that subscribe to something else than most do.
	SubscriptionConflicts []SubscriptionConflict `json:"subscriptionConflicts,omitempty"`
}

// SubscriptionConflict is two clients of a group that want different things of a
// topic; an expression is empty where the client does not subscribe to it.
type SubscriptionConflict struct {
	Topic           string `json:"topic"`
	ClientID        string `json:"clientId"`
	Expression      string `json:"expression"`
	OtherClientID   string `json:"otherClientId"`
	OtherExpression string `json:"otherExpression"`
}

// ProducerConnection is the clients of a producer group
// (GET_PRODUCER_CONNECTION_LIST, 204).
type ProducerConnection struct {
	ConnectionSet []Connection `json:"connectionSet"`
}

// GetConsumerListByGroupResponseBody is the client ids of a consumer group
// (GET_CONSUMER_LIST_BY_GROUP, 38).
type GetConsumerListByGroupResponseBody struct {
	ConsumerIDList []string `json:"consumerIdList"`
}

// ProducerTableInfo is all producers of a broker (GET_ALL_PRODUCER_INFO, 328).
type ProducerTableInfo struct {
	Data map[string][]ProducerInfo `json:"data"` // by group
}

// ProducerInfo is a producer's client.
type ProducerInfo struct {
	ClientID            string `json:"clientId,omitempty"`
	RemoteIP            string `json:"remoteIP,omitempty"` // "/ip:port"
	Language            string `json:"language,omitempty"`
	Version             int32  `json:"version"`
	LastUpdateTimestamp int64  `json:"lastUpdateTimestamp"` // of the last heartbeat, milliseconds
}

func (*ConsumerConnection) about() (string, fastjson.Limits) {
	return "consumer connections", answerLimits()
}
func (*ProducerConnection) about() (string, fastjson.Limits) {
	return "producer connections", answerLimits()
}
func (*GetConsumerListByGroupResponseBody) about() (string, fastjson.Limits) {
	return "consumer list", answerLimits()
}
func (*ProducerTableInfo) about() (string, fastjson.Limits) { return "producer table", answerLimits() }
