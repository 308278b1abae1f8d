// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package wire

// Unserved says why requests of that code make no sense to Twostage, and what to use, as in docs/compatibility.md; ""
// for all others.
func Unserved(code int32) string {
	switch {
	case code == ReqCheckRocksDBCQWriteProgress, code == ReqExportRocksDBConfigToJSON:
		return "there is no RocksDB here: queues and configuration are files of 4.9's formats, which twostage store reads"
	case code == ReqUpdateAndCreateStaticTopic:
		return "no static topics: make a topic with its queues on each broker (17)"
	case code == ReqAddBroker, code == ReqRemoveBroker:
		return "no broker container; start one process for each broker"
	case ReqUpdateColdDataFlowCtrConfig <= code && code <= ReqSetCommitLogReadMode:
		return "cold reads are bounded by maxTransferBytesOnMessageInDisk instead"
	case code == ReqSwitchTimerEngine:
		return "there is one timer engine; nothing to switch"
	case code == ReqDeleteTopicInBrokerList, code == ReqDeleteSubscriptionGroupList:
		return "5.5 only; delete one by one (215, 207)"
	case code == ReqPopRollback:
		return "there is one kind of pop, nothing to go back to"
	case ReqPopLiteMessage <= code && code <= ReqTriggerLiteDispatch:
		return "no lite topics: use topics and consumer groups"
	}
	return ""
}
