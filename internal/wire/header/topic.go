// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package header

import "github.com/twostage/twostage/internal/wire"

// CreateTopicRequest is the header of UPDATE_AND_CREATE_TOPIC.
type CreateTopicRequest struct {
	Topic           string
	DefaultTopic    string
	ReadQueueNums   int32
	WriteQueueNums  int32
	Perm            int32  // 4 read, 2 write
	TopicFilterType string // SINGLE_TAG or MULTI_TAG
	TopicSysFlag    int32
	Order           bool
	Attributes      string // +name=value and -name, joined by commas; 5.x
	Force           bool   // 5.x
}

// DecodeExt reads the fields.
func (h *CreateTopicRequest) DecodeExt(f wire.Fields) error {
	c := reading("CreateTopicRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *CreateTopicRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *CreateTopicRequest) walk(c *codec) {
	c.str("topic", &h.Topic)
	c.str("defaultTopic", &h.DefaultTopic)
	c.i32("readQueueNums", &h.ReadQueueNums)
	c.i32("writeQueueNums", &h.WriteQueueNums)
	c.i32("perm", &h.Perm)
	c.str("topicFilterType", &h.TopicFilterType)
	c.softI32("topicSysFlag", &h.TopicSysFlag)
	c.boolean("order", &h.Order)
	c.optStr("attributes", &h.Attributes)
	c.optFlag("force", &h.Force)
}

// DeleteTopicRequest is the header of DELETE_TOPIC_IN_BROKER.
type DeleteTopicRequest struct {
	Topic string
}

// DecodeExt reads the fields.
func (h *DeleteTopicRequest) DecodeExt(f wire.Fields) error {
	c := reading("DeleteTopicRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *DeleteTopicRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *DeleteTopicRequest) walk(c *codec) {
	c.str("topic", &h.Topic)
}

// DeleteTopicNamesrvRequest is the header of DELETE_TOPIC_IN_NAMESRV.
type DeleteTopicNamesrvRequest struct {
	Topic       string
	ClusterName string // empty: in all clusters
}

// DecodeExt reads the fields.
func (h *DeleteTopicNamesrvRequest) DecodeExt(f wire.Fields) error {
	c := reading("DeleteTopicNamesrvRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *DeleteTopicNamesrvRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *DeleteTopicNamesrvRequest) walk(c *codec) {
	c.str("topic", &h.Topic)
	c.optStr("clusterName", &h.ClusterName)
}

// TopicRequest is the header of requests that name a topic and nothing else:
// GET_TOPIC_STATS_INFO, QUERY_TOPIC_CONSUME_BY_WHO, GET_TOPIC_CONFIG,
// REGISTER_TOPIC_IN_NAMESRV.
type TopicRequest struct {
	Topic string
}

// DecodeExt reads the fields.
func (h *TopicRequest) DecodeExt(f wire.Fields) error {
	c := reading("TopicRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *TopicRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *TopicRequest) walk(c *codec) {
	c.str("topic", &h.Topic)
}

// AllTopicConfigRequest is the header of GET_ALL_TOPIC_CONFIG; 4.9.8 has none,
// 5.3 asks page by page.
type AllTopicConfigRequest struct {
	TopicSeq    int32 // where the page begins; absent: all topics
	HasTopicSeq bool
	DataVersion string // JSON
	MaxTopicNum int32
}

// DecodeExt reads the fields.
func (h *AllTopicConfigRequest) DecodeExt(f wire.Fields) error {
	c := reading("AllTopicConfigRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *AllTopicConfigRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *AllTopicConfigRequest) walk(c *codec) {
	c.maybeI32("topicSeq", &h.TopicSeq, &h.HasTopicSeq)
	c.optStr("dataVersion", &h.DataVersion)
	c.optI32("maxTopicNum", &h.MaxTopicNum)
}

// AllTopicConfigResponse is the header of the answer to GET_ALL_TOPIC_CONFIG;
// 4.9.8 sends it without fields.
type AllTopicConfigResponse struct {
	TotalTopicNum    int32
	HasTotalTopicNum bool
}

// DecodeExt reads the fields.
func (h *AllTopicConfigResponse) DecodeExt(f wire.Fields) error {
	c := reading("AllTopicConfigResponse", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *AllTopicConfigResponse) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *AllTopicConfigResponse) walk(c *codec) {
	c.maybeI32("totalTopicNum", &h.TotalTopicNum, &h.HasTotalTopicNum)
}
