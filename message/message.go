// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package message

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Message is what an application sends. The zero value with a Topic and a Body
// can be sent. It has no lock: do not change it while it is being sent.
type Message struct {
	Topic string
	// Flag is the application's own: the broker stores and returns it.
	Flag int32
	// Properties holds everything else that travels with the body. Those that
	// RocketMQ gives a meaning have methods of their own.
	Properties Properties
	Body       []byte
}

// New makes a message with a topic and a body.
func New(topic string, body []byte) *Message { return &Message{Topic: topic, Body: body} }

// Property returns the value of a property, "" if there is none: an empty value
// is never stored.
func (m *Message) Property(name string) string { return m.Properties[name] }

// SetProperty sets a property of the application. The names that RocketMQ gives
// a meaning, an empty value, and the bytes 0x01 and 0x02 are refused with an
// error that matches ErrProperty.
func (m *Message) SetProperty(name, value string) error {
	if err := CheckProperty(name, value); err != nil {
		return err
	}
	if reserved(name) {
		return fmt.Errorf("%w: the name %q is reserved", ErrProperty, name)
	}
	if value == "" {
		return fmt.Errorf("%w: the value of %q is empty", ErrProperty, name)
	}
	m.set(name, value)
	return nil
}

// set stores a property; an empty value removes it.
func (m *Message) set(name, value string) {
	if value == "" {
		delete(m.Properties, name)
		return
	}
	if m.Properties == nil {
		m.Properties = make(Properties, 4)
	}
	m.Properties[name] = value
}

// integer reads a property that is a decimal number, 0 if it is none.
func (m *Message) integer(name string) int {
	text, ok := m.Properties[name]
	if !ok {
		return 0 // the rule; an error would allocate
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return 0
	}
	return int(n)
}

// Tags is what subscriptions select by. A message has one tag.
func (m *Message) Tags() string { return m.Properties[PropertyTags] }

// SetTags sets the tag; "" removes it.
func (m *Message) SetTags(tags string) { m.set(PropertyTags, tags) }

// Keys are the words the message can be found by.
func (m *Message) Keys() []string { return strings.Fields(m.Properties[PropertyKeys]) }

// SetKeys sets the words the message can be found by; none removes them. A key
// with a space in it counts as several.
func (m *Message) SetKeys(keys ...string) { m.set(PropertyKeys, strings.Join(keys, KeySeparator)) }

// DelayLevel is the number of the delay in the broker's list of delays,
// beginning with 1; 0 means no delay.
func (m *Message) DelayLevel() int { return m.integer(PropertyDelay) }

// SetDelayLevel sets the delay. The broker takes its longest delay for a level
// that it does not have. 0 and less remove it.
func (m *Message) SetDelayLevel(level int) {
	if level <= 0 {
		m.set(PropertyDelay, "")
		return
	}
	m.set(PropertyDelay, strconv.Itoa(min(level, math.MaxInt32)))
}

// SetDeliverTime has the message be delivered at a time and not before, to the
// millisecond; the zero time removes it. A broker refuses what is further away than
// its timerMaxDelaySec. It goes without a delay level.
func (m *Message) SetDeliverTime(at time.Time) {
	if at.IsZero() {
		m.set(PropertyTimerDeliver, "")
		return
	}
	m.set(PropertyTimerDeliver, strconv.FormatInt(at.UnixMilli(), 10))
}

// Delayed tells whether the message is to be delivered later than it is sent: it has
// a delay level, a time to be delivered at, or a delay of RocketMQ 5 in seconds or
// milliseconds.
func (m *Message) Delayed() bool {
	return m.DelayLevel() > 0 || m.Properties[PropertyTimerDeliver] != "" || m.Properties[PropertyTimerDelaySeconds] != "" ||
		m.Properties[PropertyTimerDelayMillis] != ""
}

// UniqueKey is the id that the producer gave the message.
func (m *Message) UniqueKey() string { return m.Properties[PropertyUniqueKey] }

// SetUniqueKey sets the id; producers do it for messages without.
func (m *Message) SetUniqueKey(id string) { m.set(PropertyUniqueKey, id) }

// WaitStored tells whether the answer to a send waits until the record is as
// safe as the broker is set up to make it: true unless set to false.
func (m *Message) WaitStored() bool {
	v, ok := m.Properties[PropertyWait]
	return !ok || strings.EqualFold(v, "true")
}

// SetWaitStored sets what WaitStored tells.
func (m *Message) SetWaitStored(wait bool) { m.set(PropertyWait, strconv.FormatBool(wait)) }

// Prepared tells whether the message is the half message of a transaction.
func (m *Message) Prepared() bool {
	return strings.EqualFold(m.Properties[PropertyTransactionPrepared], "true")
}

// SetPrepared makes the message the half message of a transaction of a producer
// group, which the broker asks for the outcome.
func (m *Message) SetPrepared(group string) {
	m.set(PropertyTransactionPrepared, "true")
	m.set(PropertyProducerGroup, group)
}

// ProducerGroup is the group of a half message's producer.
func (m *Message) ProducerGroup() string { return m.Properties[PropertyProducerGroup] }

// TransactionID is the id of the transaction: the broker's if it set one, else
// the message's UniqueKey.
func (m *Message) TransactionID() string {
	if id := m.Properties[PropertyTransactionID]; id != "" {
		return id
	}
	return m.UniqueKey()
}

// ShardingKey is the value by which an ordered message found its queue.
func (m *Message) ShardingKey() string { return m.Properties[PropertyShardingKey] }

// SetShardingKey sets the value; "" removes it.
func (m *Message) SetShardingKey(key string) { m.set(PropertyShardingKey, key) }

// BuyerID is a property that RocketMQ keeps a name for and does nothing with.
func (m *Message) BuyerID() string { return m.Properties[PropertyBuyerID] }

// SetBuyerID sets it; "" removes it.
func (m *Message) SetBuyerID(id string) { m.set(PropertyBuyerID, id) }

// InstanceID is the instance (namespace) that the topic is in.
func (m *Message) InstanceID() string { return m.Properties[PropertyInstanceID] }

// SetInstanceID sets the instance; "" removes it.
func (m *Message) SetInstanceID(id string) { m.set(PropertyInstanceID, id) }

// Check tests that the message can be sent: its topic has a legal name, its body
// is not empty, and its properties fit. Errors match ErrName, ErrBody,
// ErrProperty or ErrProperties. How large a body may be is the broker's to say.
func (m *Message) Check() error {
	if err := CheckTopic(m.Topic); err != nil {
		return err
	}
	if len(m.Body) == 0 {
		return fmt.Errorf("%w: the message has no body", ErrBody)
	}
	return m.Properties.Check()
}
