// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package header

import "github.com/twostage/twostage/internal/wire"

// SendResponse is the header of the answer to every kind of send. Its slices
// alias the command.
//
// An answer that stored nothing has Region and TraceOn only: leave MsgID nil, and
// queue and offset are left out.
type SendResponse struct {
	MsgID         []byte // the offset id, several joined by commas for a batch
	QueueID       int32
	QueueOffset   int64
	TransactionID []byte // nil is left out; 4.9.8 never sends it, 5.x the UNIQ_KEY
	BatchUniqID   []byte // nil is left out; 5.x only
	RecallHandle  []byte // nil is left out; 5.x only
	Region        []byte // MSG_REGION; nil leaves it out, and TRACE_ON with it
	TraceOn       bool   // TRACE_ON: whether the client shall trace; true when absent

	// Every, when set, is written in place of Region and TraceOn.
	Every *wire.ExtConst
}

// EveryAnswer are MSG_REGION and TRACE_ON, which every answer of a broker has.
func EveryAnswer(region string, traceOn bool) *wire.ExtConst {
	return wire.NewExtConst(func(w *wire.ExtWriter) { writeEvery(w, []byte(region), traceOn) })
}

func writeEvery(w *wire.ExtWriter, region []byte, traceOn bool) {
	w.Bytes("MSG_REGION", region)
	w.Bool("TRACE_ON", traceOn)
}

// DecodeExt reads the fields of an answer that stored a message.
func (h *SendResponse) DecodeExt(f wire.Fields) error {
	*h = SendResponse{TraceOn: true}
	c := reading("SendResponse", nil)
	var seen uint32
	for i := range f {
		v := f[i].Value
		switch string(f[i].Key) {
		case "msgId":
			h.MsgID = v
			seen |= 1
		case "queueId":
			seen |= c.setI32("queueId", v, &h.QueueID, 2)
		case "queueOffset":
			seen |= c.setI64("queueOffset", v, &h.QueueOffset, 4)
		case "transactionId":
			h.TransactionID = v
		case "batchUniqId":
			h.BatchUniqID = v
		case "recallHandle":
			h.RecallHandle = v
		case "MSG_REGION":
			h.Region = v
		case "TRACE_ON":
			h.TraceOn = string(v) != "false"
		}
	}
	c.require(seen, "msgId", "queueId", "queueOffset")
	return c.err
}

// EncodeExt writes the fields.
func (h *SendResponse) EncodeExt(w *wire.ExtWriter) {
	if h.MsgID != nil {
		w.Bytes("msgId", h.MsgID)
		w.Int32("queueId", h.QueueID)
		w.Int64("queueOffset", h.QueueOffset)
	}
	if h.TransactionID != nil {
		w.Bytes("transactionId", h.TransactionID)
	}
	if h.BatchUniqID != nil {
		w.Bytes("batchUniqId", h.BatchUniqID)
	}
	if h.RecallHandle != nil {
		w.Bytes("recallHandle", h.RecallHandle)
	}
	switch {
	case h.Every != nil:
		w.Const(h.Every)
	case h.Region != nil:
		writeEvery(w, h.Region, h.TraceOn)
	}
}
