// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package namesrv

import (
	"errors"
	"time"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
)

func (s *Server) registerBroker(r *remoting.Request) {
	var h header.RegisterBrokerRequest
	if !decode(r, &h) {
		return
	}
	reg := &registration{
		identity: identity{cluster: h.ClusterName, name: h.BrokerName, addr: h.BrokerAddr, id: h.BrokerID},
		haAddr:   h.HAServerAddr,
		timeout:  time.Duration(min(max(h.HeartbeatTimeoutMillis, 0), int64(24*time.Hour/time.Millisecond))) * time.Millisecond,
	}
	topics, err := readTopics(r, &h)
	var res result
	if err == nil {
		reg.version, reg.topics = topics.DataVersion, topics.TopicConfigTable
		now := time.Now()
		r.Conn.SetState(s) // connClosed looks for brokers of this connection
		s.change(func(t *table[*remoting.Conn]) { res, err = t.register(reg, r.Conn, now) })
	}
	if err != nil {
		s.log.Error("broker registration refused", "broker", reg.identity.String(), "connection", r.Conn.RemoteAddr(), "err", err)
		refuse(r, header.Empty{}, err)
		return
	}
	if res.first {
		s.log.Info("broker registered", "broker", reg.identity.String(), "connection", r.Conn.RemoteAddr(), "topics", len(reg.topics))
	}
	resp := &wire.Response{Header: &header.RegisterBrokerResponse{HAServerAddr: res.haAddr, MasterAddr: res.masterAddr}}
	// Without the namespace there is no body: an empty table would make a Java
	// broker take the order flag off all its topics.
	if orders, ok := s.kv.list(orderNamespace); ok {
		resp.Body = body.Marshal(&body.KVTable{Table: orders})
	}
	r.Reply(resp)
}

// readTopics reads the body of a registration; one without a body has no topics.
func readTopics(r *remoting.Request, h *header.RegisterBrokerRequest) (*body.TopicConfigSerializeWrapper, error) {
	switch {
	case len(r.Body) == 0 && h.BodyCRC32 != 0:
		return nil, body.ErrChecksum
	case len(r.Body) == 0:
		return &body.TopicConfigSerializeWrapper{}, nil
	}
	b, err := body.UnmarshalRegisterBroker(r.Body, h.Compressed, h.BodyCRC32)
	if err != nil {
		return nil, err
	}
	return &b.TopicConfigSerializeWrapper, nil
}

func (s *Server) unregisterBroker(r *remoting.Request) {
	var h header.UnregisterBrokerRequest
	if !decode(r, &h) {
		return
	}
	who := identity{cluster: h.ClusterName, name: h.BrokerName, addr: h.BrokerAddr, id: h.BrokerID}
	var was bool
	s.change(func(t *table[*remoting.Conn]) { was = t.unregister(who) })
	if was {
		s.log.Info("broker unregistered", "broker", who.String(), "connection", r.Conn.RemoteAddr())
	} else {
		s.log.Info("a broker unregistered that was not registered so", "broker", who.String(), "connection", r.Conn.RemoteAddr())
	}
	succeed(r)
}

func (s *Server) queryDataVersion(r *remoting.Request) {
	var h header.DataVersionRequest
	if !decode(r, &h) {
		return
	}
	var version body.DataVersion
	if err := body.Unmarshal(r.Body, &version); err != nil {
		refuse(r, header.Empty{}, err)
		return
	}
	who := identity{cluster: h.ClusterName, name: h.BrokerName, addr: h.BrokerAddr, id: h.BrokerID}
	now := time.Now()
	s.mu.Lock()
	have, same, known := s.table.version(who, version, r.Conn, now)
	s.mu.Unlock()
	resp := &wire.Response{Header: &header.DataVersionResponse{Changed: !same}}
	if known {
		resp.Body = body.Marshal(&have)
	}
	r.Reply(resp)
}

func (s *Server) brokerHeartbeat(r *remoting.Request) {
	var h header.BrokerHeartbeatRequest
	if !decode(r, &h) {
		return
	}
	now := time.Now()
	s.mu.Lock()
	known := s.table.touch(h.ClusterName, h.BrokerAddr, now)
	s.mu.Unlock()
	if !known {
		refuse(r, nil, errors.New("no broker of that cluster is registered at "+h.BrokerAddr))
		return
	}
	succeed(r)
}
