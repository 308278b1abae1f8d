// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package header

import "github.com/twostage/twostage/internal/wire"

// EndTransactionRequest is the header of END_TRANSACTION.
type EndTransactionRequest struct {
	ProducerGroup        string
	TranStateTableOffset int64 // the half message's queue offset
	CommitLogOffset      int64 // the half message's offset in the commit log
	CommitOrRollback     int32 // 8 commit, 12 rollback, 0 unknown
	FromTransactionCheck bool
	MsgID                string // the UNIQ_KEY
	TransactionID        string
	Topic                string // 5.x
}

// DecodeExt reads the fields.
func (h *EndTransactionRequest) DecodeExt(f wire.Fields) error {
	c := reading("EndTransactionRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *EndTransactionRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *EndTransactionRequest) walk(c *codec) {
	c.str("producerGroup", &h.ProducerGroup)
	c.i64("tranStateTableOffset", &h.TranStateTableOffset)
	c.i64("commitLogOffset", &h.CommitLogOffset)
	c.i32("commitOrRollback", &h.CommitOrRollback)
	c.flag("fromTransactionCheck", &h.FromTransactionCheck)
	c.str("msgId", &h.MsgID)
	c.optStr("transactionId", &h.TransactionID)
	c.optStr("topic", &h.Topic)
}

// CheckTransactionRequest is the header of CHECK_TRANSACTION_STATE, which a
// broker sends.
type CheckTransactionRequest struct {
	TranStateTableOffset int64
	CommitLogOffset      int64
	MsgID                string // the UNIQ_KEY
	TransactionID        string // the UNIQ_KEY
	OffsetMsgID          string
	Topic                string // 5.x
}

// DecodeExt reads the fields.
func (h *CheckTransactionRequest) DecodeExt(f wire.Fields) error {
	c := reading("CheckTransactionRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *CheckTransactionRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *CheckTransactionRequest) walk(c *codec) {
	c.i64("tranStateTableOffset", &h.TranStateTableOffset)
	c.i64("commitLogOffset", &h.CommitLogOffset)
	c.optStr("msgId", &h.MsgID)
	c.optStr("transactionId", &h.TransactionID)
	c.optStr("offsetMsgId", &h.OffsetMsgID)
	c.optStr("topic", &h.Topic)
}

// ResumeCheckRequest is the header of RESUME_CHECK_HALF_MESSAGE.
type ResumeCheckRequest struct {
	MsgID string // an offset id
	Topic string // 5.x
}

// DecodeExt reads the fields.
func (h *ResumeCheckRequest) DecodeExt(f wire.Fields) error {
	c := reading("ResumeCheckRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *ResumeCheckRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *ResumeCheckRequest) walk(c *codec) {
	c.optStr("msgId", &h.MsgID)
	c.optStr("topic", &h.Topic)
}
