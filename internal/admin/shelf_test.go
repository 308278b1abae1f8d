// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// shelf is two brokers, a and b, with queues of messages and the places of groups.
type shelf struct {
	w         *world
	names     map[string]string                        // brokers by address
	stored    map[string][]message.Record              // by address, topic and queue; the first stands at offset 10
	places    map[string]int64                         // by address, group, topic and queue
	groups    map[string]body.SubscriptionGroupWrapper // by address
	online    map[string]body.ConsumerConnection       // by group
	sealed    string                                   // topic that may not be read
	lazy      bool                                     // resets are left to the consumers, of which none is there
	config    string                                   // as GET_BROKER_CONFIG answers
	acts      []string
	producers map[string]map[string][]body.ProducerInfo // by address and group
	readers   []string                                  // groups that read any topic
}

const firstOffset = 10

func newShelf(t *testing.T) (*shelf, *Admin) {
	w := newWorld(t, names1)
	w.broker("C", "a", addrA, 0)
	w.broker("C", "b", addrB, 0)
	s := &shelf{
		w: w, names: map[string]string{addrA: "a", addrB: "b"}, stored: map[string][]message.Record{}, places: map[string]int64{},
		groups: map[string]body.SubscriptionGroupWrapper{}, online: map[string]body.ConsumerConnection{},
	}
	s.config = "useServerSideResetOffset=true\n"
	w.routes, w.inspect = map[string]*body.TopicRouteData{}, s.answer
	return s, New(w.client, []string{names1})
}

// topic makes a topic with so many queues on both brokers.
func (s *shelf) topic(name string, queues int32) {
	d := &body.TopicRouteData{}
	for addr, broker := range s.names {
		d.QueueDatas = append(d.QueueDatas, body.QueueData{BrokerName: broker, ReadQueueNums: queues, WriteQueueNums: queues, Perm: 6})
		d.BrokerDatas = append(d.BrokerDatas, body.BrokerData{Cluster: "C", BrokerName: broker, BrokerAddrs: map[int64]string{0: addr}})
	}
	s.w.routes[name] = d
	s.w.topics = append(s.w.topics, name)
}

// group makes a consumer group on brokers.
func (s *shelf) group(name string, addrs ...string) {
	for _, addr := range addrs {
		if s.groups[addr].SubscriptionGroupTable == nil {
			s.groups[addr] = body.SubscriptionGroupWrapper{SubscriptionGroupTable: map[string]body.SubscriptionGroupConfig{}}
		}
		s.groups[addr].SubscriptionGroupTable[name] = body.NewSubscriptionGroupConfig(name)
	}
}

func slot(addr string, parts ...any) string { return fmt.Sprint(addr, parts) }

// put stores a message whose body is the text of its time.
func (s *shelf) put(addr, topic string, queue int32, millis int64, props message.Properties) *message.Record {
	at := slot(addr, topic, queue)
	r := message.Record{
		QueueID: queue, QueueOffset: firstOffset + int64(len(s.stored[at])), PhysicalOffset: 1000*int64(len(s.stored[at])) + int64(queue),
		StoreTimestamp: millis, StoreHost: netip.MustParseAddrPort(addr), BornHost: netip.MustParseAddrPort("10.1.1.1:5"), Topic: []byte(topic),
		Body: fmt.Append(nil, millis), Properties: props.Append(nil),
	}
	s.stored[at] = append(s.stored[at], r)
	return &r
}

func (s *shelf) answer(addr string, r *remoting.Request) *wire.Response {
	res, err := s.serve(addr, r)
	if err != nil {
		return &wire.Response{Code: wire.SystemError, Remark: err.Error()}
	}
	return res
}

