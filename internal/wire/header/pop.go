// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package header

import "github.com/twostage/twostage/internal/wire"

// PopRequest is the header of POP_MESSAGE.
type PopRequest struct {
	ConsumerGroup string
	Topic         string
	QueueID       int32 // negative: all queues
	MaxMsgNums    int32
	InvisibleTime int64 // ms
	PollTime      int64 // ms for which the request may be held
	BornTime      int64 // ms since 1970, of the client's clock; 0: of its arrival
	InitMode      int32 // where a group without an offset begins: PopInitMin or PopInitMax
	ExpType       string
	Exp           string
	Order         bool
	AttemptID     string
}

// The values of PopRequest.InitMode.
const (
	PopInitMin int32 = 0
	PopInitMax int32 = 1
)

// DecodeExt reads the fields.
func (h *PopRequest) DecodeExt(f wire.Fields) error {
	c := reading("PopRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *PopRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *PopRequest) walk(c *codec) {
	c.str("consumerGroup", &h.ConsumerGroup)
	c.str("topic", &h.Topic)
	c.i32("queueId", &h.QueueID)
	c.i32("maxMsgNums", &h.MaxMsgNums)
	c.i64("invisibleTime", &h.InvisibleTime)
	c.i64("pollTime", &h.PollTime)
	c.optI64("bornTime", &h.BornTime)
	c.i32("initMode", &h.InitMode)
	c.optStr("expType", &h.ExpType)
	c.optStr("exp", &h.Exp)
	c.flag("order", &h.Order)
	c.optStr("attemptId", &h.AttemptID)
}

// PopResponse is the header of the answer to POP_MESSAGE and PEEK_MESSAGE. The
// three texts say, for the queues that gave messages, separated by semicolons:
//
//	StartOffsetInfo  retry queue startOffset             of the checkpoint
//	MsgOffsetInfo    retry queue offset,offset,...       of the messages
//	OrderCountInfo   retry queue times, or
//	                 retry qo<queue>%<offset> times      how often they were given before
//
// retry is 0 for the topic itself, 1 and 2 for the group's retry topic in its
// first and second form. Source: ExtraInfoUtil of Apache RocketMQ 5.3.3.
type PopResponse struct {
	PopTime         int64 // ms since 1970
	InvisibleTime   int64 // ms
	ReviveQID       int32
	RestNum         int64 // messages left in the queues
	StartOffsetInfo string
	MsgOffsetInfo   string
	OrderCountInfo  string
}

// DecodeExt reads the fields.
func (h *PopResponse) DecodeExt(f wire.Fields) error {
	c := reading("PopResponse", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *PopResponse) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *PopResponse) walk(c *codec) {
	c.i64("popTime", &h.PopTime)
	c.i64("invisibleTime", &h.InvisibleTime)
	c.i32("reviveQid", &h.ReviveQID)
	c.i64("restNum", &h.RestNum)
	c.optStr("startOffsetInfo", &h.StartOffsetInfo)
	c.optStr("msgOffsetInfo", &h.MsgOffsetInfo)
	c.optStr("orderCountInfo", &h.OrderCountInfo)
}

// AckRequest is the header of ACK_MESSAGE. Those of BATCH_ACK_MESSAGE have no
// field that is read: all is in the body.
type AckRequest struct {
	ConsumerGroup string
	Topic         string // of the queue the message came from: a retry topic for a retry
	QueueID       int32
	ExtraInfo     string // the handle, see package pop
	Offset        int64  // of the message in its queue
}

// DecodeExt reads the fields.
func (h *AckRequest) DecodeExt(f wire.Fields) error {
	c := reading("AckRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *AckRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *AckRequest) walk(c *codec) {
	c.str("consumerGroup", &h.ConsumerGroup)
	c.str("topic", &h.Topic)
	c.i32("queueId", &h.QueueID)
	c.str("extraInfo", &h.ExtraInfo)
	c.i64("offset", &h.Offset)
}

// ChangeInvisibleRequest is the header of CHANGE_MESSAGE_INVISIBLETIME.
type ChangeInvisibleRequest struct {
	ConsumerGroup string
	Topic         string
	QueueID       int32
	ExtraInfo     string // the handle
	Offset        int64
	InvisibleTime int64 // ms, from now on
}

// DecodeExt reads the fields.
func (h *ChangeInvisibleRequest) DecodeExt(f wire.Fields) error {
	c := reading("ChangeInvisibleRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *ChangeInvisibleRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *ChangeInvisibleRequest) walk(c *codec) {
	c.str("consumerGroup", &h.ConsumerGroup)
	c.str("topic", &h.Topic)
	c.i32("queueId", &h.QueueID)
	c.str("extraInfo", &h.ExtraInfo)
	c.i64("offset", &h.Offset)
	c.i64("invisibleTime", &h.InvisibleTime)
}

// ChangeInvisibleResponse is the header of its answer: what a new handle is made
// of.
type ChangeInvisibleResponse struct {
	PopTime       int64 // ms since 1970
	InvisibleTime int64 // ms
	ReviveQID     int32
}

// DecodeExt reads the fields.
func (h *ChangeInvisibleResponse) DecodeExt(f wire.Fields) error {
	c := reading("ChangeInvisibleResponse", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *ChangeInvisibleResponse) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *ChangeInvisibleResponse) walk(c *codec) {
	c.i64("popTime", &h.PopTime)
	c.i64("invisibleTime", &h.InvisibleTime)
	c.i32("reviveQid", &h.ReviveQID)
}
