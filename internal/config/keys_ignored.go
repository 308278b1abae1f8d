// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package config

func ignored(groups ...[]setting) []*key {
	var keys []*key
	for _, group := range groups {
		for _, s := range group {
			keys = append(keys, &key{name: s.name, kind: s.kind, def: s.def, class: Ignored, secret: secrets[s.name]})
		}
	}
	return keys
}

// ignoredBroker tune what Twostage has no use for. A default that RocketMQ computes from the number of processors is
// left empty.
var ignoredBroker = []setting{
	// thread pools, their queues, and how long a request may wait in one (fast failure)
	{"sendMessageThreadPoolNums", kindInt, ""},
	{"putMessageFutureThreadPoolNums", kindInt, ""},
	{"pullMessageThreadPoolNums", kindInt, ""},
	{"litePullMessageThreadPoolNums", kindInt, ""},
	{"ackMessageThreadPoolNums", kindInt, "16"},
	{"processReplyMessageThreadPoolNums", kindInt, ""},
	{"queryMessageThreadPoolNums", kindInt, ""},
	{"adminBrokerThreadPoolNums", kindInt, "16"},
	{"clientManageThreadPoolNums", kindInt, "32"},
	{"consumerManageThreadPoolNums", kindInt, "32"},
	{"loadBalanceProcessorThreadPoolNums", kindInt, "32"},
	{"heartbeatThreadPoolNums", kindInt, ""},
	{"recoverThreadPoolNums", kindInt, "32"},
	{"endTransactionThreadPoolNums", kindInt, ""},
	{"batchDispatchRequestThreadPoolNums", kindInt, "16"},
	{"sendThreadPoolQueueCapacity", kindInt, "10000"},
	{"putThreadPoolQueueCapacity", kindInt, "10000"},
	{"pullThreadPoolQueueCapacity", kindInt, "100000"},
	{"litePullThreadPoolQueueCapacity", kindInt, "100000"},
	{"ackThreadPoolQueueCapacity", kindInt, "100000"},
	{"replyThreadPoolQueueCapacity", kindInt, "10000"},
	{"queryThreadPoolQueueCapacity", kindInt, "20000"},
	{"clientManagerThreadPoolQueueCapacity", kindInt, "1000000"},
	{"consumerManagerThreadPoolQueueCapacity", kindInt, "1000000"},
	{"heartbeatThreadPoolQueueCapacity", kindInt, "50000"},
	{"endTransactionPoolQueueCapacity", kindInt, "100000"},
	{"adminBrokerThreadPoolQueueCapacity", kindInt, "10000"},
	{"loadBalanceThreadPoolQueueCapacity", kindInt, "100000"},
	{"waitTimeMillsInPullQueue", kindLong, "5000"},
	{"waitTimeMillsInLitePullQueue", kindLong, "5000"},
	{"waitTimeMillsInHeartbeatQueue", kindLong, "31000"},
	{"waitTimeMillsInTransactionQueue", kindLong, "3000"},
	{"waitTimeMillsInAckQueue", kindLong, "3000"},
	{"waitTimeMillsInAdminBrokerQueue", kindLong, "5000"},
	{"litePullMessageEnable", kindBool, "true"},
	{"asyncSendEnable", kindBool, "true"},
	{"recoverConcurrently", kindBool, "false"},
	{"enableScheduleAsyncDeliver", kindBool, "false"},
	{"scheduleAsyncDeliverMaxPendingLimit", kindInt, "2000"},
	{"scheduleAsyncDeliverMaxResendNum2Blocked", kindInt, "3"},

	// SQL92 filters: expressions are evaluated, there are no bit maps beside the queue
	{"enableCalcFilterBitMap", kindBool, "false"},
	{"expectConsumerNumUseFilter", kindInt, "32"},
	{"maxErrorRateOfBloomFilter", kindInt, "20"},
	{"filterDataCleanTimeSpan", kindLong, "86400000"},
	{"bitMapLengthConsumeQueueExt", kindInt, "64"},
	{"mappedFileSizeConsumeQueueExt", kindInt, "50331648"},

	// heap, buffer pools, locks and memory mapping
	{"transferMsgByHeap", kindBool, "true"},
	{"transientStorePoolEnable", kindBool, "false"},
	{"transientStorePoolSize", kindInt, "5"},
	{"fastFailIfNoBufferInStorePool", kindBool, "false"},
	{"commitIntervalCommitLog", kindInt, "200"},
	{"commitCommitLogLeastPages", kindInt, "4"},
	{"commitCommitLogThoroughInterval", kindInt, "200"},
	{"wakeCommitWhenPutMessage", kindBool, "true"},
	{"useReentrantLockWhenPutMessage", kindBool, "true"},
	{"topicQueueLockNum", kindInt, "32"},
	{"spinLockCollisionRetreatOptimalDegree", kindInt, "1000"},
	{"useABSLock", kindBool, "false"},
	{"debugLockEnable", kindBool, "false"},
	{"osPageCacheBusyTimeOutMills", kindLong, "1000"},
	{"maxAsyncPutMessageRequests", kindInt, "5000"},
	{"warmMapedFileEnable", kindBool, "false"},
	{"flushLeastPagesWhenWarmMapedFile", kindInt, "4096"},
	{"writeWithoutMmap", kindBool, "false"},
	{"mappedFileSwapEnable", kindBool, "true"},
	{"commitLogForceSwapMapInterval", kindLong, "43200000"},
	{"commitLogSwapMapInterval", kindLong, "3600000"},
	{"commitLogSwapMapReserveFileNum", kindInt, "100"},
	{"logicQueueForceSwapMapInterval", kindLong, "43200000"},
	{"logicQueueSwapMapInterval", kindLong, "3600000"},
	{"logicQueueSwapMapReserveFileNum", kindInt, "20"},
	{"cleanSwapedMapInterval", kindLong, "300000"},
	{"dataReadAheadEnable", kindBool, "true"},
	{"accessMessageInMemoryHotRatio", kindInt, "26"},
	{"putConsumeQueueDataByFileChannel", kindBool, "true"},

	// how Java's store dispatches, flushes its views and recovers. Here views are rebuilt from the log and records
	// are always checked, whatever these say.
	{"flushCommitLogTimed", kindBool, "true"},
	{"flushConsumeQueueLeastPages", kindInt, "2"},
	{"flushConsumeQueueThoroughInterval", kindInt, "60000"}, // every flush is thorough here
	{"checkCRCOnRecover", kindBool, "true"},
	{"messageIndexSafe", kindBool, "false"},
	{"maxRecoveryCommitlogFiles", kindInt, "30"},
	{"recheckReputOffsetFromCq", kindBool, "false"},
	{"dispatchFromSenderThread", kindBool, "false"},
	{"dispatchCqThreads", kindInt, "10"},
	{"dispatchCqCacheNum", kindInt, "4096"},
	{"enableAsyncReput", kindBool, "true"},
	{"enableBuildConsumeQueueConcurrently", kindBool, "false"},
	{"enableLogConsumeQueueRepeatedlyBuildWhenRecover", kindBool, "false"},
	{"enableRunningFlagsInFlush", kindBool, "false"},
	{"putMsgIndexHightWater", kindInt, "600000"},
	{"travelCqFileNumWhenGetMessage", kindInt, "1"},
	{"maxFilterMessageSize", kindInt, "16000"},
	{"pullBatchMaxMessageCount", kindInt, "160"},
	{"maxConsumeQueueScan", kindInt, "20000"},
	{"sampleCountThreshold", kindInt, "5000"},
	{"sampleSteps", kindInt, "32"},
	{"transactionOpMsgMaxSize", kindInt, "4096"},
	{"transactionOpBatchInterval", kindInt, "3000"},

	// how Java spaces out its deletions, waits for readers of a file, and corrects minimum offsets. Here a file goes at
	// once and stays readable for who has it open, and minimum offsets are right.
	{"logicalDiskSpaceCleanForciblyThreshold", kindDouble, "0.8"},
	{"replicasPerDiskPartition", kindInt, "1"},
	{"deleteCommitLogFilesInterval", kindInt, "100"},
	{"deleteConsumeQueueFilesInterval", kindInt, "100"},
	{"destroyMapedFileIntervalForcibly", kindInt, "120000"},
	{"redeleteHangedFileInterval", kindInt, "120000"},
	{"maxBatchDeleteFilesNum", kindInt, "50"},
	{"correctLogicMinOffsetSleepInterval", kindInt, "1"},
	{"correctLogicMinOffsetForceInterval", kindInt, "300000"},

	// how Java talks to clients and name servers
	{"enableSingleTopicRegister", kindBool, "false"},
	{"forceRegister", kindBool, "true"}, // every registration is whole here, changes or not
	{"enableSplitRegistration", kindBool, "false"},
	{"splitRegistrationSize", kindInt, "800"},
	{"fetchNamesrvAddrInterval", kindLong, "10000"},
	{"updateNameServerAddrPeriod", kindInt, "120000"},
	{"cleanOfflineBrokerInterval", kindInt, "30000"},
	{"realTimeNotifyConsumerChange", kindBool, "true"},
	{"enableRegisterProducer", kindBool, "true"},
	{"enableFastChannelEventProcess", kindBool, "false"},
	{"printChannelGroups", kindBool, "false"},
	{"printChannelGroupsMinNum", kindInt, "5"},

	// statistics that Java prints to its log, and its logging
	{"enableDetailStat", kindBool, "true"},
	{"autoDeleteUnusedStats", kindBool, "true"},
	{"accountStatsEnable", kindBool, "true"},
	{"accountStatsPrintZeroValues", kindBool, "true"},
	{"maxStatsIdleTimeInMinutes", kindInt, "-1"},
	{"enableScheduleMessageStats", kindBool, "true"},
	{"diskFallRecorded", kindBool, "true"},
	{"commercialEnable", kindBool, "true"},
	{"commercialTimerCount", kindInt, "1"},
	{"timerGetMessageThreadNum", kindInt, "3"},
	{"timerPutMessageThreadNum", kindInt, "3"},
	{"timerEnableDisruptor", kindBool, "false"},
	{"timerEnableCheckMetrics", kindBool, "true"},
	{"timerCheckMetricsWhen", kindText, "05"},
	{"timerWarmEnable", kindBool, "false"},
	{"timerSkipUnknownError", kindBool, "false"},
	{"timerEnableRetryUntilSuccess", kindBool, "false"},
	{"timerMetricSmallThreshold", kindInt, "1000000"},
	{"timerProgressLogIntervalMs", kindInt, "10000"},
	{"commercialTransCount", kindInt, "1"},
	{"commercialBigCount", kindInt, "1"},
	{"commercialBaseCount", kindInt, "1"},
	{"commercialSizePerMsg", kindInt, "4096"},
	{"isolateLogEnable", kindBool, "false"},

	// places that Twostage takes from its command line, and keys that RocketMQ itself reads no more
	{"brokerConfigPath", kindText, ""},
	{"configName", kindText, ""},
	{"clusterName", kindText, ""},
	{"highSpeedMode", kindBool, "false"},
	{"maxDelayTime", kindInt, "40"},
	{"flushConsumerOffsetHistoryInterval", kindInt, "60000"},
	{"checkTransactionMessageEnable", kindBool, "false"},
}

