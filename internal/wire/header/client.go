// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package header

import "github.com/twostage/twostage/internal/wire"

// UnregisterClientRequest is the header of UNREGISTER_CLIENT.
type UnregisterClientRequest struct {
	ClientID      string
	ProducerGroup string
	ConsumerGroup string
}

// DecodeExt reads the fields.
func (h *UnregisterClientRequest) DecodeExt(f wire.Fields) error {
	c := reading("UnregisterClientRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *UnregisterClientRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *UnregisterClientRequest) walk(c *codec) {
	c.str("clientID", &h.ClientID)
	c.optStr("producerGroup", &h.ProducerGroup)
	c.optStr("consumerGroup", &h.ConsumerGroup)
}

// ConsumerListRequest is the header of GET_CONSUMER_LIST_BY_GROUP.
type ConsumerListRequest struct {
	ConsumerGroup string
}

// DecodeExt reads the fields.
func (h *ConsumerListRequest) DecodeExt(f wire.Fields) error {
	c := reading("ConsumerListRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *ConsumerListRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *ConsumerListRequest) walk(c *codec) {
	c.str("consumerGroup", &h.ConsumerGroup)
}

// ConsumerIDsChangedRequest is the header of NOTIFY_CONSUMER_IDS_CHANGED, which a
// broker sends.
type ConsumerIDsChangedRequest struct {
	ConsumerGroup string
}

// DecodeExt reads the fields.
func (h *ConsumerIDsChangedRequest) DecodeExt(f wire.Fields) error {
	c := reading("ConsumerIDsChangedRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *ConsumerIDsChangedRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *ConsumerIDsChangedRequest) walk(c *codec) {
	c.str("consumerGroup", &h.ConsumerGroup)
}

// ConsumerConnectionRequest is the header of GET_CONSUMER_CONNECTION_LIST.
type ConsumerConnectionRequest struct {
	ConsumerGroup string
}

// DecodeExt reads the fields.
func (h *ConsumerConnectionRequest) DecodeExt(f wire.Fields) error {
	c := reading("ConsumerConnectionRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *ConsumerConnectionRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *ConsumerConnectionRequest) walk(c *codec) {
	c.str("consumerGroup", &h.ConsumerGroup)
}

// ProducerConnectionRequest is the header of GET_PRODUCER_CONNECTION_LIST.
type ProducerConnectionRequest struct {
	ProducerGroup string
}

// DecodeExt reads the fields.
func (h *ProducerConnectionRequest) DecodeExt(f wire.Fields) error {
	c := reading("ProducerConnectionRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *ProducerConnectionRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *ProducerConnectionRequest) walk(c *codec) {
	c.str("producerGroup", &h.ProducerGroup)
}

// SendBackRequest is the header of CONSUMER_SEND_MSG_BACK.
type SendBackRequest struct {
	Offset               int64 // of the record in the commit log
	Group                string
	DelayLevel           int32 // 0: 3 and the times so far; negative: to %DLQ% at once
	OriginMsgID          string
	OriginTopic          string
	UnitMode             bool
	MaxReconsumeTimes    int32
	HasMaxReconsumeTimes bool
}

// DecodeExt reads the fields.
func (h *SendBackRequest) DecodeExt(f wire.Fields) error {
	c := reading("SendBackRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *SendBackRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *SendBackRequest) walk(c *codec) {
	c.i64("offset", &h.Offset)
	c.str("group", &h.Group)
	c.i32("delayLevel", &h.DelayLevel)
	c.optStr("originMsgId", &h.OriginMsgID)
	c.optStr("originTopic", &h.OriginTopic)
	c.flag("unitMode", &h.UnitMode)
	c.maybeI32("maxReconsumeTimes", &h.MaxReconsumeTimes, &h.HasMaxReconsumeTimes)
}

// HeartbeatResponse is the header of the answer to a heartbeat of V2
// (HeartbeatData.HeartbeatFingerprint). Others are answered without one.
type HeartbeatResponse struct {
	SupportsV2 bool // the next heartbeats may leave the subscriptions out
	Again      bool // but the next one must have them
}

// DecodeExt reads the fields.
func (h *HeartbeatResponse) DecodeExt(f wire.Fields) error {
	c := reading("HeartbeatResponse", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *HeartbeatResponse) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *HeartbeatResponse) walk(c *codec) {
	c.flag("IS_SUPPORT_HEART_BEAT_V2", &h.SupportsV2)
	c.flag("IS_SUB_CHANGE", &h.Again)
}
