// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package body

import (
	"encoding/json"

	"github.com/twostage/twostage/internal/wire/fastjson"
)

// SubscriptionGroupConfig is a consumer group as a broker keeps it
// (UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, 200).
type SubscriptionGroupConfig struct {
	GroupName                      string `json:"groupName,omitempty"`
	ConsumeEnable                  bool   `json:"consumeEnable"`
	ConsumeFromMinEnable           bool   `json:"consumeFromMinEnable"`
	ConsumeBroadcastEnable         bool   `json:"consumeBroadcastEnable"`
	NotifyConsumerIDsChangedEnable bool   `json:"notifyConsumerIdsChangedEnable"`
	RetryQueueNums                 int32  `json:"retryQueueNums"`
	RetryMaxTimes                  int32  `json:"retryMaxTimes"`
	BrokerID                       int64  `json:"brokerId"`                     // where to consume; 0 is the master
	WhichBrokerWhenConsumeSlowly   int64  `json:"whichBrokerWhenConsumeSlowly"` // id of the broker that takes over

	// 5.x. The zero value of each is written as absent.
	ConsumeMessageOrderly bool                     `json:"consumeMessageOrderly,omitempty"`
	ConsumeTimeoutMinute  int32                    `json:"consumeTimeoutMinute,omitempty"` // 0 means 15
	GroupSysFlag          int32                    `json:"groupSysFlag,omitempty"`
	GroupRetryPolicy      *GroupRetryPolicy        `json:"groupRetryPolicy"`
	SubscriptionDataSet   []SimpleSubscriptionData `json:"subscriptionDataSet,omitempty"`
	Attributes            map[string]string        `json:"attributes,omitempty"`
}

// GroupRetryPolicy says when a message that was not consumed comes again (5.x).
type GroupRetryPolicy struct {
	Type                   string                  `json:"type,omitempty"` // CUSTOMIZED or EXPONENTIAL
	ExponentialRetryPolicy *ExponentialRetryPolicy `json:"exponentialRetryPolicy"`
	CustomizedRetryPolicy  *CustomizedRetryPolicy  `json:"customizedRetryPolicy"`
}

// ExponentialRetryPolicy waits Initial, then Multiplier times as long each time up
// to Max; milliseconds.
type ExponentialRetryPolicy struct {
	Initial    int64 `json:"initial"`
	Max        int64 `json:"max"`
	Multiplier int64 `json:"multiplier"`
}

// CustomizedRetryPolicy lists the waits, in milliseconds.
type CustomizedRetryPolicy struct {
	Next []int64 `json:"next"`
}

// SimpleSubscriptionData is a subscription that 5.x keeps with its group.
type SimpleSubscriptionData struct {
	Topic          string `json:"topic,omitempty"`
	ExpressionType string `json:"expressionType,omitempty"`
	Expression     string `json:"expression,omitempty"`
	Version        int64  `json:"version"`
}

// NewSubscriptionGroupConfig returns a group with the values that Java gives the
// fields: all enabled, one retry queue, 16 retries, slow consumers to broker 1.
func NewSubscriptionGroupConfig(name string) SubscriptionGroupConfig {
	return SubscriptionGroupConfig{
		GroupName:                      name,
		ConsumeEnable:                  true,
		ConsumeFromMinEnable:           true,
		ConsumeBroadcastEnable:         true,
		NotifyConsumerIDsChangedEnable: true,
		RetryQueueNums:                 1,
		RetryMaxTimes:                  16,
		WhichBrokerWhenConsumeSlowly:   1,
	}
}

// subscriptionGroupConfig is SubscriptionGroupConfig without its methods.
type subscriptionGroupConfig SubscriptionGroupConfig

// UnmarshalJSON begins with NewSubscriptionGroupConfig and refuses null.
func (c *SubscriptionGroupConfig) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		return errNullEntry
	}
	*c = NewSubscriptionGroupConfig("")
	return json.Unmarshal(text, (*subscriptionGroupConfig)(c))
}

// SubscriptionGroupWrapper is a broker's table of groups:
// config/subscriptionGroup.json and the answer to
// GET_ALL_SUBSCRIPTIONGROUP_CONFIG (201).
type SubscriptionGroupWrapper struct {
	DataVersion            DataVersion                        `json:"dataVersion"`
	SubscriptionGroupTable map[string]SubscriptionGroupConfig `json:"subscriptionGroupTable"`   // by group
	ForbiddenTable         map[string]map[string]int32        `json:"forbiddenTable,omitempty"` // 5.x: bit set by group and topic
}

// SubscriptionGroupList is groups to make (UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST,
// 225; 5.x).
type SubscriptionGroupList struct {
	GroupConfigList []SubscriptionGroupConfig `json:"groupConfigList"`
}

// GroupForbidden tells whether a group may consume a topic
// (UPDATE_AND_GET_GROUP_FORBIDDEN, 353; 5.x).
type GroupForbidden struct {
	Topic    string `json:"topic,omitempty"`
	Group    string `json:"group,omitempty"`
	Readable bool   `json:"readable"`
}

// check gives entries without a name the one they stand under.
func (w *SubscriptionGroupWrapper) check() error {
	for name, c := range w.SubscriptionGroupTable {
		if c.GroupName == "" {
			c.GroupName = name
			w.SubscriptionGroupTable[name] = c
		}
	}
	return nil
}

func (*SubscriptionGroupConfig) about() (string, fastjson.Limits) {
	return "subscription group config", clientLimits()
}
func (*SubscriptionGroupWrapper) about() (string, fastjson.Limits) {
	return "subscription group table", tableLimits()
}
func (*SubscriptionGroupList) about() (string, fastjson.Limits) {
	return "subscription group config list", answerLimits()
}
func (*GroupForbidden) about() (string, fastjson.Limits) { return "group forbidden", answerLimits() }
