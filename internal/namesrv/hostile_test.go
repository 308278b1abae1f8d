// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package namesrv

import (
	"bytes"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
)

// TestHostile sends what no broker would. Each is answered with what is wrong, and
// nothing gets into the routes.
func TestHostile(t *testing.T) {
	w := start(t, vfs.NewMem(), nil)
	raw := w.dialRaw()
	n := newNode("a", 0, 1, "T")
	plain, sum := body.MarshalRegisterBroker(&n.RegisterBrokerBody, false)
	packed, packedSum := body.MarshalRegisterBroker(&n.RegisterBrokerBody, true)
	reg := func(edit func(h *header.RegisterBrokerRequest), text []byte) *wire.Request {
		h := n.RegisterBrokerRequest
		edit(&h)
		return &wire.Request{Code: wire.ReqRegisterBroker, Header: &h, Body: text}
	}
	same := func(*header.RegisterBrokerRequest) {}
	field := func(code int32, names ...string) *wire.Request {
		r := &wire.Request{Code: code}
		for _, name := range names {
			r.Fields = append(r.Fields, wire.Field{Key: []byte(name), Value: []byte("x")})
		}
		return r
	}
	for i, tt := range []struct {
		req  *wire.Request
		want string
	}{
		{reg(func(h *header.RegisterBrokerRequest) { h.BodyCRC32 = sum + 1 }, plain), "checksum"},
		{reg(func(h *header.RegisterBrokerRequest) { h.BodyCRC32 = sum }, nil), "checksum"},
		{reg(func(h *header.RegisterBrokerRequest) { h.BodyCRC32, h.Compressed = packedSum, false }, packed), "not a JSON object"},
		{reg(func(h *header.RegisterBrokerRequest) { h.Compressed = true }, plain), "zlib"},
		{reg(func(h *header.RegisterBrokerRequest) { h.Compressed = true }, packed[:len(packed)/2]), "unexpected EOF"},
		{reg(same, []byte(`{"topicConfigSerializeWrapper":{"topicConfigTable":{"T":null}}}`)), "null"},
		{reg(same, []byte(`{"topicConfigSerializeWrapper":{"topicConfigTable":{"T":{"perm":"x"}}}}`)), "perm"},
		{reg(same, bytes.Repeat([]byte(`{"a":`), 1000)), ""},
		{reg(func(h *header.RegisterBrokerRequest) { h.BrokerAddr = "nowhere" }, plain), "host:port"},
		{reg(func(h *header.RegisterBrokerRequest) { h.BrokerName = "" }, plain), "empty"},
		{reg(func(h *header.RegisterBrokerRequest) { h.BrokerID = -5 }, plain), "negative"},
		{field(wire.ReqRegisterBroker), "brokerName"},
		{field(wire.ReqRegisterBroker, "brokerName", "brokerAddr", "clusterName", "haServerAddr", "brokerId"), "brokerId"},
		{field(wire.ReqUnregisterBroker), "brokerName"},
		{field(wire.ReqQueryDataVersion, "brokerName"), "brokerAddr"},
		{&wire.Request{Code: wire.ReqQueryDataVersion, Header: (*header.DataVersionRequest)(n.identity())}, "empty"},
		{&wire.Request{Code: wire.ReqQueryDataVersion, Header: (*header.DataVersionRequest)(n.identity()), Body: []byte(`{"counter":{}}`)}, "counter"},
		{field(wire.ReqBrokerHeartbeat), "brokerName"},
		{field(wire.ReqGetRouteInfoByTopic), "topic"},
		{field(wire.ReqGetTopicsByCluster), "cluster"},
		{field(wire.ReqDeleteTopicInNamesrv), "topic"},
		{field(wire.ReqRegisterTopicInNamesrv), "topic"},
		{field(wire.ReqRegisterTopicInNamesrv, "topic"), "empty"},
		{&wire.Request{Code: wire.ReqRegisterTopicInNamesrv, Header: &header.TopicRequest{Topic: "T"}, Body: []byte(`{"queueDatas":[{"brokerName":"zz"}]}`)}, "zz"},
		{field(wire.ReqWipeWritePermOfBroker), "brokerName"},
		{field(wire.ReqAddWritePermOfBroker), "brokerName"},
		{field(wire.ReqGetBrokerMemberGroup), "clusterName"},
		{field(wire.ReqPutKVConfig, "key", "namespace"), "value"},
		{field(wire.ReqGetKVConfig, "key"), "namespace"},
		{field(wire.ReqDeleteKVConfig, "key"), "namespace"},
		{field(wire.ReqGetKVListByNamespace), "namespace"},
	} {
		answer := raw.ask(t, tt.req)
		if answer.Code != wire.SystemError || !strings.Contains(string(answer.Remark), tt.want) || !strings.Contains(string(answer.Remark), wire.CodeName(tt.req.Code)) {
			t.Errorf("%d: %s: answer %d %q, want one about %q", i, wire.CodeName(tt.req.Code), answer.Code, answer.Remark, tt.want)
		}
	}
	for _, code := range []int32{wire.ReqSendMessageV2, wire.ReqGetBrokerConfig, wire.ReqUpdateBrokerConfig} {
		answer := raw.ask(t, &wire.Request{Code: code})
		if answer.Code != wire.RequestCodeNotSupported || !strings.Contains(string(answer.Remark), wire.CodeName(code)) {
			t.Errorf("%s: answer %d %q", wire.CodeName(code), answer.Code, answer.Remark)
		}
	}
	if view := w.srv.current.Load().view(); view != "" {
		t.Errorf("in the routes: %s", view)
	}
	// None of it was too much.
	w.register(w.client(), n)
}
