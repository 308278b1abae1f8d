// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package body

import "github.com/twostage/twostage/internal/wire/fastjson"

// TopicStatsTable is the ends of a topic's queues (GET_TOPIC_STATS_INFO, 202).
type TopicStatsTable struct {
	OffsetTable map[MessageQueue]TopicOffset `json:"offsetTable"`
	TopicPutTps float64                      `json:"topicPutTps,omitempty"` // 5.x
}

// TopicOffset is the ends of a queue.
type TopicOffset struct {
	MinOffset           int64 `json:"minOffset"`
	MaxOffset           int64 `json:"maxOffset"`           // of the next message
	LastUpdateTimestamp int64 `json:"lastUpdateTimestamp"` // store time of the last message, milliseconds; 0: none
}

// ConsumeStats is how far a group is behind (GET_CONSUME_STATS, 208).
type ConsumeStats struct {
	OffsetTable map[MessageQueue]OffsetWrapper `json:"offsetTable"`
	ConsumeTps  float64                        `json:"consumeTps"` // messages a second
}

// OffsetWrapper is a queue's end and a group's place in it.
type OffsetWrapper struct {
	BrokerOffset   int64 `json:"brokerOffset"`
	ConsumerOffset int64 `json:"consumerOffset"`
	PullOffset     int64 `json:"pullOffset,omitempty"` // 5.x
	LastTimestamp  int64 `json:"lastTimestamp"`        // store time of the last consumed message, milliseconds
}

// ConsumeStatsList is the stats of all groups of a broker
// (GET_BROKER_CONSUME_STATS, 317).
type ConsumeStatsList struct {
	ConsumeStatsList []map[string][]ConsumeStats `json:"consumeStatsList"` // one map a group, one element a topic
	BrokerAddr       string                      `json:"brokerAddr,omitempty"`
	TotalDiff        int64                       `json:"totalDiff"`                   // messages not yet consumed
	TotalInflight    int64                       `json:"totalInflightDiff,omitempty"` // 5.x
}

// BrokerStatsData is a counter of a broker (VIEW_BROKER_STATS_DATA, 315).
type BrokerStatsData struct {
	StatsMinute BrokerStatsItem `json:"statsMinute"`
	StatsHour   BrokerStatsItem `json:"statsHour"`
	StatsDay    BrokerStatsItem `json:"statsDay"`
}

// BrokerStatsItem is a counter over a span of time.
type BrokerStatsItem struct {
	Sum   int64   `json:"sum"`
	Tps   float64 `json:"tps"`   // Sum a second
	Avgpt float64 `json:"avgpt"` // Sum divided by the times it was counted
}

// QueryConsumeTimeSpanBody is the time span of each queue of a topic
// (QUERY_CONSUME_TIME_SPAN, 303).
type QueryConsumeTimeSpanBody struct {
	ConsumeTimeSpanSet []QueueTimeSpan `json:"consumeTimeSpanSet"`
}

// QueueTimeSpan is store times of a queue, in milliseconds.
type QueueTimeSpan struct {
	MessageQueue     *MessageQueue `json:"messageQueue"`
	MinTimeStamp     int64         `json:"minTimeStamp"`
	MaxTimeStamp     int64         `json:"maxTimeStamp"`
	ConsumeTimeStamp int64         `json:"consumeTimeStamp"` // of the last message that the group consumed
	DelayTime        int64         `json:"delayTime"`
}

// QueryConsumeQueueResponseBody is entries of a consume queue (QUERY_CONSUME_QUEUE,
// 321).
type QueryConsumeQueueResponseBody struct {
	SubscriptionData *SubscriptionData  `json:"subscriptionData"`
	FilterData       string             `json:"filterData,omitempty"`
	QueueData        []ConsumeQueueData `json:"queueData"`
	MaxQueueIndex    int64              `json:"maxQueueIndex"`
	MinQueueIndex    int64              `json:"minQueueIndex"`
}

// ConsumeQueueData is an entry of a consume queue.
type ConsumeQueueData struct {
	PhysicOffset   int64  `json:"physicOffset"`
	PhysicSize     int32  `json:"physicSize"`
	TagsCode       int64  `json:"tagsCode"`
	ExtendDataJSON string `json:"extendDataJson,omitempty"`
	BitMap         string `json:"bitMap,omitempty"`
	Eval           bool   `json:"eval"`
	Msg            string `json:"msg,omitempty"`
}

// ConsumeMessageDirectlyResult is what a client made of a message
// (CONSUME_MESSAGE_DIRECTLY, 309).
type ConsumeMessageDirectlyResult struct {
	Order          bool   `json:"order"`
	AutoCommit     bool   `json:"autoCommit"`
	ConsumeResult  string `json:"consumeResult,omitempty"` // CR_SUCCESS, CR_LATER, CR_ROLLBACK, CR_COMMIT, CR_THROW_EXCEPTION, CR_RETURN_NULL
	Remark         string `json:"remark,omitempty"`
	SpentTimeMills int64  `json:"spentTimeMills"`
}

func (*TopicStatsTable) about() (string, fastjson.Limits) { return "topic stats", answerLimits() }
func (*ConsumeStats) about() (string, fastjson.Limits)    { return "consume stats", answerLimits() }
func (*ConsumeStatsList) about() (string, fastjson.Limits) {
	return "consume stats of a broker", answerLimits()
}
func (*BrokerStatsData) about() (string, fastjson.Limits) { return "broker stats", answerLimits() }
func (*QueryConsumeTimeSpanBody) about() (string, fastjson.Limits) {
	return "consume time span", answerLimits()
}
func (*QueryConsumeQueueResponseBody) about() (string, fastjson.Limits) {
	return "consume queue entries", answerLimits()
}
func (*ConsumeMessageDirectlyResult) about() (string, fastjson.Limits) {
	return "consume result", answerLimits()
}
