// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package message

// Names of properties that RocketMQ gives a meaning. Values are text; numbers
// are decimal. Source: MessageConst of Apache RocketMQ.
const (
	// Set by the application or the producer.
	PropertyKeys              = "KEYS" // index keys, separated by KeySeparator
	PropertyTags              = "TAGS"
	PropertyWait              = "WAIT"  // "true": answer a send only when the record is as safe as the broker is set up to make it
	PropertyDelay             = "DELAY" // delay level, 1 is the shortest
	PropertyBuyerID           = "BUYER_ID"
	PropertyUniqueKey         = "UNIQ_KEY" // id that the producer gave the message, see IDGenerator
	PropertyExtendUniqueInfo  = "EXTEND_UNIQ_INFO"
	PropertyProducerGroup     = "PGROUP"
	PropertyInstanceID        = "INSTANCE_ID"
	PropertyShardingKey       = "__SHARDINGKEY"
	PropertyMessageType       = "MSG_TYPE"
	PropertyTraceContext      = "TRACE_CONTEXT"
	PropertyDuplicateInfo     = "DUP_INFO"
	PropertyTransferFlag      = "TRANSFER_FLAG"
	PropertyCorrectionFlag    = "CORRECTION_FLAG"
	PropertyMQ2Flag           = "MQ2_FLAG"
	PropertyBornHost          = "__BORNHOST"
	PropertyBornTimestamp     = "BORN_TIMESTAMP"
	PropertyCorrelationID     = "CORRELATION_ID"  // request and reply
	PropertyReplyToClient     = "REPLY_TO_CLIENT" // request and reply: client id of the requester
	PropertyTTL               = "TTL"             // request and reply: ms
	PropertyMaxReconsumeTimes = "MAX_RECONSUME_TIMES"

	// Transactions.
	PropertyTransactionPrepared    = "TRAN_MSG" // "true" marks a half message
	PropertyTransactionID          = "__transactionId__"
	PropertyTransactionCheckTimes  = "TRANSACTION_CHECK_TIMES"
	PropertyPreparedQueueOffset    = "TRAN_PREPARED_QUEUE_OFFSET"
	PropertyCheckImmunityInSeconds = "CHECK_IMMUNITY_TIME_IN_SECONDS"

	// Set by the broker.
	PropertyCluster             = "CLUSTER"
	PropertyRetryTopic          = "RETRY_TOPIC"
	PropertyRealTopic           = "REAL_TOPIC"
	PropertyRealQueueID         = "REAL_QID"
	PropertyOriginMessageID     = "ORIGIN_MESSAGE_ID"
	PropertyReconsumeTime       = "RECONSUME_TIME"
	PropertyMsgRegion           = "MSG_REGION"
	PropertyTraceOn             = "TRACE_ON"
	PropertyReplyArriveTime     = "ARRIVE_TIME"
	PropertyPushReplyTime       = "PUSH_REPLY_TIME"
	PropertyDLQOriginTopic      = "DLQ_ORIGIN_TOPIC"
	PropertyDLQOriginMessageID  = "DLQ_ORIGIN_MESSAGE_ID"
	PropertyForwardQueueID      = "PROPERTY_FORWARD_QUEUE_ID"
	PropertyRedirect            = "REDIRECT"
	PropertyInnerNum            = "INNER_NUM"
	PropertyInnerBase           = "INNER_BASE"
	PropertyInnerMultiDispatch  = "INNER_MULTI_DISPATCH"
	PropertyInnerMultiQueueOffs = "INNER_MULTI_QUEUE_OFFSET"
	PropertyCRC32               = "__CRC32#"

	// Added to a received message by a consumer.
	PropertyMinOffset        = "MIN_OFFSET"
	PropertyMaxOffset        = "MAX_OFFSET"
	PropertyConsumeStartTime = "CONSUME_START_TIME"
	PropertyPopCheckpoint    = "POP_CK"
	PropertyPopCheckOffset   = "POP_CK_OFFSET"
	PropertyFirstPopTime     = "1ST_POP_TIME"

	// Timer messages of RocketMQ 5.
	PropertyTimerDelaySeconds = "TIMER_DELAY_SEC"
	PropertyTimerDelayMillis  = "TIMER_DELAY_MS"
	PropertyTimerDeliver      = "TIMER_DELIVER_MS"
	PropertyTimerOut          = "TIMER_OUT_MS"
	PropertyTimerEnqueue      = "TIMER_ENQUEUE_MS"
	PropertyTimerDequeue      = "TIMER_DEQUEUE_MS"
	PropertyTimerRollTimes    = "TIMER_ROLL_TIMES"
	PropertyTimerDelayLevel   = "TIMER_DELAY_LEVEL"
	PropertyTimerDeleteKey    = "TIMER_DEL_UNIQKEY"

	// PropertyTransientPrefix begins the names of properties that are never
	// stored.
	PropertyTransientPrefix = "__RMQ.TRANSIENT."

	// KeySeparator stands between the keys in PropertyKeys.
	KeySeparator = " "
)

// reserved are the names that an application may not set by itself.
func reserved(name string) bool {
	switch name {
	case PropertyKeys, PropertyTags, PropertyWait, PropertyDelay, PropertyBuyerID,
		PropertyUniqueKey, PropertyExtendUniqueInfo, PropertyProducerGroup, PropertyInstanceID,
		PropertyMessageType, PropertyDuplicateInfo, PropertyTransferFlag, PropertyCorrectionFlag,
		PropertyMQ2Flag, PropertyBornHost, PropertyBornTimestamp, PropertyCorrelationID,
		PropertyReplyToClient, PropertyTTL, PropertyMaxReconsumeTimes,
		PropertyTransactionPrepared, PropertyPreparedQueueOffset,
		PropertyCluster, PropertyRetryTopic, PropertyRealTopic, PropertyRealQueueID,
		PropertyOriginMessageID, PropertyReconsumeTime, PropertyMsgRegion, PropertyTraceOn,
		PropertyReplyArriveTime, PropertyDLQOriginTopic, PropertyDLQOriginMessageID,
		PropertyInnerMultiQueueOffs, PropertyCRC32,
		PropertyMinOffset, PropertyMaxOffset, PropertyConsumeStartTime,
		PropertyPopCheckpoint, PropertyPopCheckOffset, PropertyFirstPopTime,
		PropertyTimerDelaySeconds, PropertyTimerDelayMillis, PropertyTimerDeliver, PropertyTimerOut,
		PropertyTimerEnqueue, PropertyTimerDequeue, PropertyTimerRollTimes, PropertyTimerDelayLevel,
		PropertyTimerDeleteKey:
		return true
	}
	return false
}
