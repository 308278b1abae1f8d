// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package config

// setting is a key that changes nothing here, with RocketMQ's default ("" where that depends on the machine).
type setting struct {
	name string
	kind kind
	def  string
}

// part is something that is not there yet, what that means, and the keys that tune it. None of them is a switch that
// somebody would rely on; those are refused.
type part struct {
	name, means string
	keys        []setting
}

func pending(parts ...[]part) []*key {
	var keys []*key
	for _, group := range parts {
		for _, p := range group {
			for _, s := range p.keys {
				keys = append(keys, &key{name: s.name, kind: s.kind, def: s.def, class: Pending, why: p.name, secret: secrets[s.name]})
			}
		}
	}
	return keys
}

// meaning returns what it means that the named part is not there.
func meaning(name string) string {
	for _, group := range [][]part{pendingBroker, pendingNamesrv} {
		for _, p := range group {
			if p.name == name {
				return p.means
			}
		}
	}
	return ""
}

var pendingBroker = []part{
	{"cleaning of offsets", "offsets of groups and topics that are gone stay", []setting{
		{"enableCleanExpiredOffset", kindBool, "false"},
	}},
	{"replication", "there is one copy of the data", []setting{
		{"haSendHeartbeatInterval", kindInt, "5000"},
		{"haHousekeepingInterval", kindInt, "20000"},
		{"haTransferBatchSize", kindInt, "32768"},
		{"haSlaveFallbehindMax", kindInt, "268435456"},
		{"haMaxGapNotInSync", kindInt, "268435456"},
		{"haFlowControlEnable", kindBool, "false"},
		{"maxHaTransferByteInSecond", kindLong, "104857600"},
		{"haMaxTimeSlaveNotCatchup", kindLong, "15000"},
		{"slaveTimeout", kindInt, "3000"},
		{"putMessageTimeout", kindInt, "8000"},
		{"offsetCheckInSlave", kindBool, "false"},
		{"maxChecksumRange", kindLong, "1073741824"},
		{"maxSlaveResendLength", kindLong, "268435456"},
		{"syncFromLastFile", kindBool, "false"},
		{"readUnCommitted", kindBool, "false"},
		{"enableSplitMetadata", kindBool, "true"},
		{"splitMetadataSize", kindInt, "2000"},
		{"consumerOffsetUpdateVersionStep", kindLong, "500"},
		{"delayOffsetUpdateVersionStep", kindLong, "200"},
		{"brokerHeartbeatInterval", kindInt, "1000"},
		{"brokerNotActiveTimeoutMillis", kindLong, "10000"},
		{"sendHeartbeatTimeoutMillis", kindInt, "1000"},
		{"syncBrokerMemberGroupPeriod", kindInt, "1000"},
		{"compatibleWithOldNameSrv", kindBool, "true"},
		{"forwardTimeout", kindLong, "3000"},
		{"enableBatchPush", kindBool, "false"},
		{"syncBrokerMetadataPeriod", kindLong, "5000"},
		{"checkSyncStateSetPeriod", kindLong, "5000"},
		{"syncControllerMetadataPeriod", kindLong, "10000"},
		{"brokerElectionPriority", kindInt, "2147483647"},
		{"controllerHeartBeatTimeoutMills", kindLong, "10000"},
	}},
	{"session tuning", "subscriptions of a group do not expire while it has members", []setting{
		{"subscriptionExpiredTimeout", kindLong, "600000"},
	}},
	{"slow consumer cut-off", "slow consumers are served", []setting{
		{"consumerFallbehindThreshold", kindLong, "17179869184"},
	}},
	{"cold read control", "cold reads are not slowed down", []setting{
		{"usePIDColdCtrStrategy", kindBool, "true"},
		{"cgColdReadThreshold", kindLong, "3145728"},
		{"globalColdReadThreshold", kindLong, "104857600"},
		{"timerColdDataCheckIntervalMs", kindInt, "60000"},
	}},
	{"proxy", "the gRPC protocol is not served", []setting{
		{"enableBroadcastOffsetStore", kindBool, "true"},
		{"broadcastOffsetExpireSecond", kindLong, "120"},
		{"broadcastOffsetExpireMaxSecond", kindLong, "300"},
	}},
	{"metric options", "metrics are served to Prometheus, with Twostage's own labels and choice", []setting{
		{"metricsGrpcExporterTarget", kindText, ""},
		{"metricsGrpcExporterHeader", kindText, ""},
		{"metricGrpcExporterTimeOutInMills", kindLong, "3000"},
		{"metricGrpcExporterIntervalInMills", kindLong, "60000"},
		{"metricLoggingExporterIntervalInMills", kindLong, "10000"},
		{"metricsLabel", kindText, ""},
		{"metricsInDelta", kindBool, "false"},
		{"enablePopMetrics", kindBool, "true"},
		{"enableConnectionMetrics", kindBool, "true"},
		{"enableTransactionMetrics", kindBool, "true"},
		{"enableStatsMetrics", kindBool, "true"},
		{"enableRequestMetrics", kindBool, "true"},
		{"enableLagAndDlqMetrics", kindBool, "true"},
		{"enableRemotingMetrics", kindBool, "true"},
		{"enableMessageStoreMetrics", kindBool, "true"},
		{"transactionMetricFlushInterval", kindLong, "10000"},
		{"estimateAccumulation", kindBool, "true"},
	}},
	{"light message queues", "such messages are not dispatched", []setting{
		{"maxLmqConsumeQueueNum", kindInt, "20000"},
		{"enableLmqStats", kindBool, "false"},
	}},
	{"batch consume queues", "topics have plain queues", []setting{
		{"mapperFileSizeBatchConsumeQueue", kindInt, "13800000"},
		{"searchBcqByCacheEnable", kindBool, "true"},
	}},
	{"compaction", "topics are not compacted", []setting{
		{"compactionMappedFileSize", kindInt, "104857600"},
		{"compactionCqMappedFileSize", kindInt, "10485760"},
		{"compactionScheduleInternal", kindInt, "900000"},
		{"maxOffsetMapSize", kindInt, "104857600"},
		{"compactionThreadNum", kindInt, "6"},
	}},
	{"switches and limits of timers", "the timer wheel is neither stopped nor limited", []setting{
		{"timerStopEnqueue", kindBool, "false"},
		{"timerStopDequeue", kindBool, "false"},
		{"timerCongestNumEachSlot", kindInt, "2147483647"},
	}},
	{"pop tuning", "pop works without what these tune", []setting{
		{"reviveInterval", kindLong, "1000"},
		{"reviveMaxSlow", kindLong, "3"},
		{"reviveScanTime", kindLong, "10000"},
		{"reviveAckWaitMs", kindLong, "180000"},
		{"popCkStayBufferTime", kindInt, "10000"},
		{"popCkStayBufferTimeOut", kindInt, "3000"},
		{"popPollingMapExpireTimeSeconds", kindInt, "600"},
		{"enablePopBufferMerge", kindBool, "false"},
		{"popCkMaxBufferSize", kindInt, "200000"},
		{"popCkOffsetMaxQueueSize", kindInt, "20000"},
		{"enablePopBatchAck", kindBool, "false"},
		{"enableSkipLongAwaitingAck", kindBool, "false"},
		{"enablePopLog", kindBool, "false"},
		{"popConsumerFSServiceInit", kindBool, "true"},
		{"popConsumerKVServiceLog", kindBool, "false"},
		{"popReviveMaxReturnSizePerRead", kindInt, "16384"},
		{"popReviveMaxAttemptTimes", kindInt, "16"},
		{"popInflightMessageThreshold", kindLong, "10000"},
		{"enableNotifyBeforePopCalculateLag", kindBool, "true"},
		{"enableNotifyAfterPopOrderLockRelease", kindBool, "true"},
		{"initPopOffsetByCheckMsgInMem", kindBool, "true"},
		{"retrieveMessageFromPopRetryTopicV1", kindBool, "true"},
		{"skipWhenCKRePutReachMaxTimes", kindBool, "false"},
		{"appendAckAsync", kindBool, "false"},
		{"appendCkAsync", kindBool, "false"},
		{"clearRetryTopicWhenDeleteTopic", kindBool, "true"},
	}},
	{"tiered storage", "all data is in storePathRootDir", []setting{
		{"recordGetMessageResult", kindBool, "false"},
		{"tieredStoreCommitLogMaxSize", kindLong, "1073741824"},
		{"tieredStoreConsumeQueueMaxSize", kindLong, "104857600"},
		{"tieredStoreIndexFileMaxHashSlotNum", kindInt, "5000000"},
		{"tieredStoreIndexFileMaxIndexNum", kindInt, "20000000"},
		{"tieredStoreIndexFileRollingIdleInterval", kindInt, "10800000"},
		{"tieredStoreDeleteFileEnable", kindBool, "true"},
		{"tieredStoreDeleteFileInterval", kindLong, "3600000"},
		{"tieredStoreFileReservedTime", kindInt, "72"},
		{"commitLogRollingInterval", kindInt, "24"},
		{"commitLogRollingMinimumSize", kindInt, "16777216"},
		{"maxCommitJitter", kindInt, "100"},
		{"tieredStoreGroupCommit", kindBool, "true"},
		{"tieredStoreGroupCommitTimeout", kindInt, "30000"},
		{"tieredStoreGroupCommitCount", kindInt, "4096"},
		{"tieredStoreGroupCommitSize", kindInt, "4194304"},
		{"tieredStoreMaxGroupCommitCount", kindInt, "10000"},
		{"tieredStoreMaxFallBehindSize", kindLong, "134217728"},
		{"tieredStoreMaxPendingLimit", kindInt, "10000"},
		{"tieredStoreCrcCheckEnable", kindBool, "false"},
		{"readAheadCacheEnable", kindBool, "true"},
		{"readAheadMessageCountThreshold", kindInt, "4096"},
		{"readAheadMessageSizeThreshold", kindInt, "16777216"},
		{"readAheadCacheExpireDuration", kindLong, "15000"},
		{"readAheadCacheSizeThresholdRate", kindDouble, "0.3"},
		{"readAheadBatchSizeFactorThreshold", kindInt, "8"},
		{"readAheadMinFactor", kindInt, "2"},
		{"readAheadMaxFactor", kindInt, "24"},
	}},
}