func (s *shelf) serve(addr string, r *remoting.Request) (*wire.Response, error) {
	switch r.Code {
	case wire.ReqPullMessage, wire.ReqQueryMessage, wire.ReqViewMessageByID, wire.ReqSendMessageV2:
		return s.messages(addr, r)
	case wire.ReqGetMinOffset:
		return &wire.Response{Header: &header.OffsetResponse{Offset: firstOffset}}, nil
	case wire.ReqGetMaxOffset:
		var h header.MaxOffsetRequest
		err := h.DecodeExt(r.Ext)
		return &wire.Response{Header: &header.OffsetResponse{Offset: s.end(addr, h.Topic, h.QueueID)}}, err
	case wire.ReqSearchOffsetByTimestamp:
		var h header.SearchOffsetRequest
		err := h.DecodeExt(r.Ext)
		return &wire.Response{Header: &header.OffsetResponse{Offset: s.search(addr, h.Topic, h.QueueID, h.Timestamp)}}, err
	case wire.ReqGetConsumerConnectionList:
		var h header.ConsumerConnectionRequest
		err := h.DecodeExt(r.Ext)
		if c, ok := s.online[h.ConsumerGroup]; ok {
			return &wire.Response{Body: body.Marshal(&c)}, err
		}
		return &wire.Response{Code: wire.ConsumerNotOnline, Remark: "nobody"}, err
	case wire.ReqGetAllSubscriptionGroupConfig:
		g := s.groups[addr]
		return &wire.Response{Body: body.Marshal(&g)}, nil
	case wire.ReqUpdateAndCreateSubscriptionGroup:
		var c body.SubscriptionGroupConfig
		err := body.Unmarshal(r.Body, &c)
		s.acts = append(s.acts, fmt.Sprintf("%s group %s %d tries", s.names[addr], c.GroupName, c.RetryMaxTimes))
		return &wire.Response{}, err
	case wire.ReqDeleteSubscriptionGroup, wire.ReqDeleteTopicInBroker, wire.ReqDeleteTopicInNamesrv:
		var what []byte
		for _, f := range r.Ext {
			if k := string(f.Key); k == "groupName" || k == "topic" || k == "removeOffset" {
				what = append(append(what, ' '), f.Value...)
			}
		}
		s.acts = append(s.acts, fmt.Sprintf("%s %d%s", s.names[addr], r.Code, what))
		return &wire.Response{}, nil
	case wire.ReqDeleteKVConfig: // what asks whether it may be deleted
		return &wire.Response{}, nil
	case wire.ReqGetKVConfig: // the order of a topic
		return &wire.Response{Code: wire.QueryNotFound, Remark: "none"}, nil
	case wire.ReqGetConsumerRunningInfo:
		id, _ := r.Ext.Get("clientId")
		return &wire.Response{Body: body.Marshal(&body.ConsumerRunningInfo{Jstack: "stack of " + string(id)})}, nil
	}
	return s.offsets(addr, r)
}

func (s *shelf) end(addr, topic string, queue int32) int64 {
	return firstOffset + int64(len(s.stored[slot(addr, topic, queue)]))
}

func (s *shelf) search(addr, topic string, queue int32, millis int64) int64 {
	list := s.stored[slot(addr, topic, queue)]
	if at := slices.IndexFunc(list, func(r message.Record) bool { return r.StoreTimestamp >= millis }); at >= 0 && millis >= 0 {
		return firstOffset + int64(at)
	}
	return s.end(addr, topic, queue)
}

