// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package header

import "github.com/twostage/twostage/internal/wire"

// RecallRequest is the header of RECALL_MESSAGE. Its texts are copies.
//
// Source: RecallMessageRequestHeader of Apache RocketMQ 5.3.3.
type RecallRequest struct {
	ProducerGroup string // "" when absent
	Topic         string
	RecallHandle  string // from the answer to the send
}

// DecodeExt reads the fields; topic and recallHandle are needed.
func (h *RecallRequest) DecodeExt(f wire.Fields) error {
	*h = RecallRequest{}
	c := reading("RecallRequest", nil)
	var seen uint32
	for i := range f {
		v := f[i].Value
		switch string(f[i].Key) {
		case "producerGroup":
			h.ProducerGroup = string(v)
		case "topic":
			h.Topic = string(v)
			seen |= 1
		case "recallHandle":
			h.RecallHandle = string(v)
			seen |= 2
		}
	}
	c.require(seen, "topic", "recallHandle")
	return c.err
}

// EncodeExt writes the fields.
func (h *RecallRequest) EncodeExt(w *wire.ExtWriter) {
	w.String("producerGroup", h.ProducerGroup)
	w.String("topic", h.Topic)
	w.String("recallHandle", h.RecallHandle)
}

// RecallResponse is the header of the answer.
type RecallResponse struct {
	MsgID  string // the unique key of what is taken back; "" is left out
	Region string // MSG_REGION; "" is left out
}

// DecodeExt reads the fields.
func (h *RecallResponse) DecodeExt(f wire.Fields) error {
	*h = RecallResponse{}
	for i := range f {
		switch string(f[i].Key) {
		case "msgId":
			h.MsgID = string(f[i].Value)
		case "MSG_REGION":
			h.Region = string(f[i].Value)
		}
	}
	return nil
}

// EncodeExt writes the fields.
func (h *RecallResponse) EncodeExt(w *wire.ExtWriter) {
	if h.MsgID != "" {
		w.String("msgId", h.MsgID)
	}
	if h.Region != "" {
		w.String("MSG_REGION", h.Region)
	}
}
