// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package header

import "github.com/twostage/twostage/internal/wire"

// UserRequest is the header of AUTH_CREATE_USER, AUTH_UPDATE_USER, AUTH_DELETE_USER
// and AUTH_GET_USER.
type UserRequest struct{ Username string }

// DecodeExt reads the fields.
func (h *UserRequest) DecodeExt(f wire.Fields) error {
	c := reading("UserRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *UserRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *UserRequest) walk(c *codec) { c.str("username", &h.Username) }

// ListUsersRequest is the header of AUTH_LIST_USER.
type ListUsersRequest struct{ Filter string } // a part of the name; "" is all

// DecodeExt reads the fields.
func (h *ListUsersRequest) DecodeExt(f wire.Fields) error {
	c := reading("ListUsersRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *ListUsersRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *ListUsersRequest) walk(c *codec) { c.optStr("filter", &h.Filter) }

// ACLRequest is the header of AUTH_CREATE_ACL, AUTH_UPDATE_ACL, AUTH_GET_ACL and
// AUTH_DELETE_ACL, which has the last two fields.
type ACLRequest struct {
	Subject    string // User:NAME
	PolicyType string
	Resource   string
}

// DecodeExt reads the fields.
func (h *ACLRequest) DecodeExt(f wire.Fields) error {
	c := reading("ACLRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *ACLRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *ACLRequest) walk(c *codec) {
	c.str("subject", &h.Subject)
	c.optStr("policyType", &h.PolicyType)
	c.optStr("resource", &h.Resource)
}

// ListACLsRequest is the header of AUTH_LIST_ACL.
type ListACLsRequest struct{ SubjectFilter, ResourceFilter string } // parts of names; "" is all

// DecodeExt reads the fields.
func (h *ListACLsRequest) DecodeExt(f wire.Fields) error {
	c := reading("ListACLsRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *ListACLsRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *ListACLsRequest) walk(c *codec) {
	c.optStr("subjectFilter", &h.SubjectFilter)
	c.optStr("resourceFilter", &h.ResourceFilter)
}

// AccountRequest is the header of UPDATE_AND_CREATE_ACL_CONFIG, and of
// DELETE_ACL_CONFIG, which has the first field only. The names are those of Apache
// RocketMQ 4.9.8 (CreateAccessConfigRequestHeader).
type AccountRequest struct {
	AccessKey          string
	SecretKey          string
	WhiteRemoteAddress string
	Admin              bool
	DefaultTopicPerm   string
	DefaultGroupPerm   string
	TopicPerms         string // TOPIC=PERM, with commas between them
	GroupPerms         string
}

// DecodeExt reads the fields.
func (h *AccountRequest) DecodeExt(f wire.Fields) error {
	c := reading("AccountRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *AccountRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *AccountRequest) walk(c *codec) {
	c.str("accessKey", &h.AccessKey)
	c.optStr("secretKey", &h.SecretKey)
	c.optStr("whiteRemoteAddress", &h.WhiteRemoteAddress)
	c.flag("admin", &h.Admin)
	c.optStr("defaultTopicPerm", &h.DefaultTopicPerm)
	c.optStr("defaultGroupPerm", &h.DefaultGroupPerm)
	c.optStr("topicPerms", &h.TopicPerms)
	c.optStr("groupPerms", &h.GroupPerms)
}

// GlobalWhiteRequest is the header of UPDATE_GLOBAL_WHITE_ADDRS_CONFIG.
type GlobalWhiteRequest struct {
	Addresses string // with commas between them
	File      string // full path of the access file; "" is the standard one
}

// DecodeExt reads the fields.
func (h *GlobalWhiteRequest) DecodeExt(f wire.Fields) error {
	c := reading("GlobalWhiteRequest", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *GlobalWhiteRequest) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *GlobalWhiteRequest) walk(c *codec) {
	c.str("globalWhiteAddrs", &h.Addresses)
	c.optStr("aclFileFullPath", &h.File)
}

// ACLVersionResponse is the header of the answer to GET_BROKER_CLUSTER_ACL_INFO.
type ACLVersionResponse struct {
	Version     string // DataVersion as JSON
	AllVersions string // {path: DataVersion} as JSON
	BrokerName  string
	BrokerAddr  string
	ClusterName string
}

// DecodeExt reads the fields.
func (h *ACLVersionResponse) DecodeExt(f wire.Fields) error {
	c := reading("ACLVersionResponse", f)
	h.walk(&c)
	return c.err
}

// EncodeExt writes the fields.
func (h *ACLVersionResponse) EncodeExt(w *wire.ExtWriter) {
	c := writing(w)
	h.walk(&c)
}

func (h *ACLVersionResponse) walk(c *codec) {
	c.str("version", &h.Version)
	c.optStr("allAclFileVersion", &h.AllVersions)
	c.str("brokerName", &h.BrokerName)
	c.str("brokerAddr", &h.BrokerAddr)
	c.str("clusterName", &h.ClusterName)
}
