// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package header

import "github.com/twostage/twostage/internal/wire"

// RegisterBrokerRequest is the header of REGISTER_BROKER.
type RegisterBrokerRequest struct {
	BrokerName             string
	BrokerAddr             string
	ClusterName            string
	HAServerAddr           string
	BrokerID               int64 // 0: the master
	Compressed             bool  // the body is deflated
	BodyCRC32              int32 // CRC32 of the body & 0x7fffffff; 0: none
	HeartbeatTimeoutMillis int64 // 5.x
	ActingMaster           bool  // 5.x
}

// DecodeExt reads the fields.
func (h *RegisterBrokerRequest) DecodeExt(f wire.Fields) error {
	c := reading("RegisterBrokerRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *RegisterBrokerRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *RegisterBrokerRequest) walk(c *codec) {
	c.str("brokerName", &h.BrokerName)
	c.str("brokerAddr", &h.BrokerAddr)
	c.str("clusterName", &h.ClusterName)
	c.str("haServerAddr", &h.HAServerAddr)
	c.i64("brokerId", &h.BrokerID)
	c.flag("compressed", &h.Compressed)
	c.softI32("bodyCrc32", &h.BodyCRC32)
	c.optI64("heartbeatTimeoutMillis", &h.HeartbeatTimeoutMillis)
	c.optFlag("enableActingMaster", &h.ActingMaster)
}

// RegisterBrokerResponse is the header of the answer to REGISTER_BROKER; a
// master gets it without fields.
type RegisterBrokerResponse struct {
	HAServerAddr string
	MasterAddr   string
}

// DecodeExt reads the fields.
func (h *RegisterBrokerResponse) DecodeExt(f wire.Fields) error {
	c := reading("RegisterBrokerResponse", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *RegisterBrokerResponse) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *RegisterBrokerResponse) walk(c *codec) {
	c.optStr("haServerAddr", &h.HAServerAddr)
	c.optStr("masterAddr", &h.MasterAddr)
}

// UnregisterBrokerRequest is the header of UNREGISTER_BROKER.
type UnregisterBrokerRequest struct {
	BrokerName  string
	BrokerAddr  string
	ClusterName string
	BrokerID    int64
}

// DecodeExt reads the fields.
func (h *UnregisterBrokerRequest) DecodeExt(f wire.Fields) error {
	c := reading("UnregisterBrokerRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *UnregisterBrokerRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *UnregisterBrokerRequest) walk(c *codec) {
	c.str("brokerName", &h.BrokerName)
	c.str("brokerAddr", &h.BrokerAddr)
	c.str("clusterName", &h.ClusterName)
	c.i64("brokerId", &h.BrokerID)
}

// DataVersionRequest is the header of QUERY_DATA_VERSION.
type DataVersionRequest struct {
	BrokerName  string
	BrokerAddr  string
	ClusterName string
	BrokerID    int64
}

// DecodeExt reads the fields.
func (h *DataVersionRequest) DecodeExt(f wire.Fields) error {
	c := reading("DataVersionRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *DataVersionRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *DataVersionRequest) walk(c *codec) {
	c.str("brokerName", &h.BrokerName)
	c.str("brokerAddr", &h.BrokerAddr)
	c.str("clusterName", &h.ClusterName)
	c.i64("brokerId", &h.BrokerID)
}

// DataVersionResponse is the header of the answer to QUERY_DATA_VERSION.
type DataVersionResponse struct {
	Changed bool
}

// DecodeExt reads the fields.
func (h *DataVersionResponse) DecodeExt(f wire.Fields) error {
	c := reading("DataVersionResponse", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *DataVersionResponse) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *DataVersionResponse) walk(c *codec) {
	c.boolean("changed", &h.Changed)
}

// BrokerHeartbeatRequest is the header of BROKER_HEARTBEAT; 5.x.
type BrokerHeartbeatRequest struct {
	BrokerName             string
	BrokerAddr             string
	ClusterName            string
	BrokerID               int64
	HasBrokerID            bool
	Epoch                  int32
	MaxOffset              int64
	ConfirmOffset          int64
	HeartbeatTimeoutMillis int64 // the name on the wire lacks an i
	ElectionPriority       int32
}

// DecodeExt reads the fields.
func (h *BrokerHeartbeatRequest) DecodeExt(f wire.Fields) error {
	c := reading("BrokerHeartbeatRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *BrokerHeartbeatRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *BrokerHeartbeatRequest) walk(c *codec) {
	c.str("brokerName", &h.BrokerName)
	c.str("brokerAddr", &h.BrokerAddr)
	c.str("clusterName", &h.ClusterName)
	c.maybeI64("brokerId", &h.BrokerID, &h.HasBrokerID)
	c.optI32("epoch", &h.Epoch)
	c.optI64("maxOffset", &h.MaxOffset)
	c.optI64("confirmOffset", &h.ConfirmOffset)
	c.optI64("heartbeatTimeoutMills", &h.HeartbeatTimeoutMillis)
	c.optI32("electionPriority", &h.ElectionPriority)
}
