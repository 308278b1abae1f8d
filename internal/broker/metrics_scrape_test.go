// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/broker/inflow"
	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/store"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire"
	"github.com/twostage/twostage/internal/wire/body"
	"github.com/twostage/twostage/internal/wire/header"
	"github.com/twostage/twostage/message"
)

// metrics are the samples of a scrape, by name and labels without those of the node.
func (w *world) metrics(names Names) map[string]string {
	w.t.Helper()
	m := map[string]string{}
	const node = `cluster="DefaultCluster",node_type="broker",node_id="broker-a"`
	for line := range strings.Lines(string(w.AppendMetrics(nil, names))) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "} ")
		if !ok || strings.Count(line, " ") != 1 {
			w.t.Fatalf("line %q", line)
		}
		name = strings.Replace(strings.Replace(name, node+",", "", 1), node, "", 1)
		if _, twice := m[name]; twice {
			w.t.Errorf("%s} is there twice", name)
		}
		m[name] = value
	}
	return m
}

// wantMetrics compares samples, given as name{labels and value.
func wantMetrics(t testing.TB, have map[string]string, want ...string) {
	t.Helper()
	for i := 0; i+1 < len(want); i += 2 {
		got, ok := have[strings.TrimSuffix(want[i], "}")]
		if !ok {
			got = "nothing"
		}
		if got != want[i+1] {
			t.Errorf("%s: %s, want %s", want[i], got, want[i+1])
		}
	}
}

// TestTrafficMetrics: what comes in and goes out, with RocketMQ's labels.
func TestTrafficMetrics(t *testing.T) {
	w := start(t, vfs.NewMem())
	c := w.client()
	c.heartbeat("c", "g", "T", "*")
	c.produces("c", "pg")
	c.send(sendHeader("T"), "one")
	c.send(sendHeader("T"), strings.Repeat("x", 2000))
	c.send(sendHeader("T", "__SHARDINGKEY", "k"), "in order")
	list := w.stored("T", 0)
	c.pull("g", "T", 0, 0, 0)
	if err := rpc.SendBack(w.ctx, c, w.addr, &header.SendBackRequest{Offset: list[0].PhysicalOffset, Group: "g", DelayLevel: -1, OriginTopic: "T"}); err != nil {
		t.Fatal(err)
	}
	out := list[0].Size + list[1].Size + list[2].Size
	normal, in := `{topic="T",message_type="normal",is_system="false"`, fmt.Sprint(list[0].Size+list[1].Size)
	wantMetrics(t, w.metrics(Names{}),
		"rocketmq_messages_in_total"+normal, "2", "rocketmq_throughput_in_total"+normal, in,
		`rocketmq_messages_in_total{topic="T",message_type="fifo",is_system="false"`, "1",
		"rocketmq_message_size_bucket"+normal+`,le="1024"`, "1", "rocketmq_message_size_bucket"+normal+`,le="4096"`, "2",
		"rocketmq_message_size_bucket"+normal+`,le="+Inf"`, "2", "rocketmq_message_size_sum"+normal, in, "rocketmq_message_size_count"+normal, "2",
		`rocketmq_messages_in_total{topic="%DLQ%g",message_type="normal",is_system="false"`, "nothing",
		`rocketmq_messages_out_total{topic="T",consumer_group="g",is_system="false"`, "3",
		`rocketmq_throughput_out_total{topic="T",consumer_group="g",is_system="false"`, fmt.Sprint(out),
		`rocketmq_send_to_dlq_messages_total{topic="T",consumer_group="g",is_system="false"`, "1",
		`rocketmq_producer_connections{producer_group="pg",language="java",version="v5_3_0",protocol_type="remoting"`, "1",
		`rocketmq_consumer_connections{consumer_group="g",language="java",version="v5_3_0",consume_mode="push",protocol_type="remoting",is_system="false"`, "1",
		"twostage_metrics_folded{", "0",
	)
	if _, err := w.topics.Delete("T"); err != nil {
		t.Fatal(err)
	}
	wantMetrics(t, w.metrics(Names{}), "rocketmq_messages_in_total"+normal, "nothing", `rocketmq_messages_out_total{topic="T",consumer_group="g",is_system="false"`, "nothing",
		`rocketmq_send_to_dlq_messages_total{topic="T",consumer_group="g",is_system="false"`, "nothing")
}

