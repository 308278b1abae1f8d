// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
)

const ns = "10.0.0.9:9876"

// cluster serves the name server's list of the brokers here and at addrs.
func (f *field) cluster(addrs ...string) {
	info := body.ClusterInfo{BrokerAddrTable: map[string]body.BrokerData{}, ClusterAddrTable: map[string][]string{}}
	for i, addr := range append([]string{here}, addrs...) {
		name := string(rune('a' + i))
		info.BrokerAddrTable[name] = body.BrokerData{Cluster: "c", BrokerName: name, BrokerAddrs: map[int64]string{0: addr}}
		info.ClusterAddrTable["c"] = append(info.ClusterAddrTable["c"], name)
	}
	f.serve(ns, func(r *remoting.Request) {
		r.Reply(&wire.Response{Code: wire.Success, Body: body.Marshal(&info)})
	})
}

// peer is another broker: its topics, by their write queues.
type peer struct {
	*fake
	mu     sync.Mutex
	topics map[string]int32
	fails  int // requests that it refuses first
}

func (f *field) peer(addr string, fails int, topics map[string]int32) *peer {
	p := &peer{topics: topics, fails: fails}
	p.fake = f.serve(addr, func(r *remoting.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.fails > 0 {
			p.fails--
			r.Reply(&wire.Response{Code: wire.SystemError, Remark: "not now"})
			return
		}
		switch r.Code {
		case wire.ReqGetAllTopicConfig:
			w := body.TopicConfigSerializeWrapper{TopicConfigTable: map[string]body.TopicConfig{}}
			for name, n := range p.topics {
				c := body.NewTopicConfig(name)
				c.WriteQueueNums = n
				w.TopicConfigTable[name] = c
			}
			r.Reply(&wire.Response{Code: wire.Success, Header: header.Empty{}, Body: body.Marshal(&w)})
		case wire.ReqUpdateAndCreateTopic:
			var h header.CreateTopicRequest
			if err := h.DecodeExt(r.Ext); err != nil {
				f.t.Error(err)
			}
			p.topics[h.Topic] = h.WriteQueueNums
			r.Reply(&wire.Response{Code: wire.Success})
		default:
			f.t.Errorf("request %d", r.Code)
		}
	})
	return p
}

func (p *peer) wants(t *testing.T, want string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if have := fmt.Sprint(p.topics); have != want {
		t.Errorf("the peer has %s, want %s", have, want)
	}
}

func topicOf(name string, queues int32) *body.TopicConfig {
	c := body.NewTopicConfig(name)
	c.ReadQueueNums, c.WriteQueueNums = queues, queues
	return &c
}

func TestSpreadKeepsWhatIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newField(t, ns)
		f.cluster("10.0.0.2:10911")
		p := f.peer("10.0.0.2:10911", 0, map[string]int32{"orders": 16})
		f.b.spread.make(t.Context(), []*body.TopicConfig{topicOf("orders", 4), topicOf("fresh", 4)})
		p.wants(t, "map[fresh:4 orders:16]")
		want := []int32{wire.ReqGetAllTopicConfig, wire.ReqUpdateAndCreateTopic}
		if have := p.seen(); !slices.Equal(have, want) {
			t.Errorf("the peer was asked %v, want %v", have, want)
		}
	})
}

// A silent peer does not hold up the others; one that fails is asked once more.
func TestSpreadFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newField(t, ns)
		f.cluster("10.0.0.2:10911", "10.0.0.3:10911", "10.0.0.4:10911")
		dead := f.serve("10.0.0.2:10911", silent)
		late := f.peer("10.0.0.3:10911", 1, map[string]int32{})
		good := f.peer("10.0.0.4:10911", 0, map[string]int32{})
		begin := time.Now()
		done := make(chan struct{})
		go func() {
			defer close(done)
			f.b.spread.make(t.Context(), []*body.TopicConfig{topicOf("fresh", 4)})
		}()
		synctest.Wait()
		good.wants(t, "map[fresh:4]")
		late.wants(t, "map[]")
		pass(spreadRetry)
		late.wants(t, "map[fresh:4]")
		<-done
		if took, want := time.Since(begin), 2*spreadTimeout+spreadRetry; took != want {
			t.Errorf("took %v, want %v", took, want)
		}
		if n := dead.count(wire.ReqGetAllTopicConfig); n != 2 {
			t.Errorf("the silent peer was asked %d times, want 2", n)
		}
	})
}

// What waits while peers are asked goes out together.
func TestSpreadTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newField(t, ns)
		f.cluster("10.0.0.2:10911")
		p := f.peer("10.0.0.2:10911", 0, map[string]int32{})
		for i := range 3 {
			f.b.spread.add(topicOf(fmt.Sprint("t", i), 4))
		}
		f.b.spread.make(t.Context(), f.b.spread.all(<-f.b.spread.topic))
		p.wants(t, "map[t0:4 t1:4 t2:4]")
		if n := p.count(wire.ReqGetAllTopicConfig); n != 1 {
			t.Errorf("the peer was asked for its topics %d times, want once", n)
		}
	})
}
