// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package header

import "github.com/twostage/twostage/internal/wire"

// NotificationRequest is the header of NOTIFICATION.
type NotificationRequest struct {
	ConsumerGroup string
	Topic         string
	QueueID       int32 // negative: all queues
	PollTime      int64 // ms for which the request may be held
	BornTime      int64 // ms since 1970; 0: of its arrival
	Order         bool
	AttemptID     string
}

// DecodeExt reads the fields.
func (h *NotificationRequest) DecodeExt(f wire.Fields) error {
	c := reading("NotificationRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *NotificationRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *NotificationRequest) walk(c *codec) {
	c.str("consumerGroup", &h.ConsumerGroup)
	c.str("topic", &h.Topic)
	c.i32("queueId", &h.QueueID)
	c.i64("pollTime", &h.PollTime)
	c.optI64("bornTime", &h.BornTime)
	c.flag("order", &h.Order)
	c.optStr("attemptId", &h.AttemptID)
}

// NotificationResponse is the header of its answer.
type NotificationResponse struct {
	HasMsg      bool
	PollingFull bool
}

// DecodeExt reads the fields.
func (h *NotificationResponse) DecodeExt(f wire.Fields) error {
	c := reading("NotificationResponse", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *NotificationResponse) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *NotificationResponse) walk(c *codec) {
	c.boolean("hasMsg", &h.HasMsg)
	c.flag("pollingFull", &h.PollingFull)
}

// PollingInfoRequest is the header of POLLING_INFO.
type PollingInfoRequest struct {
	ConsumerGroup string
	Topic         string
	QueueID       int32 // negative: all queues
}

// DecodeExt reads the fields.
func (h *PollingInfoRequest) DecodeExt(f wire.Fields) error {
	c := reading("PollingInfoRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *PollingInfoRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *PollingInfoRequest) walk(c *codec) {
	c.str("consumerGroup", &h.ConsumerGroup)
	c.str("topic", &h.Topic)
	c.i32("queueId", &h.QueueID)
}

// PollingInfoResponse is the header of its answer.
type PollingInfoResponse struct {
	PollingNum int32 // requests that are held
}

// DecodeExt reads the fields.
func (h *PollingInfoResponse) DecodeExt(f wire.Fields) error {
	c := reading("PollingInfoResponse", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *PollingInfoResponse) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *PollingInfoResponse) walk(c *codec) { c.i32("pollingNum", &h.PollingNum) }

// PeekRequest is the header of PEEK_MESSAGE.
type PeekRequest struct {
	Topic         string
	QueueID       int32 // negative: all queues
	MaxMsgNums    int32
	ConsumerGroup string
}

// DecodeExt reads the fields.
func (h *PeekRequest) DecodeExt(f wire.Fields) error {
	c := reading("PeekRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *PeekRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *PeekRequest) walk(c *codec) {
	c.str("topic", &h.Topic)
	c.i32("queueId", &h.QueueID)
	c.i32("maxMsgNums", &h.MaxMsgNums)
	c.str("consumerGroup", &h.ConsumerGroup)
}
