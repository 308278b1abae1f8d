// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package topic

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/message"
)

// ErrAttribute: a change of attributes that can't be made.
var ErrAttribute = errors.New("attribute")

// The attributes of a topic, with the values that RocketMQ 5.3 knows
// (TopicAttributes, TopicMessageType).
const (
	AttributeMessageType = "message.type"
	attributeQueueType   = "queue.type"
	attributeCleanup     = "cleanup.policy"
)

// The message types of a topic. A topic without one takes all.
const (
	TypeUnspecified = "UNSPECIFIED" // takes all
	TypeNormal      = "NORMAL"
	TypeFIFO        = "FIFO"  // messages with a message group (property __SHARDINGKEY)
	TypeDelay       = "DELAY" // messages with a delay level or a time of delivery
	TypeTransaction = "TRANSACTION"
	TypeMixed       = "MIXED" // takes all
)

var attributeValues = map[string]struct{ known, served []string }{
	AttributeMessageType: {
		known:  []string{TypeUnspecified, TypeNormal, TypeFIFO, TypeDelay, TypeTransaction, TypeMixed},
		served: []string{TypeUnspecified, TypeNormal, TypeFIFO, TypeDelay, TypeTransaction, TypeMixed},
	},
	attributeQueueType: {known: []string{"SimpleCQ", "BatchCQ"}, served: []string{"SimpleCQ"}},
	attributeCleanup:   {known: []string{"DELETE", "COMPACTION"}, served: []string{"DELETE"}},
}

// alter applies a change, "+name=value" and "-name" joined by commas, to the
// attributes of a topic; current is nil for one that is being made, and not
// changed. The result is nil when there are none. Errors match ErrAttribute.
func alter(current map[string]string, change string) (map[string]string, error) {
	result := maps.Clone(current)
	seen := map[string]bool{}
	for _, part := range strings.Split(change, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		name, value, assigned := strings.Cut(part[1:], "=")
		switch {
		case part[0] == '+' && assigned, part[0] == '-' && !assigned:
		default:
			return nil, fmt.Errorf("%w: %q is neither +name=value nor -name", ErrAttribute, part)
		}
		if seen[name] {
			return nil, fmt.Errorf("%w: %s is changed twice", ErrAttribute, name)
		}
		seen[name] = true
		if err := checkAttribute(name, value, part[0] == '-'); err != nil {
			return nil, err
		}
		_, there := result[name]
		switch {
		case part[0] == '-' && !there:
			return nil, fmt.Errorf("%w: %s can't be deleted: the topic does not have it", ErrAttribute, name)
		case part[0] == '-':
			delete(result, name)
		case result == nil:
			result = map[string]string{name: value}
		default:
			result[name] = value
		}
	}
	if len(result) == 0 {
		return nil, nil
	}
	return result, nil
}

// alterEach is alter for a change by signed name.
func alterEach(current, change map[string]string) (map[string]string, error) {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(change)) {
		part := name
		if strings.HasPrefix(name, "+") {
			part += "=" + change[name]
		}
		if strings.Contains(part, ",") {
			return nil, fmt.Errorf("%w: %q has a comma", ErrAttribute, part)
		}
		parts = append(parts, part)
	}
	return alter(current, strings.Join(parts, ","))
}

// checkAttribute tells what is wrong with a change of one attribute.
func checkAttribute(name, value string, deleted bool) error {
	values, known := attributeValues[name]
	switch {
	case !known:
		return fmt.Errorf("%w: there is no %q; known are %s", ErrAttribute, name, strings.Join(slices.Sorted(maps.Keys(attributeValues)), ", "))
	case deleted:
		return nil
	case !slices.Contains(values.known, value):
		return fmt.Errorf("%w: %s=%q: accepted is one of %s", ErrAttribute, name, value, strings.Join(values.served, ", "))
	case !slices.Contains(values.served, value):
		return fmt.Errorf("%w: %s=%s is not served here; accepted is %s", ErrAttribute, name, value, strings.Join(values.served, ", "))
	}
	return nil
}

// Takes tells whether a topic takes messages of a type.
func Takes(c *body.TopicConfig, messageType string) bool {
	return TakesAll(c) || c.Attributes[AttributeMessageType] == messageType
}

// TakesAll tells whether a topic takes messages of every type.
func TakesAll(c *body.TopicConfig) bool {
	switch c.Attributes[AttributeMessageType] {
	case "", TypeUnspecified, TypeMixed:
		return true
	}
	return false
}

// startDeliverTime is the property in which clients of OpenMessaging say when a
// message is to be delivered. It makes one of type DELAY; the broker does nothing
// else with it, as RocketMQ's.
const startDeliverTime = "__STARTDELIVERTIME"

// MessageType is the type of a message with these properties.
//
// Source: BrokerMetricsManager.getMessageType of Apache RocketMQ 5.3.3.
func MessageType(props []byte) string {
	kind := TypeNormal
	message.RangeProperties(props, func(name, value []byte) bool {
		switch string(name) {
		case message.PropertyTransactionPrepared:
			if strings.EqualFold(string(value), "true") {
				kind = TypeTransaction
				return false
			}
		case message.PropertyShardingKey:
			kind = TypeFIFO
		case message.PropertyDelay, message.PropertyTimerDeliver, message.PropertyTimerDelaySeconds, message.PropertyTimerDelayMillis, startDeliverTime:
			if kind == TypeNormal {
				kind = TypeDelay
			}
		}
		return true
	})
	return kind
}