// TestLagMetrics: how far a group is behind, in messages and in time.
func TestLagMetrics(t *testing.T) {
	var now atomic.Int64
	now.Store(1_700_000_000_000)
	w := startAt(t, vfs.NewMem(), now.Load)
	c := w.client()
	c.heartbeat("c", "g", "T", "*")
	for range 5 {
		c.send(sendHeader("T"), "x")
		now.Add(1000)
	}
	w.stored("T", 0)
	pull := func(from, commit int64, most int32) {
		h := &header.PullRequest{ConsumerGroup: []byte("g"), Topic: []byte("T"), QueueOffset: from, MaxMsgNums: most, SubVersion: 1, SysFlag: header.PullCommitOffset, CommitOffset: commit}
		if _, err := rpc.Pull(w.ctx, c, w.addr, h); err != nil {
			t.Fatal(err)
		}
	}
	pull(0, 0, 1)
	pull(1, 1, 2) // 1 to 2 are given, 0 is consumed
	labels := `{consumer_group="g",topic="T",is_retry="false",is_system="false"`
	queue := `{consumer_group="g",topic="T",queue_id="0"`
	want := func(names Names, list ...string) { t.Helper(); wantMetrics(t, w.metrics(names), list...) }
	want(Names{}, "rocketmq_consumer_lag_messages"+labels, "4", "rocketmq_consumer_lag_latency"+labels, "4000",
		"rocketmq_consumer_inflight_messages"+labels, "2", "rocketmq_consumer_ready_messages"+labels, "2", "rocketmq_consumer_queueing_latency"+labels, "2000",
		"twostage_consumer_queue_lag_messages"+queue, "4", "twostage_consumer_queue_lag_seconds"+queue, "4")
	want(Names{Units: true}, "rocketmq_consumer_lag_latency_milliseconds"+labels, "4000", "rocketmq_consumer_lag_latency"+labels, "nothing")
	now.Add(500)
	want(Names{}, "rocketmq_consumer_lag_latency"+labels, "4500")
	pull(3, 5, 32)
	want(Names{}, "rocketmq_consumer_lag_messages"+labels, "0", "rocketmq_consumer_lag_latency"+labels, "0", "rocketmq_consumer_inflight_messages"+labels, "0",
		"rocketmq_consumer_ready_messages"+labels, "0", "rocketmq_consumer_queueing_latency"+labels, "0", "twostage_consumer_queue_lag_messages"+queue, "nothing")
	if err := w.offsets.Set("g", "T", 0, 2); err != nil {
		t.Fatal(err)
	}
	want(Names{}, "rocketmq_consumer_lag_messages"+labels, "3", "rocketmq_consumer_inflight_messages"+labels, "0", "rocketmq_consumer_ready_messages"+labels, "3")
	c.heartbeat("c", "g", "U", "*")
	want(Names{}, "rocketmq_consumer_lag_messages"+labels, "nothing") // it does not subscribe any more
	if err := rpc.Unregister(w.ctx, c, w.addr, &header.UnregisterClientRequest{ClientID: "c", ConsumerGroup: "g"}); err != nil {
		t.Fatal(err)
	}
	want(Names{}, "rocketmq_consumer_lag_messages"+labels, "3") // nobody is online
}

// TestLagMetricsOfPops: messages that were popped lag until they are acked.
func TestLagMetricsOfPops(t *testing.T) {
	var now atomic.Int64
	now.Store(1_700_000_000_000)
	w := startAt(t, vfs.NewMem(), now.Load)
	c := w.client()
	for range 3 {
		c.send(sendHeader("T"), "x")
		now.Add(1000)
	}
	w.stored("T", 0)
	h := &header.PopRequest{ConsumerGroup: "g", Topic: "T", QueueID: 0, MaxMsgNums: 2, InvisibleTime: 60_000, InitMode: header.PopInitMin}
	if _, err := c.Invoke(w.ctx, w.addr, &wire.Request{Code: wire.ReqPopMessage, Header: h}); err != nil {
		t.Fatal(err)
	}
	labels := `{consumer_group="g",topic="T",is_retry="false",is_system="false"`
	wantMetrics(t, w.metrics(Names{}), "rocketmq_consumer_lag_messages"+labels, "3", "rocketmq_consumer_lag_latency"+labels, "3000",
		"rocketmq_consumer_inflight_messages"+labels, "2", "rocketmq_consumer_ready_messages"+labels, "1", "rocketmq_consumer_queueing_latency"+labels, "1000",
		"rocketmq_pop_checkpoint_buffer_size{", "1", `twostage_pop_messages_total{what="popped"`, "2")
}

// TestMetricsAreBounded: what is too much stands under other, with the same sum, and
// what was listed stays listed.
func TestMetricsAreBounded(t *testing.T) {
	w := start(t, vfs.NewMem(), "metricsOtelCardinalityLimit", "2")
	add := func(topic string, n int64) {
		if _, err := w.topics.Ensure(topic, 1, 6, 0); err != nil {
			t.Fatal(err)
		}
		var tally inflow.Tally
		tally.Add(n, 10)
		w.inflow.Add(topic, inflow.Normal, &tally)
	}
	of := func(topic, kind string) string {
		return `rocketmq_messages_in_total{topic="` + topic + `",message_type="` + kind + `",is_system="false"`
	}
	add("m", 1)
	add("n", 2)
	wantMetrics(t, w.metrics(Names{}), of("m", "normal"), "1", of("n", "normal"), "2", of(other, other), "nothing", "twostage_metrics_folded{", "0")
	add("a", 4)
	add("z", 8)
	wantMetrics(t, w.metrics(Names{}), of("m", "normal"), "1", of("n", "normal"), "2", of("a", "normal"), "nothing", of(other, other), "12", "twostage_metrics_folded{", "2")
}