// offsets serves what asks for the places of groups, and what changes them.
func (s *shelf) offsets(addr string, r *remoting.Request) (*wire.Response, error) {
	switch r.Code {
	case wire.ReqGetConsumeStats:
		var h header.ConsumeStatsRequest
		err := h.DecodeExt(r.Ext)
		b := body.ConsumeStats{OffsetTable: map[body.MessageQueue]body.OffsetWrapper{}, ConsumeTps: 1.5}
		for topic, d := range s.w.routes {
			for q := range d.QueueDatas[0].ReadQueueNums {
				at, ok := s.places[slot(addr, h.ConsumerGroup, topic, q)]
				if ok && (h.Topic == "" || h.Topic == topic) {
					// As brokers do, it says 0 where there is none.
					b.OffsetTable[body.MessageQueue{Topic: topic, BrokerName: s.names[addr], QueueID: q}] = body.OffsetWrapper{BrokerOffset: s.end(addr, topic, q), ConsumerOffset: max(at, 0)}
				}
			}
		}
		return &wire.Response{Body: body.Marshal(&b)}, err
	case wire.ReqQueryConsumerOffset:
		var h header.QueryConsumerOffsetRequest
		err := h.DecodeExt(r.Ext)
		if at, ok := s.places[slot(addr, h.ConsumerGroup, h.Topic, h.QueueID)]; ok && at >= 0 || !h.KeepNotFound {
			return &wire.Response{Header: &header.OffsetResponse{Offset: max(at, 0)}}, err
		}
		return &wire.Response{Code: wire.QueryNotFound, Remark: "no offset"}, err
	case wire.ReqInvokeBrokerToResetOffset:
		return s.reset(addr, r)
	case wire.ReqUpdateConsumerOffset:
		var h header.UpdateConsumerOffsetRequest
		err := h.DecodeExt(r.Ext)
		s.acts = append(s.acts, fmt.Sprintf("%s set %s/%d to %d", s.names[addr], h.Topic, h.QueueID, h.CommitOffset))
		return &wire.Response{}, err
	case wire.ReqCloneGroupOffset:
		var h header.CloneGroupOffsetRequest
		err := h.DecodeExt(r.Ext)
		s.acts = append(s.acts, fmt.Sprintf("%s clone %s to %s in %s", s.names[addr], h.SrcGroup, h.DestGroup, h.Topic))
		return &wire.Response{}, err
	}
	return s.clients(addr, r)
}

// clients serves what is asked about clients and modes.
func (s *shelf) clients(addr string, r *remoting.Request) (*wire.Response, error) {
	switch r.Code {
	case wire.ReqGetBrokerConfig:
		return &wire.Response{Header: &header.BrokerConfigResponse{Version: "{}"}, Body: []byte(s.config)}, nil
	case wire.ReqGetAllProducerInfo:
		return &wire.Response{Body: body.Marshal(&body.ProducerTableInfo{Data: s.producers[addr]})}, nil
	case wire.ReqQueryTopicConsumeByWho:
		return &wire.Response{Body: body.Marshal(&body.GroupList{GroupList: s.readers})}, nil
	case wire.ReqSetMessageRequestMode:
		var m body.RequestModeConfig
		err := body.Unmarshal(r.Body, &m)
		if _, ok := s.groups[addr].SubscriptionGroupTable[m.ConsumerGroup]; !ok {
			return &wire.Response{Code: wire.SubscriptionGroupNotExist, Remark: "no such group"}, err
		}
		s.acts = append(s.acts, fmt.Sprintf("%s mode %s %s %s %d", s.names[addr], m.ConsumerGroup, m.Topic, m.Mode, m.PopShareQueueNum))
		return &wire.Response{}, err
	case wire.ReqGetAllMessageRequestMode:
		g := map[string]body.RequestModeConfig{"g": {Topic: "T", ConsumerGroup: "g", Mode: body.RequestPop}, "other": {}}
		return &wire.Response{Body: body.Marshal(&body.RequestModeTable{MessageRequestModeMap: map[string]map[string]body.RequestModeConfig{"T": g, "U": {}}})}, nil
	}
	return &wire.Response{Code: wire.RequestCodeNotSupported, Remark: wire.CodeName(r.Code)}, nil
}

func (s *shelf) reset(addr string, r *remoting.Request) (*wire.Response, error) {
	var h header.ResetOffsetRequest
	err := h.DecodeExt(r.Ext)
	if s.lazy {
		return &wire.Response{Code: wire.ConsumerNotOnline, Remark: "nobody to reset"}, err
	}
	b := body.ResetOffsetBody{OffsetTable: map[body.MessageQueue]int64{}}
	for q := range s.w.routes[h.Topic].QueueDatas[0].ReadQueueNums {
		to := s.search(addr, h.Topic, q, h.Timestamp)
		switch {
		case h.HasQueueID && q != h.QueueID:
			continue
		case h.HasOffset:
			to = h.Offset
		}
		b.OffsetTable[body.MessageQueue{Topic: h.Topic, BrokerName: s.names[addr], QueueID: q}] = to
		s.acts = append(s.acts, fmt.Sprintf("%s reset %s/%d to %d force=%v", s.names[addr], h.Topic, q, to, h.Force))
	}
	return &wire.Response{Body: body.Marshal(&b)}, err
}

