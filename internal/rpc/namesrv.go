// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
)

// Registration is what a name server answers a broker with.
type Registration struct {
	HAServerAddr string            // the master's HA address; for slaves only
	MasterAddr   string            // the master's address; for slaves only
	OrderConf    map[string]string // the namespace ORDER_TOPIC_CONFIG: "broker:queues;..." by topic
}

// RegisterBroker announces a broker and its topics to a name server. h.BodyCRC32
// is computed here; h.Compressed chooses the form, of which the deflated one does
// not carry Order and TopicSysFlag of a topic. h and b are not changed.
func RegisterBroker(ctx context.Context, c Caller, addr string, h *header.RegisterBrokerRequest, b *body.RegisterBrokerBody) (*Registration, error) {
	req := registration(h, b)
	answer, err := invoke(ctx, c, addr, req)
	if err != nil {
		return nil, err
	}
	var resp header.RegisterBrokerResponse
	if err := readHeader(addr, req, answer, &resp); err != nil {
		return nil, err
	}
	r := &Registration{HAServerAddr: resp.HAServerAddr, MasterAddr: resp.MasterAddr}
	if len(answer.Body) > 0 {
		var table body.KVTable
		if err := readBody(addr, req, answer, &table); err != nil {
			return nil, err
		}
		r.OrderConf = table.Table
	}
	return r, nil
}

// RegisterBrokerOneWay is RegisterBroker without an answer: nil says that it was
// queued.
func RegisterBrokerOneWay(ctx context.Context, c Caller, addr string, h *header.RegisterBrokerRequest, b *body.RegisterBrokerBody) error {
	return oneWay(ctx, c, addr, registration(h, b))
}

func registration(h *header.RegisterBrokerRequest, b *body.RegisterBrokerBody) *wire.Request {
	head := *h
	data, sum := body.MarshalRegisterBroker(b, h.Compressed)
	head.BodyCRC32 = sum
	return &wire.Request{Code: wire.ReqRegisterBroker, Header: &head, Body: data}
}

// UnregisterBroker takes a broker out of a name server's routes.
func UnregisterBroker(ctx context.Context, c Caller, addr string, h *header.UnregisterBrokerRequest) error {
	return done(ctx, c, addr, &wire.Request{Code: wire.ReqUnregisterBroker, Header: h})
}

// DataVersion tells a name server the version of a broker's topics. stale says
// that the name server has another version, or none, so that the broker must
// register; otherwise the broker counts as alive. theirs is the version that the
// name server has, nil for none.
func DataVersion(ctx context.Context, c Caller, addr string, h *header.DataVersionRequest, ours body.DataVersion) (stale bool, theirs *body.DataVersion, err error) {
	req := &wire.Request{Code: wire.ReqQueryDataVersion, Header: h, Body: body.Marshal(&ours)}
	answer, err := invoke(ctx, c, addr, req)
	if err != nil {
		return false, nil, err
	}
	var resp header.DataVersionResponse
	if err := readHeader(addr, req, answer, &resp); err != nil {
		return false, nil, err
	}
	if len(answer.Body) > 0 {
		theirs = new(body.DataVersion)
		if err := readBody(addr, req, answer, theirs); err != nil {
			return false, nil, err
		}
	}
	return resp.Changed, theirs, nil
}

// BrokerHeartbeat tells a name server that a registered broker is alive; 5.x.
// Name servers of 4.9 answer NotSupported.
func BrokerHeartbeat(ctx context.Context, c Caller, addr string, h *header.BrokerHeartbeatRequest) error {
	return done(ctx, c, addr, &wire.Request{Code: wire.ReqBrokerHeartbeat, Header: h})
}

// Route asks a name server where a topic is. TopicNotExist when it is nowhere.
func Route(ctx context.Context, c Caller, addr, topic string) (*body.TopicRouteData, error) {
	req := &wire.Request{Code: wire.ReqGetRouteInfoByTopic, Header: &header.RouteRequest{Topic: topic, StandardJSON: true}}
	return fetch[body.TopicRouteData](ctx, c, addr, req)
}

// ClusterInfo asks a name server for all brokers.
func ClusterInfo(ctx context.Context, c Caller, addr string) (*body.ClusterInfo, error) {
	return fetch[body.ClusterInfo](ctx, c, addr, &wire.Request{Code: wire.ReqGetBrokerClusterInfo})
}

