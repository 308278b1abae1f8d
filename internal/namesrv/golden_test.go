// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package namesrv

import (
	"bytes"
	"context"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/config"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/wiretest"
)

// TestGolden sends what was recorded from RocketMQ 4.9.8 to a name server, frame
// by frame, and compares its answers with the recorded ones. What the broker of
// the recording had told its name server before is told here first.
func TestGolden(t *testing.T) {
	all, err := wiretest.Load(os.DirFS("../../testdata/golden/frames"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int32]int{}
	for _, s := range all {
		if !slices.ContainsFunc(s.Frames, func(f wiretest.Frame) bool { return f.To == "name server" }) {
			continue
		}
		t.Run(s.Name, func(t *testing.T) { replay(t, s, seen) })
	}
	for code, least := range map[int32]int{
		wire.ReqPutKVConfig: 3, wire.ReqGetKVConfig: 1, wire.ReqDeleteKVConfig: 2, wire.ReqRegisterBroker: 3, wire.ReqUnregisterBroker: 2,
		wire.ReqGetRouteInfoByTopic: 200, wire.ReqGetBrokerClusterInfo: 10, wire.ReqWipeWritePermOfBroker: 1,
		wire.ReqAddWritePermOfBroker: 1, wire.ReqGetAllTopicListFromNameServer: 5, wire.ReqDeleteTopicInNamesrv: 2,
	} {
		if seen[code] < least {
			t.Errorf("%s: %d exchanges compared, want at least %d", wire.CodeName(code), seen[code], least)
		}
	}
}

func command(t *testing.T, f *wiretest.Frame) *wire.Command {
	t.Helper()
	var d wire.Decoder
	var c wire.Command
	if err := d.Decode(f.Payload(), &c); err != nil {
		t.Fatal(err)
	}
	return c.Clone()
}

func replay(t *testing.T, s *wiretest.Scenario, seen map[int32]int) {
	configured, _ := fromFile(t, "orderMessageEnable=true\n")
	w := start(t, vfs.NewMem(), configured)
	stage := &stage{w: w, t: t, c: w.client(), node: newNode("broker-a", 0, 1)}
	stage.node.BrokerAddr, stage.node.HAServerAddr = "127.0.0.1:20911", "127.0.0.1:20912"
	// The name server of the recordings had seen an order configuration come and go.
	if err := rpc.PutKV(context.Background(), stage.c, w.addr, orderNamespace, "Gone", "x:1"); err != nil {
		t.Fatal(err)
	}
	if err := rpc.DeleteKV(context.Background(), stage.c, w.addr, orderNamespace, "Gone"); err != nil {
		t.Fatal(err)
	}

	exchanges := s.Exchanges()
	// Java answered in this order, so it worked in this order too.
	slices.SortStableFunc(exchanges, func(a, b wiretest.Exchange) int { return last(a) - last(b) })
	conns := map[int]*rawConn{}
	for _, x := range exchanges {
		if x.Request.To != "name server" || x.Request.Kind.Unanswered {
			continue
		}
		conn := conns[x.Request.Conn]
		if conn == nil {
			conn = w.dialRaw()
			conns[x.Request.Conn] = conn
		}
		req := command(t, x.Request)
		if x.Answer == nil {
			if !req.IsOneWay() {
				t.Fatalf("frame %d: request %d without an answer", x.Request.Number, req.Code)
			}
			conn.write(t, x.Request.Bytes)
			continue
		}
		want := command(t, x.Answer)
		stage.prepare(req, want)
		conn.write(t, x.Request.Bytes)
		have, err := conn.read()
		if err != nil {
			t.Fatalf("frame %d: %v", x.Request.Number, err)
		}
		seen[req.Code]++
		if t.Run(x.Request.Kind.Name, func(t *testing.T) { compare(t, req, want, have) }); t.Failed() {
			t.Fatalf("frame %d", x.Request.Number)
		}
	}
}

func last(x wiretest.Exchange) int {
	if x.Answer != nil {
		return x.Answer.Number
	}
	return x.Request.Number
}

// stage brings the name server to where the recorded answer was given.
type stage struct {
	w    *world
	t    *testing.T
	c    *remoting.Client
	node *node
}

func (s *stage) prepare(req, want *wire.Command) {
	s.t.Helper()
	if want.Code != wire.Success {
		return
	}
	table := s.node.TopicConfigSerializeWrapper.TopicConfigTable
	topics := maps.Clone(table)
	switch req.Code {
	case wire.ReqRegisterBroker:
		if id, _ := req.Ext.Get("brokerId"); string(id) == "0" {
			return // the master itself
		}
	case wire.ReqGetKVConfig:
		namespace, _ := req.Ext.Get("namespace")
		key, _ := req.Ext.Get("key")
		value, _ := want.Ext.Get("value")
		if err := rpc.PutKV(context.Background(), s.c, s.w.addr, string(namespace), string(key), string(value)); err != nil {
			s.t.Fatal(err)
		}
		return
	case wire.ReqGetRouteInfoByTopic:
		var route body.TopicRouteData
		if err := body.Unmarshal(want.Body, &route); err != nil {
			s.t.Fatal(err)
		}
		topic, _ := req.Ext.Get("topic")
		q := route.QueueDatas[0]
		topics[string(topic)] = body.TopicConfig{
			TopicName: string(topic), ReadQueueNums: q.ReadQueueNums, WriteQueueNums: q.WriteQueueNums, Perm: q.Perm, TopicSysFlag: q.TopicSysFlag,
		}
		s.slaves(route.BrokerDatas)
	case wire.ReqGetAllTopicListFromNameServer:
		var list body.TopicList
		if err := body.Unmarshal(want.Body, &list); err != nil {
			s.t.Fatal(err)
		}
		for _, name := range list.TopicList {
			if _, ok := topics[name]; !ok {
				topics[name] = body.NewTopicConfig(name)
			}
		}
	case wire.ReqWipeWritePermOfBroker, wire.ReqAddWritePermOfBroker:
		// 38 topics in the recording, of which the route before named one.
		for i := len(topics); i < 38; i++ {
			name := "T" + strings.Repeat("x", i)
			topics[name] = body.NewTopicConfig(name)
		}
	case wire.ReqGetBrokerClusterInfo:
		var info body.ClusterInfo
		if err := body.Unmarshal(want.Body, &info); err != nil {
			s.t.Fatal(err)
		}
		s.slaves(slices.Collect(maps.Values(info.BrokerAddrTable)))
	default:
		return
	}
	if len(table) > 0 && maps.EqualFunc(table, topics, func(a, b body.TopicConfig) bool {
		return a.Perm == b.Perm && a.ReadQueueNums == b.ReadQueueNums && a.WriteQueueNums == b.WriteQueueNums && a.TopicSysFlag == b.TopicSysFlag
	}) {
		return
	}
	s.node.TopicConfigSerializeWrapper.TopicConfigTable = topics
	s.node.TopicConfigSerializeWrapper.DataVersion.Counter++
	s.w.register(s.c, s.node)
}

// slaves registers the slaves that a recorded answer has.
func (s *stage) slaves(brokers []body.BrokerData) {
	s.t.Helper()
	for _, b := range brokers {
		for id, addr := range b.BrokerAddrs {
			if id != 0 {
				slave := newNode(b.BrokerName, id, 1, "x")
				slave.BrokerAddr = addr
				s.w.register(s.c, slave)
			}
		}
	}
}

// compare compares all but what differs by intent: language, version, and the wording of
// remarks; and of a configuration that it has the same keys.
func compare(t *testing.T, req, want, have *wire.Command) {
	if req.Code == wire.ReqGetNamesrvConfig {
		w, errW := config.ParseProperties(want.Body)
		h, errH := config.ParseProperties(have.Body)
		if errW != nil || errH != nil || have.Code != want.Code || have.HasExt != want.HasExt || len(have.Remark) > 0 {
			t.Errorf("answer %d %q, %v, %v", have.Code, have.Remark, errW, errH)
		}
		for _, e := range w {
			known := slices.ContainsFunc(h, func(x config.Entry) bool { return x.Key == e.Key })
			if !known && e.Key != "rocketmqHome" && e.Key != "configStorePath" { // which have no value here
				t.Errorf("no key %s", e.Key)
			}
		}
		return
	}
	if have.Code != want.Code || have.Flag != want.Flag || have.Opaque != want.Opaque || have.Encoding != want.Encoding ||
		have.Version != wire.Version || have.HasExt != want.HasExt || (len(have.Remark) > 0) != (len(want.Remark) > 0) {
		t.Errorf("have %+v, want %+v", have, want)
	}
	if len(have.Ext) != len(want.Ext) {
		t.Errorf("fields: have %q, want %q", have.Ext, want.Ext)
	}
	for _, f := range want.Ext {
		if v, ok := have.Ext.Get(string(f.Key)); !ok || !bytes.Equal(v, f.Value) {
			t.Errorf("field %s: have %q, want %q", f.Key, v, f.Value)
		}
	}
	if req.Code != wire.ReqGetAllTopicListFromNameServer {
		if !bytes.Equal(have.Body, want.Body) {
			t.Errorf("body\nhave %s\nwant %s", have.Body, want.Body)
		}
		return
	}
	// Java's order is that of its hash table.
	var h, w body.TopicList
	if err := body.Unmarshal(have.Body, &h); err != nil {
		t.Fatal(err)
	}
	if err := body.Unmarshal(want.Body, &w); err != nil {
		t.Fatal(err)
	}
	slices.Sort(w.TopicList)
	if !slices.Equal(h.TopicList, w.TopicList) || len(have.Body) != len(want.Body) {
		t.Errorf("topics\nhave %q\nwant %q", have.Body, want.Body)
	}
}
