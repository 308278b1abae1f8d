// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package header

import "github.com/twostage/twostage/internal/wire"

// PutKVRequest is the header of PUT_KV_CONFIG.
type PutKVRequest struct {
	Namespace string
	Key       string
	Value     string
}

// DecodeExt reads the fields.
func (h *PutKVRequest) DecodeExt(f wire.Fields) error {
	c := reading("PutKVRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *PutKVRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *PutKVRequest) walk(c *codec) {
	c.str("namespace", &h.Namespace)
	c.str("key", &h.Key)
	c.str("value", &h.Value)
}

// GetKVRequest is the header of GET_KV_CONFIG.
type GetKVRequest struct {
	Namespace string
	Key       string
}

// DecodeExt reads the fields.
func (h *GetKVRequest) DecodeExt(f wire.Fields) error {
	c := reading("GetKVRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *GetKVRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *GetKVRequest) walk(c *codec) {
	c.str("namespace", &h.Namespace)
	c.str("key", &h.Key)
}

// GetKVResponse is the header of the answer to GET_KV_CONFIG.
type GetKVResponse struct {
	Value string
}

// DecodeExt reads the fields.
func (h *GetKVResponse) DecodeExt(f wire.Fields) error {
	c := reading("GetKVResponse", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *GetKVResponse) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *GetKVResponse) walk(c *codec) {
	c.optStr("value", &h.Value)
}

// DeleteKVRequest is the header of DELETE_KV_CONFIG.
type DeleteKVRequest struct {
	Namespace string
	Key       string
}

// DecodeExt reads the fields.
func (h *DeleteKVRequest) DecodeExt(f wire.Fields) error {
	c := reading("DeleteKVRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *DeleteKVRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *DeleteKVRequest) walk(c *codec) {
	c.str("namespace", &h.Namespace)
	c.str("key", &h.Key)
}

// KVListRequest is the header of GET_KVLIST_BY_NAMESPACE.
type KVListRequest struct {
	Namespace string
}

// DecodeExt reads the fields.
func (h *KVListRequest) DecodeExt(f wire.Fields) error {
	c := reading("KVListRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *KVListRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *KVListRequest) walk(c *codec) {
	c.str("namespace", &h.Namespace)
}
