// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// consumeQueueEntry is the size of an entry in bytes; files hold whole ones.
const consumeQueueEntry = 20

// RocketMQ holds registerNameServerPeriod between these.
const (
	minRegisterPeriod = 10 * time.Second
	maxRegisterPeriod = 60 * time.Second
)

func (s *settings) broker() Broker {
	return Broker{
		Identity: Identity{
			Cluster:    s.name("brokerClusterName"),
			Name:       s.name(keyBrokerName),
			Region:     s.text("regionId"),
			Permission: s.int("brokerPermission"),
		},
		Network: Network{
			BindAddress:  s.host("bindAddress"),
			ListenPort:   s.int(keyListenPort),
			AdvertisedIP: s.host("brokerIP1"),
			HAIP:         s.host("brokerIP2"),
			HAPort:       s.int(keyHAListenPort),
			IdleTimeout:  s.seconds("serverChannelMaxIdleTimeSeconds"),
		},
		Registration: Registration{
			NameServers: s.addresses("namesrvAddr"),
			Timeout:     s.millis("registerBrokerTimeoutMills"),
			Period:      min(max(s.millis("registerNameServerPeriod"), minRegisterPeriod), maxRegisterPeriod),
			Compressed:  s.flag("compressedRegister"),
		},
		Store:     s.store(),
		Retention: s.retention(),
		Flush: Flush{
			Policy:                    s.flushPolicy("flushDiskType"),
			CommitLogInterval:         s.millis("flushIntervalCommitLog"),
			CommitLogLeastPages:       s.int("flushCommitLogLeastPages"),
			CommitLogThoroughInterval: s.millis("flushCommitLogThoroughInterval"),
			ConsumeQueueInterval:      s.millis("flushIntervalConsumeQueue"),
			SyncTimeout:               s.millis("syncFlushTimeout"),
			SendWait:                  s.sendWait(),
		},
		Topics: Topics{
			DefaultQueues: s.int("defaultTopicQueueNums"),
			AutoCreate:    s.flag("autoCreateTopicEnable"),
			StoreReplies:  s.flag("storeReplyMessageEnable"),
			Cluster:       s.flag("clusterTopicEnable"),
			Broker:        s.flag("brokerTopicEnable"),
			CheckTypes:    s.flag("enableTopicMessageTypeCheck"),
		},
		Groups: Groups{
			AutoCreate:          s.flag("autoCreateSubscriptionGroup"),
			ServerSideReset:     s.flag("useServerSideResetOffset"),
			OffsetFlushInterval: s.millis("flushConsumerOffsetInterval"),
			NotifyChanges:       s.flag("notifyConsumerIdsChangedEnable"),
			ClientExpiry:        s.millis("channelExpiredTimeout"),
		},
		Delays: Delays{
			Levels:              s.delayLevels("messageDelayLevel"),
			OffsetFlushInterval: s.millis("flushDelayOffsetInterval"),
		},
		Timers: Timers{
			Enable:        s.flag("timerWheelEnable"),
			MaxDelay:      s.seconds("timerMaxDelaySec"),
			Precision:     s.timerPrecision(),
			RollWindow:    time.Duration(s.int("timerRollWindowSlot")) * s.timerPrecision(),
			FlushInterval: s.millis("timerFlushIntervalMs"),
			FileSize:      s.int64("mappedFileSizeTimerLog"),
			Recall:        s.flag("recallMessageEnable"),
			RecallAlways:  s.flag("allowRecallWhenBrokerNotWriteable"),
		},
		Transactions: Transactions{
			Reject:        s.flag("rejectTransactionMessage"),
			Timeout:       s.millis("transactionTimeOut"),
			MaxChecks:     s.int("transactionCheckMax"),
			CheckInterval: s.millis("transactionCheckInterval"),
			MaxAge:        s.transactionMaxAge(),
			CheckRate:     s.int("transactionCheckRate"),
			Flush:         s.flushPolicy("transactionFlushDiskType"),
		},
		Pull: Pull{
			LongPolling:      s.flag("longPollingEnable"),
			ShortPolling:     s.millis("shortPollingTimeMills"),
			PropertyFilter:   s.flag("enablePropertyFilter"),
			MaxBytesInMemory: s.int("maxTransferBytesOnMessageInMemory"),
			MaxCountInMemory: s.int("maxTransferCountOnMessageInMemory"),
			MaxBytesOnDisk:   s.int("maxTransferBytesOnMessageInDisk"),
			MaxCountOnDisk:   s.int("maxTransferCountOnMessageInDisk"),
			MemoryPercent:    s.int("accessMessageInMemoryMaxRatio"),
		},
		Pop: Pop{
			ReviveQueues:     s.int("reviveQueueNum"),
			RetryProbability: s.int("popFromRetryProbability"),
			RetryV2:          s.flag("enableRetryTopicV2"),
			ActualRetryTopic: s.flag("popResponseReturnActualRetryTopic"),
		},
		PopWait: PopWait{
			MaxWaits:   s.int("maxPopPollingSize"),
			MaxKeys:    s.int("popPollingMapSize"),
			MaxPerKey:  s.int("popPollingSize"),
			ForceEvery: s.int64("popLongPollingForceNotifyInterval"),
		},
		Assign: Assign{
			Balance:       s.flag("serverLoadBalancerEnable"),
			RouteInterval: s.millis("loadBalancePollNameServerInterval"),
			DefaultMode:   s.text("defaultMessageRequestMode"),
			ShareQueues:   s.int("defaultPopShareQueueNum"),
		},
		Query: Query{MaxMessages: s.int("maxMsgsNumBatch"), MaxByUniqueKey: s.int("defaultQueryMaxNum")},
		Trace: Trace{
			On:          s.flag("traceOn"),
			TopicEnable: s.flag("traceTopicEnable"),
			Topic:       s.name("msgTraceTopicName"),
			Endpoint:    s.collector("otlpTracesEndpoint"),
			Headers:     s.headers("otlpTracesHeaders"),
			OneIn:       s.int("otlpTracesOneIn"),
			PerSecond:   s.int("otlpTracesPerSecond"),
		},
		Access: s.access(filepath.Join(s.text(keyRootDir), "config", "auth")),
		Metrics: Metrics{
			Prometheus: s.prometheus(),
			Host:       s.host("metricsPromExporterHost"),
			Port:       s.int("metricsPromExporterPort"),
			MaxSeries:  s.int("metricsOtelCardinalityLimit"),
		},
		Requests: Requests{
			Slow: s.millis("slowRequestMillis"),
		},
		TLS:       s.tls(),
		Limits:    s.limits(),
		Creations: Creations{Topics: s.int("topicCreationsPerMinute"), Groups: s.int("groupCreationsPerMinute")},
	}
}

