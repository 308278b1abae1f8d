// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package route

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/wiretest"
)

// two is a topic on two brokers of which b has a slave.
func two() *body.TopicRouteData {
	return &body.TopicRouteData{
		QueueDatas: []body.QueueData{
			{BrokerName: "b", ReadQueueNums: 3, WriteQueueNums: 1, Perm: 6},
			{BrokerName: "a", ReadQueueNums: 1, WriteQueueNums: 2, Perm: 6},
		},
		BrokerDatas: []body.BrokerData{
			{Cluster: "C", BrokerName: "b", BrokerAddrs: map[int64]string{0: "h:1", 2: "h:2"}},
			{Cluster: "C", BrokerName: "a", BrokerAddrs: map[int64]string{0: "h:3"}},
		},
	}
}

func list(queues []body.MessageQueue) string {
	var s []string
	for _, q := range queues {
		s = append(s, fmt.Sprintf("%s%d", q.BrokerName, q.QueueID))
	}
	return strings.Join(s, " ")
}

func TestQueues(t *testing.T) {
	for _, tt := range []struct {
		name        string
		edit        func(d *body.TopicRouteData)
		write, read string
	}{
		{"all", func(*body.TopicRouteData) {}, "a0 a1 b0", "a0 b0 b1 b2"},
		{"nothing", func(d *body.TopicRouteData) { *d = body.TopicRouteData{} }, "", ""},
		{"read only", func(d *body.TopicRouteData) { d.QueueDatas[0].Perm = 4 }, "a0 a1", "a0 b0 b1 b2"},
		{"write only", func(d *body.TopicRouteData) { d.QueueDatas[0].Perm = 2 }, "a0 a1 b0", "a0"},
		{"inherit alone", func(d *body.TopicRouteData) { d.QueueDatas[0].Perm = 1 }, "a0 a1", "a0"},
		{"no master", func(d *body.TopicRouteData) { delete(d.BrokerDatas[0].BrokerAddrs, 0) }, "a0 a1", "a0 b0 b1 b2"},
		{"master without address", func(d *body.TopicRouteData) { d.BrokerDatas[0].BrokerAddrs[0] = "" }, "a0 a1", "a0 b0 b1 b2"},
		{"broker unknown", func(d *body.TopicRouteData) { d.BrokerDatas = d.BrokerDatas[1:] }, "a0 a1", "a0 b0 b1 b2"},
		{"broker twice", func(d *body.TopicRouteData) {
			d.QueueDatas = append(d.QueueDatas, body.QueueData{BrokerName: "a", ReadQueueNums: 9, WriteQueueNums: 9, Perm: 6})
			d.BrokerDatas = append(d.BrokerDatas, body.BrokerData{BrokerName: "a"})
		}, "a0 a1 b0", "a0 b0 b1 b2"},
		{"ordered", func(d *body.TopicRouteData) { d.OrderTopicConf = "b:2;z:1;a:0;" }, "b0 b1 z0", "a0 b0 b1 b2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := two()
			tt.edit(d)
			s, err := New("T", d)
			if err != nil {
				t.Fatal(err)
			}
			if w, r := list(s.WriteQueues()), list(s.ReadQueues()); w != tt.write || r != tt.read {
				t.Errorf("write %q, read %q; want %q, %q", w, r, tt.write, tt.read)
			}
			if s.Ordered() != (d.OrderTopicConf != "") || s.Topic() != "T" {
				t.Errorf("ordered %v, topic %s", s.Ordered(), s.Topic())
			}
			for _, q := range slices.Concat(s.WriteQueues(), s.ReadQueues()) {
				if q.Topic != "T" {
					t.Errorf("queue %+v", q)
				}
			}
		})
	}
}

