// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package header

import "github.com/twostage/twostage/internal/wire"

// QueryConsumerOffsetRequest is the header of QUERY_CONSUMER_OFFSET.
type QueryConsumerOffsetRequest struct {
	ConsumerGroup string
	Topic         string
	QueueID       int32
	KeepNotFound  bool // setZeroIfNotFound=false: an unknown group is QUERY_NOT_FOUND, never 0; 5.x
}

// DecodeExt reads the fields.
func (h *QueryConsumerOffsetRequest) DecodeExt(f wire.Fields) error {
	c := reading("QueryConsumerOffsetRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *QueryConsumerOffsetRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *QueryConsumerOffsetRequest) walk(c *codec) {
	c.str("consumerGroup", &h.ConsumerGroup)
	c.str("topic", &h.Topic)
	c.i32("queueId", &h.QueueID)
	c.refusal("setZeroIfNotFound", &h.KeepNotFound)
}

// UpdateConsumerOffsetRequest is the header of UPDATE_CONSUMER_OFFSET.
type UpdateConsumerOffsetRequest struct {
	ConsumerGroup string
	Topic         string
	QueueID       int32
	CommitOffset  int64 // the next offset to consume
}

// DecodeExt reads the fields.
func (h *UpdateConsumerOffsetRequest) DecodeExt(f wire.Fields) error {
	c := reading("UpdateConsumerOffsetRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *UpdateConsumerOffsetRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *UpdateConsumerOffsetRequest) walk(c *codec) {
	c.str("consumerGroup", &h.ConsumerGroup)
	c.str("topic", &h.Topic)
	c.i32("queueId", &h.QueueID)
	c.i64("commitOffset", &h.CommitOffset)
}

// SearchOffsetRequest is the header of SEARCH_OFFSET_BY_TIMESTAMP.
type SearchOffsetRequest struct {
	Topic        string
	QueueID      int32
	Timestamp    int64  // milliseconds
	BoundaryType string // lower or upper, in any case of letters, "" when it is not said; 5.x
}

// DecodeExt reads the fields.
func (h *SearchOffsetRequest) DecodeExt(f wire.Fields) error {
	c := reading("SearchOffsetRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *SearchOffsetRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *SearchOffsetRequest) walk(c *codec) {
	c.str("topic", &h.Topic)
	c.i32("queueId", &h.QueueID)
	c.i64("timestamp", &h.Timestamp)
	c.optStr("boundaryType", &h.BoundaryType)
}

// MaxOffsetRequest is the header of GET_MAX_OFFSET.
type MaxOffsetRequest struct {
	Topic       string
	QueueID     int32
	Uncommitted bool // committed=false: count what is not dispatched yet; 5.x
}

// DecodeExt reads the fields.
func (h *MaxOffsetRequest) DecodeExt(f wire.Fields) error {
	c := reading("MaxOffsetRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *MaxOffsetRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *MaxOffsetRequest) walk(c *codec) {
	c.str("topic", &h.Topic)
	c.i32("queueId", &h.QueueID)
	c.refusal("committed", &h.Uncommitted)
}

// MinOffsetRequest is the header of GET_MIN_OFFSET.
type MinOffsetRequest struct {
	Topic   string
	QueueID int32
}

// DecodeExt reads the fields.
func (h *MinOffsetRequest) DecodeExt(f wire.Fields) error {
	c := reading("MinOffsetRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *MinOffsetRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *MinOffsetRequest) walk(c *codec) {
	c.str("topic", &h.Topic)
	c.i32("queueId", &h.QueueID)
}

// EarliestStoreTimeRequest is the header of GET_EARLIEST_MSG_STORETIME.
type EarliestStoreTimeRequest struct {
	Topic   string
	QueueID int32
}

// DecodeExt reads the fields.
func (h *EarliestStoreTimeRequest) DecodeExt(f wire.Fields) error {
	c := reading("EarliestStoreTimeRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *EarliestStoreTimeRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *EarliestStoreTimeRequest) walk(c *codec) {
	c.str("topic", &h.Topic)
	c.i32("queueId", &h.QueueID)
}

// OffsetResponse is the header of the answers to QUERY_CONSUMER_OFFSET,
// SEARCH_OFFSET_BY_TIMESTAMP, GET_MAX_OFFSET and GET_MIN_OFFSET.
type OffsetResponse struct {
	Offset int64
}

// DecodeExt reads the fields.
func (h *OffsetResponse) DecodeExt(f wire.Fields) error {
	c := reading("OffsetResponse", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *OffsetResponse) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *OffsetResponse) walk(c *codec) {
	c.i64("offset", &h.Offset)
}

// StoreTimeResponse is the header of the answer to GET_EARLIEST_MSG_STORETIME.
type StoreTimeResponse struct {
	Timestamp int64 // milliseconds
}

// DecodeExt reads the fields.
func (h *StoreTimeResponse) DecodeExt(f wire.Fields) error {
	c := reading("StoreTimeResponse", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *StoreTimeResponse) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *StoreTimeResponse) walk(c *codec) {
	c.i64("timestamp", &h.Timestamp)
}
