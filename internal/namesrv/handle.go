// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package namesrv

import (
	"fmt"
	"strings"

	"github.com/twostage/twostage/internal/config"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
)

// guarded is routes with the guard before what needs it.
func (s *Server) guarded(code int32) (remoting.Route, bool) {
	r, ok := s.routes(code)
	if h := s.admin[code]; h != nil {
		r, ok = remoting.Route{Handler: h, Lane: s.kvLane}, true
	}
	if !ok {
		return r, false
	}
	return s.access.Protect(code, r), true
}

// routes finds the handler of a request. All but those that write to the disk run
// on the connection's own goroutine: a large registration delays its sender alone.
func (s *Server) routes(code int32) (remoting.Route, bool) {
	var h remoting.Handler
	switch code {
	case wire.ReqPutKVConfig:
		return remoting.Route{Handler: s.putKV, Lane: s.kvLane}, true
	case wire.ReqDeleteKVConfig:
		return remoting.Route{Handler: s.deleteKV, Lane: s.kvLane}, true
	case wire.ReqUpdateNamesrvConfig:
		return remoting.Route{Handler: s.updateConfig, Lane: s.kvLane}, true
	case wire.ReqGetNamesrvConfig:
		h = s.config
	case wire.ReqGetKVConfig:
		h = s.getKV
	case wire.ReqGetKVListByNamespace:
		h = s.listKV
	case wire.ReqRegisterBroker:
		h = s.registerBroker
	case wire.ReqUnregisterBroker:
		h = s.unregisterBroker
	case wire.ReqQueryDataVersion:
		h = s.queryDataVersion
	case wire.ReqBrokerHeartbeat:
		h = s.brokerHeartbeat
	case wire.ReqGetRouteInfoByTopic:
		h = s.route
	case wire.ReqGetBrokerClusterInfo:
		h = s.list(func(n *snapshot) body.Body { return n.clusterInfo() })
	case wire.ReqGetAllTopicListFromNameServer:
		h = s.list(func(n *snapshot) body.Body { return n.topicNames(anyQueue) })
	case wire.ReqGetSystemTopicListFromNS:
		h = s.list(func(n *snapshot) body.Body { return n.systemTopics() })
	case wire.ReqGetUnitTopicList:
		h = s.list(func(n *snapshot) body.Body { return n.topicNames(unitTopic) })
	case wire.ReqGetHasUnitSubTopicList:
		h = s.list(func(n *snapshot) body.Body { return n.topicNames(unitSubTopic) })
	case wire.ReqGetHasUnitSubNonUnitTopicList:
		h = s.list(func(n *snapshot) body.Body { return n.topicNames(unitSubOnlyTopic) })
	case wire.ReqGetBrokerMemberGroup:
		h = s.memberGroup
	case wire.ReqGetTopicsByCluster:
		h = s.clusterTopics
	case wire.ReqDeleteTopicInNamesrv:
		h = s.deleteTopic
	case wire.ReqRegisterTopicInNamesrv:
		h = s.registerTopic
	case wire.ReqWipeWritePermOfBroker:
		h = s.wipeWritePerm
	case wire.ReqAddWritePermOfBroker:
		h = s.addWritePerm
	default:
		return remoting.Route{}, false
	}
	return remoting.Route{Handler: h}, true
}

// decode reads the header of r. When it cannot, it answers and gives false.
func decode(r *remoting.Request, h header.Codec) bool {
	err := h.DecodeExt(r.Ext)
	if err != nil {
		refuse(r, nil, err)
	}
	return err == nil
}

// decodeBody reads the body of r. When it cannot, it answers and gives false.
func decodeBody(r *remoting.Request, b body.Body) bool {
	err := body.Unmarshal(r.Body, b)
	if err != nil {
		refuse(r, nil, err)
	}
	return err == nil
}

// refuse answers SYSTEM_ERROR with the reason.
func refuse(r *remoting.Request, h wire.Header, err error) {
	r.Reply(&wire.Response{
		Code: wire.SystemError, Header: h,
		Remark: fmt.Sprintf("%s: %v", wire.CodeName(r.Code), err),
	})
}

func succeed(r *remoting.Request) { r.Reply(&wire.Response{}) }

// list makes a handler of requests without a header that are answered from the
// newest snapshot.
func (s *Server) list(of func(*snapshot) body.Body) remoting.Handler {
	return func(r *remoting.Request) {
		r.Reply(&wire.Response{Body: body.Marshal(of(s.current.Load()))})
	}
}

func (s *Server) route(r *remoting.Request) {
	var h header.RouteRequest
	if !decode(r, &h) {
		return
	}
	route, ok := s.current.Load().route(h.Topic)
	if !ok {
		r.Reply(&wire.Response{
			Code:   wire.TopicNotExist,
			Remark: fmt.Sprintf("No topic route info in name server for the topic: %s: no registered broker has it", h.Topic),
		})
		return
	}
	if s.live.Now().OrderMessages {
		route.OrderTopicConf, _ = s.kv.get(orderNamespace, h.Topic)
	}
	marshal := body.Marshal
	if r.Version >= wire.VersionV494 || h.StandardJSON {
		marshal = body.MarshalStandard
	}
	r.Reply(&wire.Response{Body: marshal(route)})
}

// memberGroup serves GET_BROKER_MEMBER_GROUP. A name that nobody has is no error, as in
// RocketMQ: it has no addresses.
func (s *Server) memberGroup(r *remoting.Request) {
	var h header.MemberGroupRequest
	if !decode(r, &h) {
		return
	}
	g := body.BrokerMemberGroup{Cluster: h.ClusterName, BrokerName: h.BrokerName}
	if b, ok := s.current.Load().brokers[h.BrokerName]; ok && b.Cluster == h.ClusterName {
		g.BrokerAddrs = b.BrokerAddrs
	}
	r.Reply(&wire.Response{Body: body.Marshal(&body.GetBrokerMemberGroupResponseBody{BrokerMemberGroup: &g})})
}