func TestRefused(t *testing.T) {
	for name, edit := range map[string]func(d *body.TopicRouteData){
		`broker "b"`:         func(d *body.TopicRouteData) { d.QueueDatas[0].ReadQueueNums = -1 },
		`broker "a"`:         func(d *body.TopicRouteData) { d.QueueDatas[1].WriteQueueNums = -1 },
		"more than 1048576":  func(d *body.TopicRouteData) { d.QueueDatas[0].ReadQueueNums = 1<<31 - 1 },
		"more than 1048576 ": func(d *body.TopicRouteData) { d.OrderTopicConf = "a:1048576;b:1" },
		"no name":            func(d *body.TopicRouteData) { d.BrokerDatas[0].BrokerName = "" },
		`broker ""`:          func(d *body.TopicRouteData) { d.QueueDatas[0].BrokerName = "" },
		"id -1":              func(d *body.TopicRouteData) { d.BrokerDatas[0].BrokerAddrs[-1] = "h:1" },
		`"a"`:                func(d *body.TopicRouteData) { d.OrderTopicConf = "a" },
		`"a:x"`:              func(d *body.TopicRouteData) { d.OrderTopicConf = "b:1;a:x" },
		`"a:-1"`:             func(d *body.TopicRouteData) { d.OrderTopicConf = "a:-1" },
		`":1"`:               func(d *body.TopicRouteData) { d.OrderTopicConf = ":1" },
		`"a:1:2"`:            func(d *body.TopicRouteData) { d.OrderTopicConf = "a:1:2" },
	} {
		d := two()
		edit(d)
		if s, err := New("Topic", d); err == nil || !strings.Contains(err.Error(), strings.TrimSpace(name)) || !strings.Contains(err.Error(), "Topic") {
			t.Errorf("%s: %v, %v", name, s, err)
		}
	}
}

func TestAddresses(t *testing.T) {
	d := two()
	d.BrokerDatas = append(d.BrokerDatas, body.BrokerData{BrokerName: "slaves", BrokerAddrs: map[int64]string{1: "", 3: "h:4", 5: "h:5"}}, body.BrokerData{BrokerName: "none"})
	s, err := New("T", d)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		broker string
		id     int64
		want   string
	}{
		{"a", 0, "h:3 0"}, {"a", 1, "h:3 0"}, {"b", 0, "h:1 0"}, {"b", 2, "h:2 2"}, {"b", 1, "h:2 2"}, {"b", 7, "h:1 0"},
		{"slaves", 0, "h:4 3"}, {"slaves", 4, "h:5 5"}, {"slaves", 7, "h:4 3"}, {"none", 0, ""}, {"unknown", 0, ""},
	} {
		have := ""
		if addr, id, ok := s.ReadAddr(tt.broker, tt.id); ok {
			have = fmt.Sprint(addr, " ", id)
		}
		if have != tt.want {
			t.Errorf("to read from %s/%d: %q, want %q", tt.broker, tt.id, have, tt.want)
		}
	}
	for broker, want := range map[string]string{"a": "h:3", "b": "h:1", "slaves": "", "none": "", "unknown": ""} {
		if addr, ok := s.MasterAddr(broker); addr != want || ok != (want != "") {
			t.Errorf("master of %s: %q, %v", broker, addr, ok)
		}
	}
	var names []string
	for _, b := range s.Brokers() {
		names = append(names, b.Name)
	}
	if b, _ := s.Broker("b"); !slices.Equal(names, []string{"a", "b", "none", "slaves"}) || !slices.Equal(b.IDs(), []int64{0, 2}) || b.Cluster != "C" {
		t.Errorf("brokers %v, b %+v", names, b)
	}
}

