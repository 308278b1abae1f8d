// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package config

import "math"

// Constructors of rows.

func flag(name, def string) *key { return &key{name: name, kind: kindBool, def: def, class: Used} }

func whole(name, def string, lo, hi int64) *key {
	return &key{name: name, kind: kindInt, def: def, class: Used, min: lo, max: hi}
}

func long(name, def string, lo, hi int64) *key {
	return &key{name: name, kind: kindLong, def: def, class: Used, min: lo, max: hi}
}

func text(name, def string, oneOf ...string) *key {
	return &key{name: name, kind: kindText, def: def, class: Used, oneOf: oneOf, secret: secrets[name]}
}

// javaAuth begins the names of the classes that RocketMQ's examples set; what they do is built in here.
const javaAuth = "org.apache.rocketmq.auth."

const (
	anyInt = math.MaxInt32
	// maxMillis bounds every time in milliseconds to a year, so that no sum of times overflows.
	maxMillis = 365 * 24 * 3600 * 1000
	// maxHours bounds a time in hours to ten years.
	maxHours = 10 * 365 * 24
	// maxMessage is the largest maxMessageSize: what fits into a frame, which is 16 MiB in RocketMQ too.
	maxMessage = 16 << 20
	maxPort    = 65535
)

// Keys whose default depends on others or on the machine; see compute.
const (
	keyBrokerName   = "brokerName"
	keyListenPort   = "listenPort"
	keyHAListenPort = "haListenPort"
	keyRootDir      = "storePathRootDir"
	keyCommitLog    = "storePathCommitLog"
	keyKVConfig     = "kvConfigPath"
	keyBlackList    = "configBlackList"
	keyTLSMode      = "tls.server.mode"
	keyTLSFile      = "tls.config.file"
	keyTLSTest      = "tls.test.mode.enable"
	keyTLSCert      = "tls.server.certPath"
	keyHome         = "rocketmqHome"
	keyACLFile      = "aclFile"
)

const defaultDelayLevels = "1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h"

// aliases are other spellings: {spelling, name of the key}. The maped ones are those of RocketMQ's own examples.
var aliases = [][2]string{
	{"mapedFileSizeCommitLog", "mappedFileSizeCommitLog"},
	{"mapedFileSizeConsumeQueue", "mappedFileSizeConsumeQueue"},
	{"mapedFileSizeConsumeQueueExt", "mappedFileSizeConsumeQueueExt"},
	{"isEnableBatchPush", "enableBatchPush"}, // what 4.9 writes when it rewrites its file
	{"tieredStoreFilepath", "tieredStoreFilePath"},
	{"tlsTestModeEnable", "tls.test.mode.enable"},
}

