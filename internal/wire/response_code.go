// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package wire

// Response codes, as in the ResponseCode and RemotingSysResponseCode tables of
// Apache RocketMQ 4.9.8 and 5.x.
const (
	RPCTimeOut                           int32 = -1006
	RPCSendToChannelFailed               int32 = -1004
	RPCAddrIsNull                        int32 = -1002
	RPCUnknown                           int32 = -1000
	Success                              int32 = 0
	SystemError                          int32 = 1
	SystemBusy                           int32 = 2
	RequestCodeNotSupported              int32 = 3
	TransactionFailed                    int32 = 4
	FlushDiskTimeout                     int32 = 10
	SlaveNotAvailable                    int32 = 11
	FlushSlaveTimeout                    int32 = 12
	MessageIllegal                       int32 = 13
	ServiceNotAvailable                  int32 = 14
	VersionNotSupported                  int32 = 15
	NoPermission                         int32 = 16
	TopicNotExist                        int32 = 17
	TopicExistAlready                    int32 = 18
	PullNotFound                         int32 = 19
	PullRetryImmediately                 int32 = 20
	PullOffsetMoved                      int32 = 21
	QueryNotFound                        int32 = 22
	SubscriptionParseFailed              int32 = 23
	SubscriptionNotExist                 int32 = 24
	SubscriptionNotLatest                int32 = 25
	SubscriptionGroupNotExist            int32 = 26
	FilterDataNotExist                   int32 = 27
	FilterDataNotLatest                  int32 = 28
	InvalidParameter                     int32 = 29
	TransactionShouldCommit              int32 = 200
	TransactionShouldRollback            int32 = 201
	TransactionStateUnknown              int32 = 202
	TransactionStateGroupWrong           int32 = 203
	NoBuyerID                            int32 = 204
	NotInCurrentUnit                     int32 = 205
	ConsumerNotOnline                    int32 = 206
	ConsumeMsgTimeout                    int32 = 207
	NoMessage                            int32 = 208
	PollingFull                          int32 = 209
	PollingTimeout                       int32 = 210
	BrokerNotExist                       int32 = 211
	BrokerDispatchNotComplete            int32 = 212
	BroadcastConsumption                 int32 = 213
	FlowControl                          int32 = 215
	NotLeaderForQueue                    int32 = 501
	IllegalOperation                     int32 = 604
	GoAway                               int32 = 1500
	ControllerFencedMasterEpoch          int32 = 2000
	ControllerFencedSyncStateSetEpoch    int32 = 2001
	ControllerInvalidMaster              int32 = 2002
	ControllerInvalidReplicas            int32 = 2003
	ControllerMasterNotAvailable         int32 = 2004
	ControllerInvalidRequest             int32 = 2005
	ControllerBrokerNotAlive             int32 = 2006
	ControllerNotLeader                  int32 = 2007
	ControllerBrokerMetadataNotExist     int32 = 2008
	ControllerInvalidCleanBrokerMetadata int32 = 2009
	ControllerBrokerNeedToBeRegistered   int32 = 2010
	ControllerMasterStillExist           int32 = 2011
	ControllerElectMasterFailed          int32 = 2012
	ControllerAlterSyncStateSetFailed    int32 = 2013
	ControllerBrokerIDInvalid            int32 = 2014
	ControllerJraftInternalError         int32 = 2015
	ControllerBrokerLiveInfoNotExists    int32 = 2016
	UserNotExist                         int32 = 3001
	PolicyNotExist                       int32 = 3002
)

