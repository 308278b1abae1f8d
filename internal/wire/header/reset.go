// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package header

import "github.com/twostage/twostage/internal/wire"

// ResetOffsetRequest is the header of RESET_CONSUMER_CLIENT_OFFSET, which a broker
// sends, and of INVOKE_BROKER_TO_RESET_OFFSET.
type ResetOffsetRequest struct {
	Topic      string
	Group      string
	Timestamp  int64 // milliseconds; -1: to the end
	Force      bool  // also forward
	QueueID    int32 // absent or negative: all queues; 5.x
	HasQueueID bool
	Offset     int64 // instead of Timestamp; 5.x
	HasOffset  bool
}

// DecodeExt reads the fields.
func (h *ResetOffsetRequest) DecodeExt(f wire.Fields) error {
	c := reading("ResetOffsetRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *ResetOffsetRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *ResetOffsetRequest) walk(c *codec) {
	c.str("topic", &h.Topic)
	c.str("group", &h.Group)
	c.i64("timestamp", &h.Timestamp)
	c.boolean("isForce", &h.Force)
	c.maybeI32("queueId", &h.QueueID, &h.HasQueueID)
	c.maybeI64("offset", &h.Offset, &h.HasOffset)
}

// ConsumerStatusRequest is the header of GET_CONSUMER_STATUS_FROM_CLIENT and of
// INVOKE_BROKER_TO_GET_CONSUMER_STATUS.
type ConsumerStatusRequest struct {
	Topic      string
	Group      string
	ClientAddr string // empty: all clients
}

// DecodeExt reads the fields.
func (h *ConsumerStatusRequest) DecodeExt(f wire.Fields) error {
	c := reading("ConsumerStatusRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *ConsumerStatusRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *ConsumerStatusRequest) walk(c *codec) {
	c.str("topic", &h.Topic)
	c.str("group", &h.Group)
	c.optStr("clientAddr", &h.ClientAddr)
}
