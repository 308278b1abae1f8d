// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package body

import (
	"encoding/json"

	"github.com/twostage/twostage/internal/wire/fastjson"
)

// HeartbeatData is what a client tells each broker about itself every 30 s
// (HEART_BEAT, 34).
type HeartbeatData struct {
	ClientID             string         `json:"clientID"`
	ProducerDataSet      []ProducerData `json:"producerDataSet"`
	ConsumerDataSet      []ConsumerData `json:"consumerDataSet"`
	HeartbeatFingerprint int32          `json:"heartbeatFingerprint,omitempty"` // 5.x; not 0: heartbeat V2
	WithoutSub           bool           `json:"withoutSub,omitempty"`           // 5.x: the subscriptions are those of the last heartbeat
}

// ProducerData is a producer group of the client.
type ProducerData struct {
	GroupName string `json:"groupName"`
}

// ConsumerData is a consumer group of the client.
type ConsumerData struct {
	GroupName           string             `json:"groupName"`
	ConsumeType         ConsumeType        `json:"consumeType,omitempty"`
	MessageModel        MessageModel       `json:"messageModel,omitempty"`
	ConsumeFromWhere    ConsumeFromWhere   `json:"consumeFromWhere,omitempty"`
	SubscriptionDataSet []SubscriptionData `json:"subscriptionDataSet"`
	UnitMode            bool               `json:"unitMode"`
}

// SubscriptionData is what a group wants of a topic.
type SubscriptionData struct {
	Topic           string   `json:"topic,omitempty"`
	SubString       string   `json:"subString,omitempty"`      // "*", "TagA || TagB" or the SQL92 expression
	ExpressionType  string   `json:"expressionType,omitempty"` // TAG (also when absent) or SQL92
	TagsSet         []string `json:"tagsSet"`
	CodeSet         []int32  `json:"codeSet"`    // hash codes of the tags
	SubVersion      int64    `json:"subVersion"` // grows with each change; milliseconds in Java, nanoseconds in Go clients
	ClassFilterMode bool     `json:"classFilterMode"`
}

// UnmarshalJSON fills in TAG where the expression type is absent or empty, takes
// numbers as strings of digits, which C++ clients send as subVersion and Go
// clients as codeSet, and refuses null.
func (s *SubscriptionData) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		return errNullEntry
	}
	var in subscriptionData
	if err := json.Unmarshal(text, &in); err != nil {
		return err
	}
	*s = SubscriptionData{
		Topic: in.Topic, SubString: in.SubString, ExpressionType: in.ExpressionType, TagsSet: in.TagsSet,
		SubVersion: int64(in.SubVersion), ClassFilterMode: in.ClassFilterMode,
	}
	if s.ExpressionType == "" {
		s.ExpressionType = "TAG"
	}
	if in.CodeSet != nil {
		s.CodeSet = make([]int32, len(in.CodeSet))
	}
	for i, c := range in.CodeSet {
		s.CodeSet[i] = int32(c)
	}
	return nil
}

// subscriptionData is SubscriptionData with fields that take numbers as strings.
type subscriptionData struct {
	Topic           string        `json:"topic"`
	SubString       string        `json:"subString"`
	ExpressionType  string        `json:"expressionType"`
	TagsSet         []string      `json:"tagsSet"`
	CodeSet         []int32OrText `json:"codeSet"`
	SubVersion      int64OrText   `json:"subVersion"`
	ClassFilterMode bool          `json:"classFilterMode"`
}

// CheckClientRequestBody asks whether the broker can serve a subscription
// (CHECK_CLIENT_CONFIG, 46).
type CheckClientRequestBody struct {
	ClientID         string            `json:"clientId,omitempty"`
	Group            string            `json:"group,omitempty"`
	SubscriptionData *SubscriptionData `json:"subscriptionData"`
	Namespace        string            `json:"namespace,omitempty"` // 5.x
}

// QuerySubscriptionResponseBody is a group's subscription to a topic
// (QUERY_SUBSCRIPTION_BY_CONSUMER, 345).
type QuerySubscriptionResponseBody struct {
	SubscriptionData *SubscriptionData `json:"subscriptionData"`
	Group            string            `json:"group,omitempty"`
	Topic            string            `json:"topic,omitempty"`
}

func (*HeartbeatData) about() (string, fastjson.Limits) { return "heartbeat", clientLimits() }
func (*CheckClientRequestBody) about() (string, fastjson.Limits) {
	return "client check request", clientLimits()
}
func (*QuerySubscriptionResponseBody) about() (string, fastjson.Limits) {
	return "subscription", answerLimits()
}