func (s *settings) store() Store {
	st := Store{
		Dir:                  s.text(keyRootDir),
		CommitLogDir:         s.text(keyCommitLog),
		CommitLogFileSize:    s.int64("mappedFileSizeCommitLog"),
		ConsumeQueueFileSize: s.int64("mappedFileSizeConsumeQueue"),
		IndexSlots:           s.int("maxHashSlotNum"),
		IndexEntries:         s.int("maxIndexNum"),
		MaxMessageSize:       s.int("maxMessageSize"),
		PropertyCRC:          s.flag("enabledAppendPropCRC"),
		CheckReads:           s.text("checkCRCOnRead"),
	}
	if strings.Contains(st.CommitLogDir, ",") {
		s.reject(keyCommitLog, "a commit log over several directories is not there yet: name one")
	}
	st.ConsumeQueueFileSize = (st.ConsumeQueueFileSize + consumeQueueEntry - 1) / consumeQueueEntry * consumeQueueEntry
	if 40+4*int64(st.IndexSlots)+20*int64(st.IndexEntries) > anyInt {
		s.reject("maxIndexNum", "an index file of 40 + 4*maxHashSlotNum + 20*maxIndexNum bytes must stay below 2 GiB")
	}
	return st
}

func (s *settings) retention() Retention {
	r := Retention{
		Reserved:      time.Duration(s.int64("fileReservedTime")) * time.Hour,
		Hours:         s.hours("deleteWhen"),
		MaxUsed:       s.int("diskMaxUsedSpaceRatio"),
		CleanForcibly: s.int("diskSpaceCleanForciblyRatio"),
		Warning:       s.int("diskSpaceWarningLevelRatio"),
		Forcibly:      s.flag("cleanFileForciblyEnable"),
		Interval:      s.millis("cleanResourceInterval"),
		Batch:         s.int("deleteFileBatchMax"),
	}
	if r.Warning < r.CleanForcibly {
		s.reject("diskSpaceWarningLevelRatio", fmt.Sprintf("must not be below diskSpaceCleanForciblyRatio (%d): messages would be refused before files are deleted to make room", r.CleanForcibly))
	}
	return r
}

// hours reads hours of the day, separated by semicolons as in RocketMQ.
func (s *settings) hours(key string) []int {
	var hours []int
	for _, part := range strings.Split(s.text(key), ";") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		h, err := strconv.Atoi(part)
		if err != nil || h < 0 || h > 23 {
			s.reject(key, "accepted are hours from 00 to 23, separated by semicolons")
			return nil
		}
		hours = append(hours, h)
	}
	return hours
}

func (s *settings) namesrv() Namesrv {
	return Namesrv{
		BindAddress:   s.host("bindAddress"),
		ListenPort:    s.int(keyListenPort),
		IdleTimeout:   s.seconds("serverChannelMaxIdleTimeSeconds"),
		KVConfigPath:  s.text(keyKVConfig),
		OrderMessages: s.flag("orderMessageEnable"),
		ScanInterval:  s.millis("scanNotActiveBrokerInterval"),
		Slow:          s.millis("slowRequestMillis"),
		TLS:           s.tls(),
		Limits:        s.limits(),
		Access:        s.access(filepath.Join(filepath.Dir(s.text(keyKVConfig)), "auth")),
	}
}

