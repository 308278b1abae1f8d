// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package replay

import "github.com/twostage/twostage/internal/wire"

// Patterns: a number, and an offset message id (IPv4 host, port, offset).
const (
	digits = "[0-9]*"
	hexID  = "7F000001????????????????????????"
)

var (
	plainSends = []int32{wire.ReqSendMessage, wire.ReqSendMessageV2}
	batchSends = []int32{wire.ReqSendBatchMessage, wire.ReqSendMessageV2}
	checks     = []int32{wire.ReqCheckTransactionState}
	routes     = []int32{wire.ReqGetRouteInfoByTopic}
	pulls      = []int32{wire.ReqPullMessage}
)

// runDependent is what can't be the same in two runs. Its form is.
var runDependent = []*listed{
	{Codes: plainSends, At: "extFields.msgId", Want: hexID, Have: hexID,
		Reason: "offset ids hold the broker's port and the commit log offset"},
	{Codes: batchSends, Scenario: "*-batch", At: "extFields.msgId", Want: hexID + ",*," + hexID, Have: hexID + ",*," + hexID,
		Reason: "offset ids of a batch"},
	{Codes: pulls, At: "record.properties.ORIGIN_MESSAGE_ID", Want: "=" + hexID, Have: "=" + hexID,
		Reason: "the offset id of the message that was sent back"},
	{Codes: plainSends, Scenario: "*-transaction-*", At: "extFields.queueOffset", Want: digits, Have: digits,
		Reason: "the offset in the queue of all half messages"},
	{Codes: plainSends, Scenario: "*-producer-delayed", At: "extFields.queueOffset", Want: digits, Have: digits,
		Reason: "the offset in the queue of all messages of the delay level"},
	{Codes: checks, At: "extFields.commitLogOffset", Want: digits, Have: digits, Reason: "where the half message stands"},
	{Codes: checks, At: "extFields.tranStateTableOffset", Want: digits, Have: digits, Reason: "where the half message stands in its queue"},
	{Codes: checks, At: "extFields.offsetMsgId", Want: hexID, Have: hexID, Reason: "offset id of the half message"},
	{Codes: checks, At: "record.queueOffset", Want: digits, Have: digits, Reason: "where the half message stands in its queue"},
	{Codes: []int32{wire.ReqGetEarliestMsgStoreTime}, At: "extFields.timestamp", Want: digits, Have: digits, Reason: "a store timestamp"},
	{Codes: []int32{wire.ReqGetAllSubscriptionGroupConfig}, At: "body.dataVersion.*", Want: digits, Have: digits,
		Reason: "counts and dates the groups of the session"},
	{Codes: []int32{wire.ReqSendMessageV2}, Scenario: "java-producer-errors", At: "remark",
		Want:   "request queueId[[]9] is illegal, TopicConfig [[]topicName=FrReadOnly, readQueueNums=1, writeQueueNums=1, perm=R--, topicFilterType=SINGLE_TAG, topicSysFlag=0, order=false] Producer: 127.0.0.1:*",
		Have:   "request queueId[[]9] is illegal, TopicConfig [[]topicName=FrReadOnly, readQueueNums=1, writeQueueNums=1, perm=R--, topicFilterType=SINGLE_TAG, topicSysFlag=0, order=false] Producer: 127.0.0.1:*",
		Reason: "names the producer's port"},
}

// differences is what Twostage does in another way.
var differences = []*listed{
	{At: "language", Want: "JAVA", Have: "GO", Reason: "answers and pushes name the language of the server"},
	{Codes: routes, At: "remark", Want: "No topic route info in name server for the topic: *faq*",
		Have:   "No topic route info in name server for the topic: *: no registered broker has it",
		Reason: "the remark says why and points to nobody's FAQ"},
	{Codes: []int32{wire.ReqUpdateAndCreateTopic, wire.ReqEndTransaction}, At: "remark", Want: "not set any response code", Have: "",
		Reason: "RocketMQ's initial remark, left in by mistake: the request has succeeded"},
	{Codes: []int32{wire.ReqUpdateConsumerOffset}, Scenario: "go-*", At: "unexpected answer", Have: "0 ",
		Reason: "the Go client closed the connection before the answer could be recorded"},
	{Codes: pulls, Scenario: "java-consumer-long-poll", At: "unexpected answer", Have: "19 OFFSET_OVERFLOW_ONE",
		Reason: "RocketMQ looks for pulls that were held long enough every 5 s, here they end in time"},
	{Codes: []int32{wire.ReqCheckClientConfig}, Scenario: "java-consumer-sql92-bad", At: "code", Want: "23", Have: "1",
		Reason: "every SQL92 filter is refused until there is one"},
	{Codes: []int32{wire.ReqCheckClientConfig}, Scenario: "java-consumer-sql92-bad", At: "remark", Have: "The broker does not support consumer to filter message by SQL92",
		Reason: "every SQL92 filter is refused until there is one"},
}
