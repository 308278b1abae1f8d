// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package config

// refusal is a key with the only value that asks for nothing, and what any other value would make believe.
type refusal struct {
	name string
	kind kind
	fine string
	why  string
}

func refused(rows ...[]refusal) []*key {
	var keys []*key
	for _, group := range rows {
		for _, r := range group {
			keys = append(keys, &key{name: r.name, kind: r.kind, def: r.fine, class: Refused, why: r.why, secret: secrets[r.name]})
		}
	}
	return keys
}

// secrets are the keys whose value appears in no error and no listing.
var secrets = map[string]bool{
	"initAuthenticationUser": true, "innerClientAuthenticationCredentials": true, "socksProxyConfig": true,
	"metricsGrpcExporterHeader": true, "objectStoreAccessKey": true, "objectStoreSecretKey": true,
	"ossAccessKey": true, "ossSecretKey": true, "tls.server.keyPassword": true, "tls.client.keyPassword": true,
	"otlpTracesHeaders": true,
}

const (
	notUsersPlace = "users and policies are in auth/ beside the server's other files: remove it"
	noMigration   = "plain_acl.yml needs no migration: set aclEnable=true, its accounts stand beside users and policies"
	noReplica     = "replication is not there yet: there is one copy of the data"
	noController  = "the controller and its automatic failover are not there yet"
	noDLedger     = "DLedger replication is not there yet"
	noActing      = "slaves, and slaves acting as masters, are not there yet"
	noRocksDB     = "RocksDB is not supported: queues, offsets and configuration are kept in RocketMQ's file formats"
	noTiered      = "tiered storage is not there yet"
	noTimer       = "delay levels do not go through the timer wheel: they are delivered on time by themselves"
	noLMQ         = "light message queues are not there yet"
	noForcedCRC   = "a record without a CRC over its properties can't be told from one written before enabledAppendPropCRC; those that have one are always verified"
	noCold        = "flow control of cold reads is not there yet"
	noDiscovery   = "finding name servers by address server or DNS is not there yet: list them in namesrvAddr"
	noContainer   = "the broker container does not exist here: start one process for each broker"
	noAlwaysOn    = "Twostage cannot turn this off"
	notRead       = "RocketMQ does not read this key, the place follows from storePathRootDir: remove it"
)

