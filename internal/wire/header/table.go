// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package header

import "github.com/twostage/twostage/internal/wire"

// Codec is a header that can be read and written.
type Codec interface {
	wire.Header
	// DecodeExt sets the header from the fields of a command. Its errors are of
	// type *[Error].
	DecodeExt(f wire.Fields) error
}

// Request makes an empty header for requests of that code, nil for a code whose
// requests have no header or none that is known here.
func Request(code int32) Codec {
	switch code {
	case wire.ReqSendMessage, wire.ReqSendReplyMessage:
		return new(SendRequestV1)
	case wire.ReqSendMessageV2, wire.ReqSendBatchMessage, wire.ReqSendReplyMessageV2:
		return new(SendRequest)
	case wire.ReqPullMessage, wire.ReqLitePullMessage:
		return new(PullRequest)
	case wire.ReqQueryMessage:
		return new(QueryMessageRequest)
	case wire.ReqQueryConsumerOffset:
		return new(QueryConsumerOffsetRequest)
	case wire.ReqUpdateConsumerOffset:
		return new(UpdateConsumerOffsetRequest)
	case wire.ReqSearchOffsetByTimestamp:
		return new(SearchOffsetRequest)
	case wire.ReqGetMaxOffset:
		return new(MaxOffsetRequest)
	case wire.ReqGetMinOffset:
		return new(MinOffsetRequest)
	case wire.ReqGetEarliestMsgStoreTime:
		return new(EarliestStoreTimeRequest)
	case wire.ReqViewMessageByID:
		return new(ViewMessageRequest)
	case wire.ReqUnregisterClient:
		return new(UnregisterClientRequest)
	case wire.ReqConsumerSendMsgBack:
		return new(SendBackRequest)
	case wire.ReqGetConsumerListByGroup:
		return new(ConsumerListRequest)
	case wire.ReqNotifyConsumerIDsChanged:
		return new(ConsumerIDsChangedRequest)
	case wire.ReqEndTransaction:
		return new(EndTransactionRequest)
	case wire.ReqCheckTransactionState:
		return new(CheckTransactionRequest)
	case wire.ReqPushReplyMessageToClient:
		return new(ReplyRequest)
	}
	if h := popRequest(code); h != nil {
		return h
	}
	return adminRequest(code)
}

// popRequest makes the header of requests of consumers that pop.
func popRequest(code int32) Codec {
	switch code {
	case wire.ReqPopMessage:
		return new(PopRequest)
	case wire.ReqAckMessage:
		return new(AckRequest)
	case wire.ReqPeekMessage:
		return new(PeekRequest)
	case wire.ReqChangeMessageInvisibleTime:
		return new(ChangeInvisibleRequest)
	case wire.ReqNotification:
		return new(NotificationRequest)
	case wire.ReqPollingInfo:
		return new(PollingInfoRequest)
	}
	return nil
}

// adminRequest makes the header of requests of tools and of servers.
func adminRequest(code int32) Codec {
	switch code {
	case wire.ReqUpdateAndCreateTopic:
		return new(CreateTopicRequest)
	case wire.ReqDeleteTopicInBroker:
		return new(DeleteTopicRequest)
	case wire.ReqDeleteTopicInNamesrv:
		return new(DeleteTopicNamesrvRequest)
	case wire.ReqGetTopicStatsInfo, wire.ReqQueryTopicConsumeByWho, wire.ReqGetTopicConfig,
		wire.ReqRegisterTopicInNamesrv:
		return new(TopicRequest)
	case wire.ReqGetAllTopicConfig:
		return new(AllTopicConfigRequest)
	case wire.ReqGetSubscriptionGroupConfig, wire.ReqQueryTopicsByConsumer:
		return new(GroupRequest)
	case wire.ReqDeleteSubscriptionGroup:
		return new(DeleteGroupRequest)
	case wire.ReqGetAllSubscriptionGroupConfig:
		return new(AllGroupConfigRequest)
	case wire.ReqGetConsumeStats:
		return new(ConsumeStatsRequest)
	case wire.ReqQueryConsumeTimeSpan:
		return new(ConsumeTimeSpanRequest)
	case wire.ReqQueryCorrectionOffset:
		return new(CorrectionOffsetRequest)
	case wire.ReqCloneGroupOffset:
		return new(CloneGroupOffsetRequest)
	case wire.ReqQuerySubscriptionByConsumer:
		return new(SubscriptionRequest)
	case wire.ReqGetConsumerConnectionList:
		return new(ConsumerConnectionRequest)
	case wire.ReqGetProducerConnectionList:
		return new(ProducerConnectionRequest)
	case wire.ReqResetConsumerClientOffset, wire.ReqInvokeBrokerToResetOffset:
		return new(ResetOffsetRequest)
	case wire.ReqGetConsumerStatusFromClient, wire.ReqInvokeBrokerToGetConsumerStatus:
		return new(ConsumerStatusRequest)
	case wire.ReqGetConsumerRunningInfo:
		return new(RunningInfoRequest)
	case wire.ReqConsumeMessageDirectly:
		return new(ConsumeDirectlyRequest)
	case wire.ReqViewBrokerStatsData:
		return new(BrokerStatsRequest)
	case wire.ReqGetBrokerConsumeStats:
		return new(BrokerConsumeStatsRequest)
	case wire.ReqQueryConsumeQueue:
		return new(ConsumeQueueRequest)
	case wire.ReqResumeCheckHalfMessage:
		return new(ResumeCheckRequest)
	case wire.ReqUpdateAndGetGroupForbidden:
		return new(GroupForbiddenRequest)
	}
	return inspectorRequest(code)
}

