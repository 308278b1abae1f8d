// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package header

import "github.com/twostage/twostage/internal/wire"

// ReplyRequest is the header of PUSH_REPLY_MESSAGE_TO_CLIENT, which a broker
// sends.
type ReplyRequest struct {
	ProducerGroup         string
	Topic                 string
	DefaultTopic          string
	DefaultTopicQueueNums int32
	QueueID               int32
	SysFlag               int32
	BornTimestamp         int64 // milliseconds
	Flag                  int32
	Properties            string
	ReconsumeTimes        int32
	UnitMode              bool
	BornHost              string // address:port, IPv6 without brackets
	StoreHost             string // address:port, IPv6 without brackets
	StoreTimestamp        int64  // milliseconds
}

// DecodeExt reads the fields.
func (h *ReplyRequest) DecodeExt(f wire.Fields) error {
	c := reading("ReplyRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *ReplyRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *ReplyRequest) walk(c *codec) {
	c.str("producerGroup", &h.ProducerGroup)
	c.str("topic", &h.Topic)
	c.str("defaultTopic", &h.DefaultTopic)
	c.i32("defaultTopicQueueNums", &h.DefaultTopicQueueNums)
	c.i32("queueId", &h.QueueID)
	c.i32("sysFlag", &h.SysFlag)
	c.i64("bornTimestamp", &h.BornTimestamp)
	c.i32("flag", &h.Flag)
	c.optStr("properties", &h.Properties)
	c.softI32("reconsumeTimes", &h.ReconsumeTimes)
	c.flag("unitMode", &h.UnitMode)
	c.str("bornHost", &h.BornHost)
	c.str("storeHost", &h.StoreHost)
	c.i64("storeTimestamp", &h.StoreTimestamp)
}