// usedBroker are the keys of the broker file that Twostage acts on.
func usedBroker() []*key {
	return []*key{
		whole("topicCreationsPerMinute", "10000", 0, anyInt),
		whole("groupCreationsPerMinute", "10000", 0, anyInt),

		// identity
		text("brokerClusterName", "DefaultCluster"),
		text(keyBrokerName, ""), // host name, else DEFAULT_BROKER
		text("regionId", "DefaultRegion"),
		whole("brokerPermission", "6", 0, 7),

		// network
		text("brokerIP1", ""),                  // chosen by the server
		text("brokerIP2", ""),                  // as brokerIP1
		whole(keyHAListenPort, "", 0, maxPort), // listenPort+1, 0 where that is not known yet or no port
		text("namesrvAddr", ""),

		// registration
		whole("registerBrokerTimeoutMills", "24000", 1, anyInt),
		whole("registerNameServerPeriod", "30000", 1, anyInt),
		flag("compressedRegister", "false"),

		// changes while the broker runs
		text(keyBlackList, "configBlackList;brokerConfigPath"),

		// store
		text(keyRootDir, ""),   // DATA/store
		text(keyCommitLog, ""), // storePathRootDir/commitlog
		whole("mappedFileSizeCommitLog", "1073741824", 4096, anyInt),
		whole("mappedFileSizeConsumeQueue", "6000000", 20, anyInt),
		whole("maxHashSlotNum", "5000000", 1, 100_000_000),
		whole("maxIndexNum", "20000000", 2, 100_000_000),
		whole("maxMessageSize", "4194304", 1, maxMessage),

		// retention
		whole("fileReservedTime", "72", 0, maxHours),
		text("deleteWhen", "04"),
		whole("diskMaxUsedSpaceRatio", "75", 1, 100),
		whole("diskSpaceCleanForciblyRatio", "85", 1, 100),
		whole("diskSpaceWarningLevelRatio", "90", 1, 100),
		flag("cleanFileForciblyEnable", "true"),
		whole("cleanResourceInterval", "10000", 1, maxMillis),
		whole("deleteFileBatchMax", "10", 1, anyInt),

		// checks
		flag("enabledAppendPropCRC", "false"),
		text("checkCRCOnRead", "COLD", "NONE", "COLD", "ALL"),

		// flush
		text("flushDiskType", "ASYNC_FLUSH", "ASYNC_FLUSH", "SYNC_FLUSH"),
		whole("flushIntervalCommitLog", "500", 1, anyInt),
		whole("flushCommitLogLeastPages", "4", 0, anyInt),
		whole("flushCommitLogThoroughInterval", "10000", 0, anyInt),
		whole("flushIntervalConsumeQueue", "1000", 1, anyInt),
		whole("syncFlushTimeout", "5000", 1, anyInt),
		flag("brokerFastFailureEnable", "true"),
		long("waitTimeMillsInSendQueue", "200", 1, maxMillis),

		// topics
		whole("defaultTopicQueueNums", "8", 1, 65536),
		flag("autoCreateTopicEnable", "true"),
		flag("storeReplyMessageEnable", "true"),
		flag("clusterTopicEnable", "true"),
		flag("enableTopicMessageTypeCheck", "false"),
		flag("brokerTopicEnable", "true"),
		flag("traceTopicEnable", "false"),
		text("msgTraceTopicName", "RMQ_SYS_TRACE_TOPIC"),
		flag("traceOn", "true"),
		text("otlpTracesEndpoint", ""), // "" makes no spans
		text("otlpTracesHeaders", ""),
		whole("otlpTracesOneIn", "0", 0, anyInt),
		whole("otlpTracesPerSecond", "1000", 1, anyInt),

		// groups
		flag("autoCreateSubscriptionGroup", "true"),
		flag("useServerSideResetOffset", "true"),
		whole("flushConsumerOffsetInterval", "5000", 1, anyInt),
		flag("notifyConsumerIdsChangedEnable", "true"),
		long("channelExpiredTimeout", "120000", 1, maxMillis),

		// delays
		text("messageDelayLevel", defaultDelayLevels),
		long("flushDelayOffsetInterval", "10000", 1, maxMillis),

		// timers
		flag("timerWheelEnable", "true"),
		whole("timerMaxDelaySec", "259200", 1, maxMillis/1000),
		whole("timerPrecisionMs", "1000", 100, 1000), // one of 100, 200, 500, 1000: see timerPrecision
		whole("timerRollWindowSlot", "172800", 2, anyInt),
		whole("timerFlushIntervalMs", "1000", 1, anyInt),
		whole("mappedFileSizeTimerLog", "104857600", 4096, anyInt),
		flag("recallMessageEnable", "false"),
		flag("allowRecallWhenBrokerNotWriteable", "true"),

		// transactions
		flag("rejectTransactionMessage", "false"),
		long("transactionTimeOut", "6000", 0, maxMillis),
		whole("transactionCheckMax", "15", 1, anyInt),
		long("transactionCheckInterval", "30000", 1, maxMillis),
		text("transactionFlushDiskType", "SYNC_FLUSH", "ASYNC_FLUSH", "SYNC_FLUSH"),
		long("transactionMaxAge", "0", 0, maxMillis), // 0: fileReservedTime
		whole("transactionCheckRate", "1000", 0, anyInt),

		// pull and query
		flag("longPollingEnable", "true"),
		long("shortPollingTimeMills", "1000", 1, maxMillis),
		flag("enablePropertyFilter", "true"),
		whole("maxTransferBytesOnMessageInMemory", "262144", 1, anyInt),
		whole("maxTransferCountOnMessageInMemory", "32", 1, anyInt),
		whole("maxTransferBytesOnMessageInDisk", "65536", 1, anyInt),
		whole("maxTransferCountOnMessageInDisk", "8", 1, anyInt),
		whole("accessMessageInMemoryMaxRatio", "40", 0, 100),
		whole("defaultQueryMaxNum", "32", 1, anyInt),
		whole("maxMsgsNumBatch", "64", 1, anyInt),

		// pop
		whole("reviveQueueNum", "8", 1, 128),
		whole("popFromRetryProbability", "20", 0, 100),
		flag("enableRetryTopicV2", "false"),
		flag("popResponseReturnActualRetryTopic", "false"),

		// held pops and notifications
		long("maxPopPollingSize", "100000", 0, anyInt),
		whole("popPollingMapSize", "100000", 0, anyInt),
		whole("popPollingSize", "1024", 0, anyInt),
		long("popLongPollingForceNotifyInterval", "800", 0, math.MaxInt64),

		// assignment
		flag("serverLoadBalancerEnable", "true"),
		long("loadBalancePollNameServerInterval", "30000", 1, maxMillis),
		text("defaultMessageRequestMode", "PULL", "PULL", "POP"),
		whole("defaultPopShareQueueNum", "-1", -1, anyInt),

		// metrics
		text("metricsExporterType", "DISABLE"), // values: see metricsExporter
		whole("metricsPromExporterPort", "5557", 0, maxPort),
		text("metricsPromExporterHost", ""),
		whole("metricsOtelCardinalityLimit", "50000", 1, 10_000_000),
	}
}