func (s *Server) clusterTopics(r *remoting.Request) {
	var h header.ClusterTopicsRequest
	if !decode(r, &h) {
		return
	}
	r.Reply(&wire.Response{Body: body.Marshal(s.current.Load().clusterTopics(h.Cluster))})
}

func (s *Server) deleteTopic(r *remoting.Request) {
	var h header.DeleteTopicNamesrvRequest
	if !decode(r, &h) {
		return
	}
	s.change(func(t *table[*remoting.Conn]) { t.deleteTopic(h.Topic, h.ClusterName) })
	s.log.Info("topic deleted from the routes", "topic", h.Topic, "cluster", h.ClusterName, "client", r.Conn.RemoteAddr())
	succeed(r)
}

func (s *Server) registerTopic(r *remoting.Request) {
	var h header.TopicRequest
	var b body.TopicRouteData
	if !decode(r, &h) || !decodeBody(r, &b) {
		return
	}
	var err error
	s.change(func(t *table[*remoting.Conn]) { err = t.registerTopic(h.Topic, b.QueueDatas) })
	if err != nil {
		refuse(r, nil, err)
		return
	}
	s.log.Info("topic registered", "topic", h.Topic, "brokers", len(b.QueueDatas), "client", r.Conn.RemoteAddr())
	succeed(r)
}

func (s *Server) wipeWritePerm(r *remoting.Request) {
	if n, ok := s.setWrite(r, false); ok {
		r.Reply(&wire.Response{Header: &header.WipeWritePermResponse{Count: n}})
	}
}

func (s *Server) addWritePerm(r *remoting.Request) {
	if n, ok := s.setWrite(r, true); ok {
		r.Reply(&wire.Response{Header: &header.AddWritePermResponse{Count: n}})
	}
}

func (s *Server) setWrite(r *remoting.Request, on bool) (count int32, ok bool) {
	var h header.BrokerNameRequest
	if !decode(r, &h) {
		return 0, false
	}
	s.change(func(t *table[*remoting.Conn]) { count = t.setWrite(h.BrokerName, on) })
	s.log.Info("write permission of a broker changed", "brokerName", h.BrokerName, "write", on, "topics", count, "client", r.Conn.RemoteAddr())
	return count, true
}

func (s *Server) putKV(r *remoting.Request) {
	var h header.PutKVRequest
	if !decode(r, &h) {
		return
	}
	if err := s.kv.put(h.Namespace, h.Key, h.Value); err != nil {
		s.kvFailed(r, err)
		return
	}
	s.log.Info("KV configuration set", "namespace", h.Namespace, "key", h.Key, "bytes", len(h.Value), "client", r.Conn.RemoteAddr())
	succeed(r)
}

func (s *Server) deleteKV(r *remoting.Request) {
	var h header.DeleteKVRequest
	if !decode(r, &h) {
		return
	}
	if err := s.kv.remove(h.Namespace, h.Key); err != nil {
		s.kvFailed(r, err)
		return
	}
	s.log.Info("KV configuration deleted", "namespace", h.Namespace, "key", h.Key, "client", r.Conn.RemoteAddr())
	succeed(r)
}

func (s *Server) kvFailed(r *remoting.Request, err error) {
	s.log.Error("KV configuration not changed", "request", r.ID(), "code", r.Code, "name", wire.CodeName(r.Code), "client", r.Conn.RemoteAddr(), "err", err)
	refuse(r, nil, err)
}

func (s *Server) getKV(r *remoting.Request) {
	var h header.GetKVRequest
	if !decode(r, &h) {
		return
	}
	value, ok := s.kv.get(h.Namespace, h.Key)
	if !ok {
		r.Reply(&wire.Response{
			Code: wire.QueryNotFound, Header: header.Empty{},
			Remark: fmt.Sprintf("no value in the KV configuration for namespace %q, key %q", h.Namespace, h.Key),
		})
		return
	}
	r.Reply(&wire.Response{Header: &header.GetKVResponse{Value: value}})
}

func (s *Server) listKV(r *remoting.Request) {
	var h header.KVListRequest
	if !decode(r, &h) {
		return
	}
	values, ok := s.kv.list(h.Namespace)
	if !ok {
		r.Reply(&wire.Response{
			Code:   wire.QueryNotFound,
			Remark: fmt.Sprintf("no namespace %q in the KV configuration", h.Namespace),
		})
		return
	}
	r.Reply(&wire.Response{Body: body.Marshal(&body.KVTable{Table: values})})
}

// config serves GET_NAMESRV_CONFIG: all keys that have a value.
func (s *Server) config(r *remoting.Request) {
	values, _, _ := s.live.Values()
	r.Reply(&wire.Response{Body: values.AppendProperties(nil)})
}

// updateConfig serves UPDATE_NAMESRV_CONFIG: all keys or none.
func (s *Server) updateConfig(r *remoting.Request) {
	change, err := s.live.Update(r.Body)
	outcome, remark := change.Answer(err)
	if len(change.Keys) > 0 {
		s.log.Warn("configuration changed by request", "keys", strings.Join(change.Keys, ","), "client", r.Conn.RemoteAddr(), "note", remark)
	} else {
		s.log.Warn("a change of the configuration was refused", "client", r.Conn.RemoteAddr(), "err", err)
	}
	r.Reply(&wire.Response{Code: configCodes[outcome], Remark: remark})
}

var configCodes = [...]int32{config.Done: wire.Success, config.Forbidden: wire.NoPermission, config.Wrong: wire.InvalidParameter, config.Failed: wire.SystemError}
