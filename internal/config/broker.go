// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package config

import "time"

// Broker is what the broker's components need, by owner. The comment of a field names its key. Load has checked it;
// all durations and sizes are positive unless said otherwise.
type Broker struct {
	Identity     Identity
	Network      Network
	Registration Registration
	Store        Store
	Retention    Retention
	Flush        Flush
	Topics       Topics
	Groups       Groups
	Delays       Delays
	Timers       Timers
	Transactions Transactions
	Pull         Pull
	PopWait      PopWait
	Pop          Pop
	Assign       Assign
	Query        Query
	Trace        Trace
	Metrics      Metrics
	TLS          TLS
	Limits       Limits
	Creations    Creations
	Access       Access
	Requests     Requests
}

// Identity is who the broker is in its cluster. Its id is 0: it is a master.
type Identity struct {
	Cluster    string // brokerClusterName
	Name       string // brokerName; the host name by default
	Region     string // regionId
	Permission int    // brokerPermission: 4 read, 2 write, 1 inherit
}

// Network is where the broker listens and what it advertises.
type Network struct {
	BindAddress  string        // bindAddress: IP address or name of an interface's address
	ListenPort   int           // listenPort; 0 picks a free one
	AdvertisedIP string        // brokerIP1, an IP address or host name without port; "" leaves the choice to the server
	HAIP         string        // brokerIP2; "" is as AdvertisedIP
	HAPort       int           // haListenPort, only announced; 0 is the port listened on + 1, if there is one
	IdleTimeout  time.Duration // serverChannelMaxIdleTimeSeconds
}

// VIPPort is the port for clients with the VIP channel on, listenPort-2; false when there is none.
func (n Network) VIPPort() (int, bool) { return n.ListenPort - 2, n.ListenPort > 2 }

// Registration is how the broker registers with name servers.
type Registration struct {
	NameServers []string      // namesrvAddr, each host:port; empty when not set
	Timeout     time.Duration // registerBrokerTimeoutMills
	Period      time.Duration // registerNameServerPeriod, held between 10 and 60 s as in RocketMQ
	Compressed  bool          // compressedRegister
}

// Store is where and in which shape messages are kept.
type Store struct {
	Dir                  string // storePathRootDir
	CommitLogDir         string // storePathCommitLog; one directory, Dir/commitlog by default
	CommitLogFileSize    int64  // mappedFileSizeCommitLog, bytes
	ConsumeQueueFileSize int64  // mappedFileSizeConsumeQueue, bytes, rounded up to whole entries of 20 bytes
	IndexSlots           int    // maxHashSlotNum
	IndexEntries         int    // maxIndexNum, of which a file holds one less
	MaxMessageSize       int    // maxMessageSize: bytes of a body
	PropertyCRC          bool   // enabledAppendPropCRC: records get a CRC over all that is not the body's
	CheckReads           string // checkCRCOnRead: NONE, COLD or ALL
}

// Retention is when files of the log are deleted, and when a full disk refuses messages. Ratios are percent of the disk.
type Retention struct {
	Reserved      time.Duration // fileReservedTime: age at which a file has expired; may be 0
	Hours         []int         // deleteWhen: hours of the local day, 0 to 23, at which expired files go
	MaxUsed       int           // diskMaxUsedSpaceRatio: above it they go at any hour
	CleanForcibly int           // diskSpaceCleanForciblyRatio: above it files that have not expired go as well
	Warning       int           // diskSpaceWarningLevelRatio: above it messages are refused
	Forcibly      bool          // cleanFileForciblyEnable
	Interval      time.Duration // cleanResourceInterval
	Batch         int           // deleteFileBatchMax: files deleted at once
}

// FlushPolicy says when a send is answered.
type FlushPolicy uint8

// The policies of flushDiskType and transactionFlushDiskType.
const (
	AsyncFlush FlushPolicy = iota // when the record is in the page cache
	SyncFlush                     // when it is on the disk
)

func (p FlushPolicy) String() string {
	if p == SyncFlush {
		return "SYNC_FLUSH"
	}
	return "ASYNC_FLUSH"
}

// Flush is when data is forced to disk.
type Flush struct {
	Policy                    FlushPolicy   // flushDiskType
	CommitLogInterval         time.Duration // flushIntervalCommitLog
	CommitLogLeastPages       int           // flushCommitLogLeastPages, of 4 KiB; may be 0
	CommitLogThoroughInterval time.Duration // flushCommitLogThoroughInterval: after it any number of pages will do; may be 0
	ConsumeQueueInterval      time.Duration // flushIntervalConsumeQueue
	SyncTimeout               time.Duration // syncFlushTimeout: a send waits this long for SyncFlush
	SendWait                  time.Duration // waitTimeMillsInSendQueue: a send waits this long for the log to take it; 0 without brokerFastFailureEnable: as long as it takes
}

// Topics are the rules of topic creation.
type Topics struct {
	DefaultQueues int  // defaultTopicQueueNums
	AutoCreate    bool // autoCreateTopicEnable
	Cluster       bool // clusterTopicEnable: a topic with the cluster's name
	Broker        bool // brokerTopicEnable: a topic with the broker's name
	StoreReplies  bool // storeReplyMessageEnable: replies to requests go into the log as well
	CheckTypes    bool // enableTopicMessageTypeCheck: a send must be of its topic's message type
}

// Groups are the rules of consumer groups and their offsets.
type Groups struct {
	AutoCreate          bool          // autoCreateSubscriptionGroup
	OffsetFlushInterval time.Duration // flushConsumerOffsetInterval
	NotifyChanges       bool          // notifyConsumerIdsChangedEnable
	ServerSideReset     bool          // useServerSideResetOffset: the broker resets offsets itself, for groups that are online too
	ClientExpiry        time.Duration // channelExpiredTimeout: a client that is silent for so long is gone
}