// messages serves what brings messages.
func (s *shelf) messages(addr string, r *remoting.Request) (*wire.Response, error) {
	switch r.Code {
	case wire.ReqPullMessage:
		var h header.PullRequest
		err := h.DecodeExt(r.Ext)
		if s.sealed == string(h.Topic) {
			return &wire.Response{Code: wire.NoPermission, Remark: "no read bit", Header: &header.PullResponse{}}, err
		}
		list := s.stored[slot(addr, string(h.Topic), h.QueueID)]
		from := h.QueueOffset - firstOffset
		resp := &header.PullResponse{NextBeginOffset: h.QueueOffset, MinOffset: firstOffset, MaxOffset: firstOffset + int64(len(list))}
		if from < 0 || from >= int64(len(list)) {
			return &wire.Response{Code: wire.PullNotFound, Header: resp}, err
		}
		some := list[from:min(from+int64(h.MaxMsgNums), int64(len(list)))]
		resp.NextBeginOffset += int64(len(some))
		return &wire.Response{Header: resp, Body: records(some, func(*message.Record) bool { return true })}, err
	case wire.ReqQueryMessage:
		var h header.QueryMessageRequest
		err := h.DecodeExt(r.Ext)
		var found []message.Record
		for _, list := range s.stored {
			// As a real index, it gives what has the topic at this broker, whatever the key is.
			for _, m := range list {
				if m.StoreHost.String() == addr && string(m.Topic) == h.Topic && m.StoreTimestamp >= h.BeginTimestamp && m.StoreTimestamp <= h.EndTimestamp {
					found = append(found, m)
				}
			}
		}
		if found == nil {
			return &wire.Response{Code: wire.QueryNotFound, Remark: "none"}, err
		}
		// And of those the last ones.
		slices.SortFunc(found, func(x, y message.Record) int {
			return cmp.Or(cmp.Compare(y.StoreTimestamp, x.StoreTimestamp), cmp.Compare(y.PhysicalOffset, x.PhysicalOffset))
		})
		found = found[:min(len(found), int(h.MaxNum))]
		return &wire.Response{Header: &header.QueryMessageResponse{}, Body: records(found, func(*message.Record) bool { return true })}, err
	case wire.ReqViewMessageByID:
		var h header.ViewMessageRequest
		err := h.DecodeExt(r.Ext)
		for _, list := range s.stored {
			if b := records(list, func(m *message.Record) bool { return m.StoreHost.String() == addr && m.PhysicalOffset == h.Offset }); b != nil {
				return &wire.Response{Body: b}, err
			}
		}
		return &wire.Response{Code: wire.SystemError, Remark: "no message there"}, err
	}
	var h header.SendRequest
	err := h.DecodeExt(r.Ext)
	s.acts = append(s.acts, fmt.Sprintf("%s send %s/%d %s flag=%d %v", s.names[addr], h.Topic, h.QueueID, r.Body, h.SysFlag, message.ParseProperties(h.Properties)))
	return &wire.Response{Header: &header.SendResponse{MsgID: []byte("ID"), QueueID: h.QueueID, QueueOffset: 77}}, err
}

func records(list []message.Record, wanted func(*message.Record) bool) (text []byte) {
	for i := range list {
		if wanted(&list[i]) {
			at := len(text)
			text = message.AppendRecord(text, &list[i])
			message.PatchPosition(text[at:], list[i].QueueOffset, list[i].PhysicalOffset, list[i].StoreTimestamp)
		}
	}
	return text
}
