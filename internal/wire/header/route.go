// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package header

import "github.com/twostage/twostage/internal/wire"

// RouteRequest is the header of GET_ROUTEINFO_BY_TOPIC.
type RouteRequest struct {
	Topic        string
	StandardJSON bool // whatever the version
}

// DecodeExt reads the fields.
func (h *RouteRequest) DecodeExt(f wire.Fields) error {
	c := reading("RouteRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *RouteRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *RouteRequest) walk(c *codec) {
	c.str("topic", &h.Topic)
	c.optFlag("acceptStandardJsonOnly", &h.StandardJSON)
}

// ClusterTopicsRequest is the header of GET_TOPICS_BY_CLUSTER.
type ClusterTopicsRequest struct {
	Cluster string
}

// DecodeExt reads the fields.
func (h *ClusterTopicsRequest) DecodeExt(f wire.Fields) error {
	c := reading("ClusterTopicsRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *ClusterTopicsRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *ClusterTopicsRequest) walk(c *codec) {
	c.str("cluster", &h.Cluster)
}

// BrokerNameRequest is the header of WIPE_WRITE_PERM_OF_BROKER and
// ADD_WRITE_PERM_OF_BROKER.
type BrokerNameRequest struct {
	BrokerName string
}

// DecodeExt reads the fields.
func (h *BrokerNameRequest) DecodeExt(f wire.Fields) error {
	c := reading("BrokerNameRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *BrokerNameRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *BrokerNameRequest) walk(c *codec) {
	c.str("brokerName", &h.BrokerName)
}

// WipeWritePermResponse is the header of the answer to WIPE_WRITE_PERM_OF_BROKER.
type WipeWritePermResponse struct {
	Count int32
}

// DecodeExt reads the fields.
func (h *WipeWritePermResponse) DecodeExt(f wire.Fields) error {
	c := reading("WipeWritePermResponse", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *WipeWritePermResponse) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *WipeWritePermResponse) walk(c *codec) {
	c.i32("wipeTopicCount", &h.Count)
}

// AddWritePermResponse is the header of the answer to ADD_WRITE_PERM_OF_BROKER.
type AddWritePermResponse struct {
	Count int32
}

// DecodeExt reads the fields.
func (h *AddWritePermResponse) DecodeExt(f wire.Fields) error {
	c := reading("AddWritePermResponse", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *AddWritePermResponse) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *AddWritePermResponse) walk(c *codec) {
	c.i32("addTopicCount", &h.Count)
}

// MemberGroupRequest is the header of GET_BROKER_MEMBER_GROUP (5.x).
type MemberGroupRequest struct {
	ClusterName string
	BrokerName  string
}

// DecodeExt reads the fields.
func (h *MemberGroupRequest) DecodeExt(f wire.Fields) error {
	c := reading("MemberGroupRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *MemberGroupRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *MemberGroupRequest) walk(c *codec) {
	c.str("clusterName", &h.ClusterName)
	c.str("brokerName", &h.BrokerName)
}
