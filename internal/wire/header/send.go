// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package header

import "github.com/twostage/twostage/internal/wire"

// SendRequest is the header of a send with one-letter names: SEND_MESSAGE_V2,
// SEND_BATCH_MESSAGE, SEND_REPLY_MESSAGE_V2. [SendRequest.Decode] also reads the
// long names of SEND_MESSAGE and SEND_REPLY_MESSAGE. Its slices alias the
// command.
type SendRequest struct {
	ProducerGroup         []byte
	Topic                 []byte
	DefaultTopic          []byte // the topic to take settings from if Topic must be made
	DefaultTopicQueueNums int32
	QueueID               int32 // negative: any
	SysFlag               int32
	BornTimestamp         int64 // milliseconds of the client's clock
	Flag                  int32
	Properties            []byte // as in a record: name \x01 value \x02 ...; nil when absent
	ReconsumeTimes        int32
	UnitMode              bool
	MaxReconsumeTimes     int32
	HasMaxReconsumeTimes  bool
	Batch                 bool   // the body holds several messages, whatever the code
	BrokerName            []byte // nil when absent; only in the form with short names

	// Every, when set, is written in place of the fields that EverySend has; only in
	// the form with short names.
	Every *wire.ExtConst
}

// EverySend are the fields that a producer's sends have in common: its group, what
// a new topic is made after, and those of messages that are not sent back.
func EverySend(group, defaultTopic string, defaultTopicQueueNums int32, batch bool) *wire.ExtConst {
	return wire.NewExtConst(func(w *wire.ExtWriter) {
		w.String("a", group)
		w.String("c", defaultTopic)
		w.Int32("d", defaultTopicQueueNums)
		w.Int32("j", 0)
		w.Bool("k", false)
		w.Bool("m", batch)
	})
}

// SendRequestV1 is a SendRequest with long names.
type SendRequestV1 SendRequest

// sendRequired has a bit for each of the fields a to h.
const sendRequired = 1<<8 - 1

// sendNames are the long names of the fields a to m.
var sendNames = [...]string{
	"producerGroup", "topic", "defaultTopic", "defaultTopicQueueNums", "queueId",
	"sysFlag", "bornTimestamp", "flag", "properties", "reconsumeTimes", "unitMode",
	"maxReconsumeTimes", "batch",
}

// Decode reads the fields of a send request of that code, whichever names it
// uses. Its errors are of type *[Error].
func (h *SendRequest) Decode(code int32, f wire.Fields) error {
	switch code {
	case wire.ReqSendMessage, wire.ReqSendReplyMessage:
		return h.DecodeV1(f)
	}
	return h.DecodeV2(f)
}

// DecodeV1 reads the long names.
func (h *SendRequest) DecodeV1(f wire.Fields) error {
	*h = SendRequest{}
	c := reading("SendRequestV1", nil)
	var seen uint32
	for i := range f {
		for n, name := range sendNames {
			if string(f[i].Key) == name {
				seen |= h.set(&c, n, name, f[i].Value)
				break
			}
		}
	}
	return h.check(&c, seen, true)
}

// DecodeV2 reads the one-letter names.
func (h *SendRequest) DecodeV2(f wire.Fields) error {
	*h = SendRequest{}
	c := reading("SendRequest", nil)
	var seen uint32
	for i := range f {
		if k := f[i].Key; len(k) == 1 && k[0] >= 'a' && k[0] <= 'n' {
			n := int(k[0] - 'a')
			seen |= h.set(&c, n, letters[n:n+1], f[i].Value)
		}
	}
	return h.check(&c, seen, false)
}

const letters = "abcdefghijklmn"

// set stores the value of the field with that number (a is 0) and gives its
// bit, or none if the value counts as absent.
func (h *SendRequest) set(c *codec, n int, name string, v []byte) uint32 {
	bit := uint32(1) << n
	switch n {
	case 0:
		h.ProducerGroup = v
	case 1:
		h.Topic = v
	case 2:
		h.DefaultTopic = v
	case 3:
		bit = c.setI32(name, v, &h.DefaultTopicQueueNums, bit)
	case 4:
		bit = c.setI32(name, v, &h.QueueID, bit)
	case 5:
		bit = c.setI32(name, v, &h.SysFlag, bit)
	case 6:
		bit = c.setI64(name, v, &h.BornTimestamp, bit)
	case 7:
		bit = c.setI32(name, v, &h.Flag, bit)
	case 8:
		h.Properties = v
	case 9:
		bit = c.setI32(name, v, &h.ReconsumeTimes, bit)
	case 10:
		h.UnitMode = parseBool(v)
	case 11:
		bit = c.setI32(name, v, &h.MaxReconsumeTimes, bit)
		h.HasMaxReconsumeTimes = bit != 0
	case 12:
		h.Batch = parseBool(v)
	case 13:
		h.BrokerName = v
	}
	return bit
}

func (h *SendRequest) check(c *codec, seen uint32, long bool) error {
	if c.err == nil && seen&sendRequired == sendRequired {
		return nil
	}
	for n := range 8 {
		if seen&(1<<n) == 0 {
			if long {
				c.fail(sendNames[n], "is missing")
			} else {
				c.fail(letters[n:n+1]+" ("+sendNames[n]+")", "is missing")
			}
		}
	}
	return c.err
}

// DecodeExt reads the one-letter names.
func (h *SendRequest) DecodeExt(f wire.Fields) error { return h.DecodeV2(f) }

// EncodeExt writes the one-letter names.
func (h *SendRequest) EncodeExt(w *wire.ExtWriter) {
	own := h.Every == nil
	if own {
		w.Bytes("a", h.ProducerGroup)
	} else {
		w.Const(h.Every)
	}
	w.Bytes("b", h.Topic)
	if own {
		w.Bytes("c", h.DefaultTopic)
		w.Int32("d", h.DefaultTopicQueueNums)
	}
	w.Int32("e", h.QueueID)
	w.Int32("f", h.SysFlag)
	w.Int64("g", h.BornTimestamp)
	w.Int32("h", h.Flag)
	if h.Properties != nil {
		w.Bytes("i", h.Properties)
	}
	if own {
		w.Int32("j", h.ReconsumeTimes)
		w.Bool("k", h.UnitMode)
	}
	if h.HasMaxReconsumeTimes {
		w.Int32("l", h.MaxReconsumeTimes)
	}
	if own {
		w.Bool("m", h.Batch)
	}
	if h.BrokerName != nil {
		w.Bytes("n", h.BrokerName)
	}
}

// DecodeExt reads the long names.
func (h *SendRequestV1) DecodeExt(f wire.Fields) error { return (*SendRequest)(h).DecodeV1(f) }

// EncodeExt writes the long names.
func (h *SendRequestV1) EncodeExt(w *wire.ExtWriter) {
	w.Bytes("producerGroup", h.ProducerGroup)
	w.Bytes("topic", h.Topic)
	w.Bytes("defaultTopic", h.DefaultTopic)
	w.Int32("defaultTopicQueueNums", h.DefaultTopicQueueNums)
	w.Int32("queueId", h.QueueID)
	w.Int32("sysFlag", h.SysFlag)
	w.Int64("bornTimestamp", h.BornTimestamp)
	w.Int32("flag", h.Flag)
	if h.Properties != nil {
		w.Bytes("properties", h.Properties)
	}
	w.Int32("reconsumeTimes", h.ReconsumeTimes)
	w.Bool("unitMode", h.UnitMode)
	if h.HasMaxReconsumeTimes {
		w.Int32("maxReconsumeTimes", h.MaxReconsumeTimes)
	}
	w.Bool("batch", h.Batch)
}
