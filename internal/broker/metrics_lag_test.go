// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/rpc"
	"github.com/twostage/twostage/internal/vfs"
	"github.com/twostage/twostage/internal/wire/body"
)

// TestBroadcastersDoNotLag: they keep their offsets, so that what the broker has of
// the group, as from a time when it did not broadcast, says nothing.
func TestBroadcastersDoNotLag(t *testing.T) {
	w := start(t, vfs.NewMem())
	c := w.client()
	c.send(sendHeader("T"), "x")
	w.stored("T", 0)
	w.offsets.Commit("g", "T", 0, 0)
	hear := func(model body.MessageModel) {
		t.Helper()
		d := body.ConsumerData{GroupName: "g", ConsumeType: body.ConsumePassively, MessageModel: model,
			SubscriptionDataSet: []body.SubscriptionData{{Topic: "T", SubString: "*", ExpressionType: "TAG", SubVersion: 1}}}
		if err := rpc.Heartbeat(w.ctx, c, w.addr, &body.HeartbeatData{ClientID: "c", ConsumerDataSet: []body.ConsumerData{d}}); err != nil {
			t.Fatal(err)
		}
	}
	labels := `{consumer_group="g",topic="T",is_retry="false",is_system="false"`
	queue := `{consumer_group="g",topic="T",queue_id="0"`
	hear(body.Clustering)
	wantMetrics(t, w.metrics(Names{}), "rocketmq_consumer_lag_messages"+labels, "1", "twostage_consumer_queue_lag_messages"+queue, "1")
	hear(body.Broadcasting)
	wantMetrics(t, w.metrics(Names{}), "rocketmq_consumer_lag_messages"+labels, "nothing", "rocketmq_consumer_lag_latency"+labels, "nothing",
		"twostage_consumer_queue_lag_messages"+queue, "nothing")
}

// TestLagIsOfWhatIsThere: what retention has deleted is not left to be consumed. The
// exporter's difference is that of offsets, as in rocketmq-exporter.
func TestLagIsOfWhatIsThere(t *testing.T) {
	var now atomic.Int64
	begin := time.Date(2026, 1, 1, 12, 0, 0, 0, time.Local)
	now.Store(begin.UnixMilli())
	w := startAt(t, vfs.NewMem(), now.Load, "mappedFileSizeCommitLog", "65536", "fileReservedTime", "1", "deleteWhen", "04", "deleteFileBatchMax", "9",
		"diskMaxUsedSpaceRatio", "100", "diskSpaceCleanForciblyRatio", "100", "diskSpaceWarningLevelRatio", "100")
	c := w.client()
	for range 20 {
		c.send(sendHeader("T"), strings.Repeat("x", 10_000))
	}
	w.stored("T", 0)
	if err := w.groups.Put(body.SubscriptionGroupConfig{GroupName: "g", ConsumeEnable: true}); err != nil {
		t.Fatal(err)
	}
	w.offsets.Commit("g", "T", 0, 1)
	labels := `{consumer_group="g",topic="T",is_retry="false",is_system="false"`
	diff := `rocketmq_group_diff{group="g",topic="T",countOfOnlineConsumers="0",msgModel="1"`
	wantMetrics(t, w.metrics(Names{Exporter: true}), "rocketmq_consumer_lag_messages"+labels, "19", "rocketmq_consumer_ready_messages"+labels, "19", diff, "19")
	now.Store(begin.Add(2 * time.Hour).UnixMilli())
	if err := rpc.DeleteExpiredLog(w.ctx, c, w.addr); err != nil {
		t.Fatal(err)
	}
	q := w.store.LookupQueue("T", 0)
	if q.Min() != 18 {
		t.Fatalf("the queue begins at %d", q.Min())
	}
	wantMetrics(t, w.metrics(Names{Exporter: true}), "rocketmq_consumer_lag_messages"+labels, "2", "rocketmq_consumer_ready_messages"+labels, "2",
		"rocketmq_consumer_inflight_messages"+labels, "0", diff, "19")
}

// TestExporterReadsOnce: where groups stand that only the exporter's names tell of is
// read from the log once, as that of others.
func TestExporterReadsOnce(t *testing.T) {
	var now atomic.Int64
	now.Store(1_700_000_000_000)
	w := startAt(t, vfs.NewMem(), now.Load)
	c := w.client()
	c.send(sendHeader("T"), "x")
	w.stored("T", 0)
	w.offsets.Commit("unknown", "T", 0, 0) // it has no configuration, and so no lag
	const latency = `rocketmq_group_get_latency_by_storetime{cluster="DefaultCluster",broker="broker-a",topic="T",group="unknown"`
	wantMetrics(t, w.metrics(Names{Exporter: true}), latency, "0")
	for k := range w.scrapes.times.next {
		w.scrapes.times.next[k] = now.Load() - 5000 // what a read would not say
	}
	if n := len(w.scrapes.times.next); n != 1 {
		t.Fatalf("%d times are known", n)
	}
	wantMetrics(t, w.metrics(Names{Exporter: true}), latency, "5000")
	w.metrics(Names{})
	if n := len(w.scrapes.times.next) + len(w.scrapes.times.last); n != 0 {
		t.Errorf("%d times are kept that nobody asks for", n)
	}
}