var refusedBroker = []refusal{
	{"brokerId", kindLong, "0", noReplica + " (a slave has an id above 0)"},
	{"brokerRole", kindText, "ASYNC_MASTER", noReplica},
	{"haMasterAddress", kindText, "", noReplica},
	{"slaveReadEnable", kindBool, "false", noReplica + " and no slave to read from"},
	{"totalReplicas", kindInt, "1", noReplica},
	{"inSyncReplicas", kindInt, "1", noReplica},
	{"minInSyncReplicas", kindInt, "1", noReplica},
	{"allAckInSyncStateSet", kindBool, "false", noReplica},
	{"enableAutoInSyncReplicas", kindBool, "false", noReplica},
	{"asyncLearner", kindBool, "false", noReplica},
	{"syncMasterFlushOffsetWhenStartup", kindBool, "false", noReplica},
	{"lockInStrictMode", kindBool, "false", noReplica + ": queue locks are this broker's alone"},
	{"duplicationEnable", kindBool, "false", noReplica},

	{"enableSlaveActingMaster", kindBool, "false", noActing},
	{"enableRemoteEscape", kindBool, "false", noActing},
	{"skipPreOnline", kindBool, "false", noActing},
	{"disappearTimeAfterStart", kindInt, "-1", "late registration is not there: the broker registers as soon as it is ready"},
	{"inBrokerContainer", kindBool, "false", noContainer},
	{"brokerConfigPaths", kindText, "", noContainer},

	{"enableControllerMode", kindBool, "false", noController},
	{"controllerAddr", kindText, "", noController},
	{"fetchControllerAddrByDnsLookup", kindBool, "false", noController},
	{"storePathEpochFile", kindText, "", noController},
	{"storePathBrokerIdentity", kindText, "", noController},

	{"enableDLegerCommitLog", kindBool, "false", noDLedger},
	{"dLegerGroup", kindText, "", noDLedger},
	{"dLegerPeers", kindText, "", noDLedger},
	{"dLegerSelfId", kindText, "", noDLedger},
	{"preferredLeaderId", kindText, "", noDLedger},
	{"storePathDLedgerCommitLog", kindText, "", noDLedger},

	{"authConfigPath", kindText, "", notUsersPlace},
	{"rejectPullConsumerEnable", kindBool, "false", "refusing pull consumers is not there: they are served"},
	{"disableConsumeIfConsumerReadSlowly", kindBool, "false", "cutting off slow consumers is not there: they are served"},

	{"filterSupportRetry", kindBool, "false", "filtering retried messages again is not there: a consumer gets back what it sent back"},
	{"filterServerNums", kindInt, "0", "filter servers are not there: RocketMQ removed them"},
	{"enableConsumeQueueExt", kindBool, "false", "the consume queue extension is not there: entries have 20 bytes"},

	{"storeType", kindText, "default", noRocksDB},
	{"configManagerVersion", kindText, "v1", noRocksDB},
	{"rocksdbCQDoubleWriteEnable", kindBool, "false", noRocksDB},
	{"rocksdbCompressionType", kindText, "lz4", noRocksDB},
	{"bottomMostCompressionTypeForConsumeQueueStore", kindText, "zstd", noRocksDB},
	{"rocksdbFlushWalFrequency", kindInt, "1024", noRocksDB},
	{"rocksdbWalFileRollingThreshold", kindLong, "1073741824", noRocksDB},
	{"realTimePersistRocksDBConfig", kindBool, "true", noRocksDB},
	{"statRocksDBCQIntervalSec", kindLong, "10", noRocksDB},
	{"cleanRocksDBDirtyCQIntervalMin", kindLong, "60", noRocksDB},
	{"memTableFlushIntervalMs", kindLong, "3600000", noRocksDB},
	{"memTableFlushInterval", kindLong, "3600000", noRocksDB},
	{"enableRocksDBLog", kindBool, "false", noRocksDB},
	{"batchWriteKvCqSize", kindInt, "16", noRocksDB},
	{"transferMetadataJsonToRocksdb", kindBool, "false", noRocksDB},
	{"transferOffsetJsonToRocksdb", kindBool, "false", noRocksDB},
	{"combineCQLoadingCQTypes", kindText, "default;defaultRocksDB", noRocksDB},
	{"combineCQPreferCQType", kindText, "default", noRocksDB},
	{"combineAssignOffsetCQType", kindText, "default", noRocksDB},
	{"combineCQEnableCheckSelf", kindBool, "false", noRocksDB},
	{"combineCQMaxExtraSearchCommitLogFiles", kindInt, "3", noRocksDB},
	{"enableAcceleratedRecovery", kindBool, "false", noRocksDB},
	{"popConsumerKVServiceInit", kindBool, "false", noRocksDB},
	{"popConsumerKVServiceEnable", kindBool, "false", noRocksDB},

	{"messageStorePlugIn", kindText, "", "message store plug-ins (tiered storage among them) are not there"},
	{"tieredStorageLevel", kindText, "", noTiered},
	{"tieredStoreFilePath", kindText, "", noTiered},
	{"tieredMetadataServiceProvider", kindText, "", noTiered},
	{"tieredBackendServiceProvider", kindText, "", noTiered},
	{"objectStoreEndpoint", kindText, "", noTiered},
	{"objectStoreBucket", kindText, "", noTiered},
	{"objectStoreAccessKey", kindText, "", noTiered},
	{"objectStoreSecretKey", kindText, "", noTiered},
	{"ossEndpoint", kindText, "", noTiered},
	{"ossBucket", kindText, "", noTiered},
	{"ossAccessKey", kindText, "", noTiered},
	{"ossSecretKey", kindText, "", noTiered},

	{"timerInterceptDelayLevel", kindBool, "false", noTimer},
	{"enableCompaction", kindBool, "false", "topic compaction is not there yet"}, // true in RocketMQ 5
	{"enablePopMessageThreshold", kindBool, "false", "pop has no limit of messages in flight yet"},
	{"enableLmq", kindBool, "false", noLMQ},
	{"enableMultiDispatch", kindBool, "false", noLMQ},
	{"forceVerifyPropCRC", kindBool, "false", noForcedCRC},
	{"coldCtrStrategyEnable", kindBool, "false", noCold},
	{"coldDataFlowControlEnable", kindBool, "false", noCold},
	{"coldDataScanEnable", kindBool, "false", noCold},
	{"enableNetWorkFlowControl", kindBool, "false", "flow control of pulls by network load is not there"},
	{"enableMixedMessageType", kindBool, "false", "message types of topics are not there yet"},
	{"useStaticSubscription", kindBool, "false", "stored subscriptions are not there yet"},

	{"fetchNamesrvAddrByAddressServer", kindBool, "false", noDiscovery},
	{"fetchNameSrvAddrByDnsLookup", kindBool, "false", noDiscovery},
	{"rmqAddressServerDomain", kindText, "", noDiscovery},
	{"rmqAddressServerSubGroup", kindText, "", noDiscovery},

	{"readOnlyCommitLogStorePaths", kindText, "", "a commit log over several directories is not there yet"},
	{"messageIndexEnable", kindBool, "true", noAlwaysOn + ": the message index is always built"},
	{"autoMessageVersionOnTopicLen", kindBool, "true", noAlwaysOn + ": topics over 127 bytes are stored with message version 2"},
	{"maxTopicLength", kindInt, "127", "the length of topic names is fixed, as in RocketMQ 4.9"},
	{"wakeFlushWhenPutMessage", kindBool, "false", "a flush at each put is not there with ASYNC_FLUSH: set flushDiskType=SYNC_FLUSH"},
	{"validateSystemTopicWhenUpdateTopic", kindBool, "true", noAlwaysOn + ": system topics cannot be changed by clients"},
	{"enableCreateSysGroup", kindBool, "true", "protecting system groups from creation is not there yet"},
	{"startAcceptSendRequestTimeStamp", kindLong, "0", "a time before which sends are refused is not there"},
}

