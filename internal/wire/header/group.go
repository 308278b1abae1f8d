// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package header

import "github.com/twostage/twostage/internal/wire"

// GroupRequest is the header of requests that name a group in the field group:
// GET_SUBSCRIPTIONGROUP_CONFIG, QUERY_TOPICS_BY_CONSUMER.
type GroupRequest struct {
	Group string
}

// DecodeExt reads the fields.
func (h *GroupRequest) DecodeExt(f wire.Fields) error {
	c := reading("GroupRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *GroupRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *GroupRequest) walk(c *codec) {
	c.str("group", &h.Group)
}

// DeleteGroupRequest is the header of DELETE_SUBSCRIPTIONGROUP.
type DeleteGroupRequest struct {
	GroupName    string
	RemoveOffset bool // removeOffset in 4.9, cleanOffset in 5.x
}

// DecodeExt reads the fields.
func (h *DeleteGroupRequest) DecodeExt(f wire.Fields) error {
	c := reading("DeleteGroupRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *DeleteGroupRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *DeleteGroupRequest) walk(c *codec) {
	c.str("groupName", &h.GroupName)
	clean := h.RemoveOffset
	c.flag("removeOffset", &h.RemoveOffset)
	c.optFlag("cleanOffset", &clean)
	if c.w == nil {
		h.RemoveOffset = h.RemoveOffset || clean
	}
}

// AllGroupConfigRequest is the header of GET_ALL_SUBSCRIPTIONGROUP_CONFIG; 4.9.8
// has none, 5.3 asks page by page.
type AllGroupConfigRequest struct {
	GroupSeq    int32 // where the page begins; absent: all groups
	HasGroupSeq bool
	DataVersion string // JSON
	MaxGroupNum int32
}

// DecodeExt reads the fields.
func (h *AllGroupConfigRequest) DecodeExt(f wire.Fields) error {
	c := reading("AllGroupConfigRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *AllGroupConfigRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *AllGroupConfigRequest) walk(c *codec) {
	c.maybeI32("groupSeq", &h.GroupSeq, &h.HasGroupSeq)
	c.optStr("dataVersion", &h.DataVersion)
	c.optI32("maxGroupNum", &h.MaxGroupNum)
}

// ConsumeStatsRequest is the header of GET_CONSUME_STATS.
type ConsumeStatsRequest struct {
	ConsumerGroup string
	Topic         string // empty: all topics of the group
	TopicList     string // joined by semicolons; 5.x
}

// DecodeExt reads the fields.
func (h *ConsumeStatsRequest) DecodeExt(f wire.Fields) error {
	c := reading("ConsumeStatsRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *ConsumeStatsRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *ConsumeStatsRequest) walk(c *codec) {
	c.str("consumerGroup", &h.ConsumerGroup)
	c.optStr("topic", &h.Topic)
	c.optStr("topicList", &h.TopicList)
}

// ConsumeTimeSpanRequest is the header of QUERY_CONSUME_TIME_SPAN.
type ConsumeTimeSpanRequest struct {
	Topic string
	Group string
}

// DecodeExt reads the fields.
func (h *ConsumeTimeSpanRequest) DecodeExt(f wire.Fields) error {
	c := reading("ConsumeTimeSpanRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *ConsumeTimeSpanRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *ConsumeTimeSpanRequest) walk(c *codec) {
	c.str("topic", &h.Topic)
	c.str("group", &h.Group)
}

// CorrectionOffsetRequest is the header of QUERY_CORRECTION_OFFSET.
type CorrectionOffsetRequest struct {
	FilterGroups string // joined by commas
	CompareGroup string
	Topic        string
}

// DecodeExt reads the fields.
func (h *CorrectionOffsetRequest) DecodeExt(f wire.Fields) error {
	c := reading("CorrectionOffsetRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *CorrectionOffsetRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *CorrectionOffsetRequest) walk(c *codec) {
	c.optStr("filterGroups", &h.FilterGroups)
	c.str("compareGroup", &h.CompareGroup)
	c.str("topic", &h.Topic)
}

// CloneGroupOffsetRequest is the header of CLONE_GROUP_OFFSET.
type CloneGroupOffsetRequest struct {
	SrcGroup  string
	DestGroup string
	Topic     string
	Offline   bool
}

// DecodeExt reads the fields.
func (h *CloneGroupOffsetRequest) DecodeExt(f wire.Fields) error {
	c := reading("CloneGroupOffsetRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *CloneGroupOffsetRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *CloneGroupOffsetRequest) walk(c *codec) {
	c.str("srcGroup", &h.SrcGroup)
	c.str("destGroup", &h.DestGroup)
	c.optStr("topic", &h.Topic)
	c.flag("offline", &h.Offline)
}

// SubscriptionRequest is the header of QUERY_SUBSCRIPTION_BY_CONSUMER.
type SubscriptionRequest struct {
	Group string
	Topic string
}

// DecodeExt reads the fields.
func (h *SubscriptionRequest) DecodeExt(f wire.Fields) error {
	c := reading("SubscriptionRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *SubscriptionRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *SubscriptionRequest) walk(c *codec) {
	c.str("group", &h.Group)
	c.optStr("topic", &h.Topic)
}

// GroupForbiddenRequest is the header of UPDATE_AND_GET_GROUP_FORBIDDEN (5.x).
type GroupForbiddenRequest struct {
	Group       string
	Topic       string
	Readable    bool
	HasReadable bool // change it; without, the request only asks
}

// DecodeExt reads the fields.
func (h *GroupForbiddenRequest) DecodeExt(f wire.Fields) error {
	c := reading("GroupForbiddenRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *GroupForbiddenRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *GroupForbiddenRequest) walk(c *codec) {
	c.str("group", &h.Group)
	c.str("topic", &h.Topic)
	c.maybeFlag("readable", &h.Readable, &h.HasReadable)
}