// largeWorld is a broker with that many topics, each with traffic, and a group that
// lags in one of eight queues of each.
func largeWorld(t testing.TB, topics int) *world {
	table := body.TopicConfigSerializeWrapper{TopicConfigTable: map[string]body.TopicConfig{}}
	for i := range topics {
		name := fmt.Sprintf("orders-%05d", i)
		table.TopicConfigTable[name] = body.TopicConfig{TopicName: name, ReadQueueNums: 8, WriteQueueNums: 8, Perm: 6}
	}
	fs := vfs.NewMem()
	if err := errors.Join(fs.MkdirAll("/store/config"), vfs.WriteFile(fs, "/store/config/topics.json", body.MarshalConfig(&table))); err != nil {
		t.Fatal(err)
	}
	w := start(t, fs, "mappedFileSizeCommitLog", "67108864", "mappedFileSizeConsumeQueue", "2000")
	for i := range topics {
		name := fmt.Sprintf("orders-%05d", i)
		rec := message.Record{Topic: []byte(name), Body: []byte("an order"), BornHost: w.advertised, StoreHost: w.advertised}
		var b store.Batch
		for range 2 {
			if err := b.Add(w.store.Queue(name, 0), &rec); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.store.Append(&b); err != nil {
			t.Fatal(err)
		}
		var tally inflow.Tally
		tally.Add(3, 300)
		w.inflow.Add(name, inflow.Normal, &tally)
		w.stats.Out("billing", name, 1, 300, 0)
		for q := range int32(8) {
			w.offsets.Commit("billing", name, q, 0)
		}
	}
	if err := w.groups.Put(body.SubscriptionGroupConfig{GroupName: "billing", ConsumeEnable: true}); err != nil {
		t.Fatal(err)
	}
	if err := w.store.WaitDispatched(w.store.MaxPhysical()); err != nil {
		t.Fatal(err)
	}
	return w
}

// BenchmarkScrape is /metrics without the HTTP around it.
func BenchmarkScrape(b *testing.B) {
	w := largeWorld(b, 10_000)
	for name, names := range map[string]Names{"RocketMQ 5": {}, "with the exporter's": {Exporter: true}} {
		b.Run(name, func(b *testing.B) {
			var text []byte
			b.ReportAllocs()
			for b.Loop() {
				text = w.AppendMetrics(text[:0], names)
			}
			b.ReportMetric(float64(len(text))/(1<<20), "MiB")
			b.ReportMetric(float64(strings.Count(string(text), "\n")), "lines")
		})
	}
}

// BenchmarkSendsWhileScraped is sends one after the other on a connection, alone and
// while somebody scrapes without a pause: how long each hundredth took.
func BenchmarkSendsWhileScraped(b *testing.B) {
	for _, scraped := range []bool{false, true} {
		b.Run(fmt.Sprintf("scraped=%v", scraped), func(b *testing.B) {
			w := largeWorld(b, 10_000)
			c := w.client()
			stop, scrapes := make(chan struct{}), 0
			var wg sync.WaitGroup
			if scraped {
				wg.Go(func() {
					var text []byte
					for {
						select {
						case <-stop:
							return
						default:
							text = w.AppendMetrics(text[:0], Names{})
							scrapes++
						}
					}
				})
			}
			took := make([]time.Duration, 0, 1<<16)
			for b.Loop() {
				began := time.Now()
				c.send(sendHeader("orders-00001"), "an order")
				took = append(took, time.Since(began))
			}
			close(stop)
			wg.Wait()
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
			b.ReportMetric(float64(took[len(took)-1].Microseconds()), "max-µs")
			b.ReportMetric(float64(scrapes), "scrapes")
		})
	}
}

// TestScrapesAreCheap: what BenchmarkScrape takes, as what does not depend on the
// machine: how much is allocated for a topic, and that groups that stand still cost no
// read of the log.
func TestScrapesAreCheap(t *testing.T) {
	const topics = 300
	w := largeWorld(t, topics)
	for _, tc := range []struct {
		names Names
		most  float64 // objects for a topic
	}{{Names{}, 3}, {Names{Exporter: true}, 30}} {
		text := w.AppendMetrics(nil, tc.names)
		if n := len(w.scrapes.times.next); n != topics {
			t.Fatalf("%d store times are known", n)
		}
		for k := range w.scrapes.times.next {
			w.scrapes.times.next[k] = 1 // what a read would not say
		}
		if n := testing.AllocsPerRun(2, func() { text = w.AppendMetrics(text[:0], tc.names) }) / topics; n > tc.most {
			t.Errorf("%+v: %.1f objects for a topic, want at most %.0f", tc.names, n, tc.most)
		}
		for k, at := range w.scrapes.times.next {
			if at != 1 {
				t.Fatalf("the store time of %+v was read again", k)
			}
		}
	}
}
