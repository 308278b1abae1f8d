// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package header

import "github.com/twostage/twostage/internal/wire"

// RunningInfoRequest is the header of GET_CONSUMER_RUNNING_INFO.
type RunningInfoRequest struct {
	ConsumerGroup string
	ClientID      string
	Stacks        bool
}

// DecodeExt reads the fields.
func (h *RunningInfoRequest) DecodeExt(f wire.Fields) error {
	c := reading("RunningInfoRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *RunningInfoRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *RunningInfoRequest) walk(c *codec) {
	c.str("consumerGroup", &h.ConsumerGroup)
	c.str("clientId", &h.ClientID)
	c.flag("jstackEnable", &h.Stacks)
}

// ConsumeDirectlyRequest is the header of CONSUME_MESSAGE_DIRECTLY.
type ConsumeDirectlyRequest struct {
	ConsumerGroup string
	ClientID      string
	MsgID         string
	BrokerName    string
	Topic         string // 5.x
}

// DecodeExt reads the fields.
func (h *ConsumeDirectlyRequest) DecodeExt(f wire.Fields) error {
	c := reading("ConsumeDirectlyRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *ConsumeDirectlyRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *ConsumeDirectlyRequest) walk(c *codec) {
	c.str("consumerGroup", &h.ConsumerGroup)
	c.optStr("clientId", &h.ClientID)
	c.optStr("msgId", &h.MsgID)
	c.optStr("brokerName", &h.BrokerName)
	c.optStr("topic", &h.Topic)
}

// BrokerStatsRequest is the header of VIEW_BROKER_STATS_DATA.
type BrokerStatsRequest struct {
	StatsName string
	StatsKey  string
}

// DecodeExt reads the fields.
func (h *BrokerStatsRequest) DecodeExt(f wire.Fields) error {
	c := reading("BrokerStatsRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *BrokerStatsRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *BrokerStatsRequest) walk(c *codec) {
	c.str("statsName", &h.StatsName)
	c.str("statsKey", &h.StatsKey)
}

// BrokerConsumeStatsRequest is the header of GET_BROKER_CONSUME_STATS.
type BrokerConsumeStatsRequest struct {
	Order bool
}

// DecodeExt reads the fields.
func (h *BrokerConsumeStatsRequest) DecodeExt(f wire.Fields) error {
	c := reading("BrokerConsumeStatsRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *BrokerConsumeStatsRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *BrokerConsumeStatsRequest) walk(c *codec) {
	c.boolean("isOrder", &h.Order)
}

// ConsumeQueueRequest is the header of QUERY_CONSUME_QUEUE.
type ConsumeQueueRequest struct {
	Topic         string
	QueueID       int32
	Index         int64
	Count         int32
	ConsumerGroup string
}

// DecodeExt reads the fields.
func (h *ConsumeQueueRequest) DecodeExt(f wire.Fields) error {
	c := reading("ConsumeQueueRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *ConsumeQueueRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *ConsumeQueueRequest) walk(c *codec) {
	c.str("topic", &h.Topic)
	c.i32("queueId", &h.QueueID)
	c.i64("index", &h.Index)
	c.i32("count", &h.Count)
	c.optStr("consumerGroup", &h.ConsumerGroup)
}

// BrokerConfigResponse is the header of the answer to GET_BROKER_CONFIG.
type BrokerConfigResponse struct {
	Version string // DataVersion as JSON
}

// DecodeExt reads the fields.
func (h *BrokerConfigResponse) DecodeExt(f wire.Fields) error {
	c := reading("BrokerConfigResponse", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *BrokerConfigResponse) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *BrokerConfigResponse) walk(c *codec) {
	c.str("version", &h.Version)
}