var pendingNamesrv = []part{
	{"controller", "masters are not elected", []setting{
		{"controllerThreadPoolNums", kindInt, "16"},
		{"controllerRequestThreadPoolQueueCapacity", kindInt, "50000"},
		{"mappedFileSize", kindInt, "1073741824"},
		{"enableElectUncleanMaster", kindBool, "false"},
		{"processReadEvent", kindBool, "false"},
		{"notifyBrokerRoleChanged", kindBool, "true"},
		{"scanInactiveMasterInterval", kindLong, "5000"},
		{"electMasterMaxRetryCount", kindInt, "3"},
		{"metricsExporterType", kindText, "DISABLE"},
		{"metricsPromExporterPort", kindInt, "5557"},
		{"metricsPromExporterHost", kindText, ""},
		{"metricsGrpcExporterTarget", kindText, ""},
		{"metricsGrpcExporterHeader", kindText, ""},
		{"metricGrpcExporterTimeOutInMills", kindLong, "3000"},
		{"metricGrpcExporterIntervalInMills", kindLong, "60000"},
		{"metricLoggingExporterIntervalInMills", kindLong, "10000"},
		{"metricsLabel", kindText, ""},
		{"metricsInDelta", kindBool, "false"},
		{"jRaftElectionTimeoutMs", kindInt, "1000"},
		{"jRaftScanWaitTimeoutMs", kindInt, "1000"},
		{"jRaftSnapshotIntervalSecs", kindInt, "3600"},
	}},
	{"waiting for service", "routes are answered from the start", []setting{
		{"waitSecondsForService", kindInt, "45"},
	}},
}