// storePlaces are keys that many published examples have and RocketMQ has no setter for. Here they may name the place that
// RocketMQ uses anyway; see checkStorePlaces. The value is the path below storePathRootDir.
var storePlaces = []struct{ name, below string }{
	{"storePathConsumeQueue", "consumequeue"},
	{"storePathIndex", "index"},
	{"storeCheckpoint", "checkpoint"},
	{"abortFile", "abort"},
}

// refusedServer are of both files.
var refusedServer = []refusal{
	{"migrateAuthFromV1Enabled", kindBool, "false", noMigration},
	{"socksProxyConfig", kindText, "{}", "connections through a SOCKS proxy are not there"},
}

var refusedNamesrv = []refusal{
	{"enableControllerInNamesrv", kindBool, "false", noController},
	{"controllerType", kindText, "", noController},
	{"controllerDLegerGroup", kindText, "", noController},
	{"controllerDLegerPeers", kindText, "", noController},
	{"controllerDLegerSelfId", kindText, "", noController},
	{"controllerStorePath", kindText, "", noController},
	{"jRaftGroupId", kindText, "", noController},
	{"jRaftServerId", kindText, "", noController},
	{"jRaftInitConf", kindText, "", noController},
	{"jRaftControllerRPCAddr", kindText, "", noController},
	{"supportActingMaster", kindBool, "false", noActing},
	{"notifyMinBrokerIdChanged", kindBool, "false", noActing},
	{"clusterTest", kindBool, "false", "looking routes up in a second cluster is not there"},
	{"returnOrderTopicConfigToBroker", kindBool, "true", noAlwaysOn + ": brokers get the order topics when they register, as in 4.9"},
	{"enableAllTopicList", kindBool, "true", "hiding the topic list is not there yet: every client may read it"},
	{"enableTopicList", kindBool, "true", "hiding the topic list is not there yet: every client may read it"},
	{"needWaitForService", kindBool, "false", "holding routes back after the start is not there"},
	{"deleteTopicWithBrokerRegistration", kindBool, "false", "deleting topics that a registration leaves out is not there yet"},
}
