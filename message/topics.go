// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package message

import (
	"errors"
	"fmt"
	"strings"
)

// Topics and groups with a meaning of their own. Source: TopicValidator and
// MixAll of Apache RocketMQ.
const (
	TopicAutoCreate  = "TBW102" // stands for every topic that does not exist yet
	TopicSchedule    = "SCHEDULE_TOPIC_XXXX"
	TopicHalf        = "RMQ_SYS_TRANS_HALF_TOPIC"
	TopicOpHalf      = "RMQ_SYS_TRANS_OP_HALF_TOPIC"
	TopicCheckMax    = "TRANS_CHECK_MAX_TIME_TOPIC"
	TopicTrace       = "RMQ_SYS_TRACE_TOPIC"
	TopicBenchmark   = "BenchmarkTest"
	TopicSelfTest    = "SELF_TEST_TOPIC"
	TopicOffsetMoved = "OFFSET_MOVED_EVENT"
	TopicTimer       = "rmq_sys_wheel_timer"

	// SystemTopicPrefix begins the names of further system topics.
	SystemTopicPrefix = "rmq_sys_"
	RetryPrefix       = "%RETRY%"
	DLQPrefix         = "%DLQ%"
	// LightPrefix begins the name of a light message queue, which has no entry in a
	// broker's table of topics.
	LightPrefix = "%LMQ%"
	// RevivePrefix begins the name of a cluster's topic of pop records:
	// rmq_sys_REVIVE_LOG_cluster.
	RevivePrefix = "rmq_sys_REVIVE_LOG_"
	// ReplySuffix ends the name of a cluster's reply topic: cluster_REPLY_TOPIC.
	ReplySuffix = "REPLY_TOPIC"

	SystemGroupPrefix        = "CID_RMQ_SYS_"
	GroupTransCheck          = "CID_RMQ_SYS_TRANS"
	GroupTools               = "TOOLS_CONSUMER"
	GroupSchedule            = "SCHEDULE_CONSUMER"
	GroupFilterServer        = "FILTERSRV_CONSUMER"
	GroupMonitor             = "__MONITOR_CONSUMER"
	GroupClientInnerProducer = "CLIENT_INNER_PRODUCER"
	GroupSelfTestProducer    = "SELF_TEST_P_GROUP"
	GroupSelfTestConsumer    = "SELF_TEST_C_GROUP"
	GroupONSHTTPProxy        = "CID_ONS-HTTP-PROXY"
	GroupONSPermission       = "CID_ONSAPI_PERMISSION"
	GroupONSOwner            = "CID_ONSAPI_OWNER"
	GroupONSPull             = "CID_ONSAPI_PULL"
)

const (
	// MaxTopicLength is the longest name, in bytes, that CheckTopic allows an
	// application. Retry and dead letter topics may be longer.
	MaxTopicLength = 127
	// MaxGroupLength is the longest name, in bytes, that CheckGroup allows.
	MaxGroupLength = 255
)

// ErrName is the class of the errors of CheckTopic and CheckGroup.
var ErrName = errors.New("message: bad name")

// RetryTopic names the topic of a consumer group's messages that are to be
// consumed again.
func RetryTopic(group string) string { return RetryPrefix + group }

// PopRetryTopics names the topics in which a group that pops gets messages of topic
// again: %RETRY%group_topic, and %RETRY%group+topic (enableRetryTopicV2).
func PopRetryTopics(group, topic string) [2]string {
	return [2]string{RetryPrefix + group + "_" + topic, RetryPrefix + group + "+" + topic}
}

// DLQTopic names the topic of a consumer group's dead letters.
func DLQTopic(group string) string { return DLQPrefix + group }

// IsSystemTopic tells whether the topic belongs to the broker.
func IsSystemTopic(topic string) bool {
	switch topic {
	case TopicAutoCreate, TopicSchedule, TopicHalf, TopicOpHalf, TopicCheckMax, TopicTrace,
		TopicBenchmark, TopicSelfTest, TopicOffsetMoved:
		return true
	}
	return strings.HasPrefix(topic, SystemTopicPrefix)
}

// IsSendForbidden tells whether clients may not send to the topic.
func IsSendForbidden(topic string) bool {
	switch topic {
	case TopicSchedule, TopicTimer, TopicHalf, TopicOpHalf, TopicCheckMax, TopicSelfTest, TopicOffsetMoved:
		return true
	}
	return strings.HasPrefix(topic, RevivePrefix)
}

// IsSystemGroup tells whether the consumer group belongs to the broker.
func IsSystemGroup(group string) bool { return strings.HasPrefix(group, SystemGroupPrefix) }

// CheckTopic tests a name that an application wants to give a topic: 1 to
// MaxTopicLength of the characters a-z A-Z 0-9 _ - % |. Errors match ErrName.
func CheckTopic(name string) error { return checkName("topic", name, MaxTopicLength) }

// CheckGroup tests the name of a producer or consumer group: 1 to
// MaxGroupLength of the characters of CheckTopic. Errors match ErrName.
func CheckGroup(name string) error { return checkName("group", name, MaxGroupLength) }

// CheckStoredTopic tests the name of a topic as a broker may store it: CheckTopic's
// characters, in up to MaxGroupLength bytes since a prefix and the name of a group
// may be in it, and in a retry topic one + between a group and a topic
// (%RETRY%group+topic, of pops). Errors match ErrName.
func CheckStoredTopic(name string) error {
	plain := name
	if strings.HasPrefix(name, RetryPrefix) {
		plain = strings.Replace(name, "+", "_", 1)
	}
	return checkName("topic", plain, MaxGroupLength)
}

func checkName(what, name string, limit int) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: the %s is empty", ErrName, what)
	case len(name) > limit:
		return fmt.Errorf("%w: the %s has %d bytes, at most %d are allowed", ErrName, what, len(name), limit)
	}
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9',
			c == '_', c == '-', c == '%', c == '|':
		default:
			return fmt.Errorf("%w: the %s %q holds more than a-z A-Z 0-9 _ - %% |", ErrName, what, name)
		}
	}
	return nil
}