func TestEqualAndImmutable(t *testing.T) {
	must := func(topic string, d *body.TopicRouteData) *Snapshot {
		s, err := New(topic, d)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	d := two()
	s := must("T", d)
	slices.Reverse(d.QueueDatas)
	slices.Reverse(d.BrokerDatas)
	if !s.Equal(must("T", d)) || !(*Snapshot)(nil).Equal(nil) || s.Equal(nil) || (*Snapshot)(nil).Equal(s) {
		t.Error("the order of the answer counts, or nil")
	}
	for i, edit := range []func(d *body.TopicRouteData){
		func(d *body.TopicRouteData) { d.QueueDatas[0].Perm = 4 },
		func(d *body.TopicRouteData) { d.QueueDatas = d.QueueDatas[1:] },
		func(d *body.TopicRouteData) { d.BrokerDatas[0].BrokerAddrs[2] = "h:9" },
		func(d *body.TopicRouteData) { d.BrokerDatas[0].BrokerAddrs[3] = "h:9" },
		func(d *body.TopicRouteData) { d.BrokerDatas[0].Cluster = "D" },
		func(d *body.TopicRouteData) { d.OrderTopicConf = "a:1" },
	} {
		d := two()
		if edit(d); s.Equal(must("T", d)) {
			t.Errorf("change %d is not seen", i)
		}
	}
	if s.Equal(must("U", two())) {
		t.Error("another topic is equal")
	}
	d = two()
	s = must("T", d)
	d.QueueDatas[0] = body.QueueData{}
	d.BrokerDatas[0].BrokerAddrs[0] = "changed"
	delete(d.BrokerDatas[0].BrokerAddrs, 2)
	if !s.Equal(must("T", two())) {
		t.Error("a change of the answer changed the snapshot")
	}
}

// TestGolden makes a snapshot of every route that RocketMQ 4.9.8 was recorded with.
func TestGolden(t *testing.T) {
	all, err := wiretest.Load(os.DirFS("../../testdata/golden/frames"))
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, sc := range all {
		for _, x := range sc.Exchanges() {
			if x.Answer == nil || x.Answer.Kind.Request != wire.ReqGetRouteInfoByTopic || x.Answer.Kind.Code != wire.Success {
				continue
			}
			var dec wire.Decoder
			var c wire.Command
			var d body.TopicRouteData
			if err := dec.Decode(x.Answer.Payload(), &c); err != nil {
				t.Fatal(err)
			}
			if err := body.Unmarshal(c.Body, &d); err != nil {
				t.Fatal(err)
			}
			s, err := New("T", &d)
			if err != nil {
				t.Fatalf("%s: %v", sc.Name, err)
			}
			q := d.QueueDatas[0]
			wantWrite, wantRead := int(q.WriteQueueNums)*int(q.Perm>>1&1), int(q.ReadQueueNums)*int(q.Perm>>2&1)
			if len(s.WriteQueues()) != wantWrite || len(s.ReadQueues()) != wantRead {
				t.Errorf("%s: %d and %d queues of %+v", sc.Name, len(s.WriteQueues()), len(s.ReadQueues()), q)
			}
			if addr, ok := s.MasterAddr("broker-a"); !ok || !strings.HasSuffix(addr, ":20911") {
				t.Errorf("%s: master at %q", sc.Name, addr)
			}
			count++
		}
	}
	if count < 150 {
		t.Errorf("%d routes", count)
	}
}

// FuzzNew reads any answer and asks the snapshot everything.
func FuzzNew(f *testing.F) {
	f.Add(body.Marshal(two()))
	f.Add([]byte(`{"orderTopicConf":"a:1;b:2;","queueDatas":[{"brokerName":"a","readQueueNums":-4}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var d body.TopicRouteData
		if body.Unmarshal(text, &d) != nil {
			return
		}
		s, err := New("T", &d)
		if err != nil {
			return
		}
		for _, q := range s.WriteQueues() {
			if _, ok := s.MasterAddr(q.BrokerName); !ok && !s.Ordered() {
				t.Fatalf("%+v without a master", q)
			}
		}
		if len(s.ReadQueues()) > MaxQueues || len(s.WriteQueues()) > MaxQueues {
			t.Fatal("too many queues")
		}
		for _, b := range s.Brokers() {
			for _, id := range b.IDs() {
				s.ReadAddr(b.Name, id)
			}
		}
		again, err := New("T", &d)
		if err != nil || !s.Equal(again) {
			t.Fatalf("not equal to itself: %v", err)
		}
	})
}