// usedNamesrv are the keys of the name server file alone that Twostage acts on.
func usedNamesrv() []*key {
	return []*key{
		text(keyKVConfig, ""), // DATA/namesrv/kvConfig.json
		flag("orderMessageEnable", "false"),
		text(keyBlackList, "configBlackList;configStorePath;kvConfigPath"),
		long("scanNotActiveBrokerInterval", "5000", 1, maxMillis),
	}
}

// usedServer are the keys that both servers act on: of NettyServerConfig, of TlsSystemConfig, which RocketMQ takes from
// system properties and tls.properties only, and Twostage's own.
func usedServer(listenPort string) []*key {
	return []*key{
		whole(keyListenPort, listenPort, 0, maxPort),
		text("bindAddress", "0.0.0.0"),
		whole("serverChannelMaxIdleTimeSeconds", "120", 1, maxMillis/1000),
		whole("httpListenPort", "8082", 0, maxPort),
		text("httpBindAddress", ""), // as bindAddress
		whole("maxConnections", "100000", 0, anyInt),
		whole("maxConnectionsPerAddress", "0", 0, anyInt),
		whole("maxInflightBytesPerConnection", "67108864", 1<<20, anyInt),
		long("maxArrivingBytes", "536870912", 16<<20, 1<<40),
		whole("slowRequestMillis", "1000", 0, maxMillis),

		text(keyTLSMode, "permissive", "disabled", "permissive", "enforcing"),
		text(keyTLSFile, ""),
		flag(keyTLSTest, "true"), // no effect where certPath and keyPath are set
		text(keyTLSCert, ""),
		text("tls.server.keyPath", ""),
		text("tls.server.keyPassword", ""),
		text("tls.server.trustCertPath", ""),
		text("tls.server.need.client.auth", "none", "none", "optional", "require"),
		flag("tls.server.authClient", "false"),
		flag("useTLS", "false"), // as tls.enable
		flag("tls.enable", "false"),
		text("tls.client.certPath", ""),
		text("tls.client.keyPath", ""),
		text("tls.client.keyPassword", ""),
		text("tls.client.trustCertPath", ""),
		flag("tls.client.authServer", "false"),
		text("tls.client.serverName", ""), // the host that is connected to

		// access
		text(keyHome, ""),
		flag("aclEnable", "false"),
		text(keyACLFile, ""), // ROCKETMQ_HOME/conf/plain_acl.yml
		flag("authenticationEnabled", "false"),
		text("authenticationProvider", "", javaAuth+"authentication.provider.DefaultAuthenticationProvider"),
		text("authenticationMetadataProvider", "", javaAuth+"authentication.provider.LocalAuthenticationMetadataProvider"),
		text("authenticationStrategy", "", javaAuth+"authentication.strategy.StatelessAuthenticationStrategy", javaAuth+"authentication.strategy.StatefulAuthenticationStrategy"),
		text("authenticationWhitelist", ""),
		text("initAuthenticationUser", ""),
		text("innerClientAuthenticationCredentials", ""),
		flag("authorizationEnabled", "false"),
		text("authorizationProvider", "", javaAuth+"authorization.provider.DefaultAuthorizationProvider"),
		text("authorizationMetadataProvider", "", javaAuth+"authorization.provider.LocalAuthorizationMetadataProvider"),
		text("authorizationStrategy", "", javaAuth+"authorization.strategy.StatelessAuthorizationStrategy", javaAuth+"authorization.strategy.StatefulAuthorizationStrategy"),
		text("authorizationWhitelist", ""),
		flag("insecureAdmin", "false"),
	}
}