// TopicList asks a name server for the names of all topics.
func TopicList(ctx context.Context, c Caller, addr string) ([]string, error) {
	return topicNames(ctx, c, addr, &wire.Request{Code: wire.ReqGetAllTopicListFromNameServer})
}

// ClusterTopics asks a name server for the names of the topics of a cluster.
func ClusterTopics(ctx context.Context, c Caller, addr, cluster string) ([]string, error) {
	h := &header.ClusterTopicsRequest{Cluster: cluster}
	return topicNames(ctx, c, addr, &wire.Request{Code: wire.ReqGetTopicsByCluster, Header: h})
}

// SystemTopics asks a name server for the names that stand for its clusters and
// brokers, which brokers make topics of.
func SystemTopics(ctx context.Context, c Caller, addr string) ([]string, error) {
	return topicNames(ctx, c, addr, &wire.Request{Code: wire.ReqGetSystemTopicListFromNS})
}

func topicNames(ctx context.Context, c Caller, addr string, req *wire.Request) ([]string, error) {
	list, err := fetch[body.TopicList](ctx, c, addr, req)
	if err != nil {
		return nil, err
	}
	return list.TopicList, nil
}

// DeleteTopicInNamesrv takes a topic out of a name server's routes: those of one
// cluster, or of all when cluster is empty. A broker that still has the topic
// brings it back when its topics change next, or when it registers anew.
func DeleteTopicInNamesrv(ctx context.Context, c Caller, addr, topic, cluster string) error {
	h := &header.DeleteTopicNamesrvRequest{Topic: topic, ClusterName: cluster}
	return done(ctx, c, addr, &wire.Request{Code: wire.ReqDeleteTopicInNamesrv, Header: h})
}

// WipeWritePerm makes all topics of a broker read-only in a name server's routes
// and gives their number.
func WipeWritePerm(ctx context.Context, c Caller, addr, brokerName string) (int32, error) {
	var resp header.WipeWritePermResponse
	err := changePerm(ctx, c, addr, wire.ReqWipeWritePermOfBroker, brokerName, &resp)
	return resp.Count, err
}

// AddWritePerm undoes WipeWritePerm.
func AddWritePerm(ctx context.Context, c Caller, addr, brokerName string) (int32, error) {
	var resp header.AddWritePermResponse
	err := changePerm(ctx, c, addr, wire.ReqAddWritePermOfBroker, brokerName, &resp)
	return resp.Count, err
}

func changePerm(ctx context.Context, c Caller, addr string, code int32, brokerName string, resp decoder) error {
	req := &wire.Request{Code: code, Header: &header.BrokerNameRequest{BrokerName: brokerName}}
	answer, err := invoke(ctx, c, addr, req)
	if err != nil {
		return err
	}
	return readHeader(addr, req, answer, resp)
}

// PutKV sets a value of a name server's KV configuration; it is on that server's
// disk when PutKV returns. Other name servers do not learn of it.
func PutKV(ctx context.Context, c Caller, addr, namespace, key, value string) error {
	h := &header.PutKVRequest{Namespace: namespace, Key: key, Value: value}
	return done(ctx, c, addr, &wire.Request{Code: wire.ReqPutKVConfig, Header: h})
}

// GetKV gives a value of a name server's KV configuration; QueryNotFound when
// there is none.
func GetKV(ctx context.Context, c Caller, addr, namespace, key string) (string, error) {
	req := &wire.Request{Code: wire.ReqGetKVConfig, Header: &header.GetKVRequest{Namespace: namespace, Key: key}}
	answer, err := invoke(ctx, c, addr, req)
	if err != nil {
		return "", err
	}
	var resp header.GetKVResponse
	err = readHeader(addr, req, answer, &resp)
	return resp.Value, err
}

// DeleteKV deletes a value of a name server's KV configuration. That there is
// none is no error.
func DeleteKV(ctx context.Context, c Caller, addr, namespace, key string) error {
	h := &header.DeleteKVRequest{Namespace: namespace, Key: key}
	return done(ctx, c, addr, &wire.Request{Code: wire.ReqDeleteKVConfig, Header: h})
}

// ListKV gives a namespace of a name server's KV configuration; QueryNotFound
// when there is none.
func ListKV(ctx context.Context, c Caller, addr, namespace string) (map[string]string, error) {
	req := &wire.Request{Code: wire.ReqGetKVListByNamespace, Header: &header.KVListRequest{Namespace: namespace}}
	table, err := fetch[body.KVTable](ctx, c, addr, req)
	if err != nil {
		return nil, err
	}
	return table.Table, nil
}