// inspectorRequest makes the header of requests of the transaction inspector.
func inspectorRequest(code int32) Codec {
	switch code {
	case wire.ReqTxList:
		return new(TxListRequest)
	case wire.ReqTxDecide:
		return new(TxDecideRequest)
	case wire.ReqTxShow, wire.ReqTxRecheck, wire.ReqTxResume:
		return new(TxRequest)
	}
	return namesrvRequest(code)
}

// namesrvRequest makes the header of requests to a name server.
func namesrvRequest(code int32) Codec {
	switch code {
	case wire.ReqPutKVConfig:
		return new(PutKVRequest)
	case wire.ReqGetKVConfig:
		return new(GetKVRequest)
	case wire.ReqDeleteKVConfig:
		return new(DeleteKVRequest)
	case wire.ReqGetKVListByNamespace:
		return new(KVListRequest)
	case wire.ReqRegisterBroker:
		return new(RegisterBrokerRequest)
	case wire.ReqUnregisterBroker:
		return new(UnregisterBrokerRequest)
	case wire.ReqQueryDataVersion:
		return new(DataVersionRequest)
	case wire.ReqBrokerHeartbeat:
		return new(BrokerHeartbeatRequest)
	case wire.ReqGetRouteInfoByTopic:
		return new(RouteRequest)
	case wire.ReqGetTopicsByCluster:
		return new(ClusterTopicsRequest)
	case wire.ReqWipeWritePermOfBroker, wire.ReqAddWritePermOfBroker:
		return new(BrokerNameRequest)
	case wire.ReqGetBrokerMemberGroup:
		return new(MemberGroupRequest)
	}
	return nil
}

// Response makes an empty header for successful answers to requests of that
// code, nil for a code whose answers have none.
func Response(code int32) Codec {
	switch code {
	case wire.ReqSendMessage, wire.ReqSendMessageV2, wire.ReqSendBatchMessage,
		wire.ReqSendReplyMessage, wire.ReqSendReplyMessageV2:
		return new(SendResponse)
	case wire.ReqPullMessage, wire.ReqLitePullMessage:
		return new(PullResponse)
	case wire.ReqQueryMessage:
		return new(QueryMessageResponse)
	case wire.ReqQueryConsumerOffset, wire.ReqSearchOffsetByTimestamp, wire.ReqGetMaxOffset,
		wire.ReqGetMinOffset:
		return new(OffsetResponse)
	case wire.ReqGetEarliestMsgStoreTime:
		return new(StoreTimeResponse)
	case wire.ReqUpdateConsumerOffset, wire.ReqUnregisterClient, wire.ReqGetConsumerListByGroup:
		return Empty{}
	case wire.ReqGetAllTopicConfig:
		return new(AllTopicConfigResponse)
	case wire.ReqGetBrokerConfig:
		return new(BrokerConfigResponse)
	case wire.ReqGetKVConfig:
		return new(GetKVResponse)
	case wire.ReqRegisterBroker:
		return new(RegisterBrokerResponse)
	case wire.ReqQueryDataVersion:
		return new(DataVersionResponse)
	case wire.ReqWipeWritePermOfBroker:
		return new(WipeWritePermResponse)
	case wire.ReqAddWritePermOfBroker:
		return new(AddWritePermResponse)
	case wire.ReqTxDecide, wire.ReqTxRecheck, wire.ReqTxResume:
		return new(TxResponse)
	case wire.ReqPopMessage, wire.ReqPeekMessage:
		return new(PopResponse)
	case wire.ReqChangeMessageInvisibleTime:
		return new(ChangeInvisibleResponse)
	case wire.ReqNotification:
		return new(NotificationResponse)
	case wire.ReqPollingInfo:
		return new(PollingInfoResponse)
	}
	return nil
}
