// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package header

import "github.com/twostage/twostage/internal/wire"

// QueryMessageRequest is the header of QUERY_MESSAGE.
type QueryMessageRequest struct {
	Topic          string
	Key            string
	MaxNum         int32
	BeginTimestamp int64 // milliseconds, of the store time
	EndTimestamp   int64
	UniqueKey      bool // Key is a UNIQ_KEY
}

// DecodeExt reads the fields.
func (h *QueryMessageRequest) DecodeExt(f wire.Fields) error {
	c := reading("QueryMessageRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *QueryMessageRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *QueryMessageRequest) walk(c *codec) {
	c.str("topic", &h.Topic)
	c.str("key", &h.Key)
	c.i32("maxNum", &h.MaxNum)
	c.i64("beginTimestamp", &h.BeginTimestamp)
	c.i64("endTimestamp", &h.EndTimestamp)
	c.flag("_UNIQUE_KEY_QUERY", &h.UniqueKey)
}

// QueryMessageResponse is the header of the answer to QUERY_MESSAGE.
type QueryMessageResponse struct {
	IndexLastUpdateTimestamp int64
	IndexLastUpdatePhyOffset int64
}

// DecodeExt reads the fields.
func (h *QueryMessageResponse) DecodeExt(f wire.Fields) error {
	c := reading("QueryMessageResponse", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *QueryMessageResponse) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *QueryMessageResponse) walk(c *codec) {
	c.i64("indexLastUpdateTimestamp", &h.IndexLastUpdateTimestamp)
	c.i64("indexLastUpdatePhyoffset", &h.IndexLastUpdatePhyOffset)
}

// ViewMessageRequest is the header of VIEW_MESSAGE_BY_ID.
type ViewMessageRequest struct {
	Offset int64  // in the commit log
	Topic  string // 5.x
}

// DecodeExt reads the fields.
func (h *ViewMessageRequest) DecodeExt(f wire.Fields) error {
	c := reading("ViewMessageRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *ViewMessageRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *ViewMessageRequest) walk(c *codec) {
	c.i64("offset", &h.Offset)
	c.optStr("topic", &h.Topic)
}