var ignoredNamesrv = []setting{
	{"productEnvName", kindText, "center"},
	{"configStorePath", kindText, ""}, // the place of the file is that of --namesrv-config
	{"clientRequestThreadPoolNums", kindInt, "8"},
	{"defaultThreadPoolNums", kindInt, "16"},
	{"clientRequestThreadPoolQueueCapacity", kindInt, "50000"},
	{"defaultThreadPoolQueueCapacity", kindInt, "10000"},
	{"unRegisterBrokerQueueCapacity", kindInt, "3000"},
}

// ignoredServer are of both files: Netty's threads, buffers and pools.
var ignoredServer = []setting{
	{"rocketmqHome", kindText, ""},
	{"serverWorkerThreads", kindInt, "8"},
	{"serverSelectorThreads", kindInt, "3"},
	{"serverCallbackExecutorThreads", kindInt, "0"},
	{"serverOnewaySemaphoreValue", kindInt, "256"},
	{"serverAsyncSemaphoreValue", kindInt, "64"},
	{"serverSocketSndBufSize", kindInt, "0"},
	{"serverSocketRcvBufSize", kindInt, "0"},
	{"serverSocketBacklog", kindInt, "1024"},
	{"serverPooledByteBufAllocatorEnable", kindBool, "true"},
	{"serverNettyWorkerGroupEnable", kindBool, "true"},
	{"useEpollNativeSelector", kindBool, "false"},
	{"writeBufferLowWaterMark", kindInt, "0"},
	{"writeBufferHighWaterMark", kindInt, "0"},
	{"enableShutdownGracefully", kindBool, "false"},
	{"shutdownWaitTimeSeconds", kindInt, "30"},
	{"clientWorkerThreads", kindInt, "4"},
	{"clientCallbackExecutorThreads", kindInt, ""},
	{"clientOnewaySemaphoreValue", kindInt, "65535"},
	{"clientAsyncSemaphoreValue", kindInt, "65535"},
	{"connectTimeoutMillis", kindInt, "3000"},
	{"channelNotActiveInterval", kindLong, "60000"},
	{"clientChannelMaxIdleTimeSeconds", kindInt, "120"},
	{"clientSocketSndBufSize", kindInt, "0"},
	{"clientSocketRcvBufSize", kindInt, "0"},
	{"clientPooledByteBufAllocatorEnable", kindBool, "false"},
	{"clientCloseSocketIfTimeout", kindBool, "true"},
	{"disableCallbackExecutor", kindBool, "false"},
	{"disableNettyWorkerGroup", kindBool, "false"},
	{"maxReconnectIntervalTimeSeconds", kindLong, "60"},
	{"enableReconnectForGoAway", kindBool, "true"},
	{"enableTransparentRetry", kindBool, "true"},
	{"scanAvailableNameSrv", kindBool, "true"},
}