// ResponseName gives RocketMQ's name of a response code, such as
// TOPIC_NOT_EXIST, and "" for one that has none.
func ResponseName(code int32) string {
	switch code {
	case RPCTimeOut:
		return "RPC_TIME_OUT"
	case RPCSendToChannelFailed:
		return "RPC_SEND_TO_CHANNEL_FAILED"
	case RPCAddrIsNull:
		return "RPC_ADDR_IS_NULL"
	case RPCUnknown:
		return "RPC_UNKNOWN"
	case Success:
		return "SUCCESS"
	case SystemError:
		return "SYSTEM_ERROR"
	case SystemBusy:
		return "SYSTEM_BUSY"
	case RequestCodeNotSupported:
		return "REQUEST_CODE_NOT_SUPPORTED"
	case TransactionFailed:
		return "TRANSACTION_FAILED"
	case FlushDiskTimeout:
		return "FLUSH_DISK_TIMEOUT"
	case SlaveNotAvailable:
		return "SLAVE_NOT_AVAILABLE"
	case FlushSlaveTimeout:
		return "FLUSH_SLAVE_TIMEOUT"
	case MessageIllegal:
		return "MESSAGE_ILLEGAL"
	case ServiceNotAvailable:
		return "SERVICE_NOT_AVAILABLE"
	case VersionNotSupported:
		return "VERSION_NOT_SUPPORTED"
	case NoPermission:
		return "NO_PERMISSION"
	case TopicNotExist:
		return "TOPIC_NOT_EXIST"
	case TopicExistAlready:
		return "TOPIC_EXIST_ALREADY"
	case PullNotFound:
		return "PULL_NOT_FOUND"
	case PullRetryImmediately:
		return "PULL_RETRY_IMMEDIATELY"
	case PullOffsetMoved:
		return "PULL_OFFSET_MOVED"
	case QueryNotFound:
		return "QUERY_NOT_FOUND"
	case SubscriptionParseFailed:
		return "SUBSCRIPTION_PARSE_FAILED"
	case SubscriptionNotExist:
		return "SUBSCRIPTION_NOT_EXIST"
	case SubscriptionNotLatest:
		return "SUBSCRIPTION_NOT_LATEST"
	case SubscriptionGroupNotExist:
		return "SUBSCRIPTION_GROUP_NOT_EXIST"
	case FilterDataNotExist:
		return "FILTER_DATA_NOT_EXIST"
	case FilterDataNotLatest:
		return "FILTER_DATA_NOT_LATEST"
	case InvalidParameter:
		return "INVALID_PARAMETER"
	case TransactionShouldCommit:
		return "TRANSACTION_SHOULD_COMMIT"
	case TransactionShouldRollback:
		return "TRANSACTION_SHOULD_ROLLBACK"
	case TransactionStateUnknown:
		return "TRANSACTION_STATE_UNKNOW"
	case TransactionStateGroupWrong:
		return "TRANSACTION_STATE_GROUP_WRONG"
	case NoBuyerID:
		return "NO_BUYER_ID"
	case NotInCurrentUnit:
		return "NOT_IN_CURRENT_UNIT"
	case ConsumerNotOnline:
		return "CONSUMER_NOT_ONLINE"
	case ConsumeMsgTimeout:
		return "CONSUME_MSG_TIMEOUT"
	case NoMessage:
		return "NO_MESSAGE"
	case PollingFull:
		return "POLLING_FULL"
	case PollingTimeout:
		return "POLLING_TIMEOUT"
	case BrokerNotExist:
		return "BROKER_NOT_EXIST"
	case BrokerDispatchNotComplete:
		return "BROKER_DISPATCH_NOT_COMPLETE"
	case BroadcastConsumption:
		return "BROADCAST_CONSUMPTION"
	case FlowControl:
		return "FLOW_CONTROL"
	case NotLeaderForQueue:
		return "NOT_LEADER_FOR_QUEUE"
	case IllegalOperation:
		return "ILLEGAL_OPERATION"
	case GoAway:
		return "GO_AWAY"
	case ControllerFencedMasterEpoch:
		return "CONTROLLER_FENCED_MASTER_EPOCH"
	case ControllerFencedSyncStateSetEpoch:
		return "CONTROLLER_FENCED_SYNC_STATE_SET_EPOCH"
	case ControllerInvalidMaster:
		return "CONTROLLER_INVALID_MASTER"
	case ControllerInvalidReplicas:
		return "CONTROLLER_INVALID_REPLICAS"
	case ControllerMasterNotAvailable:
		return "CONTROLLER_MASTER_NOT_AVAILABLE"
	case ControllerInvalidRequest:
		return "CONTROLLER_INVALID_REQUEST"
	case ControllerBrokerNotAlive:
		return "CONTROLLER_BROKER_NOT_ALIVE"
	case ControllerNotLeader:
		return "CONTROLLER_NOT_LEADER"
	case ControllerBrokerMetadataNotExist:
		return "CONTROLLER_BROKER_METADATA_NOT_EXIST"
	case ControllerInvalidCleanBrokerMetadata:
		return "CONTROLLER_INVALID_CLEAN_BROKER_METADATA"
	case ControllerBrokerNeedToBeRegistered:
		return "CONTROLLER_BROKER_NEED_TO_BE_REGISTERED"
	case ControllerMasterStillExist:
		return "CONTROLLER_MASTER_STILL_EXIST"
	case ControllerElectMasterFailed:
		return "CONTROLLER_ELECT_MASTER_FAILED"
	case ControllerAlterSyncStateSetFailed:
		return "CONTROLLER_ALTER_SYNC_STATE_SET_FAILED"
	case ControllerBrokerIDInvalid:
		return "CONTROLLER_BROKER_ID_INVALID"
	case ControllerJraftInternalError:
		return "CONTROLLER_JRAFT_INTERNAL_ERROR"
	case ControllerBrokerLiveInfoNotExists:
		return "CONTROLLER_BROKER_LIVE_INFO_NOT_EXISTS"
	case UserNotExist:
		return "USER_NOT_EXIST"
	case PolicyNotExist:
		return "POLICY_NOT_EXIST"
	}
	return ""
}
