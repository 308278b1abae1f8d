// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package replay

import "github.com/twostage/twostage/internal/wire"

// Patterns: a number, and an offset message id (IPv4 host, port, offset).
const (
	digits = "[0-9]*"
	hexID  = "7F000001????????????????????????"

	distributed = "\"[[]*=0ms]:[0-9]* [[]0~10ms]:[0-9]* [[]10~50ms]:[0-9]* [[]50~100ms]:[0-9]* [[]100~200ms]:[0-9]* [[]200~500ms]:[0-9]* " +
		"[[]500ms~1s]:[0-9]* [[]1~2s]:[0-9]* [[]2~3s]:[0-9]* [[]3~4s]:[0-9]* [[]4~5s]:[0-9]* [[]5~10s]:[0-9]* [[]10s~]:[0-9]* \""
)

var (
	plainSends = []int32{wire.ReqSendMessage, wire.ReqSendMessageV2, wire.ReqSendReplyMessage, wire.ReqSendReplyMessageV2}
	batchSends = []int32{wire.ReqSendBatchMessage, wire.ReqSendMessageV2}
	checks     = []int32{wire.ReqCheckTransactionState}
	routes     = []int32{wire.ReqGetRouteInfoByTopic}
	pulls      = []int32{wire.ReqPullMessage}
	replies    = []int32{wire.ReqPushReplyMessageToClient}
	progress   = []int32{wire.ReqGetConsumeStats}
	configs    = []int32{wire.ReqGetBrokerConfig, wire.ReqGetNamesrvConfig}
	producers  = []int32{wire.ReqGetAllProducerInfo}
	entries    = []int32{wire.ReqQueryConsumeQueue}
	relayed    = []int32{wire.ReqGetConsumerRunningInfo, wire.ReqConsumeMessageDirectly}
	resets     = []int32{wire.ReqResetConsumerClientOffset}
	runtime    = []int32{wire.ReqGetBrokerRuntimeInfo}
	ofBroker   = []int32{wire.ReqGetBrokerConsumeStats}
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
	{Codes: configs, At: "extFields.version", Want: "{\"counter\":0,\"timestamp\":*}", Have: "{\"counter\":0,\"timestamp\":*}", Reason: "when the broker was started"},
	{Codes: producers, At: "body.data.*.lastUpdateTimestamp", Want: "[1-9]*", Have: "[1-9]*", Reason: "when it last said that it is there"},
	{Codes: producers, At: "body.data.*.remoteIP", Want: "\"_127.0.0.1:*\"", Have: "\"_127.0.0.1:*\"", Reason: "the producer's port"},
	{Codes: entries, At: "body.queueData[[]*.physicOffset", Want: digits, Have: digits, Reason: "where the message stands in the log"},
	{Codes: entries, At: "body.queueData[[]*.physicSize", Want: digits, Have: digits, Reason: "the recording does not show the messages"},
	{Codes: entries, At: "body.queueData[[]*.tagsCode", Want: digits, Have: digits, Reason: "the recording does not show the messages"},
	{Codes: progress, At: "body.consumeTps", Want: "0.*", Have: "[0-9]*", Reason: "how much was consumed in the last minute"},
	{Codes: progress, At: "body.offsetTable.*.lastTimestamp", Want: "[1-9]*", Have: "[1-9]*", Reason: "a store timestamp"},
	{Codes: ofBroker, At: "body.consumeStatsList[[]*", Want: "0.*", Have: "0", Reason: "how much was consumed in the last minute"},
	{Codes: ofBroker, At: "body.consumeStatsList[[]*.lastTimestamp", Want: "[1-9]*", Have: "[1-9]*", Reason: "a store timestamp"},
	{Codes: []int32{wire.ReqGetTopicStatsInfo}, At: "body.offsetTable.*.lastUpdateTimestamp", Want: "[1-9]*", Have: "[1-9]*", Reason: "a store timestamp"},
	{Codes: runtime, At: "body.table.*", Want: "\"[0-9]*\"", Have: "\"[0-9]*\"", Reason: "a figure of the broker"},
	{Codes: runtime, At: "body.table.runtime", Want: "\"[[] 0 days, 0 hours, * minutes, * seconds ]\"", Have: "\"[[] 0 days, 0 hours, 0 minutes, * seconds ]\"", Reason: "for how long it has run"},
	{Codes: runtime, At: "body.table.putMessageDistributeTime", Want: distributed, Have: distributed, Reason: "how long puts took"},
	{Codes: runtime, At: "body.table.commitLogDirCapacity", Want: "\"Total : * ?iB, Free : * ?iB.\"", Have: "\"Total : * ?iB, Free : * ?iB.\"", Reason: "of the disk"},
	{Codes: runtime, At: "body.table.commitLogDiskRatio_*", Want: "\"[01].*\"", Have: absent, Reason: "the directory of the recording"},
	{Codes: runtime, At: "body.table.commitLogDiskRatio_*", Want: absent, Have: "\"[01].*\"", Reason: "the directory of the replay"},
	{Codes: []int32{wire.ReqViewBrokerStatsData}, At: "body.statsMinute.tps", Want: "0.*", Have: "[0-9]*", Reason: "how much was sent and pulled in the last minute"},
	{Codes: replies, At: "extFields.storeTimestamp", Want: digits, Have: digits, Reason: "when the broker handed it on"},
	{Codes: replies, At: "record.properties.PUSH_REPLY_TIME", Want: "=" + digits, Have: "=" + digits, Reason: "when the broker handed it on"},
	{Codes: replies, At: "extFields.bornHost", Want: "127.0.0.1:[0-9]*", Have: "127.0.0.1:[0-9]*", Reason: "the replier's port"},
	{Codes: resets, At: "extFields.timestamp", Want: digits, Have: digits, Reason: "the replay resets to another time"},
	{Codes: []int32{wire.ReqConsumeMessageDirectly}, At: "extFields.msgId", Want: hexID, Have: hexID, Reason: "the offset id that the replay asks for"},
	{Codes: []int32{wire.ReqGetConsumerConnectionList}, At: "body.connectionSet[[]0].clientAddr", Want: "\"127.0.0.1:*\"", Have: "\"127.0.0.1:*\"",
		Reason: "the consumer's port"},
	{Codes: []int32{wire.ReqSendMessageV2}, Scenario: "java-producer-errors", At: "remark",
		Want:   "request queueId[[]9] is illegal, TopicConfig [[]topicName=FrReadOnly, readQueueNums=1, writeQueueNums=1, perm=R--, topicFilterType=SINGLE_TAG, topicSysFlag=0, order=false] Producer: 127.0.0.1:*",
		Have:   "request queueId[[]9] is illegal, TopicConfig [[]topicName=FrReadOnly, readQueueNums=1, writeQueueNums=1, perm=R--, topicFilterType=SINGLE_TAG, topicSysFlag=0, order=false] Producer: 127.0.0.1:*",
		Reason: "names the producer's port"},
}

