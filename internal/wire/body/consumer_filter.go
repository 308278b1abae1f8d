// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package body

import "github.com/twostage/twostage/internal/wire/fastjson"

// ConsumerFilterTable is config/consumerFilter.json: the SQL92 subscriptions that a
// broker knows.
type ConsumerFilterTable struct {
	FilterDataByTopic map[string]FilterDataMapByTopic `json:"filterDataByTopic"` // by topic
}

// FilterDataMapByTopic is the SQL92 subscriptions of a topic.
type FilterDataMapByTopic struct {
	Topic           string                        `json:"topic,omitempty"`
	GroupFilterData map[string]ConsumerFilterData `json:"groupFilterData"` // by group
}

// ConsumerFilterData is the SQL92 subscription of a group. Times are milliseconds.
type ConsumerFilterData struct {
	ConsumerGroup   string           `json:"consumerGroup,omitempty"`
	Topic           string           `json:"topic,omitempty"`
	Expression      string           `json:"expression,omitempty"`
	ExpressionType  string           `json:"expressionType,omitempty"`
	BornTime        int64            `json:"bornTime"`
	DeadTime        int64            `json:"deadTime"` // 0: the group has members
	Dead            bool             `json:"dead"`     // DeadTime >= BornTime; written, not read, by Java
	ClientVersion   int64            `json:"clientVersion"`
	BloomFilterData *BloomFilterData `json:"bloomFilterData"`
}

// BloomFilterData is the bits of the group in its topic's bloom filter.
type BloomFilterData struct {
	BitPos []int32 `json:"bitPos"`
	BitNum int32   `json:"bitNum"`
}

func (*ConsumerFilterTable) about() (string, fastjson.Limits) {
	return "consumer filter table", tableLimits()
}
