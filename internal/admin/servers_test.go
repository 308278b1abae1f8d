// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
)

// newServers is two name servers, a broker with a slave, and a broker of another
// cluster, which answer with what answers has by request and address; other
// requests are kept.
func newServers(t *testing.T, answers map[int32]map[string]*wire.Response) (a *Admin, asked *[]string) {
	w := newWorld(t, names1, names2)
	w.broker("C", "a", addrA, 0)
	w.broker("D", "b", addrB, 0)
	w.serve(slaveAddress)
	w.clusters.BrokerAddrTable["a"].BrokerAddrs[1] = slaveAddress
	asked = &[]string{}
	w.inspect = func(addr string, r *remoting.Request) *wire.Response {
		text := fmt.Sprint(r.Code, " ", addr)
		for _, f := range r.Ext {
			text += fmt.Sprintf(" %s=%s", f.Key, f.Value)
		}
		if len(r.Body) > 0 {
			text += " " + string(r.Body)
		}
		*asked = append(*asked, text)
		if answer := answers[r.Code][addr]; answer != nil {
			return answer
		}
		if answer := answers[r.Code][""]; answer != nil {
			return answer
		}
		return &wire.Response{Code: wire.RequestCodeNotSupported, Remark: "refused on purpose"}
	}
	return New(w.client, []string{names1, names2}), asked
}

func TestNodes(t *testing.T) {
	a, _ := newServers(t, nil)
	all, err := a.Nodes(t.Context(), "")
	want := []Node{{"C", "a", 0, addrA}, {"C", "a", 1, slaveAddress}, {"D", "b", 0, addrB}}
	if err != nil || !slices.Equal(all, want) {
		t.Errorf("%v, %v", all, err)
	}
	if got := Masters(all); !slices.Equal(got, []Node{want[0], want[2]}) || len(all) != 3 {
		t.Errorf("masters %v", got)
	}
	if got, err := a.Nodes(t.Context(), "D"); err != nil || !slices.Equal(got, want[2:]) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := a.Nodes(t.Context(), "E"); !errors.Is(err, ErrCluster) || !strings.Contains(err.Error(), `"E"`) {
		t.Error(err)
	}
	for which, node := range map[string]Node{"a": want[0], addrA: want[0], slaveAddress: want[1], "10.0.0.1:1": {Addr: "10.0.0.1:1", ID: -1}} {
		if got, err := a.Node(t.Context(), which); err != nil || got != node {
			t.Errorf("%s: %v, %v", which, got, err)
		}
	}
	if _, err := a.Node(t.Context(), "x"); !errors.Is(err, ErrNoBroker) || !strings.Contains(err.Error(), "x") {
		t.Error(err)
	}
	if n, err := New(a.caller, nil).Node(t.Context(), addrB); err != nil || n.Name() != addrB || want[0].Name() != "a" || want[1].Name() != "a/1" {
		t.Errorf("%v, %v", n, err)
	}
}

