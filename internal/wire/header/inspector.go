// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package header

import "github.com/twostage/twostage/internal/wire"

// The headers of the transaction inspector are Twostage's own; see
// docs/format/inspector.md. A broker name in a request is optional: a broker of
// another name then refuses it, because something else listens at its address.

// The outcomes in a [TxDecideRequest].
const (
	TxCommit   = "commit"
	TxRollback = "rollback"
)

// TxListRequest is the header of TX_LIST. A field that is empty or 0 selects
// nothing.
type TxListRequest struct {
	BrokerName string
	Topic      string // of the message
	Group      string // of the producer
	State      string // a body.TransactionState
	MinAge     int64  // milliseconds since the half message was stored
	MaxAge     int64  // milliseconds
	From       int64  // half queue offset to begin with
	Limit      int32  // transactions in the answer
}

// DecodeExt reads the fields.
func (h *TxListRequest) DecodeExt(f wire.Fields) error {
	c := reading("TxListRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *TxListRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *TxListRequest) walk(c *codec) {
	c.optStr("brokerName", &h.BrokerName)
	c.optStr("topic", &h.Topic)
	c.optStr("group", &h.Group)
	c.optStr("state", &h.State)
	c.optI64("minAge", &h.MinAge)
	c.optI64("maxAge", &h.MaxAge)
	c.optI64("from", &h.From)
	c.optI32("limit", &h.Limit)
}

// TxRequest is the header of TX_SHOW, TX_RECHECK and TX_RESUME.
type TxRequest struct {
	BrokerName string
	ID         string // half queue offset in decimal, offset message id, or UNIQ_KEY
}

// DecodeExt reads the fields.
func (h *TxRequest) DecodeExt(f wire.Fields) error {
	c := reading("TxRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *TxRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *TxRequest) walk(c *codec) {
	c.optStr("brokerName", &h.BrokerName)
	c.str("id", &h.ID)
}

// TxDecideRequest is the header of TX_DECIDE.
type TxDecideRequest struct {
	BrokerName string
	ID         string // as in TxRequest
	Outcome    string // TxCommit or TxRollback
}

// DecodeExt reads the fields.
func (h *TxDecideRequest) DecodeExt(f wire.Fields) error {
	c := reading("TxDecideRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *TxDecideRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *TxDecideRequest) walk(c *codec) {
	c.optStr("brokerName", &h.BrokerName)
	c.str("id", &h.ID)
	c.str("outcome", &h.Outcome)
}

// TxResponse is the header of the answers to TX_DECIDE, TX_RECHECK and
// TX_RESUME.
type TxResponse struct {
	QueueOffset int64 // half queue offset of the transaction; after TX_RESUME that of its new half message
}

// DecodeExt reads the fields.
func (h *TxResponse) DecodeExt(f wire.Fields) error {
	c := reading("TxResponse", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *TxResponse) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *TxResponse) walk(c *codec) { c.i64("queueOffset", &h.QueueOffset) }