// Pop is consumption by pop.
type Pop struct {
	ReviveQueues     int  // reviveQueueNum
	RetryProbability int  // popFromRetryProbability: of a hundred pops so many look for retries first
	RetryV2          bool // enableRetryTopicV2: retry topics are %RETRY%group+topic
	ActualRetryTopic bool // popResponseReturnActualRetryTopic: retries are given under the name of their retry topic
}

// PopWait limits the pops and notifications that wait for a message.
type PopWait struct {
	MaxWaits   int   // maxPopPollingSize: of either kind
	MaxKeys    int   // popPollingMapSize: groups, topics and queues that are waited for
	MaxPerKey  int   // popPollingSize: of one group, topic and queue
	ForceEvery int64 // popLongPollingForceNotifyInterval: a message at such an offset ends a wait whatever its filter; 0: none
}

// Assign is how the queues of a topic are shared out among the clients of a group
// that ask the broker.
type Assign struct {
	Balance       bool          // serverLoadBalancerEnable; false gives every client every queue
	RouteInterval time.Duration // loadBalancePollNameServerInterval
	DefaultMode   string        // defaultMessageRequestMode: PULL or POP
	ShareQueues   int           // defaultPopShareQueueNum, of groups that pop by default
}

// Delays are the delay levels.
type Delays struct {
	Levels              []time.Duration // messageDelayLevel; level n is Levels[n-1]. Not empty.
	OffsetFlushInterval time.Duration   // flushDelayOffsetInterval
}

// Timers are messages with a time of delivery.
type Timers struct {
	Enable        bool          // timerWheelEnable
	MaxDelay      time.Duration // timerMaxDelaySec
	Precision     time.Duration // timerPrecisionMs: of a slot of the wheel, not of delivery
	RollWindow    time.Duration // timerRollWindowSlot: what waits longer is stored again on the way
	FlushInterval time.Duration // timerFlushIntervalMs
	FileSize      int64         // mappedFileSizeTimerLog, bytes
	Recall        bool          // recallMessageEnable
	RecallAlways  bool          // allowRecallWhenBrokerNotWriteable
}

// Transactions are the rules of check-back.
type Transactions struct {
	Reject        bool          // rejectTransactionMessage
	Timeout       time.Duration // transactionTimeOut: age before the first check; may be 0
	MaxChecks     int           // transactionCheckMax
	CheckInterval time.Duration // transactionCheckInterval
	MaxAge        time.Duration // transactionMaxAge, or fileReservedTime where that is 0
	CheckRate     int           // transactionCheckRate: checks a second and producer group; 0: no limit
	Flush         FlushPolicy   // transactionFlushDiskType
}

// Pull limits what a pull gets and how it waits.
type Pull struct {
	LongPolling      bool          // longPollingEnable
	ShortPolling     time.Duration // shortPollingTimeMills: how long a pull is held without long polling
	PropertyFilter   bool          // enablePropertyFilter: subscriptions by SQL92
	MaxBytesInMemory int           // maxTransferBytesOnMessageInMemory
	MaxCountInMemory int           // maxTransferCountOnMessageInMemory
	MaxBytesOnDisk   int           // maxTransferBytesOnMessageInDisk
	MaxCountOnDisk   int           // maxTransferCountOnMessageInDisk
	MemoryPercent    int           // accessMessageInMemoryMaxRatio: of the machine's memory, what counts as in memory; 0 to 100
}

// Query limits what a query by key gets.
type Query struct {
	MaxMessages    int // maxMsgsNumBatch
	MaxByUniqueKey int // defaultQueryMaxNum
}

// Trace is about message traces, which are messages of a topic, and spans, which
// go to a collector.
type Trace struct {
	On          bool   // traceOn: answers to sends tell the client that it may trace
	TopicEnable bool   // traceTopicEnable: the topic exists
	Topic       string // msgTraceTopicName

	// Spans of OpenTelemetry.
	Endpoint  string            // otlpTracesEndpoint: URL of the collector; "": none are made
	Headers   map[string]string // otlpTracesHeaders: of requests to it
	OneIn     int               // otlpTracesOneIn: of so many messages without a trace one begins one; 0: none
	PerSecond int               // otlpTracesPerSecond: spans, at most
}

// Metrics is the Prometheus listener of RocketMQ 5, beside /metrics of the HTTP listener.
type Metrics struct {
	Prometheus bool   // metricsExporterType=PROM
	Host       string // metricsPromExporterHost; "" is every address
	Port       int    // metricsPromExporterPort; 0 picks a free one
	MaxSeries  int    // metricsOtelCardinalityLimit: label sets of one metric
}

// Requests is about requests of all kinds.
type Requests struct {
	Slow time.Duration // slowRequestMillis: requests that take longer are logged; 0: none
}

// Creations limit what one address may create in a minute, and at once; 0: no limit.
type Creations struct {
	Topics int // topicCreationsPerMinute
	Groups int // groupCreationsPerMinute
}

// Namesrv is what the name server needs.
type Namesrv struct {
	BindAddress   string        // bindAddress
	ListenPort    int           // listenPort; 0 picks a free one
	IdleTimeout   time.Duration // serverChannelMaxIdleTimeSeconds
	KVConfigPath  string        // kvConfigPath
	OrderMessages bool          // orderMessageEnable: routes carry the order configuration of the topic
	ScanInterval  time.Duration // scanNotActiveBrokerInterval: how often silent brokers are looked for
	Slow          time.Duration // slowRequestMillis: requests that take longer are logged; 0: none
	TLS           TLS
	Limits        Limits
	Access        Access
}