// A broker that does not answer has its error, and the others their figures.
func TestStatuses(t *testing.T) {
	table := &body.KVTable{Table: map[string]string{
		"brokerVersionDesc": "V4_9_8", "bootTimestamp": "1700000000000", "putTps": "1.5 2.5 3.5 9", "getTransferredTps": "4 5 NaN",
		"msgPutTotalYesterdayMorning": "10", "msgPutTotalTodayMorning": "30", "msgPutTotalTodayNow": "100",
		"msgGetTotalYesterdayMorning": "1", "msgGetTotalTodayMorning": "3", "msgGetTotalTodayNow": "7",
		"commitLogDiskRatio": "0.25", "earliestMessageTimeStamp": "-1", "dispatchBehindBytes": "many", "putMessageDistributeTime": "[<=0ms]:7",
	}}
	a, _ := newServers(t, map[int32]map[string]*wire.Response{wire.ReqGetBrokerRuntimeInfo: {addrA: {Body: body.Marshal(table)}}})
	nodes, err := a.Nodes(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	all, err := a.Statuses(t.Context(), nodes)
	if len(all) != 3 || !errors.Is(err, rpc.NotSupported) || strings.Contains(err.Error(), "broker a: ") || !strings.Contains(err.Error(), "broker a/1: ") || !strings.Contains(err.Error(), "broker b: ") {
		t.Fatalf("%+v, %v", all, err)
	}
	want := Figures{
		Version: "V4_9_8", Started: time.UnixMilli(1700000000000), In: [3]float64{1.5, 2.5, 3.5}, Out: [3]float64{4, 5}, InToday: 70, InYesterday: 20, OutToday: 4, OutYesterday: 2,
		Disk: 0.25, Puts: "[<=0ms]:7",
	}
	if got := all[0]; got.Error != "" || *got.Figures != want {
		t.Errorf("%+v, want %+v", got.Figures, want)
	}
	for _, s := range all[1:] {
		if s.Figures != nil || !strings.Contains(s.Error, "broker "+s.Name()+": ") || !strings.Contains(s.Error, "refused on purpose") {
			t.Errorf("%+v", s)
		}
	}
}

func TestClean(t *testing.T) {
	a, asked := newServers(t, map[int32]map[string]*wire.Response{
		wire.ReqCleanExpiredConsumeQueue: {"": {}}, wire.ReqCleanUnusedTopic: {"": {}}, wire.ReqDeleteExpiredCommitLog: {addrA: {}},
	})
	nodes := []Node{{"C", "a", 0, addrA}, {"D", "b", 0, addrB}}
	for what, code := range map[Clean]int{CleanQueues: 306, CleanTopics: 316, CleanLog: 329} {
		*asked = nil
		done, err := a.Clean(t.Context(), nodes, what)
		want := nodes
		if what == CleanLog {
			want = nodes[:1]
		}
		if !slices.Equal(done, want) || (err != nil) != (len(want) == 1) || err != nil && !strings.Contains(err.Error(), "broker b: ") {
			t.Errorf("%s: %v, %v", what, done, err)
		}
		if !slices.Equal(*asked, []string{fmt.Sprint(code, " ", addrA), fmt.Sprint(code, " ", addrB)}) {
			t.Errorf("%s: asked %q", what, *asked)
		}
	}
	if _, err := a.Clean(t.Context(), nodes, "all"); err == nil || !strings.Contains(err.Error(), "queues, topics, log") {
		t.Error(err)
	}
}

// Every name server is asked; those that did it are known when one fails.
func TestSetWritable(t *testing.T) {
	a, asked := newServers(t, map[int32]map[string]*wire.Response{
		wire.ReqWipeWritePermOfBroker: {names1: {Header: &header.WipeWritePermResponse{Count: 7}}, names2: {Header: &header.WipeWritePermResponse{Count: 8}}},
		wire.ReqAddWritePermOfBroker:  {names2: {Header: &header.AddWritePermResponse{Count: 9}}},
	})
	done, err := a.SetWritable(t.Context(), "a", false)
	if err != nil || !slices.Equal(done, []Drained{{names1, 7}, {names2, 8}}) || !slices.Contains(*asked, "205 "+names2+" brokerName=a") {
		t.Errorf("%v, %v, %q", done, err, *asked)
	}
	if done, err = a.SetWritable(t.Context(), "a", true); err == nil || !slices.Equal(done, []Drained{{names2, 9}}) {
		t.Errorf("%v, %v", done, err)
	}
	if _, err = a.SetWritable(t.Context(), "x", false); !errors.Is(err, ErrNoBroker) {
		t.Error(err)
	}
}

func TestConfigs(t *testing.T) {
	version := &header.BrokerConfigResponse{Version: `{"counter":1,"timestamp":2}`}
	a, asked := newServers(t, map[int32]map[string]*wire.Response{
		wire.ReqGetBrokerConfig:     {addrA: {Header: version, Body: []byte("a=1\nb=2\n")}},
		wire.ReqGetNamesrvConfig:    {names1: {Body: []byte("c=3\n")}, names2: {Body: []byte("c=4\n")}},
		wire.ReqUpdateBrokerConfig:  {addrA: {Remark: "until the next start"}, addrB: {Code: wire.NoPermission, Remark: "b can't change"}},
		wire.ReqUpdateNamesrvConfig: {names1: {}, names2: {}},
	})
	nodes := []Node{{"C", "a", 0, addrA}, {"D", "b", 0, addrB}}
	all, err := a.BrokerConfigs(t.Context(), nodes)
	if err == nil || !strings.Contains(err.Error(), "broker b") || len(all) != 1 || all[0].Of != "a" || !maps.Equal(all[0].Keys, map[string]string{"a": "1", "b": "2"}) {
		t.Errorf("%v, %v", all, err)
	}
	all, err = a.NamesrvConfigs(t.Context())
	if err != nil || len(all) != 2 || all[1].Of != names2 || all[1].Keys["c"] != "4" {
		t.Errorf("%v, %v", all, err)
	}
	done, err := a.SetBrokerConfig(t.Context(), nodes, map[string]string{"b": "x", "a": "1"})
	if !errors.Is(err, rpc.NoPermission) || !slices.Equal(done, []Changed{{"a", "until the next start"}}) || !slices.Contains(*asked, "25 "+addrA+" a=1\nb=x\n") {
		t.Errorf("%v, %v, %q", done, err, *asked)
	}
	if done, err = a.SetNamesrvConfig(t.Context(), map[string]string{"k": "v"}); err != nil || !slices.Equal(done, []Changed{{names1, ""}, {names2, ""}}) {
		t.Errorf("%v, %v", done, err)
	}
}

func TestNameServers(t *testing.T) {
	a, _ := newServers(t, nil)
	a.servers = append(a.servers, nobody)
	all, err := a.NameServers(t.Context())
	if err == nil || !strings.Contains(err.Error(), "name server "+nobody+": ") || len(all) != 3 || all[0] != (NameServer{Addr: names1, Brokers: 3, Topics: 2}) || all[2].Addr != nobody || all[2].Error == "" {
		t.Errorf("%+v, %v", all, err)
	}
}

// Values are set and deleted at every name server, and asked of one.
func TestValues(t *testing.T) {
	a, asked := newServers(t, map[int32]map[string]*wire.Response{
		wire.ReqPutKVConfig: {"": {}}, wire.ReqDeleteKVConfig: {"": {}},
		wire.ReqGetKVConfig:          {"": {Header: &header.GetKVResponse{Value: "v"}}},
		wire.ReqGetKVListByNamespace: {"": {Body: body.Marshal(&body.KVTable{Table: map[string]string{"k": "v"}})}},
	})
	if err := errors.Join(a.SetValue(t.Context(), "N", "k", "v"), a.DeleteValue(t.Context(), "N", "k")); err != nil {
		t.Fatal(err)
	}
	for _, addr := range []string{names1, names2} {
		if !slices.Contains(*asked, "100 "+addr+" namespace=N key=k value=v") || !slices.Contains(*asked, "102 "+addr+" namespace=N key=k") {
			t.Errorf("%s was not asked: %q", addr, *asked)
		}
	}
	none, asked2 := newServers(t, map[int32]map[string]*wire.Response{wire.ReqGetKVConfig: {"": {Code: wire.QueryNotFound}}})
	if err := none.DeleteValue(t.Context(), "N", "k"); !errors.Is(err, ErrNoKey) || slices.ContainsFunc(*asked2, func(s string) bool { return strings.HasPrefix(s, "102 ") }) {
		t.Errorf("deleting what is not there: %v, %q", err, *asked2)
	}
	*asked = nil
	table, err := a.Values(t.Context(), "N")
	if err != nil || !maps.Equal(table, map[string]string{"k": "v"}) {
		t.Errorf("%v, %v", table, err)
	}
	if v, err := a.Value(t.Context(), "N", "k"); err != nil || v != "v" || len(*asked) != 2 {
		t.Errorf("%q, %v, %q", v, err, *asked)
	}
	a, _ = newServers(t, map[int32]map[string]*wire.Response{wire.ReqGetKVConfig: {"": {Code: wire.QueryNotFound}}, wire.ReqGetKVListByNamespace: {"": {Code: wire.QueryNotFound}}})
	if _, err := a.Value(t.Context(), "N", "k"); !errors.Is(err, ErrNoKey) || !strings.Contains(err.Error(), "k in namespace N") {
		t.Error(err)
	}
	if _, err := a.Values(t.Context(), "N"); !errors.Is(err, ErrNoKey) {
		t.Error(err)
	}
}

// What brokers have of themselves is not exported.
func TestExport(t *testing.T) {
	topics := &body.TopicConfigSerializeWrapper{TopicConfigTable: map[string]body.TopicConfig{}}
	for _, name := range []string{"T2", "T1", "a", "C", "TBW102", "C_REPLY_TOPIC", "%RETRY%g"} {
		topics.TopicConfigTable[name] = body.NewTopicConfig(name)
	}
	groups := &body.SubscriptionGroupWrapper{SubscriptionGroupTable: map[string]body.SubscriptionGroupConfig{}}
	for _, name := range []string{"g", "TOOLS_CONSUMER", "CID_RMQ_SYS_TRANS", "CID_ONSAPI_PULL"} {
		groups.SubscriptionGroupTable[name] = body.SubscriptionGroupConfig{GroupName: name}
	}
	a, _ := newServers(t, map[int32]map[string]*wire.Response{
		wire.ReqGetAllTopicConfig: {addrA: {Body: body.Marshal(topics)}}, wire.ReqGetAllSubscriptionGroupConfig: {addrA: {Body: body.Marshal(groups)}},
	})
	all, err := a.Export(t.Context(), "")
	if err == nil || !strings.Contains(err.Error(), "broker b: ") || len(all) != 1 || all[0].Broker != "a" {
		t.Fatalf("%+v, %v", all, err)
	}
	var names []string
	for _, c := range all[0].Topics {
		names = append(names, c.TopicName)
	}
	for _, g := range all[0].Groups {
		names = append(names, g.GroupName)
	}
	if !slices.Equal(names, []string{"%RETRY%g", "T1", "T2", "g"}) {
		t.Errorf("exported %q", names)
	}
}
