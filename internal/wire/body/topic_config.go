// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package body

import (
	"encoding/json"

	"github.com/twostage/twostage/internal/wire/fastjson"
)

// Values of TopicConfig.TopicFilterType.
const (
	SingleTag = "SINGLE_TAG"
	MultiTag  = "MULTI_TAG"
)

// TopicConfig is a topic as a broker keeps it.
type TopicConfig struct {
	TopicName       string            `json:"topicName,omitempty"`
	ReadQueueNums   int32             `json:"readQueueNums"`
	WriteQueueNums  int32             `json:"writeQueueNums"`
	Perm            int32             `json:"perm"`            // 4 read, 2 write, 1 inherit; the sum of those that hold
	TopicFilterType string            `json:"topicFilterType"` // SingleTag in all practice
	TopicSysFlag    int32             `json:"topicSysFlag"`    // 1 unit, 2 unit subscription
	Order           bool              `json:"order"`
	Attributes      map[string]string `json:"attributes,omitempty"` // 5.x: message.type, cleanup.policy ...
}

// NewTopicConfig returns a topic with the values that Java gives the fields: 16
// queues each way, read and write.
func NewTopicConfig(name string) TopicConfig {
	return TopicConfig{TopicName: name, ReadQueueNums: 16, WriteQueueNums: 16, Perm: 6, TopicFilterType: SingleTag}
}

// topicConfig is TopicConfig without its methods.
type topicConfig TopicConfig

// UnmarshalJSON begins with NewTopicConfig and refuses null.
func (c *TopicConfig) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		return errNullEntry
	}
	*c = NewTopicConfig("")
	return json.Unmarshal(text, (*topicConfig)(c))
}

// TopicConfigSerializeWrapper is a broker's table of topics: config/topics.json,
// the answer to GET_ALL_TOPIC_CONFIG (21), and a part of a registration.
type TopicConfigSerializeWrapper struct {
	DataVersion      DataVersion            `json:"dataVersion"`
	TopicConfigTable map[string]TopicConfig `json:"topicConfigTable"` // by topic

	// Static topics of 5.x.
	TopicQueueMappingInfoMap map[string]TopicQueueMappingInfo `json:"topicQueueMappingInfoMap,omitempty"` // by topic
	MappingDataVersion       *DataVersion                     `json:"mappingDataVersion"`
}

// TopicQueueMappingInfo is a broker's part of a static topic (5.x).
type TopicQueueMappingInfo struct {
	Topic       string          `json:"topic,omitempty"`
	Scope       string          `json:"scope,omitempty"`
	TotalQueues int32           `json:"totalQueues"`
	Bname       string          `json:"bname,omitempty"` // of the broker
	Epoch       int64           `json:"epoch"`
	Dirty       bool            `json:"dirty"`
	CurrIDMap   map[int32]int32 `json:"currIdMap"` // logic queue to queue of this broker
}

// CreateTopicListRequestBody is topics to make (UPDATE_AND_CREATE_TOPIC_LIST, 18;
// 5.x).
type CreateTopicListRequestBody struct {
	TopicConfigList []TopicConfig `json:"topicConfigList"`
}

// check gives entries without a name the one they stand under.
func (w *TopicConfigSerializeWrapper) check() error {
	for name, c := range w.TopicConfigTable {
		if c.TopicName == "" {
			c.TopicName = name
			w.TopicConfigTable[name] = c
		}
	}
	return nil
}

func (*TopicConfig) about() (string, fastjson.Limits) { return "topic config", clientLimits() }
func (*TopicConfigSerializeWrapper) about() (string, fastjson.Limits) {
	return "topic table", tableLimits()
}
func (*CreateTopicListRequestBody) about() (string, fastjson.Limits) {
	return "topic config list", answerLimits()
}
