// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package config

// liveBroker are the keys of the broker that change while it runs: numbers, switches and hours that one place reads
// anew each time, or is told of. Never a path, a name, an address or a command.
var liveBroker = []string{
	"brokerPermission",

	// topics and groups
	"autoCreateTopicEnable", "autoCreateSubscriptionGroup", "enableTopicMessageTypeCheck", "storeReplyMessageEnable",
	"useServerSideResetOffset", "notifyConsumerIdsChangedEnable",

	// sends
	"maxMessageSize", "brokerFastFailureEnable", "waitTimeMillsInSendQueue", "syncFlushTimeout", "rejectTransactionMessage",
	"traceOn", "recallMessageEnable", "allowRecallWhenBrokerNotWriteable",

	// transactions
	"transactionTimeOut", "transactionCheckMax", "transactionCheckInterval", "transactionMaxAge", "transactionCheckRate",

	// retention
	"fileReservedTime", "deleteWhen", "diskMaxUsedSpaceRatio", "diskSpaceCleanForciblyRatio", "diskSpaceWarningLevelRatio",
	"cleanFileForciblyEnable", "deleteFileBatchMax",

	// pulls and queries
	"longPollingEnable", "shortPollingTimeMills", "maxTransferBytesOnMessageInMemory", "maxTransferCountOnMessageInMemory",
	"maxMsgsNumBatch", "defaultQueryMaxNum",
}

// liveNamesrv are those of the name server.
var liveNamesrv = []string{"orderMessageEnable"}
