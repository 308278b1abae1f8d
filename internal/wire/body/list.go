// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package body

import "github.com/twostage/twostage/internal/wire/fastjson"

// KVTable is names and values: a broker's runtime info (28), the answer to a
// registration (103), a namespace of the name server (219).
type KVTable struct {
	Table map[string]string `json:"table"`
}

// TopicList is topic names (206, 224, 304, 305, 311 to 313, 343).
type TopicList struct {
	TopicList  []string `json:"topicList"`
	BrokerAddr string   `json:"brokerAddr,omitempty"`
}

// GroupList is group names (QUERY_TOPIC_CONSUME_BY_WHO, 300).
type GroupList struct {
	GroupList []string `json:"groupList"`
}

// KVConfigSerializeWrapper is kvConfig.json of a name server.
type KVConfigSerializeWrapper struct {
	ConfigTable map[string]map[string]string `json:"configTable"` // values by namespace and key
}

func (*KVTable) about() (string, fastjson.Limits)   { return "key-value table", answerLimits() }
func (*TopicList) about() (string, fastjson.Limits) { return "topic list", tableLimits() }
func (*GroupList) about() (string, fastjson.Limits) { return "group list", tableLimits() }
func (*KVConfigSerializeWrapper) about() (string, fastjson.Limits) {
	return "key-value config", tableLimits()
}