// http reads Twostage's own keys; bind is the checked bindAddress of the same server.
func (s *settings) http(bind string) HTTP {
	h := HTTP{BindAddress: s.host("httpBindAddress"), Port: s.int("httpListenPort"), Explicit: s.isSet("httpListenPort")}
	if h.BindAddress == "" {
		h.BindAddress = bind
	}
	return h
}

// refuseHTTP refuses the process's own keys in the name server's file beside a broker.
func (s *settings) refuseHTTP() {
	for _, name := range []string{"httpListenPort", "httpBindAddress"} {
		if s.isSet(name) {
			s.reject(name, "a process has one HTTP listener: set this in the broker's configuration")
		}
	}
}

// reject fails the effective value of a key.
func (s *settings) reject(name, reason string) {
	_, v := s.lookup(name)
	s.fail(v.source, v.as, v.text, "%s", reason)
}

func (s *settings) flushPolicy(key string) FlushPolicy {
	if s.text(key) == "SYNC_FLUSH" {
		return SyncFlush
	}
	return AsyncFlush
}

// transactionMaxAge is that of transactionMaxAge, or of fileReservedTime: then the half message may be deleted.
// timerPrecision takes what RocketMQ does not know for a second, as it does.
func (s *settings) timerPrecision() time.Duration {
	switch p := s.millis("timerPrecisionMs"); p {
	case 100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond:
		return p
	}
	return time.Second
}

func (s *settings) transactionMaxAge() time.Duration {
	if d := s.millis("transactionMaxAge"); d > 0 {
		return d
	}
	const most = maxMillis / 3600_000
	return time.Duration(min(max(s.int64("fileReservedTime"), 1), most)) * time.Hour
}

// prometheus reads metricsExporterType, which RocketMQ takes as a name or as a number.
func (s *settings) prometheus() bool {
	switch s.text("metricsExporterType") {
	case "PROM", "2":
		return true
	case "DISABLE", "0":
	case "OTLP_GRPC", "1", "LOG", "3":
		s.reject("metricsExporterType", "this exporter is not there yet: set PROM or DISABLE")
	default:
		s.reject("metricsExporterType", "accepted are DISABLE and PROM")
	}
	return false
}

// name reads a text that goes into headers, file names and metrics: UTF-8, printable, without blanks and slashes.
func (s *settings) name(key string) string {
	v := s.text(key)
	if !utf8.ValidString(v) {
		s.reject(key, "the name is not valid UTF-8: write it in ASCII, or set it in a terminal or file of UTF-8")
	}
	if v == "" || len(v) > 255 || strings.IndexFunc(v, func(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) || r == '/' }) >= 0 {
		s.reject(key, "accepted is a name of at most 255 bytes without blanks and slashes")
	}
	return v
}

// host reads an IP address or host name without port; IPv6 may stand in brackets. "" passes.
func (s *settings) host(key string) string {
	v := s.text(key)
	if v == "" {
		return ""
	}
	bare := v
	if strings.HasPrefix(v, "[") && strings.HasSuffix(v, "]") {
		bare = v[1 : len(v)-1]
	}
	if !isHost(bare) {
		s.reject(key, "accepted is an IP address or a host name, without port")
	}
	return bare
}

func isHost(v string) bool {
	if _, err := netip.ParseAddr(v); err == nil {
		return true
	}
	if v == "" || len(v) > 253 {
		return false
	}
	for _, c := range []byte(v) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_') {
			return false
		}
	}
	return true
}

// addresses reads host:port;host:port.
func (s *settings) addresses(key string) []string {
	var list []string
	for _, part := range strings.Split(s.text(key), ";") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		colon := strings.LastIndexByte(part, ':')
		if colon < 0 {
			s.reject(key, "accepted is host:port;host:port, and "+strconv.Quote(part)+" has no port")
			continue
		}
		host := strings.TrimSuffix(strings.TrimPrefix(part[:colon], "["), "]")
		port, err := strconv.ParseUint(part[colon+1:], 10, 16)
		if err != nil || port == 0 || !isHost(host) {
			s.reject(key, "accepted is host:port;host:port, and "+strconv.Quote(part)+" is not one")
			continue
		}
		list = append(list, net.JoinHostPort(host, strconv.FormatUint(port, 10)))
	}
	return list
}

// maxDelay bounds a delay level; RocketMQ has no bound, a hundred years are enough.
const maxDelay = 100 * 365 * 24 * time.Hour

// delayLevels reads "1s 5s 1m 1h 1d".
func (s *settings) delayLevels(key string) []time.Duration {
	units := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour}
	var levels []time.Duration
	for _, field := range strings.Fields(s.text(key)) {
		last := len(field) - 1
		unit, ok := units[field[last]]
		n, err := strconv.ParseUint(field[:last], 10, 32)
		if !ok || err != nil || time.Duration(n) > maxDelay/unit {
			s.reject(key, "accepted are delays as 1s 5m 2h 10d with blanks between, at most 36500d each, and "+strconv.Quote(field)+" is not one")
			return nil
		}
		levels = append(levels, time.Duration(n)*unit)
	}
	return levels
}
