// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/twostage/twostage/internal/promtext"
	"github.com/twostage/twostage/internal/remoting"
	"github.com/twostage/twostage/internal/wire"
)

var (
	familyRPC         = promtext.Family{Name: "rocketmq_rpc_latency", Help: "Milliseconds from when a request was read until its answer was written.", Kind: promtext.Histogram, Unit: "milliseconds"}
	familyTopicCreate = promtext.Family{Name: "rocketmq_topic_create_execution_time", Help: "Milliseconds that requests to create or change a topic took.", Kind: promtext.Histogram, Unit: "milliseconds"}
	familyGroupCreate = promtext.Family{Name: "rocketmq_consumer_group_create_execution_time", Help: "Milliseconds that requests to create or change a consumer group took.", Kind: promtext.Histogram, Unit: "milliseconds"}
	familySlow        = promtext.Family{Name: "twostage_slow_requests_total", Help: "Requests that took longer than slowRequestMillis since the start.", Kind: promtext.Counter}
	familyWatermark   = promtext.Family{Name: "rocketmq_processor_watermark", Help: "Requests that wait for a worker.", Kind: promtext.Gauge}
	familyBusy        = promtext.Family{Name: "twostage_busy_requests_total", Help: "Requests refused with SYSTEM_BUSY since the start: their lane was full.", Kind: promtext.Counter}
	familyClosed      = promtext.Family{Name: "twostage_connections_closed_total", Help: "Connections that the broker has closed since the start: idle, or their peer took too little.", Kind: promtext.Counter}
)

// processors are RocketMQ's names of what our lanes are for, where it has one.
var processors = map[string]string{"client": "client_manager", "query": "query_message", "send back": "send"}

// results are RocketMQ's label result.
var results = map[remoting.Result]string{remoting.Answered: "success", remoting.OneWay: "oneway", remoting.WriteFailed: "write_channel_failed"}

// Bounds of RocketMQ's histograms, in ms.
var (
	rpcBounds    = []float64{1, 3, 5, 7, 10, 100, 1000, 2000, 3000}
	createBounds = []float64{10, 100, 1000, 3000, 5000}
)

// requests is how long requests take, and what is refused before it is one.
func (s *scrape) requests() {
	b := s.b
	listeners := map[string]*remoting.Server{"main": b.server}
	if b.vip != nil {
		listeners["vip"] = b.vip
	}
	by := map[remoting.LatencyKey]*remoting.Latency{}
	slow := int64(0)
	for _, server := range listeners {
		slow += server.SlowRequests()
		server.Latencies(func(k remoting.LatencyKey, l *remoting.Latency) {
			if have := by[k]; have != nil {
				have.Add(l)
				return
			}
			v := *l
			by[k] = &v
		})
	}
	keys := make([]remoting.LatencyKey, 0, len(by))
	for k := range by {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b remoting.LatencyKey) int {
		return cmp.Or(cmp.Compare(a.Request, b.Request), cmp.Compare(a.Response, b.Response), strings.Compare(yes(a.Held), yes(b.Held)), cmp.Compare(a.Result, b.Result))
	})
	s.w.Begin(familyRPC)
	for _, k := range keys {
		labels := s.with("protocol_type", "remoting", "request_code", requestName(k.Request), "response_code", responseName(k.Response), "is_long_polling", yes(k.Held), "result", results[k.Result])
		s.latency(labels, rpcBounds, by[k])
	}
	s.creations(familyTopicCreate, by, wire.ReqUpdateAndCreateTopic, wire.ReqUpdateAndCreateTopicList)
	s.creations(familyGroupCreate, by, wire.ReqUpdateAndCreateSubscriptionGroup, wire.ReqUpdateAndCreateSubscriptionGroupList)
	s.w.Begin(familySlow)
	s.w.Int(s.node, slow)
	s.lanes()
	s.listeners(listeners)
}

// latency writes a histogram with some of the bounds that were counted by.
func (s *scrape) latency(labels []byte, bounds []float64, l *remoting.Latency) {
	counts := make([]int64, len(bounds)+1)
	at := 0
	for i, n := range l.Counts {
		for at < len(bounds) && (i >= len(remoting.LatencyBounds) || remoting.LatencyBounds[i] > bounds[at]) {
			at++
		}
		counts[at] += n
	}
	s.w.Distribution(labels, bounds, counts, float64(l.Sum.Microseconds())/1000)
}

// creations is the requests of some codes, by whether they did what was asked. They
// are measured without their names, so that is_system says nothing.
func (s *scrape) creations(f promtext.Family, by map[remoting.LatencyKey]*remoting.Latency, codes ...int32) {
	var done, failed remoting.Latency
	for k, l := range by {
		switch {
		case !slices.Contains(codes, k.Request):
		case k.Response == wire.Success:
			done.Add(l)
		default:
			failed.Add(l)
		}
	}
	s.w.Begin(f)
	if done.Count() > 0 {
		s.latency(s.with("invocation_status", "success", "is_system", "false"), createBounds, &done)
	}
	if failed.Count() > 0 {
		s.latency(s.with("invocation_status", "failure", "is_system", "false"), createBounds, &failed)
	}
}

func (s *scrape) lanes() {
	lanes := s.b.table().all
	s.w.Begin(familyWatermark)
	for _, l := range lanes {
		s.w.Int(s.with("processor", cmp.Or(processors[l.Name()], l.Name())), int64(l.Waiting()))
	}
	s.w.Begin(familyBusy)
	for _, l := range lanes {
		s.w.Int(s.with("processor", cmp.Or(processors[l.Name()], l.Name())), l.Rejected())
	}
}

func (s *scrape) listeners(by map[string]*remoting.Server) {
	var sum remoting.Stats
	for _, name := range []string{"main", "vip"} {
		if server := by[name]; server != nil {
			st := server.Stats()
			sum.IdleClosed += st.IdleClosed
			sum.SlowClosed += st.SlowClosed
		}
	}
	s.w.Begin(familyClosed)
	s.w.Int(s.with("reason", "idle"), sum.IdleClosed)
	s.w.Int(s.with("reason", "slow_peer"), sum.SlowClosed)
}

// requestName is RocketMQ's label request_code.
func requestName(code int32) string {
	if code == remoting.Other {
		return other
	}
	return cmp.Or(strings.ToLower(wire.CodeName(code)), strconv.Itoa(int(code)))
}

// responseName is RocketMQ's label response_code.
func responseName(code int32) string {
	if code == remoting.Other {
		return other
	}
	return cmp.Or(strings.ToLower(wire.ResponseName(code)), strconv.Itoa(int(code)))
}