// differences is what Twostage does in another way.
var differences = []*listed{
	{At: "language", Want: "JAVA", Have: "GO", Reason: "answers and pushes name the language of the server"},
	{At: "version", Want: "409", Have: "473", Reason: "Twostage announces 5.3, the recording is of 4.9.8"},
	{Codes: runtime, At: "body.table.brokerVersionDesc", Want: "\"V4_9_8\"", Have: "\"V5_3_0\"", Reason: "Twostage announces 5.3, the recording is of 4.9.8"},
	{Codes: []int32{wire.ReqViewBrokerStatsData}, At: "body.stats*.avgpt", Want: "0", Have: "[12]*", Reason: "RocketMQ's first samples of an hour and of a day come late"},
	{Codes: []int32{wire.ReqViewBrokerStatsData}, At: "body.stats*.sum", Want: "0", Have: "5", Reason: "the same"},
	{Codes: []int32{wire.ReqViewBrokerStatsData}, At: "body.stats*.tps", Want: "0", Have: "[0-9]*", Reason: "the same"},
	{Codes: runtime, At: "body.table.*", Want: absent, Reason: "the keys of 5.x, and the memory for exportMetrics"},
	{Codes: []int32{wire.ReqGetAllTopicListFromNameServer}, At: "body.topicList[[]]", Want: absent, Have: "\"rmq_sys_*\"",
		Reason: "the topics of what 5.3 brokers have, such as timers"},
	{Codes: relayed, At: "extFields.AccessKey", Scenario: "mqadmin-*", Have: absent,
		Reason: "a client could make another request of what the operator has signed"},
	{Codes: relayed, At: "extFields.Signature", Scenario: "mqadmin-*", Have: absent,
		Reason: "a client could make another request of what the operator has signed"},
	{Codes: routes, At: "remark", Want: "No topic route info in name server for the topic: *faq*",
		Have:   "No topic route info in name server for the topic: *: no registered broker has it",
		Reason: "the remark says why and points to nobody's FAQ"},
	{Codes: configs, At: "body.*ThreadPoolNums", Have: absent, Reason: "how many threads Java would have depends on the machine: keys without a value are left out"},
	{Codes: configs, At: "body.clientCallbackExecutorThreads", Have: absent, Reason: "likewise"},
	{Codes: configs, At: "body.rocketmqHome", Have: absent, Reason: "there is no installation directory"},
	{Codes: configs, At: "body.configStorePath", Have: absent, Reason: "the name server was started without a file"},
	{Codes: configs, At: "body.messageStorePlugIn", Have: absent, Reason: "there are no plug-ins"},
	{Codes: configs, At: "body.isEnableBatchPush", Have: absent, Reason: "5.x calls it enableBatchPush"},
	{Codes: []int32{wire.ReqUpdateBrokerConfig}, At: "remark", Have: "it lasts until the next start: this broker was started without a configuration file",
		Reason: "an answer says so when the change is not written"},
	{Codes: routes, Scenario: "mqadmin-deleteExpiredCommitLog", At: "unexpected answer", Have: "0 ",
		Reason: "the recording ended before the answer"},
	{Codes: []int32{wire.ReqUpdateAndCreateTopic, wire.ReqEndTransaction, wire.ReqInvokeBrokerToResetOffset, wire.ReqQueryConsumeQueue}, At: "remark", Want: "not set any response code", Have: "",
		Reason: "RocketMQ's initial remark, left in by mistake: the request has succeeded"},
	{Codes: []int32{wire.ReqUpdateConsumerOffset, wire.ReqSendReplyMessage}, Scenario: "go-*", At: "unexpected answer", Have: "0 ",
		Reason: "the Go client closed the connection before the answer could be recorded"},
	{Codes: pulls, Scenario: "java-consumer-long-poll", At: "unexpected answer", Have: "19 OFFSET_OVERFLOW_ONE",
		Reason: "RocketMQ looks for pulls that were held long enough every 5 s, here they end in time"},
	{Codes: []int32{wire.ReqCheckClientConfig}, Scenario: "java-consumer-sql92-bad", At: "remark",
		Have:   "the SQL92 expression cannot be used, column 5: > stands where a property, a literal or ( should",
		Reason: "the remark says the cause; RocketMQ lists its parser's tokens"},
}
